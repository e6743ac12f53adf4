"""QUIC Initial packets: whoever sees the first one can read it (RFC 9000, 17.2; RFC 9001, 5; RFC 9369).

An Initial's keys follow from the client's first Destination Connection ID. The tag decides: what does not open is not
claimed to be QUIC, however much its header looks like it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from sensor.decode import gquic, tls
from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.quic_keys import INITIAL, RETRY, KeyRing, Version, versions
from sensor.decode.stream import Reassembler
from sensor.model import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.decode.tls import ClientHello

LONG_HEADER = 0x80
MAX_CID_BYTES = 20  # RFC 9000, 17.2
NEGOTIATION = 0  # version of a Version Negotiation packet (RFC 9000, 17.2.1)

# Header protection samples 16 bytes, 4 bytes behind the start of the packet number (RFC 9001, 5.4.2).
SAMPLE_AFTER_BYTES, SAMPLE_BYTES = 4, 16
MIN_PROTECTED_BYTES = SAMPLE_AFTER_BYTES + SAMPLE_BYTES

# Frames that an Initial may hold (RFC 9000, 12.4).
PADDING, PING, ACK, ACK_ECN, CRYPTO, CONNECTION_CLOSE = 0x00, 0x01, 0x02, 0x03, 0x06, 0x1C

MAX_INITIALS = 16  # read per datagram; senders coalesce two or three packets
MAX_CONNECTIONS = 4  # whose hellos are put together at the same time on one pair of ports
HELLO_LIMIT_BYTES = 64 * 1024  # of CRYPTO data kept per connection; hellos have 300 to 4,000 bytes


@dataclass(frozen=True, slots=True)
class Initial:
    """One Initial packet, opened."""

    version: int
    dcid: bytes
    scid: bytes
    packet_number: int
    crypto: tuple[tuple[int, bytes], ...]  # offset and data of its CRYPTO frames, in order
    from_client: bool
    key_dcid: bytes  # the connection id that its keys follow from
    closed: bool = False  # it held a CONNECTION_CLOSE
    damaged: Malformed | None = None  # where its frames break; those before are here


@dataclass(frozen=True, slots=True)
class _Header:
    """A long header of an Initial, still protected. Offsets count from the start of the datagram."""

    version: int
    rows: tuple[Version, ...]
    dcid: bytes
    scid: bytes
    start: int
    number_at: int
    end: int


@decoder
def initials(datagram: bytes, *, dcid: bytes | None = None) -> tuple[Initial, ...]:
    """Every Initial in the datagram that opens; () for a datagram of other long-header packets only.

    Without `dcid` only a client's first Initials can be opened, and those after a Retry. `dcid`, the Destination
    Connection ID of the client's first Initial, opens the later ones too, and the server's. Malformed if none opens.
    """
    opened: list[Initial] = []
    failure: Bad | NeedMore | None = None
    ring = KeyRing(dcid)
    try:
        for header in islice(_headers(Cursor(datagram)), MAX_INITIALS):
            try:
                opened.append(_open(datagram, header, ring))
            except Bad as bad:
                failure = failure or bad
    except (Bad, NeedMore) as broken:  # in the header of a packet; those before it stand
        failure = failure or broken
    if failure and not opened:
        raise failure
    return tuple(opened)


class QuicHello:
    """Puts together the hello of a client from its datagrams, in any order, of both directions.

    Pieces are kept by connection id and version, for after a Retry, a version negotiation or with a new connection on the
    same ports the client begins anew.
    """

    __slots__ = ("_dcid", "_fnv", "_known", "_streams")

    def __init__(self, fnv: gquic.Fnv | None = None) -> None:
        """`fnv`: a fast FNV-1a of 128 bits, where the caller has one."""
        self._fnv = fnv
        self._dcid: bytes | None = None
        self._known = False
        self._streams: dict[tuple[bytes, int], _Stream] = {}

    def add(self, datagram: bytes) -> ClientHello | gquic.Chlo | Malformed | None:
        """The hello as soon as it is whole; after that there is nothing more to ask.

        Until a packet of the connection has opened, Malformed says why not; afterwards it says what is wrong with the
        hello, and its offset counts from the start of the CRYPTO data. Datagrams of no use (1-RTT, the server's) are None.
        """
        if _is_plain(datagram):
            return self._add_plain(datagram)
        opened = initials(datagram, dcid=self._dcid)
        if not isinstance(opened, tuple):
            return None if self._known else opened
        stream: _Stream | None = None
        for initial in opened:
            if initial.from_client:
                self._dcid = initial.key_dcid
                stream = self._feed((initial.key_dcid, initial.version), initial.crypto) or stream
        return stream.hello() if stream else None

    def _add_plain(self, datagram: bytes) -> ClientHello | gquic.Chlo | Malformed | None:
        packet = gquic.packet(datagram, self._fnv)
        if not isinstance(packet, gquic.Packet):
            return None if self._known else packet
        if packet.from_client is False:
            return None
        stream = self._feed((packet.connection_id, packet.version), packet.crypto)
        return stream.hello() if stream else None

    def _feed(self, key: tuple[bytes, int], pieces: gquic.Pieces) -> _Stream | None:
        """Adds what a client's packet says to its connection; None if that is nothing."""
        self._known = True
        if not pieces:
            return None
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream()
            if len(self._streams) > MAX_CONNECTIONS:
                del self._streams[next(iter(self._streams))]
        for offset, data in pieces:
            stream.add(offset, data)
        return stream


class _Stream:
    """The handshake's data of one connection from its client."""

    __slots__ = ("_anew", "_anew_at", "_pieces")

    def __init__(self) -> None:
        self._pieces = Reassembler(HELLO_LIMIT_BYTES)
        self._anew = self._pieces
        self._anew_at = 0

    def add(self, offset: int, data: bytes) -> None:
        self._pieces.add(offset, data)
        # Whom a server rejects tells more in a second CHLO behind the first one, which the capture may lack.
        if offset and self._anew is self._pieces and data.startswith(gquic.CHLO):
            self._anew = Reassembler(HELLO_LIMIT_BYTES)
            self._anew_at = offset
        if self._anew is not self._pieces:
            self._anew.add(offset - self._anew_at, data)

    def hello(self) -> ClientHello | gquic.Chlo | Malformed | None:
        found = _hello(self._pieces)
        return _hello(self._anew) if found is None and self._anew is not self._pieces else found


def _hello(pieces: Reassembler) -> ClientHello | gquic.Chlo | Malformed | None:
    """The hello at the start of the handshake's data: Google's, or that of TLS."""
    data = pieces.prefix()
    hello = gquic.chlo(data) if data[:1] == gquic.CHLO[:1] else tls.client_hello(data)
    if hello is None and pieces.full:
        return Malformed("a hello in too many pieces or too long", len(data))
    return hello


def _is_plain(datagram: bytes) -> bool:
    """Whether the header gives one of Google's versions that encrypt no hello."""
    tag = datagram[1:5] if datagram[:1] >= b"\x80" else datagram[9:13]
    return gquic.OLDEST <= gquic.version_number(int.from_bytes(tag, "big")) <= gquic.NEWEST


def _headers(cursor: Cursor) -> Iterator[_Header]:
    """The Initials among the coalesced packets of a datagram (RFC 9000, 12.2), which share one connection id."""
    shared: bytes | None = None
    while cursor.remaining:
        start = cursor.offset
        first = cursor.u8()
        if not first & LONG_HEADER:
            if start == 0:
                raise Bad("not a QUIC long header", start)
            return  # a 1-RTT packet, or padding behind the last packet
        number = cursor.u32()
        if number == NEGOTIATION:
            return
        rows = versions(number)
        if not rows:
            raise Bad("not a QUIC version whose Initials can be read", start + 1)
        dcid = _connection_id(cursor)
        scid = _connection_id(cursor)
        kind = rows[0].types[first >> 4 & 3]
        if kind == RETRY or (shared is not None and dcid != shared):
            return  # a Retry has no length, so nothing can follow; packets for someone else are to be ignored
        shared = dcid
        if kind == INITIAL:
            cursor.skip(cursor.varint())  # token
        length = cursor.varint()
        number_at = cursor.offset
        cursor.skip(length)
        if kind == INITIAL:
            if length < MIN_PROTECTED_BYTES:
                raise Bad("an Initial too short for header protection", number_at)
            yield _Header(number, rows, dcid, scid, start, number_at, cursor.offset)


def _connection_id(cursor: Cursor) -> bytes:
    at = cursor.offset
    size = cursor.u8()
    if size > MAX_CID_BYTES:
        raise Bad("a connection id longer than 20 bytes", at)
    return cursor.take(size)


def _open(datagram: bytes, header: _Header, ring: KeyRing) -> Initial:
    """Remove header protection and open the packet (RFC 9001, 5.3 and 5.4)."""
    sample_at = header.number_at + SAMPLE_AFTER_BYTES
    sample = datagram[sample_at : sample_at + SAMPLE_BYTES]
    for version in header.rows:
        for key_dcid, from_client, keys in ring.candidates(version, header.dcid):
            mask = keys.mask(sample)
            first = datagram[header.start] ^ (mask[0] & 0x0F)
            size = (first & 3) + 1
            payload_at = header.number_at + size
            # Initials start at packet number 0 (RFC 9000, 12.3), so what is sent of the number is all of it.
            masked = int.from_bytes(datagram[header.number_at : payload_at], "big")
            number = masked ^ int.from_bytes(mask[1 : size + 1], "big")
            head = bytes([first]) + datagram[header.start + 1 : header.number_at] + number.to_bytes(size, "big")
            nonce = (keys.iv ^ number).to_bytes(12, "big")
            try:
                plain = keys.aead.decrypt(nonce, datagram[payload_at : header.end], head)
            except InvalidTag:
                continue
            crypto, closed, damaged = _said(plain, payload_at, version.google, size)
            return Initial(
                header.version, header.dcid, header.scid, number, crypto, from_client, key_dcid, closed, damaged
            )
    raise Bad("looks like a QUIC Initial but does not open", header.number_at)


def _said(plain: bytes, payload_at: int, google: int, number_bytes: int) -> tuple[gquic.Pieces, bool, Malformed | None]:
    if not google:
        return _frames(plain, payload_at)
    crypto, damaged = gquic.frames(Cursor(plain, 0, len(plain)), google, number_bytes)
    return crypto, False, damaged and Malformed(damaged.reason, payload_at + damaged.offset)


def _frames(plain: bytes, payload_at: int) -> tuple[tuple[tuple[int, bytes], ...], bool, Malformed | None]:
    """The CRYPTO frames, whether the connection is closed, and where the frames break (RFC 9000, 19)."""
    cursor = Cursor(plain, 0, len(plain))
    crypto: list[tuple[int, bytes]] = []
    closed = False
    try:
        while cursor.remaining:
            at = cursor.offset
            kind = cursor.u8()
            if kind == CRYPTO:
                offset = cursor.varint()
                crypto.append((offset, cursor.take(cursor.varint())))
            elif kind == PADDING:
                cursor.skip_zeros()
            elif kind in {ACK, ACK_ECN}:
                _skip_ack(cursor, ecn=kind == ACK_ECN)
            elif kind == CONNECTION_CLOSE:
                cursor.varint()  # error code
                cursor.varint()  # type of the frame that was at fault
                cursor.skip(cursor.varint())  # reason
                closed = True
            elif kind != PING:
                raise Bad("a frame that no Initial may hold", at)  # noqa: TRY301 - one way out for all damage
    except Bad as bad:
        return tuple(crypto), closed, Malformed(bad.reason, payload_at + bad.offset)
    return tuple(crypto), closed, None


def _skip_ack(cursor: Cursor, *, ecn: bool) -> None:
    """RFC 9000, 19.3."""
    cursor.varint()  # largest acknowledged
    cursor.varint()  # delay
    ranges = cursor.varint()
    for _ in range(1 + 2 * ranges + 3 * ecn):
        cursor.varint()
