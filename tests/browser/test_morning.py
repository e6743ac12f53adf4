"""An officer's morning at a real browser: in both languages, without scripts, by the keyboard alone, and two officers at once."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.services.query import Query
from tests.services.clinic import BEGIN_NS, HOUR_NS, OFFICER
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.services.desk import Desk
    from tests.browser.people import Officer

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)><b>{{7*7}}</b>"
LOW = Query(severities=("low",))
NOTE = "The tablet is shared by the night shift"
REASON = "Lent to the research project until it ends"


def morning(one: Officer, desk: Desk) -> None:
    """Sign in, filter, open, read, acknowledge, note, except, close several, undo, export, sign out."""
    page = one.page
    one.sign_in()
    assert "12" in one.read()

    page.locator(".facet a", has_text=one.say("High")).first.click()
    page.locator(".facet a", has_text="Staff").first.click()
    assert "severity=high" in page.url
    assert "network=Staff" in page.url
    assert page.locator("tr.row").count() == 2

    page.locator("tr.row a.open").first.click()
    text = one.read()
    assert one.say("held a video call over WhatsApp") in text or "videollamada por WhatsApp" in text
    assert "frame.number == " in text
    assert "Europe/Vienna" in text
    id_ = page.url.rsplit("/", 1)[1]

    one.button("Acknowledge", ".actions").click()
    assert one.count("%(num)s violation acknowledged.", "%(num)s violations acknowledged.", 1) in one.banner()
    page.get_by_label(one.say("Note"), exact=True).fill(NOTE)
    one.button("Write the note").click()
    assert NOTE in page.locator(".history").inner_text()

    one.link("Make an exception …").click()
    page.get_by_label(one.say("Reason"), exact=True).fill(REASON)
    one.button("Show what it would silence").click()
    assert page.locator("#preview .short-list li").count() > 0
    one.button("Make the exception").click()
    page.wait_for_url(f"**/violations/{id_}")
    assert [made.reason for made in desk.exceptions.listed(OFFICER)] == [REASON]

    one.open("/violations?severity=low")
    before = {row.id for row in desk.violations.page(OFFICER, LOW).rows if row.state == "closed"}
    assert not before
    boxes = page.locator('input[name="target"]')
    for number in range(3):
        boxes.nth(number).check()
    page.locator("#reason").select_option("false_positive")
    one.button("Close").click()
    assert one.count("%(num)s violation closed.", "%(num)s violations closed.", 3) in one.banner()
    closed = [row for row in desk.violations.page(OFFICER, LOW).rows if row.state == "closed"]
    assert len(closed) == 3
    page.locator("#undo").click()
    assert one.count("%(num)s change taken back.", "%(num)s changes taken back.", 3) in one.banner()
    assert not [row for row in desk.violations.page(OFFICER, LOW).rows if row.state == "closed"]
    assert all(len(desk.violations.one(OFFICER, row.id).history) == 2 for row in closed), "nothing is erased"

    with page.expect_download() as waiting:
        one.link("CSV").click()
    lines = Path(waiting.value.path()).read_text("utf-8").splitlines()
    assert len(lines) == 1 + 6
    assert lines[0].startswith("id,")

    page.locator("details.menu", has_text="otto").locator("summary").click()
    page.locator("#sign-out").click()
    assert one.say("You are signed out.") in one.read()
    page.goto(f"{one.site}/violations")
    assert "/sign-in" in page.url


@pytest.mark.parametrize("code", ["en", "es"])
def test_the_whole_morning(officer: Callable[..., Officer], desk: Desk, code: str):
    morning(officer(code), desk)


def test_the_whole_morning_without_scripts(officer: Callable[..., Officer], desk: Desk):
    morning(officer("en", java_script_enabled=False), desk)


def test_the_whole_morning_on_a_telephone(officer: Callable[..., Officer], desk: Desk):
    one = officer("en", viewport={"width": 360, "height": 740})
    one.sign_in()
    one.page.get_by_role("link", name="Filters").click()
    one.page.locator(".facet a", has_text="High").first.click()
    assert one.page.locator("tr.row").count() == 6
    one.page.locator("tr.row a.open").first.click()
    one.button("Acknowledge", ".actions").click()
    assert "1 violation acknowledged." in one.banner()
    for path in ("/", "/violations", "/devices", "/visibility", "/week", "/exceptions", "/policy", "/help"):
        one.open(path)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_the_morning_by_keyboard_alone(officer: Callable[..., Officer], desk: Desk):
    one = officer()
    page, keys = one.page, one.page.keyboard
    page.goto(f"{one.site}/violations")
    keys.type("otto")
    one.tab_to('input[name="password"]')
    keys.type("a long enough pass phrase")
    keys.press("Enter")
    page.wait_for_selector("tr.row")

    keys.press("?")
    assert page.locator("#help").is_visible()
    keys.press("Escape")
    assert not page.locator("#help").is_visible()

    keys.press("/")
    keys.type("staff")
    keys.press("Enter")
    page.wait_for_url("**/violations?q=staff")
    assert page.locator("tr.row").count() == 3

    keys.press("j")
    keys.press("j")
    keys.press("k")
    assert page.locator("tr.row.here").get_attribute("data-id") == page.locator("tr.row").nth(0).get_attribute(
        "data-id"
    )
    keys.press("x")
    keys.press("j")
    keys.press("x")
    assert page.locator("#selected").inner_text() == "2 selected"
    keys.press("a")
    page.wait_for_selector("#said")
    assert "2 violations acknowledged." in one.banner()

    keys.press("j")
    with page.expect_navigation():
        keys.press("o")
    assert "/violations/" in page.url
    id_ = page.url.rsplit("/", 1)[1]
    one.tab_to('textarea[name="note"][required]')
    keys.type(NOTE)
    keys.press("Tab")
    with page.expect_navigation():
        keys.press("Enter")
    keys.press("c")
    one.tab_to('#close input[name="reason"]')
    keys.press("ArrowDown")
    assert page.evaluate("document.activeElement.value") == "false_positive"
    one.tab_to('#close button[value="close"]')
    with page.expect_navigation():
        keys.press("Enter")
    assert "1 violation closed." in one.banner()
    history = desk.violations.one(OFFICER, id_).history
    assert [change.action for change in history] == ["acknowledge", "note", "close"]
    assert history[1].note == NOTE

    one.tab_to("#undo")
    with page.expect_navigation():
        keys.press("Enter")
    assert desk.violations.one(OFFICER, id_).violation.state == "acknowledged"

    one.tab_to("#make-exception")
    with page.expect_navigation():
        keys.press("Enter")
    one.tab_to('#exception input[name="reason"]')
    keys.type(REASON)
    one.tab_to('#exception button[value="look"]')
    with page.expect_navigation():
        keys.press("Enter")
    one.tab_to('#exception button[value="make"]')
    with page.expect_navigation():
        keys.press("Enter")
    assert [made.reason for made in desk.exceptions.listed(OFFICER)] == [REASON]

    one.open("/violations?app=zoom")
    one.tab_to('a[href^="/violations.csv"]')
    with page.expect_download() as waiting:
        keys.press("Enter")
    assert Path(waiting.value.path()).read_text("utf-8").startswith("id,")
    one.open("/violations?app=zoom")
    keys.press("j")
    keys.press("c")
    assert page.evaluate("document.activeElement.id") == "reason"
    keys.press("Tab")
    with page.expect_navigation():
        keys.press("Enter")
    assert "1 violation closed." in one.banner()

    one.tab_to("details.menu:last-of-type > summary")
    keys.press("Enter")
    one.tab_to("#sign-out")
    with page.expect_navigation():
        keys.press("Enter")
    assert "You are signed out." in one.read()


def test_single_letters_can_be_switched_off(officer: Callable[..., Officer]):
    one = officer()
    one.sign_in()
    one.page.locator("details.menu").first.locator("summary").click()
    with one.page.expect_navigation():
        one.page.locator('button[name="keys"][value="off"]').click()
    one.page.keyboard.press("j")
    one.page.keyboard.press("?")
    assert one.page.locator("tr.row.here").count() == 0
    assert not one.page.locator("#help").is_visible()


def test_two_officers_at_one_violation(officer: Callable[..., Officer], desk: Desk):
    otto, olga = officer(), officer("es")
    otto.sign_in()
    olga.sign_in("olga")
    path = f"/violations/{11:016x}"
    otto.open(path)
    olga.open(path)
    olga.button("Investigate", ".actions").click()
    assert (
        olga.count("%(num)s violation under investigation.", "%(num)s violations under investigation.", 1)
        in olga.banner()
    )

    otto.page.get_by_label("False positive").check()
    otto.page.get_by_label("Why, and what was done").fill(NOTE)
    otto.button("Close", "#close").click()
    conflict = otto.page.locator("#conflict").inner_text()
    assert "Somebody else was first." in conflict
    assert "olga" in conflict
    assert otto.page.get_by_label("Why, and what was done").input_value() == NOTE, "nothing of it is lost"
    assert otto.page.get_by_label("False positive").is_checked()
    assert desk.violations.one(OFFICER, f"{11:016x}").violation.state == "investigating"
    otto.errors.clear()  # the browser reports the answer 409

    otto.button("Close", "#close").click()
    history = desk.violations.one(OFFICER, f"{11:016x}").history
    assert [(change.actor, change.action) for change in history] == [("olga", "investigate"), ("otto", "close")]
    assert history[1].note == NOTE


def test_what_comes_meanwhile_is_told_and_moves_no_row(officer: Callable[..., Officer], desk: Desk):
    one = officer()
    with one.page.expect_request("**/api/v1/events"):
        one.sign_in()
    before = one.page.locator("tr.row").count()
    start_ns = BEGIN_NS + 40 * HOUR_NS
    deadline_s = time.monotonic() + 120  # a browser's listening begins some time after its request
    number = 0
    while not one.page.locator("#news").is_visible() and time.monotonic() < deadline_s:
        start_ns += HOUR_NS
        number += 1
        desk.store.append([episode((start_ns, start_ns + 5), id_=f"{number:x}" * 16)], snapshots=KNOWN)
        one.page.wait_for_timeout(1000)
    assert "new or" in one.page.locator("#news").inner_text()
    assert one.page.locator("tr.row").count() == before
    one.link("Load the page anew").click()
    one.page.wait_for_load_state()
    assert one.page.locator("tr.row").count() > before


def test_hostile_names_are_shown_as_text(officer: Callable[..., Officer], desk: Desk):
    seen = episode((BEGIN_NS + 5, BEGIN_NS + 6), id_="f" * 16, device="mac:02:00:00:00:00:09", network=HOSTILE)
    evidence = tuple(replace(item, value=HOSTILE, detail=HOSTILE) for item in seen.evidence)
    desk.store.append([replace(seen, evidence=evidence, names=(HOSTILE,), notes=(HOSTILE,))], snapshots=KNOWN)
    one = officer()
    dialogs: list[str] = []
    one.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    one.sign_in()
    for path in ("/violations", f"/violations/{'f' * 16}", "/?day=2026-03-17", "/week", "/visibility", "/devices",
                 f"/violations/{'f' * 16}/exception"):  # fmt: skip
        one.open(path)
        assert one.page.locator("main script, main img:not(.chart img), main b").count() == 0
    one.open(f"/violations/{'f' * 16}")
    assert HOSTILE in one.read()
    assert not dialogs


def test_a_filter_is_copied(officer: Callable[..., Officer]):
    one = officer(permissions=["clipboard-read", "clipboard-write"])
    one.sign_in()
    one.open(f"/violations/{11:016x}")
    one.page.locator("[data-copy]").first.click()
    copied = one.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("frame.number == ")
    assert "D-" not in copied


def test_light_dark_and_the_clock_are_switched(officer: Callable[..., Officer]):
    one = officer(color_scheme="light")
    one.sign_in()
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = one.page.evaluate(ground)
    one.page.locator("details.menu").first.locator("summary").click()
    with one.page.expect_navigation():
        one.page.locator('button[name="theme"][value="dark"]').click()
    assert one.page.evaluate(ground) != light
    one.page.locator("details.menu").first.locator("summary").click()
    with one.page.expect_navigation():
        one.page.locator('button[name="clock"][value="utc"]').click()
    assert "(UTC)" in one.read()
    assert one.page.evaluate(ground) != light, "one choice leaves the others"
