"""What is left out first where the ring is about to overflow: bulk, then all but DNS and handshakes; else the kernel drops blindly.

Said of Ethernet with IPv4 and IPv6; what cannot be told is kept. Every offset is checked against the frame's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

NOTHING, BULK, ALL_BUT_BEGINNINGS = 0, 1, 2  # how much is left out
BULK_BYTES = 1000  # of payload
_DNS, _TLS_HANDSHAKE, _TLS_DATA = 53, 0x16, 0x17
_COOKIE = 0x2112A442  # STUN (RFC 8489 5)


@njit(cache=True, nogil=True, inline="always")
def _u16(buf: Any, at: Any) -> Any:
    return (np.int64(buf[at]) << 8) | np.int64(buf[at + 1])


@njit(cache=True, nogil=True)
def kept(buf: Any, at: Any, end: Any, level: int) -> bool:
    """Whether the frame in buf[at:end] is handed on at this level."""
    if end - at < 14:
        return True
    kind = _u16(buf, at + 12)
    at += 14
    while (kind == 0x8100 or kind == 0x88A8 or kind == 0x9100) and at + 4 <= end:  # noqa: PLR1714 - compiled
        kind = _u16(buf, at + 2)
        at += 4
    if kind == 0x0800 and at + 20 <= end:
        proto = np.int64(buf[at + 9])
        if _u16(buf, at + 6) & 0x3FFF:
            return True  # a fragment
        whole = at + _u16(buf, at + 2)
        at += np.int64(buf[at] & 15) * 4
    elif kind == 0x86DD and at + 40 <= end:
        proto = np.int64(buf[at + 6])
        whole = at + 40 + _u16(buf, at + 4)
        at += 40
    else:
        return True
    if (proto != 6 and proto != 17) or at + 8 > end:  # noqa: PLR1714 - compiled
        return True
    if _u16(buf, at) == _DNS or _u16(buf, at + 2) == _DNS:
        return True
    end = min(end, max(whole, at))  # without what Ethernet pads
    if proto == 6:
        if at + 20 > end or buf[at + 13] & 7:
            return True  # it begins or ends a connection
        at += (np.int64(buf[at + 12]) >> 4) * 4
        if at >= end:
            return False
        if buf[at] == _TLS_HANDSHAKE:
            return True
        if level == ALL_BUT_BEGINNINGS:
            return False
        return bool(buf[at] != _TLS_DATA and end - at < BULK_BYTES)
    at += 8
    if at < end and buf[at] & 0xC0 == 0xC0:
        return True  # a long header of QUIC
    if at + 8 <= end and (_u16(buf, at + 4) << 16 | _u16(buf, at + 6)) == _COOKIE:
        return True
    return bool(level == BULK and end - at < BULK_BYTES)


@njit(cache=True, nogil=True)
def shed(buf: Any, rows: Any, count: int, level: int) -> int:
    """Moves the rows (FRAME) that are handed on to the front; returns how many they are."""
    left = 0
    for number in range(count):
        row = rows[number]
        begin = np.int64(row["offset"])
        if row["link"] != 1 or kept(buf, begin, begin + np.int64(row["captured_bytes"]), level):
            if left != number:
                rows[left] = rows[number]
            left += 1
    return left
