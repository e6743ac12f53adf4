"""What every page knows: who asks, how they like to see it, and how a template is filled."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.pages import preferences
from api.pages.clocks import Clock
from api.pages.filters import local
from api.pages.language import Language, language
from api.pages.preferences import Preferences
from api.pages.words import LEVELS, ROLES, Words
from api.signed_in import Asking, SignedInUser, state_of
from sensor.services.people import Right

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.services.desk import Desk
    from sensor.services.people import Who

FLASH: Final = "wardwatch-said"
FLASH_S: Final = 60
SECTIONS: Final = ("today", "violations", "devices", "visibility", "week", "exceptions", "policy")


@dataclass(frozen=True, slots=True)
class Frame:
    """One request of somebody, signed in or not."""

    request: Request
    asking: Asking | None
    preferences: Preferences
    language: Language
    clock: Clock
    words: Words

    @property
    def desk(self) -> Desk:
        return state_of(self.request).desk

    @property
    def who(self) -> Who:
        """Raises where nobody is signed in, which no route with `SignedFrame` lets happen."""
        if self.asking is None:
            raise RuntimeError("nobody is signed in")
        return self.asking.who

    @property
    def site_clock(self) -> Clock:
        """Days are counted by the site's clock whatever clock is shown."""
        return Clock(self.desk.material.zone, self.language)

    def render(self, template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, section: str = "",
               **context: Any) -> HTMLResponse:  # fmt: skip
        """A page. What was to be said once is said, and forgotten."""
        flash = read_flash(self.request)
        text = self.language.templates.get_template(template).render(
            page=self,
            section=section,
            asking=self.asking,
            can={right.value: self.asking is not None and self.asking.who.may(right) for right in Right},
            csrf=self.asking.csrf if self.asking else "",
            here=self.here(),
            clock=self.clock,
            words=self.words,
            levels=LEVELS,
            roles=ROLES,
            sections=SECTIONS,
            preferences=self.preferences,
            site_name=self.desk.setup.settings.site.name,
            lang=self.language.code,
            flash=flash,
            **context,
        )
        answer = HTMLResponse(text, status, headers=dict(headers or {}))
        answer.headers["Vary"] = "Cookie, Accept-Language"
        answer.headers["Content-Language"] = self.language.code
        if flash is not None:
            answer.delete_cookie(FLASH, path="/", httponly=True, samesite="lax")
        return answer

    def here(self) -> str:
        """This page's address; after a POST, that of the page it came from."""
        if self.request.method != "GET":
            return "/"
        return self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else "")


def frame_of(request: Request, asking: Asking | None) -> Frame:
    """Everything but who asks is in the request."""
    chosen = preferences.read(request.cookies.get(preferences.COOKIE, ""), request.headers.get("accept-language", ""))
    spoken = language(chosen.language)
    zone = "UTC" if chosen.clock == "utc" else state_of(request).desk.material.zone
    return Frame(request, asking, chosen, spoken, Clock(zone, spoken), Words(spoken))


def signed_frame(request: Request, asking: SignedInUser) -> Frame:
    """For pages that need somebody."""
    return frame_of(request, asking)


SignedFrame = Annotated[Frame, Depends(signed_frame)]


def go(target: str, said: Mapping[str, Any] | None = None) -> Response:
    """To another page, which says this once."""
    answer = RedirectResponse(local(target), 303)
    if said is not None:
        text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode("ascii")
        answer.set_cookie(FLASH, text, max_age=FLASH_S, path="/", httponly=True, samesite="lax")
    return answer


def read_flash(request: Request) -> dict[str, Any] | None:
    """What the page before wants said; nothing that it could not have written is shown as it stands."""
    try:
        found = json.loads(base64.urlsafe_b64decode(request.cookies.get(FLASH, "")))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("what"), str):
        return None
    kept = {name: value if isinstance(value, int) and not isinstance(value, bool) else 0
            for name in ("done", "late", "impossible", "missing") for value in [found.get(name, 0)]}  # fmt: skip
    act = found.get("act", "")
    return {"what": found["what"], "act": act if isinstance(act, str) else "", **kept}
