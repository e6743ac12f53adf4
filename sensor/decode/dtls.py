"""DTLS ClientHellos: records and handshake fragments, which may be split, lost, repeated and out of order.

DTLS 1.0 (RFC 4347), 1.2 (RFC 6347, 4.1 and 4.2) and 1.3 (RFC 9147, 4 and 5): a ClientHello reads the same in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from sensor.decode.cursor import Bad, Cursor, decoder
from sensor.decode.stream import Reassembler
from sensor.decode.tls import CLIENT_HELLO, HANDSHAKE, MAX_HELLO_BYTES, ClientHello, datagram_hello
from sensor.model import Malformed

RECORD = Struct(">BHHHLH")  # type, version, epoch, sequence number (48 bits), length
MAJOR_VERSION = 0xFE  # versions count down: 0xFEFF is 1.0, 0xFEFD 1.2, 0xFEFC 1.3
MAX_MESSAGES = 2  # a hello, and the same with the server's cookie
MAX_RECORDS = 16  # read per datagram


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a ClientHello (RFC 6347, 4.2.2)."""

    message: int  # message_seq: 0, or 1 in the answer to a HelloVerifyRequest
    total_bytes: int
    offset: int
    data: bytes


@decoder
def fragments(datagram: bytes) -> tuple[Fragment, ...]:
    """The pieces of ClientHellos in the records of one datagram, up to the first record in another epoch or of another kind."""
    cursor = Cursor(datagram)
    found: list[Fragment] = []
    for _ in range(MAX_RECORDS):
        at = cursor.offset
        kind, version, epoch, _, _, length = cursor.unpack(RECORD)
        if not found and (kind != HANDSHAKE or version >> 8 != MAJOR_VERSION or epoch):
            raise Bad("not a DTLS handshake record in the clear", at)
        if kind != HANDSHAKE or epoch:
            break
        record = cursor.sub(length)
        while record.remaining:
            found.append(_fragment(record))
        if not cursor.remaining:
            break
    return tuple(found)


def _fragment(record: Cursor) -> Fragment:
    at = record.offset
    if record.u8() != CLIENT_HELLO:
        raise Bad("not a ClientHello", at)
    total, message, offset, length = record.u24(), record.u16(), record.u24(), record.u24()
    if total > MAX_HELLO_BYTES or offset + length > total:
        raise Bad("a piece that lies outside its message", at)
    return Fragment(message, total, offset, record.take(length))


class DtlsHello:
    """Puts a client's hello together, datagram by datagram. Of a hello sent twice (with a cookie) either will do."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: dict[int, tuple[int, Reassembler]] = {}  # by message_seq: length, pieces

    def add(self, datagram: bytes) -> ClientHello | Malformed | None:
        """The hello, once one is whole."""
        found = fragments(datagram)
        if found is None:
            return None  # the capture cut it off
        if isinstance(found, Malformed):
            return found
        for piece in found:
            total, pieces = self._messages.setdefault(piece.message, (piece.total_bytes, Reassembler(MAX_HELLO_BYTES)))
            if total != piece.total_bytes:
                return Malformed("pieces of a message disagree about its length", 0)
            pieces.add(piece.offset, piece.data)
            body = pieces.prefix()
            if len(body) >= total:
                return datagram_hello(body[:total]) or Malformed("a hello ends within one of its fields", 0)
        while len(self._messages) > MAX_MESSAGES:
            del self._messages[next(iter(self._messages))]
        return None
