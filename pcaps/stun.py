"""STUN and TURN messages (RFC 8489, RFC 8656) and media packets (RTP, RFC 3550; SRTP's look, RFC 3711)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.wire import Link, Trace, packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

COOKIE = 0x2112A442
BINDING, ALLOCATE, CREATE_PERMISSION, SUCCESS, FAILURE = 0x0001, 0x0003, 0x0008, 0x0100, 0x0110
USERNAME, INTEGRITY, ERROR, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015
LIFETIME, PEER, RELAYED, TRANSPORT, MAPPED, PRIORITY = 0x000D, 0x0012, 0x0016, 0x0019, 0x0020, 0x0024
CONTROLLED, CONTROLLING, FINGERPRINT = 0x8029, 0x802A, 0x8028
UDP_TRANSPORT = b"\x11\0\0\0"

Attribute = tuple[int, bytes]


def stun(
    kind: int,
    transaction: bytes,
    attributes: list[Attribute] | None = None,
    *,
    marked: bool = False,
    cookie: bool = True,
) -> bytes:
    """A STUN message. `transaction`: 12 bytes, or 16 where the magic cookie is absent. `marked` adds a FINGERPRINT."""
    body = b"".join(_attribute(*item) for item in attributes or [])
    head = struct.pack("!I", COOKIE) + transaction if cookie else transaction
    plain = struct.pack("!HH", kind, len(body) + (8 if marked else 0)) + head + body
    if marked:
        plain += _attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(plain) ^ 0x5354554E))
    return plain


def xor_address(address: str, port: int, transaction: bytes) -> bytes:
    """RFC 8489 section 14.2."""
    key = struct.pack("!I", COOKIE) + transaction
    plain = packed(address)
    hidden = bytes(a ^ b for a, b in zip(plain, key, strict=False))
    return struct.pack("!BBH", 0, 1 if len(plain) == 4 else 2, port ^ COOKIE >> 16) + hidden


def ask(trace: Trace, link: Link, rng: Random, at: float, kind: int, attributes: list[Attribute], *,
        answer: list[Attribute] | None = None, seen_as: tuple[str, int] = ("", 0), rtt: float = 0.02,
        marked: bool = False) -> float:  # fmt: skip
    """A request and its success with the mapped address and more attributes. Returns the time of the answer."""
    transaction = rng.randbytes(12)
    trace.udp(at, link, stun(kind, transaction, attributes, marked=marked))
    mapped = [(MAPPED, xor_address(*seen_as, transaction))] if seen_as[0] else []
    trace.udp(at + rtt, link.turned(), stun(kind | SUCCESS, transaction, [*mapped, *(answer or [])], marked=marked))
    return at + rtt


@dataclass(frozen=True, slots=True)
class Leg:
    """One direction of one media stream. `wrap` puts an app's own header before each packet."""

    pps: float
    low: int  # bytes of sealed payload
    high: int
    payload_type: int
    clock: int = 960  # RTP timestamp per packet
    extended: bool = False
    wrap: Callable[[int], bytes] | None = None
    burst: int = 1  # packets that leave together, as those of one picture do


def flow(trace: Trace, link: Link, leg: Leg, at: float, seconds: float, label: str) -> None:
    """Send one leg for some seconds: sequence numbers and timestamps that add up, a little jitter, RTCP now and then."""
    rng = trace.rng(f"media/{label}/{link.src.name}/{link.sport}/{link.dport}/{leg.payload_type}/{at:.3f}")
    source, sequence, stamp = rng.randbytes(4), rng.getrandbits(15), rng.getrandbits(31)
    for index in range(int(seconds * leg.pps)):
        picture, place = divmod(index, leg.burst)
        moment = at + picture * leg.burst / leg.pps + place * 0.0003 + rng.uniform(0, 0.004)
        last = place == leg.burst - 1
        head = struct.pack(
            "!BBHI", 0x90 if leg.extended else 0x80, leg.payload_type | (0x80 if leg.burst > 1 and last else 0),
            sequence + index & 0xFFFF, stamp + picture * leg.clock & 0xFFFFFFFF,
        )  # fmt: skip
        extension = b"\xbe\xde\0\1\x10" + rng.randbytes(1) + b"\0\0" if leg.extended else b""
        sealed = rng.randbytes(rng.randint(leg.low, leg.high))
        trace.udp(moment, link, (leg.wrap(index) if leg.wrap else b"") + head + source + extension + sealed)
        if index % int(leg.pps * 5) == int(leg.pps * 2) and leg.wrap is None:
            report = (
                b"\x81\xc8\0\x0c"
                + source
                + rng.randbytes(44)
                + struct.pack("!I", 0x80000000 | picture)
                + rng.randbytes(10)
            )
            trace.udp(moment + 0.002, link, report)


def call(trace: Trace, link: Link, up: list[Leg], down: list[Leg], at: float, seconds: float, label: str) -> None:
    """Both directions of a call."""
    for leg in up:
        flow(trace, link, leg, at, seconds, label)
    for leg in down:
        flow(trace, link.turned(), leg, at + 0.011, seconds, label)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
