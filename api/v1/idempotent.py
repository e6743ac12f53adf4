"""Idempotency-Key: the same POST sent again does nothing twice and is answered as before, for a day."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from api.problems import Problem, of_error, response
from api.signed_in import asking_or_none, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=100,
        pattern="^[!-~]+$",
        description="Any text of one's own: the same request with it again is answered as before",
        examples=["0f1d3c5e-acknowledge-1"],
    ),
]
KEPT: Final = ("etag", "content-type")
WELL_FORMED: Final = frozenset(map(chr, range(0x21, 0x7F)))


class IdempotentRoute(APIRoute):
    """Routes whose POSTs take an Idempotency-Key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if request.method != "POST" or not key or len(key) > 100 or not set(key) <= WELL_FORMED:
                return await handle(request)
            asking = await asking_or_none(request)
            if asking is None:
                return await handle(request)
            return await _once(handle, request, key, asking.key_id or asking.who.name)

        return once


async def _once(
    handle: Callable[[Request], Coroutine[Any, Any, Response]], request: Request, key: str, actor: str
) -> Response:
    answers = state_of(request).desk.store.answers
    told = hashlib.sha256(f"{request.url.path}\0{request.headers.get('if-match', '')}\0".encode())
    told.update(await request.body())
    known = await run_in_threadpool(answers.begin, actor, key, told.hexdigest())
    if known is not None:
        if known.request_sha256 != told.hexdigest():
            raise Problem(422, "key-used", "this Idempotency-Key went with another request")
        if not known.status:
            raise Problem(409, "being-answered", "the request with this Idempotency-Key is being answered")
        headers = {**json.loads(known.headers), "Idempotency-Replayed": "true"}
        return Response(known.body, known.status, headers=headers)
    try:
        made = await handle(request)
    except Exception as error:
        problem = of_error(error)
        if problem.status in {429, 500, 503}:  # trying again may help
            await run_in_threadpool(answers.forget, actor, key)
            raise
        made = response(problem)
    headers = {name: value for name, value in made.headers.items() if name in KEPT}
    body = bytes(made.body).decode()
    await run_in_threadpool(answers.finish, actor, key, made.status_code, json.dumps(headers), body)
    return made
