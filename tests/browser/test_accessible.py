"""axe-core finds nothing on any page, light or dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.people import Officer

ONE = f"/violations/{11:016x}"
PATHS = ("/?day=2026-03-17", "/violations", "/violations?severity=high&q=ward", "/violations?q=nothing+of+that+name", ONE,
         f"{ONE}/exception", "/devices", "/visibility?day=2026-03-17", "/week", "/exceptions", "/policy", "/help", "/nothing")  # fmt: skip


def complaints(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}" for one in found for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(officer: Callable[..., Officer], scheme: str):
    one = officer("en" if scheme == "light" else "es", color_scheme=scheme)
    one.page.goto(f"{one.site}/sign-in")
    assert not complaints(one.page)
    one.sign_in()
    found = {}
    for path in PATHS:
        one.page.goto(one.site + path)
        found[path] = complaints(one.page)
    assert not {path: wrong for path, wrong in found.items() if wrong}
    one.open("/devices")
    one.page.locator("a.open").first.click()
    assert not complaints(one.page)
    one.open("/violations")
    one.page.keyboard.press("?")
    assert one.page.locator("#help").is_visible()
    assert not complaints(one.page)
    one.page.keyboard.press("Escape")
    for menu in one.page.locator("details.menu > summary").all():
        menu.click()
        assert not complaints(one.page)
    one.errors.clear()  # the browser reports the answer 404


def test_axe_finds_what_is_wrong(officer: Callable[..., Officer]):
    one = officer()
    one.sign_in()
    one.page.evaluate("document.querySelector('#q').labels[0].remove(); document.querySelector('#q').placeholder = ''")
    assert any("label" in complaint for complaint in complaints(one.page))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_telephone(officer: Callable[..., Officer], scheme: str):
    one = officer(color_scheme=scheme, viewport={"width": 360, "height": 740})
    one.sign_in()
    for path in ("/?day=2026-03-17", "/violations", "/violations#filters", ONE, "/visibility?day=2026-03-17"):
        one.page.goto(one.site + path)
        assert not complaints(one.page), path
