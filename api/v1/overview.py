"""Sums and states: devices, networks, apps, numbers over time, what could be seen, what is in force."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi import Query as Parameter
from pydantic import Field

from api.signed_in import SignedInUser, state_of
from api.v1 import made
from api.v1.asked import After, Asked, Limit, Since, Until
from api.v1.idempotent import IdempotencyKey, IdempotentRoute
from api.v1.made import sent
from api.v1.shapes import CONFLICT, Taken, moment
from sensor.services.errors import NotFoundError

router = APIRouter(route_class=IdempotentRoute)
Pseudonym = Annotated[str, Path(pattern="^D-[A-Z2-7]{4}-[A-Z2-7]{4}$", examples=["D-7KQ3-X2FA"])]
Hash = Annotated[str, Path(pattern="^[0-9a-f]{8,64}$", examples=["fe50f2e377cb8e26"])]


class Consent(Taken):
    """Of another person, where the configuration asks for one."""

    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=200)


class UnmaskBody(Taken):
    reason: str = Field(min_length=10, max_length=500, examples=["the ward asks which tablet it is"])
    consent: Consent | None = None


@router.get("/summary", tags=["sums"], summary="What the first page says", response_model=made.Summary)
def summary(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.overview.summary(asking.who))


@router.get("/devices", tags=["devices"], summary="Devices, most violations first", response_model=made.DevicePage)
def devices(request: Request, asking: SignedInUser, asked: Asked, limit: Limit = 50, after: After = None) -> Any:
    """`outcome` is not asked here."""
    return sent(state_of(request).desk.overview.devices(asking.who, asked, limit=limit, after=after))


@router.get("/devices/{pseudonym}", tags=["devices"], summary="One device", response_model=made.DeviceSummary)
def device(request: Request, asking: SignedInUser, pseudonym: Pseudonym) -> Any:
    """The reading is recorded. Its violations: /violations?device=..."""
    found = state_of(request).desk.overview.device(asking.who, pseudonym)
    if found is None:
        raise NotFoundError("there is no such device")
    return sent(found)


@router.post(
    "/devices/{pseudonym}/unmaskings",
    tags=["devices"],
    status_code=201,
    summary="See whose device it is",
    response_model=made.UnmaskedShape,
    responses=CONFLICT,
)
def unmask(
    request: Request, asking: SignedInUser, pseudonym: Pseudonym, body: UnmaskBody, _key: IdempotencyKey = None
) -> Any:
    """With a reason, for some hours, and recorded."""
    consent = None if body.consent is None else (body.consent.name, body.consent.password)
    return sent(state_of(request).desk.identities.unmask(asking.who, pseudonym, body.reason, consent))


@router.get(
    "/unmaskings", tags=["devices"], summary="What one sees unmasked now", response_model=list[made.UnmaskedShape]
)
def unmaskings(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.identities.mine(asking.who))


@router.get("/networks", tags=["sums"], summary="Networks", response_model=list[made.NetworkSummary])
def networks(request: Request, asking: SignedInUser) -> Any:
    """Of an excluded network there are counts only."""
    return sent(state_of(request).desk.overview.networks(asking.who))


@router.get(
    "/apps", tags=["sums"], summary="Apps, and what the policy says of them", response_model=list[made.AppSummary]
)
def apps(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.overview.apps(asking.who))


@router.get("/statistics", tags=["sums"], summary="Counts over time", response_model=made.Statistics)
def statistics(
    request: Request,
    asking: SignedInUser,
    asked: Asked,
    by: Annotated[Literal["app", "network", "activity", "severity", "state"], Parameter()] = "app",
    step: Annotated[Literal["hour", "day", "week", "month"], Parameter()] = "day",
) -> Any:
    """Steps begin by the site's clock."""
    return sent(state_of(request).desk.overview.statistics(asking.who, asked, by=by, step=step))


@router.get("/visibility", tags=["state"], summary="When could we not see?", response_model=made.Visibility)
def visibility(
    request: Request,
    asking: SignedInUser,
    network: Annotated[str | None, Parameter(max_length=500)] = None,
    kind: Annotated[
        Literal["ech", "encrypted_dns", "private_relay", "vpn", "tor", "chat_proxy", "outdated"] | None, Parameter()
    ] = None,
    since: Since = None,
    until: Until = None,
) -> Any:
    """Hours of networks, and what hid the use of apps: docs/visibility.md."""
    return sent(
        state_of(request).desk.status.visibility(
            asking.who, network=network, kind=kind, since_ns=moment(since, "since"), until_ns=moment(until, "until")
        )
    )


@router.get("/health", tags=["state"], summary="How the store is", response_model=made.Health)
def health(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.status.health(asking.who))


@router.get("/signatures", tags=["state"], summary="The signatures in force", response_model=made.InForce)
def signatures(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.status.signatures(asking.who))


@router.get("/policy", tags=["state"], summary="The policy in force", response_model=made.InForce)
def policy(request: Request, asking: SignedInUser) -> Any:
    return sent(state_of(request).desk.status.policy(asking.who))


@router.get(
    "/snapshots/{hash}", tags=["state"], summary="A policy or signature set that a verdict cites", response_model=Any
)
def snapshot(request: Request, asking: SignedInUser, hash: Hash) -> Any:  # noqa: A002 - its name in the path
    return state_of(request).desk.status.snapshot(asking.who, hash)
