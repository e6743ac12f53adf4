"""Who asks: a session's cookie or an API key; and that a changing request comes from our own pages.

Routes depend on `SignedInUser` (anybody who is signed in); those that change something by a browser's form depend on `CheckedForm`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from api.problems import Problem, sign_in_needed
from api.shield import SAFE, too_many
from sensor.services.people import Who

if TYPE_CHECKING:
    from fastapi import Response

    from api.state import State
    from sensor.services.accounts import SignedIn

COOKIE: Final = "__Host-wardwatch"
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf"

cookie_scheme = APIKeyCookie(
    name=COOKIE, scheme_name="session", description="Set by POST /api/v1/session", auto_error=False
)
key_scheme = HTTPBearer(scheme_name="key", description="An API key, `ww_...`", auto_error=False)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and by what. `csrf` is empty for an API key: a browser does not send one by itself."""

    who: Who
    csrf: str
    token: str = ""
    key_id: str = ""


def state_of(request: Request) -> State:
    """What the app works with."""
    found: State = request.app.state.wardwatch
    return found


async def asking_or_none(request: Request) -> Asking | None:
    """Who asks; None where nobody is signed in. Raises Problem for a wrong key, or for asking too often."""
    state = state_of(request)
    accounts = state.desk.accounts
    header = request.headers.get("authorization")
    if header is not None:
        kind, _, key = header.partition(" ")
        found = await run_in_threadpool(accounts.of_key, key.strip()) if kind.lower() == "bearer" else None
        if found is None:
            raise Problem(401, "wrong-key", "the API key is wrong, was revoked, or has expired",
                          headers={"WWW-Authenticate": "Bearer"})  # fmt: skip
        asking = Asking(found[1], "", key_id=found[0])
    else:
        token = request.cookies.get(COOKIE)
        session: SignedIn | None = await run_in_threadpool(accounts.of_session, token) if token else None
        if session is None:
            return None
        asking = Asking(session.who, session.csrf, token=session.token)
    wait_s = state.buckets.wait_s(asking.key_id or asking.who.name)
    if wait_s:
        raise too_many(wait_s)
    return asking


async def asking(
    request: Request,
    _cookie: Annotated[str | None, Depends(cookie_scheme)] = None,
    _key: Annotated[object, Depends(key_scheme)] = None,
) -> Asking:
    """Who asks. Raises Problem 401; 403 where a changing request may come from elsewhere."""
    found = await asking_or_none(request)
    if found is None:
        raise sign_in_needed()
    if request.method not in SAFE and not found.key_id:
        check_origin(request)
        if request.url.path.startswith("/api/"):
            check_csrf(found, request.headers.get(CSRF_HEADER, ""))
    return found


async def checked_form(request: Request, found: Annotated[Asking, Depends(asking)]) -> FormData:
    """The form of a page's POST, whose token is that of the session. Raises Problem 403."""
    form = await request.form(max_files=0, max_fields=5000)
    if not found.key_id:
        token = form.get(CSRF_FIELD, "")
        check_csrf(found, token if isinstance(token, str) else "")
    return form


def check_csrf(found: Asking, token: str) -> None:
    if not hmac.compare_digest(found.csrf.encode(), token.encode("utf-8", "surrogatepass")):
        raise Problem(403, "csrf", f"the token of this session is missing: {CSRF_HEADER}, or the field {CSRF_FIELD!r}")


def check_origin(request: Request) -> None:
    """A browser says where a changing request comes from; it must be from here. Raises Problem 403."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin") or request.headers.get("referer")
    if origin is None and site is None:
        return  # no browser of these years: the token alone has to do
    state = state_of(request)
    here = {f"{request.url.scheme}://{request.headers.get('host', '')}", *state.origins}
    parts = urlsplit(origin or "")
    if origin is not None and f"{parts.scheme}://{parts.netloc}" not in here:
        raise Problem(403, "origin", "the request comes from another site")
    if origin is None and site not in {"same-origin", "none"}:
        raise Problem(403, "origin", "the request comes from another site")


def set_cookie(response: Response, session: SignedIn, lasts_s: int) -> None:
    """`__Host-`: no other host, no other path, never without TLS (browsers take the loopback for as safe)."""
    response.set_cookie(COOKIE, session.token, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="lax")


def clear_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


SignedInUser = Annotated[Asking, Depends(asking)]
MaybeSignedIn = Annotated[Asking | None, Depends(asking_or_none)]
CheckedForm = Annotated[FormData, Depends(checked_form)]
