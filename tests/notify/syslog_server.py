"""A receiver of syslog on loopback, over TLS, TCP or UDP; it reads by the octet counts and keeps what it read."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from tests.notify.running import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notify.servers import Authority


@dataclass
class Log:
    """`way`: how it behaves when a client has finished: "farewell", "close" (without one), "reset", "hang"."""

    port: int = 0
    got: list[bytes] = field(default_factory=list)
    way: str = "farewell"
    peer: dict[str, Any] | None = None  # the client's certificate, where one was asked for
    end: threading.Event = field(default_factory=threading.Event)


def read_frames(stream: BinaryIO) -> Iterator[bytes]:
    """By RFC 5425 4.3: a decimal length without leading zero, a blank, so many bytes."""
    while first := stream.read(1):
        digits = first
        while (one := stream.read(1)) != b" ":
            assert one.isdigit(), one
            digits += one
        assert not digits.startswith(b"0")
        yield stream.read(int(digits))


@contextmanager
def receiver(authority: Authority | None, *, ask_for_certificate: bool = False) -> Iterator[Log]:
    """Over TLS, or over TCP without an authority."""
    made = Log()
    context = authority.server_context() if authority is not None else None
    if context is not None and authority is not None and ask_for_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca_file)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                connection = self.request if context is None else context.wrap_socket(self.request, server_side=True)
            except OSError:
                return
            with connection:
                if context is not None:
                    made.peer = connection.getpeercert()
                self.read(connection)

        def read(self, connection: socket.socket) -> None:
            if made.way == "hang":
                made.end.wait(60)
                return
            if made.way == "reset":
                connection.recv(1)
                linger = b"\1\0\0\0\0\0\0\0"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            try:
                with connection.makefile("rb") as stream:
                    made.got += read_frames(stream)
                if made.way == "farewell" and isinstance(connection, ssl.SSLSocket):
                    connection.unwrap().close()
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    with running(Server(("127.0.0.1", 0), Handler), made):
        yield made


@contextmanager
def datagrams() -> Iterator[socket.socket]:
    """A UDP socket that waits for what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet:
        inlet.bind(("127.0.0.1", 0))
        inlet.settimeout(60)
        yield inlet
