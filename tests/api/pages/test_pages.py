from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from api.pages.language import language
from api.pages.visibility import blind_stretches
from api.pages.words import Words
from sensor.services.records import BlindHour
from tests.api.pages.looking import Look
from tests.services.clinic import BEGIN_NS, HOUR_NS, OFFICER
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from tests.api.visiting import Visitor

DAY, DAY_AFTER = "2026-03-17", "2026-03-18"
PAGES = ("/", f"/?day={DAY}", "/violations", "/devices", "/visibility", "/week", "/policy", "/help")


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_nothing_that_the_policy_of_content_forbids(officer: Visitor, path: str):
    answer = officer.get(path)
    assert answer.status_code == 200
    for forbidden in (" style=", "<style", "onclick", "javascript:", "http://", "https://"):
        assert forbidden not in answer.text
    assert Look(answer).scripts == ["/static/page.js"]


@pytest.mark.parametrize("path", [*PAGES[:-1], "/devices/D-AAAA-BBBB", "/week/2026-W12/app.svg"])
def test_nobody_sees_a_page_without_signing_in(nobody: Visitor, path: str):
    answer = nobody.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")


def test_the_first_page_is_small(officer: Visitor):
    parts = ["/", "/static/page.css", "/static/parts.css", "/static/page.js", "/static/icon.svg"]
    assert sum(len(gzip.compress(officer.get(part).content)) for part in parts) < 100_000
    assert len(gzip.compress(officer.get("/violations").content)) < 40_000


def test_the_day_says_how_many_where_and_what_is_open(officer: Visitor):
    text = Look(officer.get(f"/?day={DAY}")).text
    assert "Tuesday, 17 March 2026" in text or "Tuesday 17 March 2026" in text
    assert "12 violations, on 2 networks." in text
    assert "12 are still open." in text
    assert "nothing to compare with" in text, "no day before is known"


def test_a_day_without_violations_points_to_the_last_that_has_some(officer: Visitor):
    look = Look(officer.get("/?day=2026-03-20"))
    assert "No violation was seen." in look.text
    assert f"/?day={DAY}" in look.links


def test_what_was_never_seen_before_is_told_as_new(officer: Visitor, desk: Desk):
    later = BEGIN_NS + 30 * HOUR_NS
    seen = episode((later, later + 5), id_="a" * 16, device="mac:02:00:00:00:00:01", app="whatsapp")
    stranger = episode((later + 9, later + 12), id_="b" * 16, device="mac:02:00:00:00:00:42", app="telegram")
    desk.store.append([seen, stranger], snapshots=KNOWN)
    text = Look(officer.get(f"/?day={DAY_AFTER}")).text
    assert "Telegram for the first time on Ward 3" in text
    assert "WhatsApp for the first time" not in text
    assert text.count("First violation of the device") == 1


def test_a_device_is_a_pseudonym_until_a_reason_is_given(officer: Visitor, desk: Desk):
    look = Look(officer.get("/devices"))
    where = next(link for link in look.links if link.startswith("/devices/D-"))
    page = officer.get(where)
    assert "02:00:00:00:00:01" not in page.text
    csrf = Look(page).field(f"{where}/unmask", "csrf")
    short = officer.post(f"{where}/unmask", data={"csrf": csrf, "reason": "because"})
    assert short.status_code == 422
    assert "10 to 500 characters" in short.text
    answer = officer.post(f"{where}/unmask", data={"csrf": csrf, "reason": "Asked for by the head of the ward"})
    assert (answer.status_code, answer.headers["location"]) == (303, where)
    text = Look(officer.get(where)).text
    assert "Tablet of the ward" in text
    assert "Asked for by the head of the ward" in text
    assert desk.identities.mine(OFFICER)


def test_who_may_not_unmask_is_not_asked_for_a_reason(viewer: Visitor):
    look = Look(viewer.get("/devices"))
    where = next(link for link in look.links if link.startswith("/devices/D-"))
    assert "Your role sees pseudonyms only." in Look(viewer.get(where)).text
    csrf = look.field("/sign-out", "csrf")
    answer = viewer.post(f"{where}/unmask", data={"csrf": csrf, "reason": "just curious, really"})
    assert answer.status_code == 403


def test_a_week_has_its_numbers_and_pictures_of_them(officer: Visitor):
    look = Look(officer.get("/week"))
    assert "Week 12" in look.text
    assert "12 violations; 0 in the week before." in look.text
    for theme in ("light", "dark"):
        answer = officer.get(f"/week/2026-W12/network.svg?theme={theme}")
        assert answer.headers["content-type"] == "image/svg+xml"
        words = "".join(ET.fromstring(answer.text).itertext())
        assert "Ward 3" in words
        assert "Staff" in words
        again = officer.get(
            f"/week/2026-W12/network.svg?theme={theme}", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [("/week?week=2026-W99", 422), ("/week?week=x", 422), ("/week/2026-W12/who.svg", 404), ("/?day=tomorrow", 422),
     ("/visibility?day=1", 422), ("/violations?severity=huge", 422), ("/violations?after=x", 422),
     ("/week/2026-W12/app.svg?theme=x", 404), ("/week/0001-W01/app.svg", 422), ("/week/9999-W01/app.svg", 422)],
)  # fmt: skip
def test_nonsense_is_told_as_such(officer: Visitor, path: str, status: int):
    assert officer.get(path).status_code == status


def test_blind_hours_in_a_row_for_one_reason_are_one_stretch():
    hours = [BlindHour("Ward 3", BEGIN_NS + at * HOUR_NS, False, ("lost",), 1, 1, 0) for at in (0, 1, 3)]
    hours.append(replace(hours[0], hour_ns=BEGIN_NS + 2 * HOUR_NS, seen=True, reasons=()))
    found = blind_stretches(Words(language("en")), hours)
    assert [(one.begin_ns, one.end_ns) for one in found] == [
        (BEGIN_NS, BEGIN_NS + 2 * HOUR_NS),
        (BEGIN_NS + 3 * HOUR_NS, BEGIN_NS + 4 * HOUR_NS),
    ]


def test_the_clock_that_is_shown_is_named_and_can_be_chosen(officer: Visitor):
    assert "Times are Europe/Vienna." in Look(officer.get("/violations")).text
    answer = officer.post("/preferences", data={"clock": "utc", "next": "/violations"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/violations")
    text = Look(officer.get("/violations")).text
    assert "Times are UTC." in text
    assert "Days of the site's clock, Europe/Vienna" in text


def test_preferences_come_from_here_only(officer: Visitor):
    answer = officer.post("/preferences", data={"theme": "dark"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    officer.post("/preferences", data={"theme": "dark", "keys": "off", "clock": "<script>"})
    page = officer.get("/help").text
    assert 'data-theme="dark" data-keys="off"' in page


def test_rules_that_name_devices_name_pseudonyms(officer: Visitor):
    assert "mac:" not in officer.get("/policy").text


def test_a_one_time_link_makes_an_account_once(nobody: Visitor, desk: Desk):
    token = desk.accounts.invite("test")
    assert "administrator" in Look(nobody.get(f"/welcome?token={token}")).text
    fields = {"token": token, "name": "nora", "password": "short"}
    assert nobody.post("/welcome", data=fields).status_code == 422
    fields["password"] = "nobody guesses this one"
    assert nobody.post("/welcome", data=fields).headers["location"] == "/sign-in"
    assert nobody.post("/welcome", data=fields).status_code == 403
    signed = nobody.post("/sign-in", data={"name": "nora", "password": fields["password"]})
    assert signed.status_code == 303
    assert nobody.get("/").status_code == 200


def test_signing_out_ends_the_session(officer: Visitor):
    csrf = Look(officer.get("/help")).field("/sign-out", "csrf")
    assert officer.post("/sign-out", data={"csrf": csrf}).headers["location"] == "/sign-in"
    assert officer.get("/").status_code == 303
