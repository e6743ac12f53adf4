"""Reading a page as a test does: its forms, its links, its words."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx import Response


class Look(HTMLParser):
    """`text`: all that is to be read; `inputs`: (form's action, name, value); `links`: where they lead."""

    def __init__(self, page: Response) -> None:
        super().__init__()
        self.text = ""
        self.inputs: list[tuple[str, str, str]] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self._form = ""
        self.feed(page.text)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = found.get("action", "")
        elif tag in {"input", "button", "select", "textarea"} and "name" in found:
            self.inputs.append((self._form, found["name"], found.get("value", "")))
        elif tag == "a":
            self.links.append(found.get("href", ""))
        elif tag == "script":
            self.scripts.append(found.get("src", ""))

    def handle_data(self, data: str) -> None:
        self.text += data

    def field(self, action: str, name: str) -> str:
        """The first of that name in a form."""
        return next(value for form, key, value in self.inputs if (form, key) == (action, name))

    def fields(self, action: str, name: str) -> list[str]:
        return [value for form, key, value in self.inputs if (form, key) == (action, name)]
