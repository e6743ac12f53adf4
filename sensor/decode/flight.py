"""A TLS server's first flight: what it chose, and up to TLS 1.2 its certificate (RFC 5246, 7.4.1.3 and 7.4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.tls import HANDSHAKE, ServerHello, first_handshake, fragment
from sensor.model import Malformed

CERTIFICATE = 11
TLS_1_2 = 0x0303
MESSAGE_HEAD_BYTES = 4  # type, length
LENGTH_BYTES = 3  # of the list of certificates, and of each of them
MAX_CERTIFICATE_BYTES = 65536  # real ones have 1 to 4 KiB, a few some 30


@dataclass(frozen=True, slots=True)
class ServerFlight:
    """`certificate`: the server's own, DER; None where it shows none: TLS 1.3 encrypts it, a resumed session needs none."""

    hello: ServerHello
    certificate: bytes | None


@decoder
def server_flight(stream: bytes) -> ServerFlight:
    """What the server's stream begins with, as soon as its own certificate is complete or will not come."""
    hello = first_handshake(stream)
    if hello is None:
        raise NeedMore
    if isinstance(hello, Malformed):
        raise Bad(hello.reason, hello.offset)
    if not isinstance(hello, ServerHello):
        raise Bad("not a server's hello", 0)
    return ServerFlight(hello, None if hello.version > TLS_1_2 else _certificate(Cursor(stream)))


def _certificate(cursor: Cursor) -> bytes | None:
    """The first certificate of the message behind the hello; records may cut messages anywhere (RFC 5246, 6.2.1)."""
    messages = bytearray()

    def has(count: int) -> bool:
        """Whether the handshake goes on that far; raises NeedMore while that is open."""
        while len(messages) < count:
            if cursor.remaining and cursor.data[cursor.offset] != HANDSHAKE:
                return False
            messages.extend(fragment(cursor).rest())
        return True

    def length(at: int) -> int:
        return int.from_bytes(messages[at : at + LENGTH_BYTES], "big")

    if not has(MESSAGE_HEAD_BYTES):
        return None
    start = MESSAGE_HEAD_BYTES + length(1)
    if not has(start + 1) or messages[start] != CERTIFICATE or not has(start + MESSAGE_HEAD_BYTES):
        return None
    first = start + MESSAGE_HEAD_BYTES + 2 * LENGTH_BYTES
    if length(start + 1) < 2 * LENGTH_BYTES or not has(first):
        return None  # a list of none
    size = length(first - LENGTH_BYTES)
    if size > min(length(start + 1) - 2 * LENGTH_BYTES, MAX_CERTIFICATE_BYTES):
        raise Bad("longer than its message or than a certificate can be", cursor.offset)
    return bytes(messages[first : first + size]) if has(first + size) else None
