"""Signing in and out, and the first user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.signed_in import Asking, SignedInUser, check_origin, clear_cookie, set_cookie, state_of
from api.v1.shapes import CONFLICT, Sent, Taken, Time, time_text
from sensor.services.accounts import LEAST_PASSWORD, MOST_PASSWORD

router = APIRouter(tags=["session"])
Name = Annotated[str, Field(min_length=1, max_length=64, examples=["otto"])]
Password = Annotated[str, Field(min_length=1, max_length=MOST_PASSWORD, examples=["correct horse battery"])]
NewPassword = Annotated[
    str, Field(min_length=LEAST_PASSWORD, max_length=MOST_PASSWORD, examples=["correct horse battery"])
]


class SignIn(Taken):
    name: Name
    password: Password


class Welcome(Taken):
    token: str = Field(min_length=1, max_length=100, description="Of the link that was printed when the server began")
    name: Name
    password: NewPassword


class NewOwnPassword(Taken):
    old: Password
    new: NewPassword


class SessionInfo(Sent):
    """Who is signed in. `csrf` goes into the header X-CSRF-Token of every changing request; it is empty for an API key."""

    name: str
    role: str
    rights: list[str]
    csrf: str
    expires: Time | None


def _info(asking: Asking, expires_ns: int | None) -> SessionInfo:
    who = asking.who
    return SessionInfo(name=who.name, role=who.role.value, rights=sorted(right.value for right in who.rights),
                       csrf=asking.csrf, expires=time_text(expires_ns))  # fmt: skip


@router.post("/session", summary="Sign in")
def sign_in(request: Request, response: Response, body: SignIn) -> SessionInfo:
    """Sets the session's cookie, always a new one. Several failures make one wait: 429."""
    check_origin(request)
    state = state_of(request)
    known = request.cookies.get("__Host-wardwatch")
    address = request.client.host if request.client else ""
    session = state.desk.accounts.sign_in(body.name, body.password, address)
    if known:
        state.desk.accounts.sign_out(known)
    set_cookie(response, session, state.settings.session_hours * 3600)
    return _info(Asking(session.who, session.csrf), session.expires_ns)


@router.get("/session", summary="Who am I?")
def who_am_i(asking: SignedInUser) -> SessionInfo:
    return _info(asking, None)


@router.delete("/session", status_code=204, summary="Sign out")
def sign_out(request: Request, response: Response, asking: SignedInUser) -> None:
    if asking.token:
        state_of(request).desk.accounts.sign_out(asking.token)
    clear_cookie(response)


@router.post("/session/password", status_code=204, summary="Change one's own password", responses=CONFLICT)
def change_password(request: Request, response: Response, asking: SignedInUser, body: NewOwnPassword) -> None:
    """All of one's sessions end."""
    state_of(request).desk.accounts.change_own_password(asking.who, body.old, body.new)
    clear_cookie(response)


@router.post("/welcome", status_code=204, summary="Make the user of a one-time link", responses=CONFLICT)
def welcome(request: Request, body: Welcome) -> None:
    check_origin(request)
    state_of(request).desk.accounts.welcome(body.token, body.name, body.password)
