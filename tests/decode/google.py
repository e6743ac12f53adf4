"""Google's QUIC written by hand: packets in clear text with their hash, and the frames that Q050 to T051 seal.

Written from the layout documents and from what Chromium's framer does, not from our decoder.
"""

from __future__ import annotations

import struct

CONNECTION = bytes.fromhex("c0ffee0102030405")
NAME = b"Www.YouTube.com"
CLIENT, SERVER = b"Client", b"Server"


def tag(version: int, letter: str = "Q") -> bytes:
    return f"{letter}{version:03}".encode()


def chlo(*entries: tuple[bytes, bytes]) -> bytes:
    """A CHLO: tags ascend as little-endian numbers, each with where its value ends."""
    ends, values = b"", b""
    for name, value in sorted(entries, key=lambda entry: int.from_bytes(entry[0], "little")):
        values += value
        ends += struct.pack("<4sI", name, len(values))
    return struct.pack("<4sHH", b"CHLO", len(entries), 0) + ends + values


HELLO = chlo((b"PAD\0", bytes(300)), (b"SNI\0", NAME), (b"VER\0", b"Q046"), (b"UAID", b"Chrome/76.0 Linux"))


def order(version: int) -> str:
    return ">" if version >= 39 else "<"


def stream(offset: int, data: bytes, version: int, *, length: bool = True, stream_id: int = 1) -> bytes:
    """A STREAM frame; the offset takes 0, 2 or 4 bytes."""
    wide = 0 if offset == 0 else 2 if offset < 65536 else 4
    kind = 0x80 | length << 5 | (wide - 1 if wide else 0) << 2
    raw = offset.to_bytes(8, "big")[8 - wide :] if wide else b""
    if version < 39:
        raw = raw[::-1]
    return bytes([kind, stream_id]) + raw + (struct.pack(order(version) + "H", len(data)) if length else b"") + data


def crypto(offset: int, data: bytes) -> bytes:
    """A CRYPTO frame, from Q048 on. Offset and length in two bytes each."""
    return struct.pack(">BHH", 8, 0x4000 | offset, 0x4000 | len(data)) + data


def ack(version: int, *, blocks: bool = False) -> bytes:
    """An ACK of two bytes for the largest number, one for a block's length, and with two timestamps."""
    kind = 0x44 | blocks << 5
    largest = struct.pack(order(version) + "H", 300)
    delay = struct.pack(order(version) + "H", 77)
    times = b"\x02" + b"\x01" + bytes(4) + b"\x01" + bytes(2)
    if version < 34:
        missing = b"\x01" + b"\x05\x02" + b"\x01" + largest if blocks else b""
        return bytes([kind, 0x5A]) + largest + delay + times + missing
    return bytes([kind]) + largest + delay + (b"\x01" if blocks else b"") + b"\x09" + b"\x03\x04" * blocks + times


def others(version: int, number_bytes: int = 1) -> bytes:
    """One of each further frame that a client may send before a hello."""
    entropy = b"\x5a" if version < 34 else b""
    return (
        b"\x07"  # PING
        + (b"\x06" + entropy + bytes(number_bytes) if version < 44 else b"")  # STOP_WAITING
        + b"\x04" + bytes(12)  # WINDOW_UPDATE
        + b"\x05" + bytes(4)  # BLOCKED
        + b"\x01" + bytes(16)  # RST_STREAM
        + b"\x03" + bytes(8) + struct.pack(order(version) + "H", 3) + b"bye"  # GOAWAY
    )  # fmt: skip


def fnv(data: bytes) -> int:
    """FNV-1a of 128 bits (draft-eastlake-fnv)."""
    value = 144066263297769815596495629667062367629
    for byte in data:
        value = ((value ^ byte) * 309485009821345068724781371) % 2**128
    return value


def hashed(head: bytes, body: bytes, version: int, sender: bytes) -> bytes:
    signed = sender if version > 35 else b""
    return head + (fnv(head + body + signed) % 2**96).to_bytes(12, "little") + body


def plain(
    version: int,
    payload: bytes,
    *,
    sender: bytes = CLIENT,
    number: int = 1,
    number_bytes: int = 1,
    private: bytes = b"\x00",
    connection: bytes = CONNECTION,
) -> bytes:
    """A packet of Q024 to Q049 that says its version."""
    raw = number.to_bytes(number_bytes, "big" if version >= 39 else "little")
    if version <= 43:
        id_flags = 0x0C if version < 33 else 0x08
        flags = 0x01 | id_flags | (1, 2, 4, 6).index(number_bytes) << 4
        body = private + payload if version < 34 else payload
        return hashed(bytes([flags]) + connection + tag(version) + raw, body, version, sender)
    raw = number.to_bytes(4, "big")
    first = 0xFF if version <= 45 else 0xC3
    if version < 49:
        head = bytes([first]) + tag(version) + b"\x50" + connection + raw
    else:
        head = bytes([first]) + tag(version) + b"\x08" + connection + b"\x00"
        head += b"\x00" + struct.pack(">H", 0x4000 | 4 + 12 + len(payload)) + raw
    return hashed(head, payload, version, sender)
