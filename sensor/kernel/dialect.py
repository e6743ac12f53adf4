"""STUN dialects: what in a message can tell an app, as one short text, so that each dialect is judged once.

The text holds the method, and for each attribute the signatures ask about its type, length and as much of its beginning as
they compare; REALM and SOFTWARE always, USERNAME where it begins like one they know; whether there are others; and in which
of the places the signatures ask about it was seen. Everything in letters, four bits each, so that no byte is folded. Two
messages with the same text fit the same signatures, whatever else is in them.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.wire import u8, u16

TEXT_LIMIT = 250
DIALECT = 33  # "!": no host name begins so
# Of a realm, software or user name all is shown, for signatures compare all. Longer ones have no dialect.
LONG_BYTES = 64
USERNAME, REALM, SOFTWARE = 0x0006, 0x0014, 0x8022  # RFC 8489 18.3
PREFIX_BYTES = 8  # of a user name that is known
VALUE_END = 113  # "q": without it a value might be taken for the next attribute
OTHERS = 114  # "r": there are attributes that are not shown
PLACES = 115  # "s": the bits of places follow
PLACE_NIBBLES = 15


@inlined
def put(text, at, value, nibbles):
    """Appends the low `nibbles` half-bytes of a value as letters."""
    for i in range(nibbles - 1, -1, -1):
        text[at] = 97 + ((value >> (4 * i)) & 15)
        at += 1
    return at


@compiled
def known_username(buf, start, end, prefixes):
    """Whether a user name begins like a known one; of those shorter than a row of `prefixes` zeros fill the row."""
    for i in range(prefixes.shape[0]):
        k = 0
        while k < PREFIX_BYTES and prefixes[i, k] != 0 and start + k < end and u8(buf, start + k) == prefixes[i, k]:
            k += 1
        if k == PREFIX_BYTES or prefixes[i, k] == 0:
            return True
    return False


@compiled
def stun_dialect(buf, start, end, wanted, prefixes, text):
    """Writes the dialect of the STUN message at buf[start:end]; returns its length, or -1 where it has none.

    `wanted`: int64[n, 2], attribute types and how many bytes of their values are compared. Attributes are read as
    `sensor.decode.stun` reads them: padded to four bytes (RFC 8489 14), or where they do not fit so, without padding, as
    Meta's relays send them. What fits neither way or is cut off is the decoder's.
    """
    if end - start < 20 or start + 20 + u16(buf, start + 2) > end:
        return np.int64(-1)
    stop = start + 20 + u16(buf, start + 2)
    if attributes_fit(buf, start + 20, stop, 3):
        mask = 3
    elif attributes_fit(buf, start + 20, stop, 0):
        mask = 0
    else:
        return np.int64(-1)
    text[0] = DIALECT
    at = put(text, 1, u16(buf, start), 4)
    position = start + 20
    seen = 0
    others = False
    while position < stop:
        kind = u16(buf, position)
        size = u16(buf, position + 2)
        position += 4
        shown = np.int64(-1)
        for i in range(wanted.shape[0]):
            if wanted[i, 0] == kind:
                shown = min(wanted[i, 1], size)
        bit = 1 if kind == REALM else 2 if kind == SOFTWARE else 4 if kind == USERNAME else 0
        if bit & ~seen:  # only the first of a type counts (RFC 8489 14)
            seen |= bit
            if kind != USERNAME or known_username(buf, position, position + size, prefixes):
                if size > LONG_BYTES:
                    return np.int64(-1)
                shown = size
        if shown >= 0:
            if at + 9 + 2 * shown > TEXT_LIMIT:
                return np.int64(-1)
            at = put(text, at, kind, 4)
            at = put(text, at, size, 4)
            for i in range(shown):
                at = put(text, at, u8(buf, position + i), 2)
            text[at] = VALUE_END
            at += 1
        else:
            others = True
        position += size + (-size & mask)
    if others:
        text[at] = OTHERS
        at += 1
    return np.int64(at)


@compiled
def with_places(text, at, bits):
    """Appends where a message was seen to its dialect; returns the length, -1 where it becomes too long."""
    if at < 0 or bits == 0:
        return np.int64(at)
    if at + 1 + PLACE_NIBBLES > TEXT_LIMIT:
        return np.int64(-1)
    text[at] = PLACES
    return np.int64(put(text, at + 1, bits, PLACE_NIBBLES))


@compiled
def attributes_fit(buf, at, stop, mask):
    """Whether attributes padded to `mask` + 1 bytes fill buf[at:stop]; the padding of the last may be missing."""
    while at < stop:
        if at + 4 > stop:
            return False
        size = u16(buf, at + 2)
        at += 4 + size
        if at > stop:
            return False
        at += -size & mask
    return True
