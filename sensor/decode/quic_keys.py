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


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """How one version makes and marks its Initials."""

    extract: Hmac  # HKDF-Extract under its salt (RFC 5869, 2.2)
    key: bytes  # the HKDF labels, ready made
    iv: bytes
    hp: bytes
    types: tuple[int, int, int, int]  # the packet type for each value of the header's two bits
    google: int = 0  # 50 for Q050 and T050, whose frames are those of Google's QUIC; else 0


def _version(
    salt: str, prefix: str = "quic", types: tuple[int, int, int, int] = (0, 1, 2, 3), google: int = 0
) -> Version:
    extract = Hmac(bytes.fromhex(salt))
    key, iv, hp = _label(f"{prefix} key", 16), _label(f"{prefix} iv", 12), _label(f"{prefix} hp", 16)
    return Version(extract, key, iv, hp, types, google)


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
    # Meta's mvfst: its first version is draft 22, those after it draft 27 under other numbers (an alias, experiments, one
    # that primes), or version 1.
    0xFACEB001: _DRAFT_22,
    **dict.fromkeys((0xFACEB002, *range(0xFACEB00D, 0xFACEB020), 0xFACEFEED), _DRAFT_23),
    **dict.fromkeys((0xFACEB003, 0xFACEB004), _V1),
    # Google's, from after its first ones and before the standard: sealed, with salts and frames of their own. The letter
    # says who shakes hands, QUIC Crypto or TLS.
    0x51303530: _version("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45", google=50),
    0x54303530: _version("7ff579e5acd072915580304c43a2367c60488310", google=50),
    0x54303531: _version("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d", google=51),
}

# A version that no server knows is how a client makes one negotiate (RFC 9000, 15: 0x?a?a?a?a). What seals it nobody
# says: Chromium has a salt for it, others take that of the version they really speak.
RESERVED = (_version("f964bf453a1f1b80a5f8820377d4afca580ee743"), _V1, _DRAFT_29)


def versions(number: int) -> tuple[Version, ...]:
    """What may have made an Initial of this version; () where it cannot be read."""
    if number & 0x0F0F0F0F == 0x0A0A0A0A:
        return RESERVED
    version = VERSIONS.get(number)
    return () if version is None else (version,)


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
        self._made: dict[tuple[Version, bytes, bytes], Keys] = {}

    def candidates(self, version: Version, dcid: bytes) -> Iterator[tuple[bytes, bool, Keys]]:
        """For a packet of `version` to `dcid`: connection id, whether the client's side, keys; likeliest first."""
        known = self._dcid
        if known is not None:
            yield known, True, self._keys(version, known, CLIENT_IN)
            if known != dcid:  # a server's packet goes to the id that the client chose for itself
                yield known, False, self._keys(version, known, SERVER_IN)
        if known != dcid:
            yield dcid, True, self._keys(version, dcid, CLIENT_IN)

    def _keys(self, version: Version, dcid: bytes, side: bytes) -> Keys:
        made = self._made.get((version, dcid, side))
        if made is None:
            made = self._made[version, dcid, side] = Keys(version, dcid, side)
        return made
