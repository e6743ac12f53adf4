"""How good a mirror is, from the frames it gives: both directions, which VLANs, data acknowledged that was never shown.

A small table of conversations, begun anew with every window: the first to come have a place, what finds none is not looked at.
Plain Ethernet, IPv4 and IPv6 only; it judges the mirror, not the traffic. Every offset is checked against the frame's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sensor.model import MirrorState

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 1 << 14
VLANS = 4096
SEVERAL = 3  # packets of a conversation from which on its other side should have been seen
ROW = np.dtype(
    [
        ("key", "<u8"),
        ("low_end", "<u8"),
        ("next_0", "<i8"),
        ("next_1", "<i8"),
        ("packets_0", "<i4"),
        ("packets_1", "<i4"),
    ]
)
LOOKED, ACKS, GAPS, UNTAGGED, COUNTS = range(5)
MODULO = np.int64(1) << 32
FAR = np.int64(1) << 30  # further than this is no gap but another connection


@njit(cache=True, nogil=True, inline="always")
def _u16(buf: Any, at: Any) -> Any:
    return (np.int64(buf[at]) << 8) | np.int64(buf[at + 1])


@njit(cache=True, nogil=True, inline="always")
def _u32(buf: Any, at: Any) -> Any:
    return (_u16(buf, at) << 16) | _u16(buf, at + 2)


@njit(cache=True, nogil=True, inline="always")
def _mixed(buf: Any, start: Any, length: Any, port: Any) -> Any:
    """An address and a port as 64 bits; who sends packets may make two alike, and spoils a figure of his own."""
    state = np.uint64(port) ^ np.uint64(0xCBF29CE484222325)
    for at in range(start, start + length, 4):
        state = (state ^ np.uint64(_u32(buf, at))) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)
    return state


@njit(cache=True, nogil=True)
def look(buf: Any, frames: Any, table: Any, counts: Any, vlans: Any) -> None:
    """Looks at frames (FRAME rows into `buf`); adds to `table` (ROW), `counts` (int64[COUNTS]) and `vlans` (int64[VLANS])."""
    for number in range(frames.shape[0]):
        frame = frames[number]
        at = np.int64(frame["offset"])
        end = at + np.int64(frame["captured_bytes"])
        if frame["link"] != 1 or end - at < 14:
            continue
        to_many = buf[at] & 1
        kind = _u16(buf, at + 12)
        at += 14
        tag = np.int64(-1)
        while (kind == 0x8100 or kind == 0x88A8 or kind == 0x9100) and at + 4 <= end:  # noqa: PLR1714 - compiled
            tag = _u16(buf, at) & 0xFFF
            kind = _u16(buf, at + 2)
            at += 4
        if tag >= 0:
            vlans[tag] += 1
        else:
            counts[UNTAGGED] += 1
        if to_many:
            continue
        if kind == 0x0800 and at + 20 <= end:
            head = np.int64(buf[at] & 15) * 4
            if _u16(buf, at + 6) & 0x1FFF or head < 20:
                continue
            proto, address, size = np.int64(buf[at + 9]), at + 12, 4
            whole = _u16(buf, at + 2)
            payload = at + head
            wire_end = at + whole if whole else end
        elif kind == 0x86DD and at + 40 <= end:
            proto, address, size = np.int64(buf[at + 6]), at + 8, 16
            payload = at + 40
            whole = _u16(buf, at + 4)
            wire_end = payload + whole if whole else end
        else:
            continue
        if (proto != 6 and proto != 17) or payload + 8 > end:  # noqa: PLR1714 - compiled
            continue
        if buf[address + size] >= 224 and size == 4:
            continue
        counts[LOOKED] += 1
        one = _mixed(buf, address, size, _u16(buf, payload))
        other = _mixed(buf, address + size, size, _u16(buf, payload + 2))
        key = (one + other) ^ np.uint64(proto)
        row = table[np.int64(key & np.uint64(ROWS - 1))]
        if row["key"] == 0:
            row["key"] = key
            row["low_end"] = one
            row["next_0"] = -1
            row["next_1"] = -1
        if row["key"] != key:
            continue
        first = row["low_end"] == one
        if first:
            row["packets_0"] += 1
        else:
            row["packets_1"] += 1
        if proto != 6 or payload + 20 > end:
            continue
        flags = np.int64(buf[payload + 13])
        length = wire_end - payload - (np.int64(buf[payload + 12]) >> 4) * 4
        if length < 0:
            continue
        after = (_u32(buf, payload + 4) + length + ((flags >> 1) & 1) + (flags & 1)) % MODULO
        mine = np.int64(row["next_0"]) if first else np.int64(row["next_1"])
        theirs = np.int64(row["next_1"]) if first else np.int64(row["next_0"])
        if flags & 6 or mine < 0 or (after - mine) % MODULO < FAR:
            if first:
                row["next_0"] = after
            else:
                row["next_1"] = after
        if flags & 16 and not flags & 4 and theirs >= 0:
            counts[ACKS] += 1
            missing = (_u32(buf, payload + 8) - theirs) % MODULO
            if 0 < missing < FAR:
                counts[GAPS] += 1
                if first:
                    row["next_1"] = (theirs + missing) % MODULO
                else:
                    row["next_0"] = (theirs + missing) % MODULO


class MirrorWindow:
    """What one window showed."""

    def __init__(self) -> None:
        self._table = np.zeros(ROWS, ROW)
        self._counts = np.zeros(COUNTS, np.int64)
        self._vlans = np.zeros(VLANS, np.int64)

    def look(self, buffer: NDArray[np.uint8], frames: NDArray[np.void]) -> None:
        """At some frames more."""
        look(buffer, frames, self._table, self._counts, self._vlans)

    def state(self, seconds: float, *, over: bool) -> MirrorState:
        """What it showed so far; `over`: it begins anew now."""
        one, other = self._table["packets_0"], self._table["packets_1"]
        several = one + other >= SEVERAL
        state = MirrorState(
            seconds=seconds,
            over=over,
            looked=int(self._counts[LOOKED]),
            conversations=int(np.count_nonzero(several)),
            one_way=int(np.count_nonzero(several & ((one == 0) | (other == 0)))),
            acks=int(self._counts[ACKS]),
            gaps=int(self._counts[GAPS]),
            untagged=int(self._counts[UNTAGGED]),
            vlans=tuple(np.flatnonzero(self._vlans).tolist()),
        )
        if over:
            self._table[:] = 0
            self._counts[:] = 0
            self._vlans[:] = 0
        return state
