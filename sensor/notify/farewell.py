"""A TLS conversation that ends so that both sides know it (RFC 5246 7.2.1, RFC 8446 6.1).

The standard library's sockets cannot tell a farewell from a refusal that comes while they wait for one: a receiver that
wants a certificate refuses only after the handshake, and that alert would look like good order. So TLS runs here over
memory, and what comes after our own farewell is read as what it is.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from sensor.notify.connecting import reason
from sensor.notify.sending import SendError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

READ_BYTES: Final = 16_384
NO_FAREWELL: Final = (
    "it ended the connection without the farewell that TLS asks for: perhaps it has not read the message"
)


def deliver(connection: socket.socket, context: ssl.SSLContext, host: str, data: bytes) -> None:
    """Handshake, data, farewell, and the other side's farewell. Raises SendError, OSError."""
    talk = _Talk(connection, context, host)
    talk.handshake()
    talk.write(data)
    talk.part()


class _Talk:
    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> None:
        self._carry(self._tls.do_handshake)

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def part(self) -> None:
        """Say farewell, and wait for the answer."""
        self._drain()  # now nothing is left that our own farewell could take for its answer
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
        try:
            while self._carry(lambda: self._tls.read(READ_BYTES)):
                continue
        except ssl.SSLZeroReturnError:
            return
        except ssl.SSLEOFError as error:
            raise SendError(NO_FAREWELL) from error

    def _drain(self) -> None:
        """What has arrived already: tickets, or a refusal."""
        try:
            while self._tls.read(READ_BYTES):
                continue
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as error:
            raise SendError(reason(error)) from error
        raise SendError("it ended the connection before the message")

    def _carry(self, step: Callable[[], bytes | None]) -> bytes | None:
        """A step, with as much from the other side as it takes."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._connection.recv(READ_BYTES)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._connection.sendall(self._outgoing.read())
