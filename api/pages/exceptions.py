"""Exceptions: made from a violation after a look at what they would silence, listed, ended."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from api.pages.frame import Frame, SignedFrame, go
from api.pages.language import N_
from api.signed_in import CheckedForm
from sensor.services.errors import ConflictError, InvalidError
from sensor.services.exceptions import Preview, Wanted
from sensor.services.people import Right
from sensor.services.query import day_span

if TYPE_CHECKING:
    from starlette.datastructures import FormData

router = APIRouter()
USUAL_DAYS: Final = 30
STATUSES: Final = {
    "coming": N_("Not yet in force"),
    "in_force": N_("In force"),
    "over": N_("Over"),
    "ended": N_("Ended"),
}
MISTAKES: Final = {
    "reason": N_("Give a reason of one line, of 10 to 500 characters."),
    "why": N_("Say why, in one line of 10 to 500 characters."),
    "until": N_("The last day must be today or later, and within a year."),
    "owner": N_("Say who answers for it, in one line of 2 to 500 characters."),
    "name": N_("A name must be one line of 3 to 500 characters."),
    "violation": N_("This needs no exception: it is neither a violation nor to be reviewed."),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What was entered. `whose`, `where`, `what`: "same" as in the violation, or "any"."""

    whose: str = "same"
    where: str = "same"
    what: str = "any"
    until: str = ""
    reason: str = ""
    owner: str = ""
    name: str = ""

    def wanted(self, id_: str, zone: str) -> Wanted:
        """To the end of the last day, by the site's clock. Raises InvalidError."""
        try:
            until_ns = day_span(self.until, zone)[1]
        except InvalidError as error:
            raise InvalidError(str(error), "until") from error
        return Wanted(
            id_,
            self.reason,
            until_ns,
            name=self.name,
            owner=self.owner,
            same_device=self.whose == "same",
            same_network=self.where == "same",
            same_activity=self.what == "same",
        )

    @property
    def digest(self) -> str:
        """Names what was looked at, so that nothing else is made."""
        return hashlib.sha256(repr(self).encode("utf-8", "surrogatepass")).hexdigest()


@router.get("/violations/{id_}/exception")
def begin(page: SignedFrame, id_: str) -> Response:
    """The form, with what is usual."""
    page.who.require(Right.EXCEPT)
    until = page.desk.material.day(page.desk.material.now_ns()) + timedelta(days=USUAL_DAYS)
    return _form(page, id_, Draft(until=until.isoformat(), owner=page.who.name))


@router.post("/violations/{id_}/exception")
def look_or_make(page: SignedFrame, id_: str, form: CheckedForm) -> Response:
    """What it would silence; it is made only as it was looked at."""
    page.who.require(Right.EXCEPT)
    draft = Draft(**{name: _text(form, name) for name in Draft.__slots__})
    try:
        wanted = draft.wanted(id_, page.desk.material.zone)
        if _text(form, "do") == "make" and _text(form, "looked") == draft.digest:
            page.desk.exceptions.make(page.who, wanted)
            return go(f"/violations/{id_}", {"what": "exception"})
        return _form(page, id_, draft, preview=page.desk.exceptions.preview(page.who, wanted))
    except InvalidError as error:
        return _form(page, id_, draft, mistake=_mistake(page, error), status=422)
    except ConflictError:
        mistake = page.language.gettext("There is an exception of that name already.")
        return _form(page, id_, draft, mistake=mistake, status=409)


@router.get("/exceptions")
def listed(page: SignedFrame) -> Response:
    """Those in force first."""
    return _list(page)


@router.post("/exceptions/{id_}/end")
def end(page: SignedFrame, id_: str, form: CheckedForm) -> Response:
    """What begins from now on is judged without it."""
    try:
        page.desk.exceptions.end(page.who, id_, _text(form, "why"))
    except InvalidError as error:
        return _list(page, ending=id_, why=_text(form, "why"), mistake=_mistake(page, error), status=422)
    return go("/exceptions", {"what": "ended"})


def _list(page: Frame, *, ending: str = "", why: str = "", mistake: str = "", status: int = 200) -> Response:
    order = list(STATUSES)
    rank = {"in_force": 0, "coming": 1}
    found = sorted(page.desk.exceptions.listed(page.who), key=lambda one: rank.get(one.status, len(order)))
    return page.render(
        "exceptions.html",
        status=status,
        section="exceptions",
        found=found,
        statuses=STATUSES,
        ending=ending,
        why=why,
        mistake=mistake,
        app_text=page.desk.material.app_text,
    )


def _form(
    page: Frame, id_: str, draft: Draft, *, preview: Preview | None = None, mistake: str = "", status: int = 200
) -> Response:
    detail = page.desk.violations.one(page.who, id_)
    today = page.desk.material.day(page.desk.material.now_ns())
    return page.render(
        "exception.html",
        status=status,
        section="violations",
        one=detail.violation,
        draft=draft,
        preview=preview,
        mistake=mistake,
        earliest=today.isoformat(),
        latest=_later(today, 365),
    )


def _later(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()


def _mistake(page: Frame, error: InvalidError) -> str:
    return page.language.gettext(MISTAKES[error.field]) if error.field in MISTAKES else str(error)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""
