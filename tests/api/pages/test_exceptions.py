from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.pages.looking import Look
from tests.services.clinic import OFFICER

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from tests.api.visiting import Visitor

ID = f"{11:016x}"
WHERE = f"/violations/{ID}/exception"
REASON = "The tablet is lent to the research project"


def filled(look: Look, **fields: str) -> dict[str, str]:
    usual = {name: look.field(WHERE, name) for name in ("csrf", "until", "owner")}
    return {**usual, "whose": "any", "where": "same", "what": "any", "reason": REASON, "name": "", **fields}


def test_an_exception_is_looked_at_before_it_is_made(officer: Visitor, desk: Desk):
    fields = filled(Look(officer.get(WHERE)), do="make")
    answer = officer.post(WHERE, data=fields)
    look = Look(answer)
    assert answer.status_code == 200
    assert "violation of all that is stored" in look.text or "violations of all that is stored" in look.text
    assert not [one for one in desk.exceptions.listed(OFFICER) if one.origin == "page"], "nothing is made unseen"
    looked = fields | {"looked": look.field(WHERE, "looked")}
    wider = officer.post(WHERE, data=looked | {"where": "any"})
    assert wider.status_code == 200, "what was looked at was another one"
    assert not [one for one in desk.exceptions.listed(OFFICER) if one.origin == "page"]
    assert officer.post(WHERE, data=looked).status_code == 303
    (made,) = [one for one in desk.exceptions.listed(OFFICER) if one.origin == "page"]
    assert (made.reason, made.where, made.devices) == (REASON, ("Staff",), ())
    assert "The exception is in force" in Look(officer.get(f"/violations/{ID}")).text


def test_an_exception_is_listed_and_ended_with_a_reason(officer: Visitor, desk: Desk):
    fields = filled(Look(officer.get(WHERE)), do="make", whose="same")
    looked = Look(officer.post(WHERE, data=fields)).field(WHERE, "looked")
    officer.post(WHERE, data=fields | {"looked": looked})
    (made,) = [one for one in desk.exceptions.listed(OFFICER) if one.origin == "page"]
    page = officer.get("/exceptions")
    look = Look(page)
    assert REASON in look.text
    assert "02:00:00" not in page.text, "its device is a pseudonym"
    end = f"/exceptions/{made.id}/end"
    answer = officer.post(end, data={"csrf": look.field(end, "csrf"), "why": "no"})
    assert answer.status_code == 422
    answer = officer.post(end, data={"csrf": look.field(end, "csrf"), "why": "The project is over"})
    assert answer.headers["location"] == "/exceptions"
    text = Look(officer.get("/exceptions")).text
    assert "The exception has ended." in text
    assert "The project is over" in text
    assert desk.exceptions.one(OFFICER, made.id).status == "ended"


def test_mistakes_are_told_beside_what_was_entered(officer: Visitor):
    look = Look(officer.get(WHERE))
    for change, says in (({"reason": "because"}, "Give a reason"), ({"until": "2020-01-01"}, "The last day must be"),
                         ({"until": "soon"}, "The last day must be"), ({"owner": "x"}, "Say who answers")):  # fmt: skip
        answer = officer.post(WHERE, data=filled(look, do="look", **change))
        assert answer.status_code == 422
        assert says in Look(answer).text


def test_who_may_not_make_exceptions_is_refused(viewer: Visitor, auditor: Visitor):
    for visitor in (viewer, auditor):
        assert visitor.get(WHERE).status_code == 403
        assert WHERE not in Look(visitor.get(f"/violations/{ID}")).links
        csrf = Look(visitor.get("/exceptions")).field("/sign-out", "csrf")
        assert visitor.post(WHERE, data={"csrf": csrf, "until": "2027-01-01", "reason": REASON}).status_code == 403
