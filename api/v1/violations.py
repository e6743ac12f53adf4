"""Violations: listing, one, its evidence, its history, and what is done about it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi import Query as Parameter
from pydantic import Field

from api.problems import Problem
from api.signed_in import SignedInUser, state_of
from api.v1 import shapes
from api.v1.asked import After, Asked, Limit
from api.v1.idempotent import IdempotencyKey, IdempotentRoute
from api.v1.shapes import CHANGED, CONFLICT, Sent, Taken
from sensor.services.errors import NotFoundError
from sensor.services.follow_up import Act, Action, Order, Reason, Result, Target

router = APIRouter(tags=["violations"], route_class=IdempotentRoute)
Id = Annotated[str, Path(pattern="^[0-9a-f]{4,64}$", description="The id, or a beginning that only it has",
                         examples=[shapes.EXAMPLE_ID])]  # fmt: skip
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The ETag that was seen; without it: 428",
                                       examples=['"0"'])]  # fmt: skip
ETAG: Final = re.compile(r'"(\d{1,9})"')
MAX_TARGETS: Final = 1000


class OrderBody(Taken):
    """What to do. `reason` goes with closing, `related` with a duplicate; `assignee` "" is nobody."""

    action: Literal["acknowledge", "investigate", "close", "reopen", "assign", "note"]
    reason: Literal["confirmed", "false_positive", "authorised_exception", "duplicate"] | None = None
    assignee: str | None = Field(None, max_length=64)
    note: str = Field("", max_length=4000)
    related: str = Field("", max_length=64)

    def order(self) -> Order:
        reason = None if self.reason is None else Reason(self.reason)
        return Order(Action(self.action), reason, self.assignee, self.note, self.related)


class TargetBody(Taken):
    """One violation as it was shown."""

    id: str = Field(min_length=1, max_length=64, examples=[shapes.EXAMPLE_ID])
    version: int = Field(ge=0, le=2**31 - 2)


class BulkBody(OrderBody):
    """The same for several, exactly as they were shown."""

    targets: list[TargetBody] = Field(min_length=1, max_length=MAX_TARGETS)


class UndoBody(Taken):
    note: str = Field("", max_length=4000)


class OutcomeShape(Sent):
    id: str
    result: Literal["done", "changed_meanwhile", "not_found", "not_possible"]
    version: int
    state: shapes.State
    closing_reason: shapes.ReasonText | None
    assignee: str | None


class ActShape(Sent):
    """What became of each. `id` goes into /acts/{id}/undo."""

    id: str
    done: int
    outcomes: list[OutcomeShape]


def act_shape(act: Act) -> dict[str, Any]:
    outcomes = [
        {
            "id": one.episode_id,
            "result": one.result.value,
            "version": one.standing.version,
            "state": one.standing.state,
            "closing_reason": one.standing.reason or None,
            "assignee": one.standing.assignee or None,
        }
        for one in act.outcomes
    ]
    return {"id": act.id, "done": act.done, "outcomes": outcomes}


@router.get("/violations", summary="List violations", response_model=shapes.ViolationPage)
def list_violations(
    request: Request,
    asking: SignedInUser,
    asked: Asked,
    limit: Limit = 50,
    after: After = None,
    facets: Annotated[bool, Parameter(description="Whether to count what each filter would leave")] = True,
) -> Any:
    """Newest start first. Values of one filter are alternatives; filters narrow each other."""
    page = state_of(request).desk.violations.page(asking.who, asked, limit=limit, after=after, with_facets=facets)
    return {
        "rows": [shapes.violation(row) for row in page.rows],
        "total": page.total,
        "next": page.next,
        "facets": shapes.plain(page.facets),
    }


@router.get("/violations/{id}", summary="One violation whole", response_model=shapes.Detail)
def one_violation(request: Request, response: Response, asking: SignedInUser, id: Id) -> Any:  # noqa: A002 - its name in the path
    """The reading is recorded. The ETag is the version of its follow-up."""
    found = state_of(request).desk.violations.one(asking.who, id)
    response.headers["ETag"] = f'"{found.violation.version}"'
    return shapes.detail(found)


@router.get("/violations/{id}/evidence", summary="What proves it", response_model=shapes.Evidence)
def evidence(request: Request, asking: SignedInUser, id: Id) -> Any:  # noqa: A002 - as above
    found = state_of(request).desk.violations.one(asking.who, id)
    return {"items": shapes.plain(found.evidence), "total": found.evidence_total}


@router.get("/violations/{id}/history", summary="What was said of it and done about it", response_model=shapes.History)
def history(request: Request, asking: SignedInUser, id: Id) -> Any:  # noqa: A002 - as above
    found = state_of(request).desk.violations.one(asking.who, id)
    return {"revisions": shapes.plain(found.revisions), "changes": [shapes.change(one) for one in found.history]}


@router.post(
    "/violations/{id}/changes", summary="Do something about one", response_model=OutcomeShape, responses=CHANGED
)
def change(
    request: Request,
    response: Response,
    asking: SignedInUser,
    id: Id,  # noqa: A002 - as above
    body: OrderBody,
    if_match: IfMatch = None,
    _key: IdempotencyKey = None,
) -> Any:
    """Of two who saw the same version one wins, and the other is told: 412."""
    version = seen_version(if_match)
    act = state_of(request).desk.follow_up.change(asking.who, [Target(id, version)], body.order())
    outcome = act.outcomes[0]
    standing = outcome.standing
    if outcome.result is Result.NOT_FOUND:
        raise NotFoundError(f"there is no violation {id!r}")
    etag = f'"{standing.version}"'
    if outcome.result is Result.CHANGED_MEANWHILE:
        detail = f"somebody else changed it meanwhile: it stands at version {standing.version}, {standing.state}"
        raise Problem(412, "changed-meanwhile", detail, headers={"ETag": etag}, version=standing.version)
    if outcome.result is Result.NOT_POSSIBLE:
        raise Problem(409, "not-possible", f"this cannot be done while it is {standing.state}", headers={"ETag": etag})
    response.headers["ETag"] = etag
    return act_shape(act)["outcomes"][0]


def seen_version(if_match: str | None) -> int:
    """The version in an If-Match. Raises Problem 428 where there is none, 412 for one that cannot be."""
    if if_match is None:
        raise Problem(428, "if-match-needed", "send the ETag that was seen as If-Match")
    match = ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem(412, "changed-meanwhile", "the If-Match is no ETag of this API")
    return int(match[1])


@router.post("/changes", summary="Do the same about several", response_model=ActShape, responses=CONFLICT)
def bulk(request: Request, asking: SignedInUser, body: BulkBody, _key: IdempotencyKey = None) -> Any:
    """Acts on exactly those that are listed, each at the version that was shown; the others' outcomes say why not."""
    targets = [Target(one.id, one.version) for one in body.targets]
    return act_shape(state_of(request).desk.follow_up.change(asking.who, targets, body.order()))


@router.post("/acts/{act}/undo", summary="Take an act back", response_model=ActShape, responses=CONFLICT)
def undo(
    request: Request,
    asking: SignedInUser,
    act: Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["0f9a1c2b3d4e5f60"])],
    body: UndoBody,
    _key: IdempotencyKey = None,
) -> Any:
    """By further changes: nothing is deleted. What was changed since is left as it is."""
    return act_shape(state_of(request).desk.follow_up.undo(asking.who, act, body.note))
