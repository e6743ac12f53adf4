"""The compiled walk over record headers: bytes of a chunk in, FRAME rows out.

Nothing is read at or past `end`, and no packet's bytes are touched. Both walks stop with one of the states below, having
used whole records only; they never raise. The same functions run interpreted under NUMBA_DISABLE_JIT=1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sensor.capture.limits import MAX_BLOCK_BYTES, MAX_RECORD_BYTES

# Why a walk stopped. The position it returns is where the record or block in question begins.
ROWS_FULL = 0  # call again with fresh rows
NEED_MORE = 1  # the next record does not end before `end`
BAD_LENGTH = 2  # a length that no record has
SECTION = 3  # pcapng: a section header, for the caller to read
INTERFACE = 4  # pcapng: an interface description, for the caller to read
LONG_BLOCK = 5  # pcapng: a block to be skipped that goes past `end`
NO_INTERFACE = 6  # pcapng: a packet of an interface that was not described
LENGTHS_DISAGREE = 7  # pcapng: the two lengths of a block differ

# How an interface's clock counts (`kind` of INTERFACE_ROW), with what `a` and `b` mean for it.
MULTIPLY = 0  # ns = ts * a, where ts is at most b
DIVIDE = 1  # ns = ts // a // b, where 1 < a < 2**31
BINARY = 2  # ts counts 2**-a seconds
NO_CLOCK = 3  # an offset beyond what 64 bits of nanoseconds hold

INTERFACE_ROW = np.dtype(
    [("link", "<i4"), ("kind", "<i4"), ("a", "<i8"), ("b", "<i8"), ("offset_ns", "<i8"), ("snaplen", "<i8")],
)

_MAX_I64 = (1 << 63) - 1
_MAX_I32 = (1 << 31) - 1
_MAX_SECONDS = _MAX_I64 // 1_000_000_000 - 1

# pcapng block types (draft-ietf-opsawg-pcapng section 4).
_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_PACKET = 2  # obsolete
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6


@njit(cache=True, nogil=True)
def _u16(buffer: Any, at: int, big: bool) -> Any:
    if big:
        return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + 1])
    return (np.int64(buffer[at + 1]) << 8) | np.int64(buffer[at])


@njit(cache=True, nogil=True)
def _u32(buffer: Any, at: int, big: bool) -> Any:
    # An unsigned index spares the test for a negative one, which keeps the four loads from becoming a single one.
    first = np.uint64(at)
    b0 = np.uint32(buffer[first])
    b1 = np.uint32(buffer[first + np.uint64(1)])
    b2 = np.uint32(buffer[first + np.uint64(2)])
    b3 = np.uint32(buffer[first + np.uint64(3)])
    if big:
        b0, b1, b2, b3 = b3, b2, b1, b0
    return np.int64((b3 << np.uint32(24)) | (b2 << np.uint32(16)) | (b1 << np.uint32(8)) | b0)


@njit(cache=True, nogil=True)
def walk_pcap(
    buffer: Any,
    start: int,
    end: int,
    big: bool,
    header_bytes: int,
    fraction_ns: int,
    link: int,
    source: int,
    number: int,
    rows: Any,
) -> tuple[int, int, int]:
    """Walk classic pcap records (draft-ietf-opsawg-pcap section 5); return (state, position, rows filled).

    Args:
        buffer: uint8[n]; records begin at `start`, bytes end at `end` <= n
        start: where the next record header begins
        end: where the bytes end
        big: big-endian
        header_bytes: 16, or 24 in Kuznetzov's variant
        fraction_ns: nanoseconds in one unit of the timestamp's second word
        link: LINKTYPE of the file
        source: index of the file
        number: frames before this chunk
        rows: FRAME[m] to fill
    """
    at = start
    count = 0
    while count < len(rows):
        if end - at < header_bytes:
            return NEED_MORE, at, count
        captured = _u32(buffer, at + 8, big)
        if captured > MAX_RECORD_BYTES:
            return BAD_LENGTH, at, count
        after = at + header_bytes + captured
        if after > end:
            return NEED_MORE, at, count
        row = rows[count]
        row["offset"] = at + header_bytes
        row["time_ns"] = _u32(buffer, at, big) * 1_000_000_000 + _u32(buffer, at + 4, big) * fraction_ns
        row["number"] = number + count + 1
        row["captured_bytes"] = captured
        row["wire_bytes"] = min(max(_u32(buffer, at + 12, big), captured), _MAX_I32)
        row["link"] = link
        row["source"] = source
        count += 1
        at = after
    return ROWS_FULL, at, count


@njit(cache=True, nogil=True)
def scale_ns(high: int, low: int, kind: int, a: int, b: int, offset_ns: int) -> int:
    """Return the nanoseconds of a 64-bit timestamp given as two words; negative if they are none that 64 bits hold.

    Exact (rounded down) for every resolution, with no step that leaves the range of a signed 64-bit integer.
    """
    if kind == MULTIPLY:
        if high > _MAX_I32 or ((high << 32) | low) > b:
            return -1
        ns = ((high << 32) | low) * a
    elif kind == DIVIDE:
        ns = (((high // a) << 32) + (((high % a) << 32) | low) // a) // b
    elif kind == BINARY:
        if a <= 32:
            if high > (_MAX_SECONDS >> (32 - a)):
                return -1
            seconds = (high << (32 - a)) | (low >> a)
            fraction = ((low & ((1 << a) - 1)) * 1_000_000_000) >> a
        elif a < 64:
            seconds = high >> (a - 32)
            fraction = ((high & ((1 << (a - 32)) - 1)) * 1_000_000_000 + ((low * 1_000_000_000) >> 32)) >> (a - 32)
        else:
            seconds = high * 0
            fraction = (high * 1_000_000_000 + ((low * 1_000_000_000) >> 32)) >> min(a - 32, 63)
        if seconds > _MAX_SECONDS:
            return -1
        ns = seconds * 1_000_000_000 + fraction
    else:
        return -1
    if offset_ns > 0 and ns > _MAX_I64 - offset_ns:
        return -1
    return ns + offset_ns


@njit(cache=True, nogil=True)
def walk_pcapng(
    buffer: Any,
    start: int,
    end: int,
    big: bool,
    interfaces: Any,
    known: int,
    source: int,
    number: int,
    last_ns: int,
    rows: Any,
) -> tuple[int, int, int, int]:
    """Walk pcapng blocks (draft-ietf-opsawg-pcapng section 4); return (state, position, rows filled, first bad clock).

    Stops at section headers and interface descriptions. The last value is the position of the first block whose time
    was set to 0 because no clock gives it, or -1. A simple packet has no time and takes that of the packet before it.

    Args:
        buffer: uint8[n]; blocks begin at `start`, bytes end at `end` <= n
        start: where the next block begins
        end: where the bytes end
        big: big-endian
        interfaces: INTERFACE_ROW[k] of this section
        known: how many of them are described
        source: index of the file
        number: frames before this chunk
        last_ns: time of the frame before
        rows: FRAME[m] to fill
    """
    at = start
    count = 0
    bad_clock = -1
    while count < len(rows):
        if end - at < 8:
            return NEED_MORE, at, count, bad_clock
        kind = _u32(buffer, at, big)
        if kind == _SECTION_HEADER:
            return SECTION, at, count, bad_clock
        length = _u32(buffer, at + 4, big)
        if length < 12 or length & 3:
            return BAD_LENGTH, at, count, bad_clock
        if kind == _INTERFACE_DESCRIPTION:
            return INTERFACE, at, count, bad_clock
        if kind not in (_ENHANCED_PACKET, _SIMPLE_PACKET, _PACKET):
            if at + length > end:
                return LONG_BLOCK, at, count, bad_clock
            at += length
            continue

        fixed = 12 if kind == _SIMPLE_PACKET else 28
        if length > MAX_BLOCK_BYTES or length < fixed + 4:
            return BAD_LENGTH, at, count, bad_clock
        if at + length > end:
            return NEED_MORE, at, count, bad_clock
        if _u32(buffer, at + length - 4, big) != length:
            return LENGTHS_DISAGREE, at, count, bad_clock
        room = length - fixed - 4
        if kind == _ENHANCED_PACKET:
            index = _u32(buffer, at + 8, big)
        elif kind == _PACKET:
            index = _u16(buffer, at + 8, big)
        else:
            index = np.int64(0)
        if index >= known:
            return NO_INTERFACE, at, count, bad_clock
        interface = interfaces[index]
        if kind == _SIMPLE_PACKET:
            wire = _u32(buffer, at + 8, big)
            captured = min(wire, room)
            if interface["snaplen"] > 0:
                captured = min(captured, interface["snaplen"])
            time_ns = last_ns
        else:
            captured = _u32(buffer, at + 20, big)
            wire = _u32(buffer, at + 24, big)
            time_ns = scale_ns(
                _u32(buffer, at + 12, big),
                _u32(buffer, at + 16, big),
                interface["kind"],
                interface["a"],
                interface["b"],
                interface["offset_ns"],
            )
            if time_ns < 0:
                time_ns = 0
                if bad_clock < 0:
                    bad_clock = at
        if captured > room or captured > MAX_RECORD_BYTES:
            return BAD_LENGTH, at, count, bad_clock
        row = rows[count]
        row["offset"] = at + fixed
        row["time_ns"] = time_ns
        row["number"] = number + count + 1
        row["captured_bytes"] = captured
        row["wire_bytes"] = min(max(wire, captured), _MAX_I32)
        row["link"] = interface["link"]
        row["source"] = source
        last_ns = time_ns
        count += 1
        at += length
    return ROWS_FULL, at, count, bad_clock


@njit(cache=True, nogil=True)
def copy_packets(source: Any, at: Any, lengths: Any, target: Any, to: Any) -> None:
    """Copy packet i from `source[at[i]:]` to `target[to[i]:]`, `lengths[i]` bytes; the caller vouches for the ranges."""
    for i in range(len(at)):
        # A plain loop becomes one block copy; assigning slices would check them for overlap each time.
        first, shift = np.uint64(to[i]), np.uint64(at[i])
        for k in range(np.uint64(lengths[i])):
            target[first + k] = source[shift + k]


def time_range(rows: Any) -> tuple[int, int]:
    """Return the earliest and the latest time of at least one FRAME row."""
    times = rows["time_ns"]
    return int(times.min()), int(times.max())
