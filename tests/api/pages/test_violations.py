from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from api.pages.filters import local
from sensor.services.follow_up import Action, Order, Target
from tests.api.pages.looking import Look
from tests.api.visiting import PASSWORD, Visitor
from tests.services.clinic import BEGIN_NS, OFFICER
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from sensor.services.desk import Desk

FIRST, SECOND = f"{11:016x}", f"{10:016x}"
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}"""


def test_who_is_not_signed_in_is_asked_to_and_comes_back(nobody: Visitor):
    answer = nobody.get("/violations?network=Ward+3")
    assert answer.status_code == 303
    where = answer.headers["location"]
    assert where == "/sign-in?next=%2Fviolations%3Fnetwork%3DWard%2B3"
    form = Look(nobody.get(where))
    fields = {"name": "otto", "password": PASSWORD, "next": form.field("/sign-in", "next")}
    answer = nobody.post("/sign-in", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/violations?network=Ward+3")
    assert nobody.get("/violations").status_code == 200


def test_a_wrong_password_is_told_and_the_name_is_kept(nobody: Visitor):
    answer = nobody.post("/sign-in", data={"name": "otto", "password": "wrong", "next": "/devices"})
    look = Look(answer)
    assert answer.status_code == 401
    assert "name or the password is wrong" in look.text
    assert (look.field("/sign-in", "name"), look.field("/sign-in", "next")) == ("otto", "/devices")


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"]
)
def test_nobody_is_sent_to_another_site(nobody: Visitor, target: str):
    assert local(target) == "/"
    answer = nobody.post("/sign-in", data={"name": "otto", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


def test_the_list_has_what_the_service_finds_and_facets_that_narrow_it(officer: Visitor):
    look = Look(officer.get("/violations"))
    assert "12 episodes" in look.text
    assert len(look.fields("/violations/change", "target")) == 12
    narrower = next(link for link in look.links if "severity=high" in link)
    look = Look(officer.get(narrower))
    assert "6 episodes" in look.text
    both = next(link for link in look.links if "severity=high" in link and "network=Staff" in link)
    assert "2 episodes" in Look(officer.get(both)).text


def test_pages_follow_one_another_without_gap_or_repetition(officer: Visitor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("api.pages.violations.PAGE", 5)
    seen: list[str] = []
    where: str | None = "/violations?network=Ward+3&network=Staff"
    while where:
        look = Look(officer.get(where))
        seen += look.fields("/violations/change", "target")
        where = next((link for link in look.links if "after=" in link and link != where), None)
        assert where is None or "network=Ward+3" in where
    assert len(seen) == len(set(seen)) == 12


def test_one_violation_says_what_why_and_how_to_see_it(officer: Visitor):
    page = officer.get(f"/violations/{FIRST}")
    look = Look(page)
    assert page.headers["etag"] == '"0"'
    assert "held a video call over WhatsApp" in look.text
    assert "(Europe/Vienna)" in look.text
    assert "frame.number == " in look.text
    assert "g.whatsapp.net" in look.text
    assert "02:00:00:00:00:01" not in page.text, "whose device it is stays hidden"


def test_acknowledging_is_told_can_be_undone_and_is_kept(officer: Visitor):
    action = f"/violations/{FIRST}/change"
    look = Look(officer.get(f"/violations/{FIRST}"))
    fields = {"csrf": look.field(action, "csrf"), "version": look.field(action, "version"), "action": "acknowledge"}
    answer = officer.post(action, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/violations/{FIRST}")
    look = Look(officer.get(f"/violations/{FIRST}"))
    assert "1 violation acknowledged." in look.text
    assert "New → Acknowledged" in look.text
    undo = {"csrf": fields["csrf"], "act": look.field("/undo", "act"), "next": f"/violations/{FIRST}"}
    assert officer.post("/undo", data=undo).status_code == 303
    look = Look(officer.get(f"/violations/{FIRST}"))
    assert "1 change taken back." in look.text
    assert "Acknowledged → New" in look.text, "nothing is erased"
    assert "New → Acknowledged" in look.text
    assert "taken back." not in Look(officer.get(f"/violations/{FIRST}")).text, "it is said once"


def test_who_comes_second_is_told_and_loses_nothing(officer: Visitor, desk: Desk):
    action = f"/violations/{FIRST}/change"
    look = Look(officer.get(f"/violations/{FIRST}"))
    desk.follow_up.change(replace(OFFICER, name="olga"), [Target(FIRST, 0)], Order(Action.ACKNOWLEDGE))
    note = "The tablet was lent\nto the night shift"
    fields = {
        "csrf": look.field(action, "csrf"),
        "version": "0",
        "action": "close",
        "reason": "confirmed",
        "note": note,
    }
    answer = officer.post(action, data=fields)
    assert answer.status_code == 409
    look = Look(answer)
    assert "Somebody else was first" in look.text
    assert "olga acknowledged it" in look.text
    assert "to the night shift" in look.text
    detail = desk.violations.one(OFFICER, FIRST)
    assert (detail.violation.state, len(detail.history)) == ("acknowledged", 1)
    again = officer.post(action, data=fields | {"version": look.field(action, "version")})
    assert again.status_code == 303
    assert desk.violations.one(OFFICER, FIRST).history[-1].note == note


def test_those_selected_are_changed_as_they_were_shown(officer: Visitor, desk: Desk):
    look = Look(officer.get("/violations"))
    targets = [one for one in look.fields("/violations/change", "target") if one[:16] in {FIRST, SECOND}]
    desk.follow_up.change(replace(OFFICER, name="olga"), [Target(SECOND, 0)], Order(Action.INVESTIGATE))
    fields = {
        "csrf": look.field("/violations/change", "csrf"),
        "target": targets,
        "action": "close",
        "reason": "false_positive",
        "next": "/violations?severity=high",
    }
    answer = officer.post("/violations/change", data=fields)
    assert answer.headers["location"] == "/violations?severity=high"
    text = Look(officer.get(answer.headers["location"])).text
    assert "1 violation closed." in text
    assert "1 was changed by somebody else meanwhile and left as it is." in text
    assert desk.violations.one(OFFICER, SECOND).violation.state == "investigating"
    assert desk.violations.one(OFFICER, f"{9:016x}").violation.state == "new"


def test_a_form_without_the_sessions_token_changes_nothing(officer: Visitor, desk: Desk):
    fields = {"version": "0", "action": "acknowledge", "csrf": "another"}
    for action in (f"/violations/{FIRST}/change", "/violations/change", "/undo"):
        answer = officer.post(action, data=fields | {"target": f"{FIRST}:0", "act": "x"})
        assert answer.status_code == 403
        assert "Not allowed" in answer.text
    assert desk.violations.one(OFFICER, FIRST).violation.version == 0


def test_who_may_only_read_sees_no_form_and_is_refused(viewer: Visitor):
    look = Look(viewer.get(f"/violations/{FIRST}"))
    assert not look.fields(f"/violations/{FIRST}/change", "action")
    csrf = look.field("/sign-out", "csrf")
    answer = viewer.post(f"/violations/{FIRST}/change", data={"csrf": csrf, "version": "0", "action": "acknowledge"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"action": "close"}, "Closing needs a reason"),
        ({"action": "note", "note": " "}, "A note must be"),
        ({"action": "assign", "assignee": "nemo"}, "nobody who follows up"),
        ({"action": "close", "reason": "duplicate", "related": "ffffffff"}, "There is no violation of that id"),
    ],
)
def test_mistakes_are_told_beside_what_was_entered(officer: Visitor, fields: dict[str, str], says: str):
    action = f"/violations/{FIRST}/change"
    csrf = Look(officer.get(f"/violations/{FIRST}")).field(action, "csrf")
    answer = officer.post(action, data={"csrf": csrf, "version": "0", **fields})
    assert answer.status_code == 422
    assert says in Look(answer).text


def test_hostile_names_are_text(officer: Visitor, desk: Desk):
    one = episode((BEGIN_NS + 5, BEGIN_NS + 6), id_="f" * 16, device="mac:02:00:00:00:00:09", network=HOSTILE)
    evidence = tuple(replace(item, value=HOSTILE, detail=HOSTILE) for item in one.evidence)
    hostile = replace(one, names=(HOSTILE,), evidence=evidence, notes=(HOSTILE,))
    desk.store.append([hostile], snapshots=KNOWN)
    for path in (
        "/violations",
        f"/violations/{'f' * 16}",
        "/violations?q=" + HOSTILE,
        "/violations?network=" + HOSTILE,
    ):
        page = officer.get(path)
        assert page.status_code == 200
        assert Look(page).scripts == ["/static/page.js"]
        assert "<img" not in page.text
        assert "{{7*7}}" in Look(page).text or "7%2A7" in page.text


def test_what_is_not_there_is_told_on_a_page(officer: Visitor):
    for path in ("/violations/ffffffffffffffff", "/nothing"):
        answer = officer.get(path)
        assert answer.status_code == 404
        assert "Not found" in answer.text


def test_pages_hold_nothing_that_the_policy_of_content_forbids(officer: Visitor):
    for path in ("/violations", f"/violations/{FIRST}", "/help"):
        text = officer.get(path).text
        assert " style=" not in text
        assert "<style" not in text
        assert "onclick" not in text
        assert "http://" not in text
        assert "https://" not in text
