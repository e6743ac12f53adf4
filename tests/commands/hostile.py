"""A capture whose names were written by somebody who wants to harm whoever reads the output. Packets by hand."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT, SERVER = "10.0.0.5", "198.51.100.7"
CLIENT_MAC, ROUTER_MAC = bytes.fromhex("0200000000a5"), bytes.fromhex("020000000001")
SYN, ACK, PUSH_ACK = 0x02, 0x10, 0x18
START_S = 1_773_730_000


def capture(names: Sequence[bytes]) -> bytes:
    """One connection for each SNI: frame 3 of each carries the ClientHello."""
    frames = [frame for index, name in enumerate(names) for frame in _connection(50_000 + index, name)]
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = (
        struct.pack("<IIII", START_S, 1000 * index, len(frame), len(frame)) + frame
        for index, frame in enumerate(frames)
    )
    return header + b"".join(records)


def _connection(port: int, name: bytes) -> list[bytes]:
    return [_tcp(port, 1, SYN), _tcp(port, 2, ACK), _tcp(port, 2, PUSH_ACK, client_hello(name))]


def _tcp(port: int, sequence: int, flags: int, payload: bytes = b"") -> bytes:
    tcp = struct.pack("!HHIIBBHHH", port, 443, sequence, 1 if flags & ACK else 0, 0x50, flags, 64_000, 0, 0) + payload
    addresses = socket.inet_aton(CLIENT) + socket.inet_aton(SERVER)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + addresses
    return ROUTER_MAC + CLIENT_MAC + b"\x08\x00" + ip + tcp


def client_hello(name: bytes) -> bytes:
    """A TLS record with the least a ClientHello needs (RFC 8446 4.1.2) and a server_name (RFC 6066 3)."""
    sni = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack("!HH", 0, len(sni)) + sni
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\0\x02\x13\x01"
        + b"\x01\0"
        + struct.pack("!H", len(extensions))
        + extensions
    )
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake
