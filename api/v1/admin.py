"""Users, API keys, and the log of who did and read what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as Parameter
from pydantic import Field

from api.problems import Problem
from api.signed_in import SignedInUser, state_of
from api.v1.made import sent, shape
from api.v1.sessions import Name, NewPassword
from api.v1.shapes import CHANGED, CONFLICT, Sent, Taken, Time
from api.v1.violations import IfMatch
from sensor.services.accounts import Account, KeyInfo
from sensor.services.audit import Entry
from sensor.services.people import Right, Role

router = APIRouter()
RoleName = Literal["viewer", "officer", "auditor", "admin"]
RightName = Literal["read", "change", "except", "unmask", "export", "audit", "admin"]
UserName = Annotated[str, Path(min_length=1, max_length=64, examples=["otto"])]
AccountShape: Any = shape(Account)
KeyShape: Any = shape(KeyInfo)


class NewUser(Taken):
    name: Name
    role: RoleName
    password: NewPassword


class UserChange(Taken):
    """What is null stays."""

    role: RoleName | None = None
    disabled: bool | None = None
    password: NewPassword | None = None


class NewKey(Taken):
    title: str = Field(min_length=1, max_length=100, examples=["SIEM"])
    scopes: list[RightName] = Field(min_length=1, max_length=7, description="Of one's own rights")
    days: int = Field(90, ge=1, le=366, description="After which it expires")


class MadeKey(Sent):
    """`secret` is told here and never again."""

    key: KeyShape
    secret: str


class EntryShape(Sent):
    """One link of the chain of hashes."""

    sequence: int
    recorded: Time
    kind: str = Field(examples=["read"])
    content: Any = Field(description="null where retention took it")
    hash: str


class AuditPage(Sent):
    entries: list[EntryShape]
    next: int | None = Field(description="Send it as `after`; null: there is no more yet")


@router.get("/users", tags=["users"], summary="All users", response_model=list[AccountShape])
def users(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.accounts.listed(asking.who))


@router.post(
    "/users", tags=["users"], status_code=201, summary="Make a user", response_model=AccountShape, responses=CONFLICT
)
def add_user(request: Request, response: Response, asking: SignedInUser, body: NewUser) -> Any:
    asking.who.require(Right.ADMIN)
    accounts = state_of(request).desk.accounts
    accounts.add(asking.who.name, body.name, Role(body.role), body.password)
    response.headers["Location"] = f"/api/v1/users/{body.name}"
    return sent(accounts.one(asking.who, body.name))


@router.get("/users/{name}", tags=["users"], summary="One user", response_model=AccountShape)
def one_user(request: Request, response: Response, asking: SignedInUser, name: UserName) -> Any:
    found = state_of(request).desk.accounts.one(asking.who, name)
    response.headers["ETag"] = f'"{found.changed_ns}"'
    return sent(found)


@router.patch("/users/{name}", tags=["users"], summary="Change a user", response_model=AccountShape, responses=CHANGED)
def change_user(
    request: Request,
    response: Response,
    asking: SignedInUser,
    name: UserName,
    body: UserChange,
    if_match: IfMatch = None,
) -> Any:
    """They are signed out. Nobody takes their own role away, or disables themselves."""
    accounts = state_of(request).desk.accounts
    accounts.one(asking.who, name)
    if if_match is None:
        raise Problem(428, "if-match-needed", "send the ETag that was seen as If-Match")
    seen = if_match.strip().strip('"')
    role = None if body.role is None else Role(body.role)
    done = seen.isascii() and seen.isdigit() and len(seen) < 20 and accounts.change(
        asking.who, name, seen_ns=int(seen), role=role, disabled=body.disabled, password=body.password
    )  # fmt: skip
    found = accounts.one(asking.who, name)
    etag = f'"{found.changed_ns}"'
    if not done:
        raise Problem(412, "changed-meanwhile", "somebody else changed it meanwhile", headers={"ETag": etag})
    response.headers["ETag"] = etag
    return sent(found)


@router.get("/keys", tags=["keys"], summary="One's own API keys; an admin sees all", response_model=list[KeyShape])
def keys(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.accounts.keys(asking.who))


@router.post("/keys", tags=["keys"], status_code=201, summary="Make an API key", response_model=MadeKey)
def make_key(request: Request, asking: SignedInUser, body: NewKey) -> Any:
    """An API key makes no further ones."""
    scopes = tuple(Right(scope) for scope in body.scopes)
    info, secret = state_of(request).desk.accounts.make_key(
        asking.who, body.title, scopes, body.days, by_key=bool(asking.key_id)
    )
    return {"key": sent(info), "secret": secret}


@router.delete("/keys/{id}", tags=["keys"], status_code=204, summary="Revoke an API key")
def revoke_key(
    request: Request,
    asking: SignedInUser,
    id: Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["0f9a1c2b3d4e"])],  # noqa: A002 - its name in the path
) -> None:
    state_of(request).desk.accounts.revoke_key(asking.who, id)


@router.get("/audit", tags=["audit"], summary="Who did and read what", response_model=AuditPage)
def audit(
    request: Request,
    asking: SignedInUser,
    kind: Annotated[str | None, Parameter(max_length=40, pattern="^[a-z_]+$", examples=["read"])] = None,
    after: Annotated[int, Parameter(ge=0, le=2**62, description="Links after this number")] = 0,
    limit: Annotated[int, Parameter(ge=1, le=500)] = 100,
) -> Any:
    """The links of the chain, oldest first; `wardwatch audit verify` checks it."""
    entries: tuple[Entry, ...] = state_of(request).desk.audit.entries(asking.who, kind=kind, after=after, limit=limit)
    following = entries[-1].sequence if len(entries) == limit else None
    return {"entries": sent(entries), "next": following}
