"""Exceptions: listing, previewing, making, ending."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from api.problems import Problem
from api.signed_in import SignedInUser, state_of
from api.v1 import made
from api.v1.idempotent import IdempotencyKey, IdempotentRoute
from api.v1.made import sent
from api.v1.shapes import CHANGED, CONFLICT, EXAMPLE_ID, Taken, Time, moment
from api.v1.violations import IfMatch, seen_version
from sensor.services.exceptions import ExceptionInfo, Wanted
from sensor.services.people import Right

router = APIRouter(tags=["exceptions"], route_class=IdempotentRoute)
Id = Annotated[str, Path(pattern="^[a-z0-9-]{1,40}$", examples=["0f9a1c2b3d4e"])]


class WantedBody(Taken):
    """What is allowed from now on: what is like this violation. A `same_...` that is false: any."""

    violation: str = Field(min_length=1, max_length=64, examples=[EXAMPLE_ID])
    reason: str = Field(min_length=10, max_length=500, examples=["No interpreter on site at night"])
    until: Time = Field(description="Within 366 days", examples=["2026-09-30T22:00:00Z"])
    since: Time | None = Field(None, description="Without it: from now on")
    name: str = Field("", max_length=500)
    owner: str = Field("", max_length=500, examples=["Head of nursing"])
    same_device: bool = True
    same_network: bool = True
    same_activity: bool = False

    def wanted(self) -> Wanted:
        until_ns = moment(self.until, "until")
        return Wanted(self.violation, self.reason, until_ns or 0, moment(self.since, "since"), self.name, self.owner,
                      self.same_device, self.same_network, self.same_activity)  # fmt: skip


class EndBody(Taken):
    why: str = Field(min_length=10, max_length=500, examples=["An interpreter is on site again"])


def _etag(found: ExceptionInfo) -> str:
    return '"2"' if found.status == "ended" else '"1"'


@router.get("/exceptions", summary="All exceptions", response_model=list[made.ExceptionShape])
def listed(request: Request, asking: SignedInUser) -> Any:
    """Those of the configuration file, then those made from violations."""
    return sent(state_of(request).desk.exceptions.listed(asking.who))


@router.get("/exceptions/{id}", summary="One exception", response_model=made.ExceptionShape)
def one(request: Request, response: Response, asking: SignedInUser, id: Id) -> Any:  # noqa: A002 - its name in the path
    found = state_of(request).desk.exceptions.one(asking.who, id)
    response.headers["ETag"] = _etag(found)
    return sent(found)


@router.post(
    "/exceptions/preview", summary="What would it silence?", response_model=made.PreviewShape, responses=CONFLICT
)
def preview(request: Request, asking: SignedInUser, body: WantedBody, _key: IdempotencyKey = None) -> Any:
    """Makes nothing. Counts what is stored that it would cover, whenever that was."""
    return sent(state_of(request).desk.exceptions.preview(asking.who, body.wanted()))


@router.post(
    "/exceptions", status_code=201, summary="Make an exception", response_model=made.ExceptionShape, responses=CONFLICT
)
def make(
    request: Request, response: Response, asking: SignedInUser, body: WantedBody, _key: IdempotencyKey = None
) -> Any:
    """In force on a running sensor within five seconds, for what begins from then on."""
    found = state_of(request).desk.exceptions.make(asking.who, body.wanted())
    response.headers["Location"] = f"/api/v1/exceptions/{found.id}"
    response.headers["ETag"] = _etag(found)
    return sent(found)


@router.post("/exceptions/{id}/end", summary="End an exception", response_model=made.ExceptionShape, responses=CHANGED)
def end(
    request: Request,
    response: Response,
    asking: SignedInUser,
    id: Id,  # noqa: A002 - as above
    body: EndBody,
    if_match: IfMatch = None,
    _key: IdempotencyKey = None,
) -> Any:
    """It stays in the list, with who ended it and why."""
    asking.who.require(Right.EXCEPT)
    version = seen_version(if_match)
    exceptions = state_of(request).desk.exceptions
    known = _etag(exceptions.one(asking.who, id))
    if known != f'"{version}"':
        raise Problem(412, "changed-meanwhile", "somebody else ended it meanwhile", headers={"ETag": known})
    found = exceptions.end(asking.who, id, body.why)
    response.headers["ETag"] = _etag(found)
    return sent(found)
