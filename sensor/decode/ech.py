"""Encrypted ClientHello: what the outer hello shows of it (RFC 9849, 5).

A client without a configuration sends the same with made-up contents (GREASE, 6.2), so one hello never tells which it is;
the configuration's number may, beside what DNS gave out for the server's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensor.decode.cursor import Bad, Cursor, decoder
from sensor.decode.text import host

OUTER, INNER = 0, 1  # ECHClientHelloType
CONFIG_VERSION = 0xFE0D  # the one that RFC 9849 gives contents to; others are skipped by their length
MAX_CONFIGS = 32


@dataclass(frozen=True, slots=True)
class Ech:
    """The extension's contents. `inner`: it stands in an inner hello and is empty, which on the wire only a broken client shows."""

    inner: bool
    kdf: int = 0  # HPKE (RFC 9180, 7)
    aead: int = 0
    config_id: int = 0
    enc: bytes = b""  # empty in the second hello, after a HelloRetryRequest
    payload_bytes: int = 0


@decoder
def ech(extension: bytes) -> Ech:
    """The data of an encrypted_client_hello extension; None where it is cut short."""
    cursor = Cursor(extension)
    kind = cursor.u8()
    if kind == INNER:
        found = Ech(inner=True)
    elif kind == OUTER:
        kdf, aead, config_id = cursor.u16(), cursor.u16(), cursor.u8()
        enc = cursor.take(cursor.u16())
        payload_bytes = cursor.u16()
        if not payload_bytes:
            raise Bad("an encrypted ClientHello without contents", cursor.offset - 2)
        cursor.skip(payload_bytes)
        found = Ech(inner=False, kdf=kdf, aead=aead, config_id=config_id, enc=enc, payload_bytes=payload_bytes)
    else:
        raise Bad("neither an outer nor an inner hello", 0)
    if cursor.remaining:
        raise Bad("more than an encrypted ClientHello has", cursor.offset)
    return found


@decoder
def public_names(config_list: bytes) -> tuple[str, ...]:
    """The public names of an ECHConfigList (RFC 9849, 4), which an HTTPS record gives; none twice.

    Such a name is what the outer hello shows in place of the one that it hides.
    """
    cursor = Cursor(config_list)
    configs = cursor.sub(cursor.u16())
    found: dict[str, None] = {}
    for _ in range(MAX_CONFIGS):
        if not configs.remaining:
            break
        version = configs.u16()
        contents = configs.sub(configs.u16())
        if version == CONFIG_VERSION:
            found[_public_name(contents)] = None
    return tuple(found)


def _public_name(contents: Cursor) -> str:
    """Before it come configuration number, KEM, public key, cipher suites, and how long a name to pad to."""
    contents.skip(1 + 2)
    contents.skip(contents.u16())
    contents.skip(contents.u16())
    contents.skip(1)
    return host(contents.take(contents.u8()))
