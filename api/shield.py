"""What every request passes before anything else: its host, its size, its rate; and what every answer carries."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from api.problems import Problem, response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sensor.settings_api import ApiSettings

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
TRANSPORT: Final = "max-age=31536000"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BUCKETS: Final = 10_000


class Buckets:
    """Token buckets: `per_minute` requests, and as many at once as a sixth of that, at least ten."""

    def __init__(self, per_minute: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._size = float(max(10, per_minute // 6))
        self._now_s = now_s
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str) -> float:
        """Takes one; 0, or how long to wait for the next."""
        now = self._now_s()
        with self._lock:
            level, then = self._levels.pop(key, (self._size, now))
            level = min(self._size, level + (now - then) * self._rate)
            self._levels[key] = (max(level - 1, 0.0) if level >= 1 else level, now)
            while len(self._levels) > MAX_BUCKETS:  # those that asked longest ago are full again, or nearly
                del self._levels[next(iter(self._levels))]
            return 0.0 if level >= 1 else (1 - level) / self._rate


class TooLargeError(HTTPException):
    """The body is. FastAPI makes a 400 of what else is raised while it reads one."""

    def __init__(self) -> None:
        super().__init__(413, "the request is too large", headers={"Connection": "close"})


class Shield:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._hosts = settings.all_hosts
        self._limit_bytes = settings.body_kibibytes << 10
        self._buckets = Buckets(settings.requests_per_minute * 4)  # several people may share an address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _Dressed(scope, send)
        problem = self._refused(scope)
        if problem is not None:
            await response(problem)(scope, receive, sender.send)
            return
        try:
            await self._app(scope, _Counted(receive, self._limit_bytes).receive, sender.send)
        except TooLargeError:
            if not sender.begun:
                await response(_too_large())(scope, receive, sender.send)

    def _refused(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if host_of(headers.get("host", "")) not in self._hosts:
            return Problem(421, "misdirected", "this server is not asked by that name; see [api] hosts")
        length = headers.get("content-length", "")
        if length and (not length.isascii() or not length.isdigit() or int(length) > self._limit_bytes):
            return _too_large()
        client = scope.get("client")
        wait_s = self._buckets.wait_s(str(client[0]) if client else "")
        return too_many(wait_s) if wait_s else None


def too_many(wait_s: float) -> Problem:
    """For whoever asks too often."""
    return Problem(429, "too-many-requests", "too many requests", headers={"Retry-After": str(int(wait_s) + 1)})


def _too_large() -> Problem:
    return Problem(413, "too-large", "the request is too large", headers={"Connection": "close"})


def host_of(header: str) -> str:
    """A Host header without its port, lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


class _Counted:
    """Ends a request whose body is larger than it said, or than it may be."""

    def __init__(self, receive: Receive, limit_bytes: int) -> None:
        self._receive = receive
        self._left = limit_bytes

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise TooLargeError
        return message


class _Dressed:
    """Puts the headers on."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._is_static = scope["path"].startswith("/static/")
        self._is_secure = scope.get("scheme") == "https"
        self.begun = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if not self._is_static:
                headers.setdefault("Cache-Control", "no-store")
            if self._is_secure:
                headers["Strict-Transport-Security"] = TRANSPORT
        await self._send(message)
