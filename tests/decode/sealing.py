"""Initials sealed by the cryptography package's HKDF and AEAD, with the salts as their documents print them."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.decode.samples import RFC_DCID, V2, varint, vector8

DRAFT_22 = "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a"  # draft-ietf-quic-tls-22, 5.2
DRAFT_23 = "c3eef712c72ebb5a11a7d2432bb46365bef9f502"  # draft-ietf-quic-tls-23 to -28
DRAFT_29 = "afbfec289993d24c9e9786f19c6111e04390a899"  # draft-ietf-quic-tls-29 to -32
VERSION_1 = "38762cf7f55934b34d179ae6a4c80cadccbb7f0a"  # draft-ietf-quic-tls-33, RFC 9001, 5.2
VERSION_2 = "0dede3def700a6db819381be6e269dcbf9bd2ed9"  # RFC 9369, 3.3.1
Q050 = "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45"  # Chromium, crypto_utils.cc
T050 = "7ff579e5acd072915580304c43a2367c60488310"
T051 = "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d"
FORCING = "f964bf453a1f1b80a5f8820377d4afca580ee743"  # Chromium, for versions reserved for negotiation

SALTS: dict[int, str] = {
    1: VERSION_1,
    V2: VERSION_2,
    0xFF000000 + 22: DRAFT_22,
    **{0xFF000000 + draft: DRAFT_23 for draft in range(23, 29)},
    **{0xFF000000 + draft: DRAFT_29 for draft in range(29, 33)},
    **{0xFF000000 + draft: VERSION_1 for draft in (33, 34)},
    0xFACEB001: DRAFT_22,  # mvfst: getQuicVersionSalt gives draft 23's for what it does not name
    0xFACEB002: DRAFT_23,
    0xFACEB003: VERSION_1,
    0xFACEB004: VERSION_1,
    **{0xFACEB000 + number: DRAFT_23 for number in (0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x13, 0x14, 0x15)},
    0xFACEFEED: DRAFT_23,
    0x51303530: Q050,
    0x54303530: T050,
    0x54303531: T051,
}


def extract(salt: str, key: bytes) -> bytes:
    """HKDF-Extract (RFC 5869, 2.2)."""
    mac = HMAC(bytes.fromhex(salt), SHA256())
    mac.update(key)
    return mac.finalize()


def sealed(
    version: int,
    payload: bytes,
    *,
    salt: str | None = None,
    key_dcid: bytes = RFC_DCID,
    dcid: bytes | None = None,
    scid: bytes = b"",
    number: int = 5,
    side: bytes = b"client in",
) -> bytes:
    """An Initial with a packet number of one byte (RFC 9001, 5)."""
    payload = payload.ljust(3, b"\x00")  # enough for the sample
    secret = extract(SALTS[version] if salt is None else salt, key_dcid)
    label = b"tls13 " + side
    secret = HKDFExpand(SHA256(), 32, b"\x00\x20" + vector8(label) + b"\x00").derive(secret)
    prefix = b"quicv2 " if version == V2 else b"quic "

    def expand(name: bytes, size: int) -> bytes:
        full = b"tls13 " + prefix + name
        return HKDFExpand(SHA256(), size, bytes([0, size, len(full)]) + full + b"\x00").derive(secret)

    head = bytes([0xD0 if version == V2 else 0xC0]) + version.to_bytes(4, "big")
    head += vector8(key_dcid if dcid is None else dcid) + vector8(scid) + b"\x00"
    head += varint(1 + len(payload) + 16) + bytes([number])
    nonce = (int.from_bytes(expand(b"iv", 12), "big") ^ number).to_bytes(12, "big")
    body = AESGCM(expand(b"key", 16)).encrypt(nonce, payload, head)
    encryptor = Cipher(algorithms.AES(expand(b"hp", 16)), modes.ECB()).encryptor()
    mask = encryptor.update(body[3:19])
    return bytes([head[0] ^ mask[0] & 0x0F]) + head[1:-1] + bytes([head[-1] ^ mask[1]]) + body
