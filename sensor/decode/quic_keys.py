"""What opens a QUIC Initial: the versions and the keys that follow from a connection id (RFC 9001, 5; RFC 9369, 3).

Nothing here is secret: whoever sees the client's first connection id has these keys, and that is how the standard means
it. A version that is not in the table is not read; to read one more, add its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

if TYPE_CHECKING:
    from collections.abc import Iterator

INITIAL, ZERO_RTT, HANDSHAKE, RETRY = range(4)  # packet types as version 1 numbers them (RFC 9000, 17.2)

_BLOCK_BYTES = 64  # of SHA-256
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
# One block of AES is what header protection is made of (RFC 9001, 5.4.3); it hides nothing from an observer.
_ECB = ECB()  # noqa: S305 - see above


class Hmac:
    """HMAC-SHA-256 under one key (RFC 2104). The key is absorbed once, which takes half the time of hmac.digest."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\x00")
        self._inner = sha256(block.translate(_INNER_PAD))
        self._outer = sha256(block.translate(_OUTER_PAD))

    def digest(self, data: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def _label(name: str, size_bytes: int) -> bytes:
    """HkdfLabel of RFC 8446, 7.1, with an empty context, and the counter of the only HKDF block (RFC 5869, 2.3)."""
    full = b"tls13 " + name.encode("ascii")
    return size_bytes.to_bytes(2, "big") + bytes([len(full)]) + full + b"\x00\x01"


CLIENT_IN = _label("client in", 32)
SERVER_IN = _label("server in", 32)


@dataclass(frozen=True, slots=True)
class Version:
    """How one version makes and marks its Initials."""

    extract: Hmac  # HKDF-Extract under its salt (RFC 5869, 2.2)
    key: bytes  # the HKDF labels, ready made
    iv: bytes
    hp: bytes
    types: tuple[int, int, int, int]  # the packet type for each value of the header's two bits


def _version(salt: str, prefix: str = "quic", types: tuple[int, int, int, int] = (0, 1, 2, 3)) -> Version:
    extract = Hmac(bytes.fromhex(salt))
    return Version(extract, _label(f"{prefix} key", 16), _label(f"{prefix} iv", 12), _label(f"{prefix} hp", 16), types)


_V1 = _version("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001, 5.2
_V2 = _version("0dede3def700a6db819381be6e269dcbf9bd2ed9", "quicv2", (RETRY, INITIAL, ZERO_RTT, HANDSHAKE))
_DRAFT_22 = _version("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")  # draft-ietf-quic-tls-22, 5.2
_DRAFT_23 = _version("c3eef712c72ebb5a11a7d2432bb46365bef9f502")  # drafts 23 to 28
_DRAFT_29 = _version("afbfec289993d24c9e9786f19c6111e04390a899")  # drafts 29 to 32; 33 and 34 are as version 1

VERSIONS: dict[int, Version] = {
    0x00000001: _V1,
    0x6B3343CF: _V2,  # RFC 9369, 3
    0xFF000016: _DRAFT_22,
    **dict.fromkeys(range(0xFF000017, 0xFF00001D), _DRAFT_23),
    **dict.fromkeys(range(0xFF00001D, 0xFF000021), _DRAFT_29),
    **dict.fromkeys(range(0xFF000021, 0xFF000023), _V1),
    # Meta's mvfst: its first version is draft 22, its second and the experimental one draft 27 under another number.
    0xFACEB001: _DRAFT_22,
    0xFACEB002: _DRAFT_23,
    0xFACEB00E: _DRAFT_23,
}


class Keys:
    """What opens the Initials of one side (RFC 9001, 5.1): AEAD, IV, and `mask`, which makes a mask of a sample."""

    __slots__ = ("aead", "iv", "mask")

    def __init__(self, version: Version, dcid: bytes, side: bytes) -> None:
        expand = Hmac(Hmac(version.extract.digest(dcid)).digest(side)).digest
        self.aead = AESGCM(expand(version.key)[:16])
        self.iv = int.from_bytes(expand(version.iv)[:12], "big")
        self.mask = Cipher(AES(expand(version.hp)[:16]), _ECB).encryptor().update


class KeyRing:
    """The keys that may fit the packets of one datagram, made when first asked for."""

    __slots__ = ("_dcid", "_made")

    def __init__(self, dcid: bytes | None) -> None:
        self._dcid = dcid
        self._made: dict[tuple[int, bytes, bytes], Keys] = {}

    def candidates(self, number: int, dcid: bytes) -> Iterator[tuple[bytes, bool, Keys]]:
        """For a packet of version `number` to `dcid`: connection id, whether the client's side, keys; likeliest first."""
        known = self._dcid
        if known is not None:
            yield known, True, self._keys(number, known, CLIENT_IN)
            if known != dcid:  # a server's packet goes to the id that the client chose for itself
                yield known, False, self._keys(number, known, SERVER_IN)
        if known != dcid:
            yield dcid, True, self._keys(number, dcid, CLIENT_IN)

    def _keys(self, number: int, dcid: bytes, side: bytes) -> Keys:
        made = self._made.get((number, dcid, side))
        if made is None:
            made = self._made[number, dcid, side] = Keys(VERSIONS[number], dcid, side)
        return made
