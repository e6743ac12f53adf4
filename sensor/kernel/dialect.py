"""STUN dialects: what in a message can tell an app, as one short text, so that each dialect is judged once.

The text holds the method, and for each attribute the signatures ask about its type, length and as much of its beginning as
they compare; REALM and SOFTWARE always, USERNAME where it begins like one they know. Everything in letters, four bits each, so that no byte is folded.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sensor.kernel.wire import u8, u16

TEXT_LIMIT = 250
LONG_BYTES = 48  # of a realm, software or user name
USERNAME, REALM, SOFTWARE = 0x0006, 0x0014, 0x8022  # RFC 8489 18.3
PREFIX_BYTES = 8  # of a user name that is known


@njit(cache=True, nogil=True, forceinline=True)
def put(text, at, value, nibbles):
    """Appends the low `nibbles` half-bytes of a value as letters."""
    for i in range(nibbles - 1, -1, -1):
        text[at] = 97 + ((value >> (4 * i)) & 15)
        at += 1
    return at


@njit(cache=True, nogil=True)
def known_username(buf, start, end, prefixes):
    for i in range(prefixes.shape[0]):
        same = end - start >= PREFIX_BYTES
        for k in range(PREFIX_BYTES):
            if same and u8(buf, start + k) != prefixes[i, k]:
                same = False
        if same:
            return True
    return False


@njit(cache=True, nogil=True)
def stun_dialect(buf, start, end, wanted, prefixes, text):
    """Writes the dialect of the STUN message at buf[start:end]; returns its length, or -1 where it does not fit.

    `wanted`: int64[n, 2], attribute types and how many bytes of their values are compared.
    """
    text[0] = 33  # "!": no host name begins so
    at = put(text, 1, u16(buf, start), 4)
    position = start + 20
    stop = min(end, position + u16(buf, start + 2))
    while position + 4 <= stop:
        kind = u16(buf, position)
        size = u16(buf, position + 2)
        position += 4
        value_end = position + size
        if value_end > stop:
            return np.int64(-1)
        shown = np.int64(-1)
        if kind in (REALM, SOFTWARE) or (kind == USERNAME and known_username(buf, position, value_end, prefixes)):
            shown = LONG_BYTES
        else:
            for i in range(wanted.shape[0]):
                if wanted[i, 0] == kind:
                    shown = wanted[i, 1]
        if shown >= 0:
            count = min(shown, size)
            if at + 8 + 2 * count > TEXT_LIMIT:
                return np.int64(-1)
            at = put(text, at, kind, 4)
            at = put(text, at, size, 4)
            for i in range(count):
                at = put(text, at, u8(buf, position + i), 2)
        position = value_end + (-size & 3)  # values are padded to four bytes (RFC 8489 14)
    return np.int64(at)
