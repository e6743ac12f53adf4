"""What an officer does, by the words that are read on the page in their language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.pages.language import language
from tests.api.visiting import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@dataclass(frozen=True, slots=True)
class Officer:
    """Somebody at a browser. `errors` is what the console said."""

    page: Page
    site: str
    code: str
    errors: list[str]

    def say(self, message: str, **places: object) -> str:
        """A message of the pages in the officer's language."""
        text = language(self.code).gettext(message)
        return text.format(**places) if "{" in text else text % places if places else text

    def count(self, one: str, many: str, number: int) -> str:
        return language(self.code).ngettext(one, many, number) % {"num": number}

    def open(self, path: str) -> None:
        answer = self.page.goto(self.site + path)
        assert answer is not None
        assert answer.status == 200

    def button(self, message: str, within: str = "main") -> Locator:
        return self.page.locator(within).get_by_role("button", name=self.say(message), exact=True)

    def link(self, message: str, within: str = "body", **places: object) -> Locator:
        return self.page.locator(within).get_by_role("link", name=self.say(message, **places), exact=True)

    def read(self) -> str:
        """All that stands on the page, in one line."""
        return re.sub(r"\s+", " ", self.page.locator("main").inner_text())

    def banner(self) -> str:
        return re.sub(r"\s+", " ", self.page.locator("#said").inner_text())

    def sign_in(self, name: str = "otto") -> None:
        self.page.goto(self.site + "/violations")
        assert "/sign-in" in self.page.url
        self.page.get_by_label(self.say("Name"), exact=True).fill(name)
        self.page.get_by_label(self.say("Password"), exact=True).fill(PASSWORD)
        self.button("Sign in").click()
        self.page.wait_for_url(re.compile(r"/violations$"))

    def focused(self) -> str:
        """What has the focus, as it is called."""
        found: str = self.page.evaluate(
            "(() => { const e = document.activeElement; return (e.getAttribute('aria-label') || e.innerText || e.value || '').trim(); })()"
        )
        return found

    def tab_to(self, selector: str, presses: int = 80) -> None:
        """By the keyboard alone."""
        for _ in range(presses):
            if self.page.evaluate("(s) => document.activeElement?.matches(s) ?? false", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached by the keyboard; the focus is on {self.focused()!r}")
