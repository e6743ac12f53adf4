"""Devices by their pseudonyms, one device, and seeing whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from api.pages.filters import Filters
from api.pages.frame import Frame, SignedFrame, go
from api.pages.language import N_
from api.pages.violations import by_day
from api.signed_in import CheckedForm
from sensor.model import Outcome
from sensor.services.accounts import BlockedError, SignInError
from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.query import Query
from sensor.services.records import DeviceSummary

router = APIRouter()
PAGE: Final = 25
ROWS: Final = 20
MISTAKES: Final = {
    "reason": N_("Give a reason of one line, of 10 to 500 characters."),
    "consent": N_("Another officer, auditor or administrator has to give name and password."),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was entered to see whose device it is, and what is wrong with it."""

    reason: str = ""
    other: str = ""
    mistake: str = ""


@router.get("/devices")
def devices(request: Request, page: SignedFrame, after: str | None = None) -> Response:
    """Those with the most violations first."""
    filters = Filters.read(request.query_params, "/devices")
    found = page.desk.overview.devices(page.who, filters.query(page.who.name), limit=PAGE, after=after)
    held = page.desk.identities.mine(page.who)
    return page.render("devices.html", section="devices", found=found, filters=filters, is_later=after is not None,
                       held=held)  # fmt: skip


@router.get("/devices/{pseudonym}")
def device(page: SignedFrame, pseudonym: str) -> Response:
    """One device; the reading is recorded."""
    return _device(page, pseudonym, Asked())


@router.post("/devices/{pseudonym}/unmask")
def unmask(page: SignedFrame, pseudonym: str, form: CheckedForm) -> Response:
    """From now on, for some hours, they see whose device it is."""
    given = {name: value if isinstance(value := form.get(name, ""), str) else ""
             for name in ("reason", "other", "password", "next")}  # fmt: skip
    needed = page.desk.identities.needs_second_person
    consent = (given["other"], given["password"]) if needed else None
    try:
        page.desk.identities.unmask(page.who, pseudonym, given["reason"], consent)
    except InvalidError as error:
        mistake = page.language.gettext(MISTAKES.get(error.field, "")) if error.field in MISTAKES else str(error)
        return _device(page, pseudonym, Asked(given["reason"], given["other"], mistake), 422)
    except (SignInError, BlockedError):
        mistake = page.language.gettext(
            "The other person's name or password is wrong, or there were too many attempts."
        )
        return _device(page, pseudonym, Asked(given["reason"], given["other"], mistake), 422)
    return go(f"/devices/{pseudonym}", {"what": "unmasked"})


def _device(page: Frame, pseudonym: str, asked: Asked, status: int = 200) -> Response:
    summary: DeviceSummary | None = page.desk.overview.device(page.who, pseudonym)
    if summary is None:
        raise NotFoundError("there is no such device")
    query = Query(devices=(pseudonym,), outcomes=tuple(one.value for one in Outcome))
    found = page.desk.violations.page(page.who, query, limit=ROWS, with_facets=False)
    held = next((one for one in page.desk.identities.mine(page.who) if one.device.pseudonym == pseudonym), None)
    return page.render(
        "device.html",
        status=status,
        section="devices",
        one=summary,
        found=found,
        days=by_day(page, found.rows),
        all_of_it=Filters((("device", pseudonym),), show="all").url(),
        asked=asked,
        held=held,
        needs_second_person=page.desk.identities.needs_second_person,
        unmask_hours=page.desk.setup.settings.api.unmask_hours,
    )
