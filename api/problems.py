"""Every error as a problem document (RFC 9457); on pages, as a page."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from sensor.errors import StoreError
from sensor.services.accounts import BlockedError, SignInError
from sensor.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI, Request

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "https://wardwatch.example/problems/"  # names, not pages: RFC 9457 section 3.1.1
log = logging.getLogger("wardwatch.api")


class Problem(Exception):  # noqa: N818 - it is one
    """What is answered instead. `kind` is the last part of its type."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.more = status, kind, detail, more
        self.headers = dict(headers or {})


def response(problem: Problem) -> Response:
    """As JSON."""
    body = {
        "type": TYPES + problem.kind,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    headers = {"Cache-Control": "no-store", **problem.headers}
    return JSONResponse(body, problem.status, headers=headers, media_type=MEDIA_TYPE)


def sign_in_needed() -> Problem:
    return Problem(401, "sign-in-needed", "sign in, or send an API key", headers={"WWW-Authenticate": "Bearer"})


def of_error(error: Exception) -> Problem:
    """The problem that an error is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidError):
        return Problem(422, "invalid", str(error), errors=[{"field": error.field, "reason": str(error)}])
    if isinstance(error, NotFoundError):
        return Problem(404, "not-found", str(error))
    if isinstance(error, ForbiddenError):
        return Problem(403, "forbidden", str(error))
    if isinstance(error, ConflictError):
        return Problem(409, "conflict", str(error))
    if isinstance(error, SignInError):
        return Problem(401, "wrong-password", str(error), headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, BlockedError):
        return Problem(429, "too-many-attempts", str(error), headers={"Retry-After": str(error.wait_s)})
    if isinstance(error, StoreError):
        log.error("%s", error)
        return Problem(503, "store", "the store cannot be used now", headers={"Retry-After": "5"})
    if isinstance(error, RequestValidationError):
        return Problem(422, "invalid", "the request is not what the API takes", errors=_fields(error))
    if isinstance(error, HTTPException):
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-").replace("'", "")
        return Problem(error.status_code, kind, str(error.detail), headers=error.headers)
    return Problem(500, "internal", "something went wrong; the log of the server says what")


def _fields(error: RequestValidationError) -> list[dict[str, str]]:
    """Where each mistake is; what was sent is not sent back."""
    return [
        {"field": ".".join(map(str, one["loc"][1:] or one["loc"])), "reason": str(one["msg"])}
        for one in error.errors()[:20]
    ]


Handler = "Callable[[Request, Exception], Awaitable[Response]]"


def install(app: FastAPI, page: Callable[[Request, Problem], Response] | None) -> None:
    """`page`: how a problem looks to who reads pages."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = of_error(error)
        if problem.status == 500:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        if request.url.path.startswith("/api/") or page is None:
            return response(problem)
        if problem.kind == "sign-in-needed":
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            target = f"/sign-in?next={quote(where, safe='')}" if request.method == "GET" else "/sign-in"
            return RedirectResponse(target, 303)
        return page(request, problem)

    for kind in (Problem, InvalidError, NotFoundError, ForbiddenError, ConflictError, SignInError, BlockedError,
                 StoreError, RequestValidationError, HTTPException, Exception):  # fmt: skip
        app.add_exception_handler(kind, handle)
