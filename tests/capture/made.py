"""Captures written by hand, field by field, and the frames that reading them must give."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.capture import CaptureSource, open_paths

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MICRO, NANO, KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
T0 = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Seen:
    """One frame as a reader gave it, taken out of its batch."""

    time_ns: int
    data: bytes
    number: int
    link: int = 1
    wire: int = 0
    source: int = 0


def frames_of(source: CaptureSource) -> list[Seen]:
    seen = []
    for batch in source.batches():
        for row in batch.frames:
            at, length = int(row["offset"]), int(row["captured_bytes"])
            assert 0 <= at <= at + length <= len(batch.buffer)
            seen.append(
                Seen(
                    int(row["time_ns"]),
                    batch.buffer[at : at + length].tobytes(),
                    int(row["number"]),
                    int(row["link"]),
                    int(row["wire_bytes"]),
                    int(row["source"]),
                ),
            )
    return seen


def read(*paths: Path, chunk_bytes: int = 4 << 20, separate: bool = False) -> tuple[list[Seen], CaptureSource]:
    source = open_paths(paths, chunk_bytes=chunk_bytes, separate=separate)
    return frames_of(source), source


def packets(count: int, *, step_ns: int = 1_000_000, start_ns: int = T0) -> list[tuple[int, bytes]]:
    """(time, data) of `count` packets whose bytes tell them apart; sizes vary, among them 0."""
    return [(start_ns + i * step_ns, bytes((i + j) & 0xFF for j in range(i * 7 % 61))) for i in range(count)]


def pcap(
    records: Iterable[tuple[int, bytes]],
    *,
    magic: int = MICRO,
    order: str = "<",
    network: int = 1,
    snaplen: int = 65535,
    wire_extra: int = 0,
) -> bytes:
    unit = 1 if magic == NANO else 1000
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, network)]
    for time_ns, data in records:
        seconds, rest = divmod(time_ns, 10**9)
        out.append(struct.pack(order + "IIII", seconds, rest // unit, len(data), len(data) + wire_extra))
        if magic == KUZNETZOV:
            out.append(struct.pack(order + "IHBB", 3, 0x0800, 0, 0))
        out.append(data)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(
    order: str = "<",
    *,
    link: int = 1,
    snaplen: int = 0,
    resolution: int | None = None,
    offset_s: int | None = None,
) -> bytes:
    options = option(2, b"eth0", order)
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset_s is not None:
        options += option(14, struct.pack(order + "q", offset_s), order)
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options + option(0, b"", order), order)


def enhanced(
    data: bytes, stamp: int, order: str = "<", *, index: int = 0, wire: int | None = None, options: bytes = b""
) -> bytes:
    wire = len(data) if wire is None else wire
    head = struct.pack(order + "IIIII", index, stamp >> 32, stamp & 0xFFFFFFFF, len(data), wire)
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def obsolete(data: bytes, stamp: int, order: str = "<", *, index: int = 0) -> bytes:
    head = struct.pack(order + "HHIIII", index, 9, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data, order)


def simple(data: bytes, order: str = "<", *, wire: int | None = None) -> bytes:
    return block(3, struct.pack(order + "I", len(data) if wire is None else wire) + data, order)


def pcapng(records: Iterable[tuple[int, bytes]], order: str = "<", *, link: int = 1) -> bytes:
    """One section, one interface, microseconds, with blocks between that are to be passed over."""
    out = [section(order, option(1, b"a comment", order)), interface(order, link=link)]
    out += [block(4, b"\0\0\0\0", order), block(0x0BAD, b"custom" * 5, order)]
    out += [enhanced(data, time_ns // 1000, order, options=option(1, b"noted", order)) for time_ns, data in records]
    return b"".join([*out, block(5, bytes(12), order)])
