"""How somebody likes to see pages: language, theme, clock, keys. Kept in a cookie of the browser; nothing of it is secret."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from babel.core import negotiate_locale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Response

COOKIE: Final = "wardwatch-view"
YEAR_S: Final = 366 * 86_400
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "language": ("en", "es"),
    "theme": ("auto", "light", "dark"),
    "clock": ("site", "utc"),
    "keys": ("on", "off"),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """`clock`: the site's time zone, or UTC. `keys`: whether single letters act on lists (WCAG 2.1.4 wants a switch)."""

    language: str = "en"
    theme: str = "auto"
    clock: str = "site"
    keys: str = "on"

    def changed(self, name: str, value: str) -> Preferences:
        """Unknown names and values change nothing."""
        return replace(self, **{name: value}) if value in CHOICES.get(name, ()) else self


def read(cookie: str, accept_language: str) -> Preferences:
    """What the cookie says; the language else by what the browser asks for."""
    found = Preferences(language=_negotiated(accept_language))
    for name, value in parse_qsl(cookie[:200]):
        found = found.changed(name, value)
    return found


def write(response: Response, preferences: Preferences, *, secure: bool) -> None:
    """Keeps them for a year."""
    text = urlencode({name: getattr(preferences, name) for name in CHOICES})
    response.set_cookie(COOKIE, text, max_age=YEAR_S, path="/", secure=secure, httponly=True, samesite="lax")


def _negotiated(header: str) -> str:
    """The language of ours that a browser likes best (RFC 9110 section 12.5.4)."""
    weighed = []
    for part in header[:500].split(","):
        name, _, parameter = part.strip().partition(";")
        quality = parameter.strip().removeprefix("q=") or "1"
        try:
            weighed.append((float(quality), name.strip().replace("-", "_")))
        except ValueError:
            continue
    wanted = [name for quality, name in sorted(weighed, key=lambda one: -one[0]) if quality > 0 and name]
    try:
        return negotiate_locale(wanted, CHOICES["language"]) or "en"
    except (ValueError, TypeError):
        return "en"
