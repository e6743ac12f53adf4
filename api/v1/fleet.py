"""What a centre's sensors tell, and what there is to say of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.problems import Problem, response
from api.signed_in import SignedInUser, state_of
from api.v1 import shapes
from api.v1.shapes import CONFLICT, Sent
from sensor.services.ingest import GapError
from sensor.wording import rfc3339

router = APIRouter(tags=["sensors"])
StoreId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Of the sensor's store", examples=["0" * 32])]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A batch of `wardwatch forward`, compressed by Zstandard",
        "content": {"application/zstd": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class PlaceShape(Sent):
    """How far a sensor has told what its store holds."""

    sequence: shapes.Count
    recorded_ns: shapes.Count
    sighting: str


class ReachedShape(Sent):
    reached: PlaceShape


class TakenShape(ReachedShape):
    """What was new in the batch, and how far the sensor has told now."""

    added: shapes.Count
    revised: shapes.Count
    unchanged: shapes.Count


class OrderShape(Sent):
    """What a sensor is to judge by: `order` is the text that is signed, null where nothing was ordered."""

    order: str | None
    signature: str | None


class SensorShape(Sent):
    """`status` is what the sensor said of itself last; `clock_behind_s` in it is measured here."""

    id: str
    first_seen: shapes.Time
    last_seen: shapes.Time
    told: shapes.Count
    episodes: shapes.Count
    status: dict[str, Any]


class SensorsShape(Sent):
    sensors: list[SensorShape]


@router.get("/ingest/{store_id}", response_model=ReachedShape)
def reached(store_id: StoreId, request: Request, asking: SignedInUser) -> dict[str, Any]:
    """Where a sensor should go on telling. For a sensor's key."""
    return {"reached": _place(state_of(request).desk.ingest.reached(asking.who, store_id))}


@router.post("/ingest", response_model=TakenShape, responses=CONFLICT, openapi_extra=BODY)
async def ingest(request: Request, asking: SignedInUser) -> Response:
    """Takes a batch of what a sensor holds; on disk when this answers. 409 with `reached` where something before it is missing."""
    sent = await request.body()
    try:
        taken = await run_in_threadpool(state_of(request).desk.ingest.take, asking.who, sent)
    except GapError as gap:
        return response(Problem(409, "gap", str(gap), reached=_place(gap.reached)))
    body = {"added": taken.added, "revised": taken.revised, "unchanged": taken.unchanged}
    return JSONResponse({"reached": _place(taken.reached), **body})


@router.get("/order", response_model=OrderShape)
def order(request: Request, asking: SignedInUser) -> dict[str, Any]:
    """The order in force for the sensor whose key asks."""
    found = state_of(request).desk.ingest.order_for(asking.who)
    return {"order": found[0] if found else None, "signature": found[1] if found else None}


@router.get("/sensors", response_model=SensorsShape)
def sensors(request: Request, asking: SignedInUser) -> dict[str, Any]:
    """The fleet: when each sensor was heard last, which version, policy and signatures it runs, its clock and disk."""
    return {
        "sensors": [
            {
                "id": one.id,
                "first_seen": rfc3339(one.first_ns),
                "last_seen": rfc3339(one.seen_ns),
                "told": one.reached.sequence,
                "episodes": one.episodes,
                "status": dict(one.status),
            }
            for one in state_of(request).desk.ingest.sensors(asking.who)
        ]
    }


def _place(place: Any) -> dict[str, Any]:
    return {"sequence": place.sequence, "recorded_ns": place.recorded_ns, "sighting": place.sighting}
