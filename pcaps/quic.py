"""QUIC version 1 as a client and a server open it: Initials sealed after RFC 9001, the rest at random behind real headers.

This is written without a look at the sensor's own reader, so that each checks the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pcaps.tls import Profile, Turn, client_hello, server_hello, vector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pcaps.wire import Link, Trace

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001 section 5.2
VERSION = b"\0\0\0\1"
DATAGRAM = 1250  # bytes a browser pads its Initials to; RFC 9000 section 14.1 asks for 1200 at least


@dataclass(frozen=True, slots=True)
class Ends:
    """Connection ids of an opening: the one the client made up for the server, and the server's own."""

    original: bytes
    server: bytes


def varint(value: int) -> bytes:
    """RFC 9000 section 16."""
    for power, limit in enumerate((1 << 6, 1 << 14, 1 << 30)):
        if value < limit:
            return (value | power << (8 * (1 << power) - 2)).to_bytes(1 << power, "big")
    return (value | 3 << 62).to_bytes(8, "big")


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 section 7.1)."""
    info = length.to_bytes(2, "big") + vector(b"tls13 " + label, 1) + b"\0"
    return HKDFExpand(SHA256(), length, info).derive(secret)


def initial_keys(original: bytes, *, client: bool) -> tuple[bytes, bytes, bytes]:
    """Key, IV and header protection key of one side's Initials (RFC 9001 section 5.2)."""
    extract = HMAC(SALT, SHA256())
    extract.update(original)
    secret = expand(extract.finalize(), b"client in" if client else b"server in", 32)
    return expand(secret, b"quic key", 16), expand(secret, b"quic iv", 12), expand(secret, b"quic hp", 16)


def seal_initial(original: bytes, dcid: bytes, scid: bytes, number: int, frames: bytes, *, client: bool) -> bytes:
    """One Initial packet: AES-128-GCM, then header protection (RFC 9001 sections 5.3 and 5.4)."""
    key, iv, mask_key = initial_keys(original, client=client)
    length = varint(2 + len(frames) + 16)
    head = b"\xc1" + VERSION + vector(dcid, 1) + vector(scid, 1) + b"\0" + length + number.to_bytes(2, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    body = AESGCM(key).encrypt(nonce, frames, head)
    sample = body[2:18]  # four bytes after the start of the packet number, which takes two
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(sample)  # noqa: S305 - RFC 9001 section 5.4.3
    hidden = bytes(a ^ b for a, b in zip(head[-2:], mask[1:3], strict=True))
    return bytes((head[0] ^ mask[0] & 0x0F,)) + head[1:-2] + hidden + body


def crypto(offset: int, data: bytes) -> bytes:
    """A CRYPTO frame (RFC 9000 section 19.6)."""
    return b"\x06" + varint(offset) + varint(len(data)) + data


def transport_parameters(rng: Random) -> bytes:
    """RFC 9000 section 18.2, as a browser sends them: an empty source id, limits, one grease entry."""
    values = (
        (1, 30_000),
        (3, 1472),
        (4, 15_728_640),
        (5, 6_291_456),
        (6, 6_291_456),
        (7, 6_291_456),
        (8, 100),
        (9, 103),
    )
    plain = b"".join(varint(kind) + vector(varint(value), 1) for kind, value in values)
    return plain + b"\x0f\0" + varint(27 + 31 * rng.randrange(1 << 20)) + vector(rng.randbytes(8), 1)


def opening(rng: Random, name: str, profile: Profile, ids: Ends, *, scrambled: bool) -> list[bytes]:
    """The client's first datagrams, one or two: a ClientHello with a post-quantum share does not fit into one."""
    hello = client_hello(rng, name, profile, ("h3",), transport_parameters(rng))
    room = DATAGRAM - 90
    pieces = [(at, hello[at : at + room]) for at in range(0, len(hello), room)]
    datagrams = []
    for number, (at, data) in enumerate(pieces, start=1):
        frames = _scramble(rng, at, data) if scrambled else crypto(at, data)
        bare = len(seal_initial(ids.original, ids.original, b"", number, frames.ljust(100, b"\0"), client=True))
        filled = frames.ljust(max(len(frames), 100) + DATAGRAM - bare, b"\0")
        datagrams.append(seal_initial(ids.original, ids.original, b"", number, filled, client=True)[:DATAGRAM])
    return datagrams


def session(trace: Trace, link: Link, name: str, profile: Profile, turns: Sequence[Turn], *, at: float,
            rtt: float = 0.016, scrambled: bool = False) -> float:  # fmt: skip
    """A QUIC connection with the name recorded at the Initials that carry it. Returns the time of its end."""
    rng = trace.rng(f"quic/{link.src.name}/{link.sport}/{name}/{at:.3f}")
    ids = Ends(rng.randbytes(8), rng.randbytes(8))
    back = link.turned()
    refs = []
    for datagram in opening(rng, name, profile, ids, scrambled=scrambled):
        refs.append(trace.udp(at, link, datagram))
        at += 0.00009
    extra = {"split": "yes"} if len(refs) > 1 else {}
    trace.say("quic_sni", name, link.src.address(link.six), refs, server=link.dst.address(link.six), **extra)
    at += rtt
    for datagram in _answer(rng, profile, ids):
        trace.udp(at, back, datagram)
        at += 0.00011
    acknowledged = seal_initial(ids.original, ids.server, b"", 3, b"\x02\0\0\0\0".ljust(60, b"\0"), client=True)
    trace.udp(at + 0.0005, link, acknowledged + _handshake(rng, ids.server, b"", 52) + _short(rng, ids.server, 1060))
    at += 0.001 + rtt
    trace.udp(at, back, _short(rng, b"", 180))
    for turn in turns:
        at += turn.think + 0.0004
        at = _burst(trace, rng, link, ids.server, turn.up, at)
        at = _burst(trace, rng, back, b"", turn.down, at + rtt)
        trace.udp(at + 0.0003, link, _short(rng, ids.server, 26))
        at += 0.0006
    return at


def _scramble(rng: Random, offset: int, data: bytes) -> bytes:
    """Cut into four CRYPTO frames out of order, with PING and PADDING between them, as Chrome does."""
    cuts = sorted(rng.sample(range(20, len(data) - 20), 3)) if len(data) > 60 else []
    edges = [0, *cuts, len(data)]
    frames = [crypto(offset + low, data[low:high]) for low, high in itertools.pairwise(edges)]
    rng.shuffle(frames)
    return b"\x01".join(frames[:2]) + b"".join(bytes(3) + frame for frame in frames[2:])


def _answer(rng: Random, profile: Profile, ids: Ends) -> list[bytes]:
    """The server's Initial with its ServerHello, and Handshake packets in the same and in the next datagram."""
    hello = server_hello(rng, profile, b"")
    datagrams = []
    for number, at in enumerate(range(0, len(hello), 1100)):
        frames = (b"\x02\1\0\0\1" if number == 0 else b"") + crypto(at, hello[at : at + 1100])
        last = at + 1100 >= len(hello)
        frames = frames.ljust(60 if last else 1150, b"\0")
        datagrams.append(seal_initial(ids.original, b"", ids.server, number, frames, client=False))
    datagrams[-1] += _handshake(rng, b"", ids.server, max(60, 1200 - len(datagrams[-1]) - 24))
    return [*datagrams, _handshake(rng, b"", ids.server, 900)]


def _handshake(rng: Random, dcid: bytes, scid: bytes, size: int) -> bytes:
    first = 0xE0 | rng.getrandbits(4)
    return bytes((first,)) + VERSION + vector(dcid, 1) + vector(scid, 1) + varint(size) + rng.randbytes(size)


def _short(rng: Random, dcid: bytes, size: int) -> bytes:
    return bytes((0x40 | rng.getrandbits(5),)) + dcid + rng.randbytes(size)


def _burst(trace: Trace, rng: Random, link: Link, dcid: bytes, size: int, at: float) -> float:
    for left in range(size, 0, -1200):
        trace.udp(at, link, _short(rng, dcid, min(left, 1200) + 19))
        at += rng.uniform(0.00004, 0.0002)
    return at
