"""A server of a test, in a thread of its own while the test lasts."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socketserver
    from collections.abc import Iterator


class Made(Protocol):
    """What a test holds of its server: where it is, and whether it is over."""

    port: int
    end: threading.Event


@contextmanager
def running(server: socketserver.TCPServer, made: Made) -> Iterator[None]:
    """Answers, inside."""
    with server:
        made.port = int(server.socket.getsockname()[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            made.end.set()
            server.shutdown()
            thread.join()
