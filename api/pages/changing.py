"""What people do about violations, from a page: to one, to those that were selected, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from api.pages.filters import local
from api.pages.frame import SignedFrame, go
from api.pages.language import N_
from api.pages.violations import detail_page
from api.signed_in import CheckedForm
from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.follow_up import Action, Order, Reason, Result, Target

if TYPE_CHECKING:
    from starlette.datastructures import FormData

    from sensor.services.follow_up import Act

router = APIRouter()
MISTAKES: Final = {
    "reason": N_("Closing needs a reason."),
    "note": N_("A note must be of printable text, not empty, and of at most 4000 characters."),
    "assignee": N_("That is nobody who follows up."),
    "related": N_("There is no violation of that id."),
}


@router.post("/violations/change")
def change_selected(page: SignedFrame, form: CheckedForm) -> Response:
    """Exactly those that were shown and ticked, each as it was shown."""
    back = local(_text(form, "next"), "/violations")
    targets = [_target(str(value)) for value in dict.fromkeys(form.getlist("target"))]
    if not targets:
        return go(back, {"what": "nothing"})
    order = _order(form)
    return go(back, _said(order.action, page.desk.follow_up.change(page.who, targets, order)))


@router.post("/violations/{id_}/change")
def change(page: SignedFrame, id_: str, form: CheckedForm) -> Response:
    """One violation as it was seen; where it was changed meanwhile, nothing is written and what was entered is kept."""
    try:
        order = _order(form)
        act = page.desk.follow_up.change(page.who, [_target(f"{id_}:{_text(form, 'version')}")], order)
    except InvalidError as error:
        mistake = page.language.gettext(MISTAKES[error.field]) if error.field in MISTAKES else str(error)
        detail = page.desk.violations.one(page.who, id_)
        return detail_page(page, detail, status=422, mistake=mistake, draft=_draft(form))
    result = act.outcomes[0].result
    if result is Result.NOT_FOUND:
        raise NotFoundError("there is no such violation")
    if result is not Result.DONE:
        detail = page.desk.violations.one(page.who, id_)
        return detail_page(page, detail, status=409, conflict=True, draft=_draft(form))
    return go(f"/violations/{id_}", _said(order.action, act))


@router.post("/undo")
def undo(page: SignedFrame, form: CheckedForm) -> Response:
    """By further changes: nothing is erased."""
    act = page.desk.follow_up.undo(page.who, _text(form, "act"))
    return go(_text(form, "next"), _said(Action.UNDO, act))


def _said(action: Action, act: Act) -> dict[str, Any]:
    results = [outcome.result for outcome in act.outcomes]
    return {
        "what": action.value,
        "act": act.id,
        "done": results.count(Result.DONE),
        "late": results.count(Result.CHANGED_MEANWHILE),
        "impossible": results.count(Result.NOT_POSSIBLE),
        "missing": results.count(Result.NOT_FOUND),
    }


def _order(form: FormData) -> Order:
    """Raises InvalidError."""
    try:
        action = Action(_text(form, "action"))
    except ValueError as error:
        raise InvalidError("is nothing that can be done", "action") from error
    reason = None
    if action is Action.CLOSE:
        try:
            reason = Reason(_text(form, "reason"))
        except ValueError as error:
            raise InvalidError("is missing", "reason") from error
    assignee = _text(form, "assignee") if action is Action.ASSIGN else None
    related = _text(form, "related").strip().lower() if reason is Reason.DUPLICATE else ""
    return Order(action, reason, assignee, _text(form, "note"), related)


def _target(text: str) -> Target:
    """Raises InvalidError."""
    id_, _, version = text.rpartition(":")
    if not id_ or not version.isascii() or not version.isdigit() or len(version) > 9:
        raise InvalidError("is no violation with its version", "target")
    return Target(id_, int(version))


def _draft(form: FormData) -> dict[str, str]:
    return {name: _text(form, name) for name in ("action", "reason", "note", "related", "assignee")}


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
