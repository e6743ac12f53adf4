"""TLS as browsers, phones and servers say it (RFC 8446, RFC 5246): hellos with real extensions, sealed bytes at random."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pcaps.tcp import Tcp

HANDSHAKE, CHANGE_CIPHER, APPLICATION = 22, 20, 23
X25519, X25519MLKEM768 = 0x001D, 0x11EC
SHARE_BYTES = {X25519: (32, 32), X25519MLKEM768: (1216, 1120)}  # client, server (draft-ietf-tls-ecdhe-mlkem)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one TLS library says hello."""

    ciphers: tuple[int, ...]
    groups: tuple[int, ...]
    alpn: tuple[str, ...]
    grease: bool = False  # RFC 8701
    shuffled: bool = False
    ech: bool = False  # sends GREASE ECH
    post_quantum: bool = False
    newest: int = 0x0304


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange inside a session: the client thinks, sends, the server answers."""

    think: float
    up: int  # bytes
    down: int


_NEW = (0x1301, 0x1302, 0x1303)
_ECDHE = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)
_GROUPS = (X25519, 0x0017, 0x0018)
CHROME = Profile(
    (*_NEW, *_ECDHE, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35), _GROUPS, ("h2", "http/1.1"), True, True, True
)
CHROME_PQ = Profile(CHROME.ciphers, (X25519MLKEM768, *_GROUPS), CHROME.alpn, True, True, True, post_quantum=True)
FIREFOX = Profile((0x1301, 0x1303, 0x1302, *_ECDHE, 0xC00A, 0xC009, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35),
                  (*_GROUPS, 0x0019), CHROME.alpn)  # fmt: skip
APPLE = Profile((*_NEW, 0xC02C, 0xC02B, 0xCCA9, 0xC030, 0xC02F, 0xCCA8, 0xC00A, 0xC009, 0xC014, 0xC013), _GROUPS,
                CHROME.alpn, grease=True)  # fmt: skip
ANDROID = Profile((*_NEW, *_ECDHE, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35), _GROUPS, CHROME.alpn)
NATIVE = Profile((0x1302, 0x1303, 0x1301, *_ECDHE, 0x9F, 0x9E), (X25519, 0x0017, 0x001E, 0x0019), ("http/1.1",))
OLD = Profile(
    (*_ECDHE, 0xC00A, 0xC009, 0xC014, 0xC013, 0x9D, 0x9C, 0x35, 0x2F), _GROUPS, ("h2", "http/1.1"), newest=0x0303
)


def vector(data: bytes, width: int = 2) -> bytes:
    """Data with its length in front."""
    return len(data).to_bytes(width, "big") + data


def shorts(values: Sequence[int]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)


def extension(kind: int, body: bytes) -> bytes:
    return shorts((kind,)) + vector(body)


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + vector(body, 3)


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes((kind,)) + shorts((version,)) + vector(body)


def sealed(rng: Random, size: int) -> bytes:
    """Records of encrypted data, 16 KB at most each."""
    return b"".join(record(APPLICATION, rng.randbytes(min(16_000, size - at) + 17)) for at in range(0, size, 16_000))


def client_hello(
    rng: Random, name: str, profile: Profile, alpn: Sequence[str] = (), quic: bytes | None = None
) -> bytes:
    """A ClientHello handshake message for one server name; `quic` holds the transport parameters (RFC 9001 section 8.2)."""
    grease = 0x0A0A + 0x1010 * rng.randrange(16)
    odd = (grease,) if profile.grease else ()
    share = profile.groups[:2] if profile.post_quantum else profile.groups[:1]
    keys = b"".join(shorts((group,)) + vector(rng.randbytes(SHARE_BYTES[group][0])) for group in share)
    if odd:
        keys = shorts(odd) + b"\0\1\0" + keys
    body = [
        extension(0, vector(b"\0" + vector(name.encode("ascii")))),
        extension(10, vector(shorts((*odd, *profile.groups)))),
        extension(13, vector(shorts((0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)))),
        extension(16, vector(b"".join(vector(p.encode(), 1) for p in alpn or profile.alpn))),
        extension(5, b"\1\0\0\0\0"),
    ]
    if quic is None:
        body += [extension(23, b""), extension(0xFF01, b"\0"), extension(11, b"\1\0"), extension(35, b""),
                 extension(18, b"")]  # fmt: skip
    if profile.newest == 0x0304:
        versions = (*odd, 0x0304) if quic is not None else (*odd, 0x0304, 0x0303)
        body += [extension(51, vector(keys)), extension(45, b"\1\1"), extension(43, vector(shorts(versions), 1))]
    if quic is not None:
        body.append(extension(57, quic))
    if profile.ech:
        body.append(
            extension(0xFE0D, b"\0\0\1\0\1" + rng.randbytes(1) + vector(rng.randbytes(32)) + vector(rng.randbytes(144)))
        )
    if profile.shuffled:
        rng.shuffle(body)
    if odd:
        body = [extension(grease, b""), *body, extension(grease ^ 0x1010, b"\0")]
    session = b"" if quic is not None else rng.randbytes(32)
    ciphers = _NEW if quic is not None else profile.ciphers
    inner = b"".join(body)
    if len(inner) + 4 < 384 and quic is None:
        inner += extension(21, bytes(384 - len(inner) - 4))  # RFC 7685
    return message(
        1, b"\3\3" + rng.randbytes(32) + vector(session, 1) + vector(shorts((*odd, *ciphers))) + b"\1\0" + vector(inner)
    )


def server_hello(rng: Random, profile: Profile, session: bytes) -> bytes:
    """The answer of a TLS 1.3 server: takes the client's first key share."""
    group = profile.groups[0]
    body = extension(43, b"\3\4") + extension(51, shorts((group,)) + vector(rng.randbytes(SHARE_BYTES[group][1])))
    return message(2, b"\3\3" + rng.randbytes(32) + vector(session, 1) + b"\x13\1\0" + vector(body))


@lru_cache
def certificate(name: str) -> bytes:
    """A DER certificate for a name and its sub-names. Ed25519, because its signatures are the same on each run."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Clinic Morning Test CA")])
    made = x509.CertificateBuilder(
        issuer, common, key.public_key(), int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") | 1,
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"*.{name}")])
    return made.add_extension(names, critical=False).sign(key, None).public_bytes(Encoding.DER)


def session(tcp: Tcp, name: str, profile: Profile, turns: Sequence[Turn], *, alpn: Sequence[str] = (),
            order: Sequence[int] = (), again: int = -1, cuts: Sequence[int] = (), end: bool = True) -> None:  # fmt: skip
    """A whole TLS session over a fresh TCP conversation, with the name recorded at the frames of the ClientHello."""
    rng = tcp.rng
    hello = client_hello(rng, name, profile, alpn)
    refs = tcp.send(record(HANDSHAKE, hello, 0x0301), up=True, order=order, again=again, cuts=cuts)
    extra = (
        {"server": tcp.server.address(tcp.six), "split": "yes"}
        if len(refs) > 1
        else {"server": tcp.server.address(tcp.six)}
    )
    tcp.trace.say("tls_sni", name, tcp.client.address(tcp.six), [refs[i] for i in order] if order else refs, **extra)
    echoed = hello[39:71] if hello[38] else b""
    (_new_keys if profile.newest == 0x0304 else _old_keys)(tcp, name, profile, echoed)
    for turn in turns:
        if turn.up:
            tcp.send(sealed(rng, turn.up), up=True, think=turn.think)
        if turn.down:
            tcp.send(sealed(rng, turn.down), up=False, think=0.0 if turn.up else turn.think)
    if end:
        tcp.send(record(APPLICATION, rng.randbytes(19)), up=True)  # close_notify
        tcp.close()


def _new_keys(tcp: Tcp, _name: str, profile: Profile, echoed: bytes) -> None:
    rng = tcp.rng
    changed = record(CHANGE_CIPHER, b"\1")
    flight = record(HANDSHAKE, server_hello(rng, profile, echoed)) + changed
    tcp.send(flight + record(APPLICATION, rng.randbytes(905)) + record(APPLICATION, rng.randbytes(69)), up=False)
    tcp.send(changed + record(APPLICATION, rng.randbytes(69)), up=True)


def _old_keys(tcp: Tcp, name: str, _profile: Profile, _echoed: bytes) -> None:
    """TLS 1.2: the certificate goes in the clear."""
    rng = tcp.rng
    hello = message(2, b"\3\3" + rng.randbytes(32) + vector(rng.randbytes(32), 1) + b"\xc0\x2b\0" + vector(
        extension(0xFF01, b"\0") + extension(11, b"\1\0") + extension(16, vector(vector(b"h2", 1)))))  # fmt: skip
    chain = message(11, vector(vector(certificate(name), 3), 3))
    exchange = message(12, b"\3\0\x1d" + vector(rng.randbytes(32), 1) + b"\x08\x07" + vector(rng.randbytes(64)))
    tcp.send(record(HANDSHAKE, hello + chain + exchange + message(14, b"")), up=False)
    finished = record(CHANGE_CIPHER, b"\1") + record(HANDSHAKE, rng.randbytes(40))
    tcp.send(record(HANDSHAKE, message(16, vector(rng.randbytes(32), 1))) + finished, up=True)
    tcp.send(finished, up=False)
