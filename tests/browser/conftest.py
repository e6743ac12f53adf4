from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from sensor.services.desk import Desk
from sensor.services.people import Role
from sensor.store import open_store
from tests.api.visiting import HASHER, PASSWORD
from tests.browser.people import Officer
from tests.browser.serving import CHROMIUM, FLAGS, served
from tests.services.clinic import made_setup, morning
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

WAIT_MS = 60_000
USERS = {"otto": Role.OFFICER, "olga": Role.OFFICER, "vera": Role.VIEWER, "ada": Role.ADMIN}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, started once."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed (Debian package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The small clinic, with two officers."""
    store = open_store(tmp_path / "store.sqlite")
    store.append(morning(), snapshots=KNOWN)
    with Desk(store, made_setup(), hasher=PasswordHasher(**HASHER)) as opened:
        for name, role in USERS.items():
            opened.accounts.add("test", name, role, PASSWORD)
        yield opened


@pytest.fixture
def site(desk: Desk) -> Iterator[str]:
    with served(desk) as address:
        yield address


@pytest.fixture
def officer(browser: Browser, site: str) -> Iterator[Callable[..., Officer]]:
    """Makes officers, each at a browser window of their own; afterwards no console may have complained."""
    made: list[Officer] = []

    def make(code: str = "en", **options: object) -> Officer:
        context = browser.new_context(locale=code, accept_downloads=True, **options)  # type: ignore[arg-type]  # as given
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(site) else errors.append(request.url))
        made.append(Officer(page, site, code, errors))
        return made[-1]

    yield make
    for one in made:
        one.page.context.close()
        assert not one.errors, one.errors
