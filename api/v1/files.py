"""Exports, the feed of events, and what a SIEM asks for."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.signed_in import Asking, SignedInUser, asking_or_none, state_of
from api.v1 import shapes
from api.v1.asked import After, Asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

router = APIRouter()
TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
EVERY_S: Final = 2.0
AGAIN_S: Final = 30.0  # after which it is looked whether who listens is still signed in
BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
SIEM_TYPES: Final = ("application/x-ndjson", "text/plain; charset=utf-8")


@router.get(
    "/exports/violations.{form}",
    tags=["exports"],
    summary="What a list shows, as a file",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file",
            "content": dict.fromkeys((one.partition(";")[0] for one in TYPES.values()), BINARY),
        }
    },
)
def export(
    request: Request, asking: SignedInUser, asked: Asked, form: Annotated[Literal["csv", "jsonl", "parquet"], Path()]
) -> StreamingResponse:
    """The same filters as the list. CSV is safe in spreadsheets: a text that begins like a formula gets an apostrophe."""
    exports = state_of(request).desk.exports
    make = {"csv": exports.as_csv, "jsonl": exports.as_json_lines, "parquet": exports.as_parquet}[form]
    found = make(asking.who, asked)
    headers = {
        "Content-Disposition": f'attachment; filename="violations.{form}"',
        "X-Total-Count": str(found.rows),
    }
    return StreamingResponse(found.parts, headers=headers, media_type=TYPES[form])


@router.get(
    "/siem",
    tags=["exports"],
    summary="Violations as a SIEM takes them",
    response_class=Response,
    responses={200: {"description": "One message a line; the header X-Next is the cursor for the next request",
                     "content": dict.fromkeys((one.partition(";")[0] for one in SIEM_TYPES), BINARY)}},
)  # fmt: skip
def siem(
    request: Request,
    asking: SignedInUser,
    form: Annotated[Literal["wardwatch", "ecs", "ocsf", "cef", "eve"], Parameter(alias="format")] = "wardwatch",
    after: After = None,
    limit: Annotated[int, Parameter(ge=1, le=500)] = 100,
) -> Response:
    """In the order of storing; an episode comes again when it was revised or its follow-up changed."""
    found = state_of(request).desk.feed.messages(asking.who, form, after or "", limit)
    text = "".join(one.rstrip("\n") + "\n" for one in found.texts)
    return Response(text, headers={"X-Next": found.next}, media_type=SIEM_TYPES[form == "cef"])


@router.get(
    "/events",
    tags=["violations"],
    summary="New and changed violations as they are stored",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events of type `violation`", "content": {"text/event-stream": BINARY}}
    },
)
async def events(
    request: Request,
    asking: SignedInUser,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=500)] = None,
    seconds: Annotated[int, Parameter(ge=1, le=3600, description="After which it ends; ask again then")] = 3600,
) -> StreamingResponse:
    """Goes on behind Last-Event-ID; without it, with what comes from now on."""
    feed = state_of(request).desk.feed
    after = await run_in_threadpool(feed.now) if last_event_id is None else last_event_id
    await run_in_threadpool(feed.after, asking.who, after, 1)  # a cursor that is none is told before the stream begins
    return StreamingResponse(_stream(request, asking, after, seconds), media_type="text/event-stream")


async def _stream(request: Request, asking: Asking, after: str, seconds: int) -> AsyncIterator[str]:
    """Until the time is up, the listener has gone, or is signed out."""
    feed = state_of(request).desk.feed
    loop = asyncio.get_running_loop()
    end_s, again_s = loop.time() + seconds, loop.time() + AGAIN_S
    yield f"retry: {int(EVERY_S * 1000)}\n\n"
    while loop.time() < end_s and not await request.is_disconnected():
        if loop.time() >= again_s:
            known = await asking_or_none(request)
            if known is None:
                return
            asking, again_s = known, loop.time() + AGAIN_S
        rows, after = await run_in_threadpool(feed.after, asking.who, after)
        for number, row in enumerate(rows, 1):
            yield _event(row, after if number == len(rows) else "")
        yield ": still here\n\n"
        await asyncio.sleep(min(EVERY_S, max(0.0, end_s - loop.time())))


def _event(row: Any, id_: str) -> str:
    """Only the last of a part has an id: who loses the connection before it gets the part again."""
    data = json.dumps(shapes.violation(row), separators=(",", ":"))
    return (f"id: {id_}\n" if id_ else "") + f"event: violation\ndata: {data}\n\n"
