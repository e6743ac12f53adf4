"""STUN and TURN messages (RFC 8489; RFC 8656), and classic STUN without the magic cookie (RFC 3489).

Methods, classes and attribute types stay plain integers: vendors use types of their own, and those tell apps apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from sensor.decode.cursor import Bad, Cursor, decoder
from sensor.decode.text import ipv4, ipv6, text

HEADER_BYTES = 20
HEADER = Struct(">HHI")  # type, length of the attributes, magic cookie; the transaction id follows
ATTRIBUTE = Struct(">HH")  # type, length
MAGIC_COOKIE = 0x2112A442
ADDRESS_SHAPES = frozenset({(8, b"\x01"), (20, b"\x02")})  # bytes and family (RFC 8489, 14.1)

# Attribute types (RFC 8489, 14; RFC 8656, 18; RFC 3489, 11.2).
MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
XOR_PEER_ADDRESS = 0x0012
REALM = 0x0014
XOR_RELAYED_ADDRESS = 0x0016
XOR_MAPPED_ADDRESS = 0x0020
SOFTWARE = 0x8022
XOR_MAPPED_ADDRESS_OLD = 0x8020  # of the drafts of RFC 5389; still sent by Microsoft's stacks

# Binding and SharedSecret requests, responses and error responses: all there is in RFC 3489, 11.1.
CLASSIC_TYPES = frozenset({0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112})


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One message. Addresses are text with port: "192.0.2.1:3478", "[2001:db8::1]:3478"."""

    method: int  # 1 Binding, 3 Allocate, ... (RFC 8489, 18.2)
    cls: int  # 0 request, 1 indication, 2 success, 3 error
    magic: bool  # False in classic STUN
    transaction_id: bytes  # 12 bytes, 16 in classic STUN
    attributes: tuple[tuple[int, bytes], ...]  # type and value, in order, unknown ones too
    realm: str | None = None
    software: str | None = None
    username: str | None = None
    mapped: str | None = None  # how the server saw the client, from MAPPED-ADDRESS
    xor_mapped: str | None = None  # the same, from XOR-MAPPED-ADDRESS
    relayed: str | None = None  # the relay's address given to the client
    peers: tuple[str, ...] = ()  # with whom the client talks through the relay


@decoder
def message(data: bytes) -> StunMessage:
    """The message at the start of `data`; bytes behind it are not looked at.

    Without the magic cookie there is little to know it by, so a classic message must be of a type of RFC 3489 and fill
    `data` exactly.
    """
    cursor = Cursor(data)
    if cursor.u8() & 0xC0:
        raise Bad("not STUN: the first two bits are set", 0)
    cursor = Cursor(data)
    kind, length, cookie = cursor.unpack(HEADER)
    magic = cookie == MAGIC_COOKIE
    if not magic and (kind not in CLASSIC_TYPES or length != len(data) - HEADER_BYTES):
        raise Bad("not STUN: no magic cookie", 4)
    cursor = Cursor(data, 4)
    key = cursor.take(16)  # cookie and transaction id: what XOR-ed addresses are XOR-ed with
    cursor.skip(length)
    attributes = _attributes(data, HEADER_BYTES, cursor.offset)
    first: dict[int, bytes] = {}
    for number, value in attributes:
        first.setdefault(number, value)  # RFC 8489, 14: only the first of a type counts
    xor_mapped = first.get(XOR_MAPPED_ADDRESS, first.get(XOR_MAPPED_ADDRESS_OLD))
    peers = (_address(value, key) for number, value in attributes if number == XOR_PEER_ADDRESS)
    return StunMessage(
        # RFC 8489, 5: the two bits of the class lie between those of the method.
        kind & 0x000F | kind >> 1 & 0x0070 | kind >> 2 & 0x0F80,
        kind >> 4 & 1 | kind >> 7 & 2,
        magic,
        key[4:] if magic else key,
        attributes,
        _text(first.get(REALM)),
        _text(first.get(SOFTWARE)),
        _text(first.get(USERNAME)),
        _address(first.get(MAPPED_ADDRESS), None),
        _address(xor_mapped, key),
        _address(first.get(XOR_RELAYED_ADDRESS), key),
        tuple([peer for peer in peers if peer]),
    )


def _attributes(data: bytes, start: int, end: int) -> tuple[tuple[int, bytes], ...]:
    """Type, length, value, padded to 4 bytes (RFC 8489, 14).

    Meta's relays and classic STUN (RFC 3489, 11.2) do not pad, so what does not fit with padding is tried without.
    """
    try:
        return _walk(Cursor(data, start, end), 4)
    except Bad as padded:
        try:
            return _walk(Cursor(data, start, end), 1)
        except Bad:
            raise padded from None


def _walk(body: Cursor, multiple: int) -> tuple[tuple[int, bytes], ...]:
    found = []
    while body.offset < body.end:
        number, length = body.unpack(ATTRIBUTE)
        found.append((number, body.take(length)))
        if padding := -length % multiple:
            body.skip(min(padding, body.end - body.offset))  # the last one's may be missing
    return tuple(found)


def _text(value: bytes | None) -> str | None:
    return None if value is None else text(value.rstrip(b"\x00"))


def _address(value: bytes | None, key: bytes | None) -> str | None:
    """An address attribute as text (RFC 8489, 14.1 and 14.2); None if it is missing or of no known shape.

    Vendors put values of their own into these types, so an odd shape does not spoil the message.
    """
    if value is None or (len(value), value[1:2]) not in ADDRESS_SHAPES:
        return None
    port = int.from_bytes(value[2:4], "big")
    raw = value[4:]
    if key:
        port ^= int.from_bytes(key[:2], "big")
        raw = bytes(a ^ b for a, b in zip(raw, key, strict=False))
    if len(raw) == 4:
        return f"{ipv4(raw)}:{port}"
    return f"[{ipv6(raw)}]:{port}"
