"""Google's QUIC from before the standard: versions Q024 to Q049, whose hellos nobody encrypts, and the CHLO message.

There is no RFC. Sources: "QUIC Wire Layout Specification" and "QUIC Crypto" (Google, 2012 to 2016), and what Chromium,
Wireshark and nDPI do. Q050, T050 and T051 seal their Initials as the standard does (see quic_keys) and share the frames
and, Q050, the CHLO that are read here.

Every packet carries 96 bits of hash in the place of an AEAD's tag. The hash decides: a datagram where it does not fit is
not claimed, and later, encrypted packets, which look alike, never get among the pieces of a hello.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.text import host
from sensor.model import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    Fnv = Callable[[bytes, int], int]  # absorbs bytes into a state

OLDEST, NEWEST = 24, 49  # the versions of which frames and header are documented, and the last one in clear text
LAST_PUBLIC_HEADER = 43  # then came headers as in the drafts of the invariants (RFC 8999)
FIRST_BIG_ENDIAN = 39
LAST_WITH_ENTROPY = 33  # private flags, and ACK frames as they were before Q034
LAST_UNSIGNED = 35  # later hashes cover who sent the packet, too
FIRST_TYPE_BITS = 46  # before, the type is a number of 7 bits, downwards from 0x7F for an Initial
OLD_INITIAL, NEW_INITIAL = 0xFF, 0xC0
FIRST_PREFIXED_IDS = 49  # each connection id behind its length, token and packet length as in the standard

# Public flags. The id's length had two bits up to Q032, with 8 bytes where both are set.
VERSION, RESET, ID_8, MULTIPATH, RESERVED = 0x01, 0x02, 0x08, 0x40, 0x80
NUMBER_BYTES = (1, 2, 4, 6)  # by a field of two bits: packet numbers, what is acknowledged

# Private flags (up to Q033): a byte that gives the FEC group follows; the packet is a parity packet.
FEC_GROUP, FEC_PACKET = 0x02, 0x04

HASH_BYTES = 12
FNV_OFFSET, FNV_PRIME = 0x6C62272E07BB014262B821756295C58D, (1 << 88) + 0x13B
MASK_128, MASK_96 = (1 << 128) - 1, (1 << 96) - 1

# Frames. A byte with the top bit set is a STREAM frame, one with the next bit set an ACK.
PADDING, RST_STREAM, CONNECTION_CLOSE, GOAWAY, WINDOW_UPDATE, BLOCKED, STOP_WAITING, PING, CRYPTO = range(9)
STREAM, ACK = 0x80, 0x40
STREAM_LENGTH, ACK_BLOCKS = 0x20, 0x20
FIXED_BYTES = {RST_STREAM: 16, WINDOW_UPDATE: 12, BLOCKED: 4, PING: 0}
HANDSHAKE_STREAM = 1

CHLO = b"CHLO"
CHLO_HEAD = Struct("<4sHH")  # tag, number of entries, padding; little endian in every version
CHLO_ENTRY = Struct("<4sI")  # tag, where its value ends
SNI = b"SNI\x00"
MAX_ENTRIES = 128  # kMaxEntries of Chromium

Pieces = tuple[tuple[int, bytes], ...]  # offset and data, in order


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet in clear text."""

    version: int  # 46 for Q046
    connection_id: bytes
    crypto: Pieces  # of the handshake's stream
    from_client: bool | None  # None up to Q035, where only a client's packets say their version
    damaged: Malformed | None = None  # where its frames break; those before are here


@dataclass(frozen=True, slots=True)
class Chlo:
    """A client's hello in QUIC Crypto."""

    sni: str | None  # lower case, escaped; None if no host name is given


@decoder
def packet(datagram: bytes, fnv: Fnv | None = None) -> Packet:
    """A packet that says its version, as clients do until the server has answered, and is not encrypted."""
    cursor = Cursor(datagram)
    if cursor.u8() & RESERVED:
        version, connection_id, number_bytes, end = _long_header(cursor)
    else:
        version, connection_id, number_bytes = _public_header(cursor)
        end = len(datagram)
    from_client = _proven(datagram, cursor.offset, end, version, fnv or _fnv)
    cursor = Cursor(datagram, cursor.offset + HASH_BYTES, end)
    if version <= LAST_WITH_ENTROPY:
        flags = cursor.u8()
        if flags & FEC_PACKET:
            return Packet(version, connection_id, (), from_client)
        cursor.skip(bool(flags & FEC_GROUP))
    crypto, damaged = frames(cursor, version, number_bytes)
    return Packet(version, connection_id, crypto, from_client, damaged)


def version_number(tag: int) -> int:
    """46 for the four bytes "Q046"; 0 for what is none of these versions."""
    digits = (tag & 0xFFFF).to_bytes(2, "big")
    return int(digits) if tag >> 16 == 0x5130 and digits.isdigit() else 0


@decoder
def chlo(message: bytes) -> Chlo:
    """The CHLO in `message`, which starts at its tag; what follows it is not looked at."""
    cursor = Cursor(message)
    tag, count, _ = CHLO_HEAD.unpack(cursor.take(CHLO_HEAD.size))
    if tag != CHLO:
        raise Bad("not a CHLO", 0)
    if count > MAX_ENTRIES:
        raise Bad("more entries than a CHLO may have", 4)
    sni: tuple[int, int] | None = None
    start = 0
    for _ in range(count):
        at = cursor.offset
        name, end = CHLO_ENTRY.unpack(cursor.take(CHLO_ENTRY.size))
        if end < start:
            raise Bad("a value that ends before it starts", at + 4)
        if name == SNI and sni is None:
            sni = (start, end)
        start = end
    values = cursor.offset
    if sni is None:
        cursor.skip(start)
        return Chlo(None)
    cursor.skip(sni[0])
    name = cursor.take(sni[1] - sni[0])
    cursor.skip(start - (cursor.offset - values))
    return Chlo(host(name) or None)


def frames(cursor: Cursor, version: int, number_bytes: int) -> tuple[Pieces, Malformed | None]:
    """What the frames up to the cursor's end say on the handshake's stream, and where they break."""
    crypto: list[tuple[int, bytes]] = []
    try:
        while cursor.remaining:
            piece = _frame(cursor, version, number_bytes)
            if piece is not None:
                crypto.append(piece)
    except Bad as bad:
        return tuple(crypto), Malformed(bad.reason, bad.offset)
    return tuple(crypto), None


def _frame(cursor: Cursor, version: int, number_bytes: int) -> tuple[int, bytes] | None:
    """Steps over a frame; its offset and data where it belongs to the handshake."""
    at = cursor.offset
    kind = cursor.u8()
    if kind & STREAM:
        return _stream(cursor, kind, version)
    if kind & ACK:
        if version <= LAST_WITH_ENTROPY:
            _skip_old_ack(cursor, kind)
        else:
            _skip_ack(cursor, kind)
    elif kind == PADDING:
        cursor.skip_zeros()  # up to Q037 it is the rest of the packet, and that is zero as well
    elif kind == CRYPTO:
        offset = cursor.varint()
        return offset, cursor.take(cursor.varint())
    elif kind in FIXED_BYTES:
        cursor.skip(FIXED_BYTES[kind])
    elif kind in {CONNECTION_CLOSE, GOAWAY}:
        cursor.skip(4 if kind == CONNECTION_CLOSE else 8)
        cursor.skip(_integer(cursor, 2, version))
    elif kind == STOP_WAITING:
        cursor.skip(number_bytes + (version <= LAST_WITH_ENTROPY))
    else:
        raise Bad("not a frame of Google's QUIC", at)
    return None


def _stream(cursor: Cursor, kind: int, version: int) -> tuple[int, bytes] | None:
    """1FDOOOSS: fin, whether there is a length, bytes of the offset (none, or 2 to 8), bytes of the id less one."""
    stream = _integer(cursor, (kind & 3) + 1, version)
    wide = kind >> 2 & 7
    offset = _integer(cursor, wide + 1 if wide else 0, version)
    data = cursor.take(_integer(cursor, 2, version)) if kind & STREAM_LENGTH else cursor.rest()
    return (offset, data) if stream == HANDSHAKE_STREAM else None


def _skip_ack(cursor: Cursor, kind: int) -> None:
    """01B0LLMM, from Q034 on: whether there are blocks, bytes of the largest number, bytes of a block's length."""
    cursor.skip(NUMBER_BYTES[kind >> 2 & 3] + 2)  # and the delay
    blocks = cursor.u8() if kind & ACK_BLOCKS else 0
    block_bytes = NUMBER_BYTES[kind & 3]
    cursor.skip(block_bytes + blocks * (1 + block_bytes))
    _skip_times(cursor)


def _skip_old_ack(cursor: Cursor, kind: int) -> None:
    """01NTLLMM, up to Q033: the same with entropy before, times in the middle and what is missing in place of blocks."""
    largest_bytes = NUMBER_BYTES[kind >> 2 & 3]
    cursor.skip(1 + largest_bytes + 2)
    _skip_times(cursor)
    if kind & ACK_BLOCKS:
        cursor.skip(cursor.u8() * (NUMBER_BYTES[kind & 3] + 1))
        cursor.skip(cursor.u8() * largest_bytes)  # packets that FEC brought back


def _skip_times(cursor: Cursor) -> None:
    count = cursor.u8()
    cursor.skip(5 + 3 * (count - 1) if count else 0)


def _integer(cursor: Cursor, size: int, version: int) -> int:
    return int.from_bytes(cursor.take(size), "big" if version >= FIRST_BIG_ENDIAN else "little")


def _public_header(cursor: Cursor) -> tuple[int, bytes, int]:
    """Flags, connection id, version, packet number: gives all but the last, and how long that is. Up to Q043."""
    flags = cursor.data[0]
    if flags & (VERSION | RESET | ID_8 | MULTIPATH) != VERSION | ID_8:
        raise Bad("public flags of no client's first packets", 0)
    connection_id = cursor.take(8)
    at = cursor.offset
    version = version_number(cursor.u32())
    if not OLDEST <= version <= LAST_PUBLIC_HEADER:
        raise Bad("not a version of Google's QUIC with public flags", at)
    number_bytes = NUMBER_BYTES[flags >> 4 & 3]
    cursor.skip(number_bytes)
    return version, connection_id, number_bytes


def _long_header(cursor: Cursor) -> tuple[int, bytes, int, int]:
    """Flags, version, connection ids, packet number; also where the packet ends. From Q044 on."""
    first = cursor.data[0]
    version = version_number(cursor.u32())
    if not LAST_PUBLIC_HEADER < version <= NEWEST:
        raise Bad("not a version of Google's QUIC with a long header and no encryption", 1)
    old = version < FIRST_TYPE_BITS
    if first != OLD_INITIAL if old else first & 0xF0 != NEW_INITIAL:
        raise Bad("a packet that is encrypted, or none", 0)
    number_bytes = 4 if old else (first & 3) + 1
    end = len(cursor.data)
    if version < FIRST_PREFIXED_IDS:
        lengths = cursor.u8()  # four bits each, 3 less than what they mean unless 0
        ids = [cursor.take(half + 3 if half else 0) for half in (lengths >> 4, lengths & 15)]
    else:
        ids = [cursor.take(cursor.u8()), cursor.take(cursor.u8())]
        cursor.skip(cursor.varint())  # token
        length = cursor.varint()
        end = cursor.offset + length
        if end > len(cursor.data):
            raise NeedMore
    cursor.skip(number_bytes)
    return version, ids[0] or ids[1], number_bytes, end


def _proven(datagram: bytes, hash_at: int, end: int, version: int, fnv: Fnv) -> bool | None:
    """Whether a client made the hash (FNV-1a, of which the low 96 bits are sent, little endian); Bad if nobody did."""
    body_at = hash_at + HASH_BYTES
    if body_at > end:
        raise NeedMore
    sent = int.from_bytes(datagram[hash_at:body_at], "little")
    found = fnv(datagram[body_at:end], fnv(datagram[:hash_at], FNV_OFFSET))
    if version <= LAST_UNSIGNED:
        if found & MASK_96 == sent:
            return None
    else:
        for name in (b"Client", b"Server"):
            if fnv(name, found) & MASK_96 == sent:
                return name == b"Client"
    raise Bad("looks like Google's QUIC but its hash does not fit", hash_at)


def _fnv(data: bytes, value: int) -> int:
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & MASK_128
    return value
