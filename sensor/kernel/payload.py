"""What the payload of a packet says: TCP's state first, then what it is worth reading on for."""

from __future__ import annotations

import numpy as np

from sensor.kernel.clues import datagram_clue, stream_clue
from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.fields import (
    FRAGMENT_FIRST,
    FRAGMENT_FIRST_WITHIN,
    FRAGMENT_WHOLE,
    H_DST_PORT,
    H_END,
    H_FRAGMENT,
    H_MISSING,
    H_PAYLOAD,
    H_SEQUENCE,
    H_SRC_PORT,
    H_TCP_FLAGS,
    H_WAITED_BYTES,
)
from sensor.kernel.fragments import (
    add_waited,
    of_beginning,
    progress,
)
from sensor.kernel.layout import (
    CLASSIFIED_TCP,
    CLASSIFIED_UDP,
    F_READ,
    KIND_MEDIA,
    PORT_DNS,
    READ_DONE,
    STATE_BASE_0,
    STATE_BASE_1,
    STATE_FIN_0,
    STATE_FIN_1,
    STATE_RST,
    STATE_SYN,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
)
from sensor.kernel.media import media_run


@inlined
def said(buf, kind, h, row, side, time_ns, found, notices, rules):
    """The kind of clue in a packet's payload, or 0, and where in its stream the payload lies."""
    if kind == CLASSIFIED_TCP:
        relative, known = follow_tcp(row, side, h)
        if h[H_PAYLOAD] < h[H_END]:
            dns = h[H_SRC_PORT] == PORT_DNS or h[H_DST_PORT] == PORT_DNS
            clue = stream_clue(buf, h[H_PAYLOAD], h[H_END], relative, known, row, side, dns, found, notices, rules)
            return np.int64(clue), relative
        return np.int64(0), relative
    if kind == CLASSIFIED_UDP:
        clue = datagram_clue(
            buf, h[H_PAYLOAD], h[H_END], h[H_MISSING], row, side, h[H_SRC_PORT], h[H_DST_PORT], found, rules
        )
        if clue == 0 and media_run(buf, h[H_PAYLOAD], h[H_END], row, side, time_ns):
            found[F_READ] = READ_DONE
            return np.int64(KIND_MEDIA), np.int64(0)
        return np.int64(clue), np.int64(0)
    return np.int64(0), np.int64(0)


@compiled
def said_in_fragment(buf, joined, kind, h, row, side, time_ns, found, notices, rules):
    """As `said`, of a fragment, or of a datagram that was put together."""
    add_waited(row, side, h[H_WAITED_BYTES])
    fragment = h[H_FRAGMENT]
    before = progress(row, side)
    data = joined if fragment >= FRAGMENT_WHOLE else buf
    clue, relative = said(data, kind, h, row, side, time_ns, found, notices, rules)
    if fragment == FRAGMENT_FIRST or fragment == FRAGMENT_FIRST_WITHIN:
        clue = of_beginning(clue, row, side, before)
    return np.int64(clue), relative


@inlined
def follow_tcp(row, side, h):
    """TCP's state, and where this packet's payload lies in its stream. Returns (offset, whether the start was seen)."""
    flags = h[H_TCP_FLAGS]
    sequence = h[H_SEQUENCE]
    if flags & TCP_RST:
        row["state"] |= STATE_RST
    if flags & TCP_FIN:
        row["state"] |= STATE_FIN_0 if side == 0 else STATE_FIN_1
    if flags & TCP_SYN:
        if not flags & TCP_ACK:
            row["state"] |= STATE_SYN
        set_base(row, side, (sequence + 1) & 0xFFFFFFFF)  # data in a SYN (RFC 7413) begins after it
        return np.int64(0), True
    if not row["state"] & (STATE_BASE_0 if side == 0 else STATE_BASE_1):
        if h[H_PAYLOAD] < h[H_END]:
            set_base(row, side, sequence)
        return np.int64(0), False
    relative = (sequence - np.int64(row["base_0"] if side == 0 else row["base_1"])) & 0xFFFFFFFF
    if relative >= 0x80000000:
        relative -= 0x100000000
    return relative, True


@inlined
def set_base(row, side, base):
    if side == 0:
        row["base_0"] = base
        row["state"] |= STATE_BASE_0
    else:
        row["base_1"] = base
        row["state"] |= STATE_BASE_1
