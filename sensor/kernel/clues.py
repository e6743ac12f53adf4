"""Which payloads are worth reading on: the start of TLS, HTTP and DNS streams, QUIC long headers, STUN, DNS datagrams."""

from __future__ import annotations

import numpy as np
from numba import njit

from sensor.kernel.first import CLIENT, MATCHES, SERVER, TCP, TOO_SHORT, UDP, first_bytes
from sensor.kernel.hello import FOUND, NONE, client_hello, http_host, is_http
from sensor.kernel.layout import (
    COLLECT_BYTES,
    COLLECT_CLUES,
    COLLECT_LIMIT,
    EARLY_CLUES,
    F_BEGIN,
    F_ECH_CONFIG,
    F_FLAGS,
    F_READ,
    FIRST_DATAGRAMS,
    FIRST_STREAM_BYTES,
    HELLO_BYTES,
    KIND_DNS,
    KIND_FIRST,
    KIND_HTTP,
    KIND_NAMING,
    KIND_QUIC,
    KIND_SEGMENT,
    KIND_STUN,
    KIND_TLS,
    NAMING_CLUES,
    PHASE_COLLECTING,
    PHASE_DONE,
    PHASE_UNDECIDED,
    PORT_DNS,
    PORT_LLMNR,
    PORT_MDNS,
    PORT_NBNS,
    READ_HAND_OVER,
    READ_PENDING,
    STUN_CLUES,
)
from sensor.kernel.quic import LEAST_BYTES, quic_clues
from sensor.kernel.wire import u8, u16, u24, u32

STUN_MAGIC = 0x2112A442  # RFC 8489 5


@njit(cache=True, nogil=True, forceinline=True)
def stream_clue(buf, start, end, relative, known_base, row, side, dns, found, notices, rules):
    """Judges a TCP payload at `relative` bytes into its stream. Returns the kind of clue it is, or 0.

    Where the kind has a name in it, `found[F_NAME]` and `found[F_NAME_BYTES]` are its place; `found[F_READ]` is READ_PENDING or READ_HAND_OVER; `found[F_BEGIN]` is
    where in the stream what is put together begins.
    """
    phase = row["phase_0"] if side == 0 else row["phase_1"]
    if phase == PHASE_DONE:
        return 0
    clues = np.int64(row["clues_0"] if side == 0 else row["clues_1"])
    until = np.int64(row["until_0"] if side == 0 else row["until_1"])
    found[F_READ] = READ_HAND_OVER
    kind = 0
    following = phase
    if phase == PHASE_COLLECTING:
        if clues >= COLLECT_CLUES:
            notices[COLLECT_LIMIT] += 1
            following = PHASE_DONE
        elif -COLLECT_BYTES <= relative < until:
            kind = KIND_SEGMENT
    elif dns and relative == until:
        # `until` is where the next message begins. Whole messages are read as they come; else the rest is put together.
        if whole_messages(buf, start, end):
            kind = KIND_DNS
            found[F_READ] = READ_PENDING
            until += end - start
            clues -= 1  # as little work as a datagram
        else:
            kind = KIND_SEGMENT
            following = PHASE_COLLECTING
            until += COLLECT_BYTES
    elif dns:
        if 0 < relative - until < COLLECT_BYTES:  # neither a repeat nor far ahead
            kind = KIND_SEGMENT
            following = PHASE_COLLECTING
            until += COLLECT_BYTES
    elif relative == 0:
        kind = first_payload(buf, start, end, found)
        until = beginning(buf, start, end)
        if kind == 0:
            sieved = first_bytes(buf, start, end, 0, TCP, CLIENT if side == row["opener"] else SERVER, rules)
            if sieved == MATCHES:
                kind = KIND_FIRST
            elif sieved == TOO_SHORT:
                kind = KIND_SEGMENT
                until = np.int64(FIRST_STREAM_BYTES)
        following = PHASE_COLLECTING if kind == KIND_SEGMENT else PHASE_DONE
    elif known_base and 0 < relative < COLLECT_BYTES and clues < EARLY_CLUES:
        kind = KIND_SEGMENT  # overtook the first one, which is still to come
    elif not known_base or clues >= EARLY_CLUES:
        following = PHASE_DONE
    if kind:
        clues += 1
        if dns and kind == KIND_SEGMENT:
            found[F_BEGIN] = until - COLLECT_BYTES
    if side == 0:
        row["phase_0"] = following
        row["clues_0"] = clues
        row["until_0"] = until
    else:
        row["phase_1"] = following
        row["clues_1"] = clues
        row["until_1"] = until
    return kind


@njit(cache=True, nogil=True)
def whole_messages(buf, start, end):
    """Whether a segment holds whole DNS messages, each behind its length (RFC 1035 4.2.2), and nothing else."""
    at = start
    while at + 14 <= end:
        at += 2 + u16(buf, at)
    return at == end


@njit(cache=True, nogil=True)
def beginning(buf, start, end):
    """How many bytes of a stream may belong to the message it begins with, as far as its first bytes tell."""
    if end - start >= 9 and u8(buf, start) == 22:
        message = 9 + u24(buf, start + 6)
        if message <= 5 + u16(buf, start + 3):  # all in one record
            return message
        # Further records each add a header; a ClientHello is shorter than 64 KiB in practice (RFC 8446 4.1.2).
        return min(message + 5 * (message // 256 + 1), np.int64(COLLECT_BYTES))
    return np.int64(HELLO_BYTES)


@njit(cache=True, nogil=True)
def first_payload(buf, start, end, found):
    """What the first bytes of a stream are: KIND_TLS or KIND_HTTP with a name, KIND_SEGMENT to put together, or 0."""
    first = u8(buf, start)
    if first == 22:
        if end - start < 6:
            return KIND_SEGMENT
        if u8(buf, start + 1) != 3 or u8(buf, start + 5) != 1:
            return 0
        answer = client_hello(buf, start, end, found)
        if answer == FOUND:
            found[F_READ] = READ_PENDING
            return KIND_TLS
        if answer == NONE:
            found[F_READ] = READ_PENDING
            return KIND_TLS if found[F_FLAGS] else 0  # a name that is hidden is worth a clue as well
        found[F_FLAGS] = 0
        found[F_ECH_CONFIG] = 0
        return KIND_SEGMENT
    if is_http(buf, start, end):
        answer = http_host(buf, start, end, found)
        if answer == FOUND:
            found[F_READ] = READ_PENDING
            return KIND_HTTP
        return 0 if answer == NONE else KIND_SEGMENT
    # SSLv2-compatible hello: two length bytes with the top bit set, type 1, version 3.x (RFC 5246 E.2).
    if first & 0x80 and end - start > 5 and u8(buf, start + 2) == 1 and u8(buf, start + 3) == 3:
        return KIND_SEGMENT
    return 0


@njit(cache=True, nogil=True, forceinline=True)
def datagram_clue(buf, start, end, missing, row, side, sport, dport, found, rules):
    """Judges a UDP payload. Returns the kind of clue it is, or 0."""
    found[F_READ] = READ_PENDING
    length = end - start
    if length < 8:
        return 0
    if sport == PORT_DNS or dport == PORT_DNS:
        return KIND_DNS if length >= 12 else 0
    first = u8(buf, start)
    phase = row["phase_0"] if side == 0 else row["phase_1"]
    if phase == PHASE_DONE:
        return 0
    clues = np.int64(row["clues_0"] if side == 0 else row["clues_1"])
    kind = 0
    limit = STUN_CLUES
    if (row["packets_0"] if side == 0 else row["packets_1"]) <= FIRST_DATAGRAMS:
        sender = CLIENT if side == row["opener"] else SERVER
        if first_bytes(buf, start, end, missing, UDP, sender, rules) == MATCHES:
            kind = KIND_FIRST
    if kind:
        pass
    elif is_naming(sport) or is_naming(dport):
        if length >= 12:
            kind = KIND_NAMING
            limit = NAMING_CLUES
    elif first < 4:
        if length >= 20 and (length + missing - u16(buf, start + 2)) == 20 and u32(buf, start + 4) == STUN_MAGIC:
            kind = KIND_STUN
    elif (first >= 0xC0 or first & 0xCB == 0x09) and length >= LEAST_BYTES:
        is_client = side == row["opener"] or (sport >= 1024 and dport >= 1024)
        limit = quic_clues(buf, start, first, length, missing, is_client)
        if limit:
            kind = KIND_QUIC
    if kind == 0:
        return 0
    if kind in (KIND_QUIC, KIND_NAMING):
        found[F_READ] = READ_HAND_OVER
    clues += 1
    following = PHASE_DONE if clues >= limit else PHASE_UNDECIDED
    if side == 0:
        row["clues_0"] = clues
        row["phase_0"] = following
    else:
        row["clues_1"] = clues
        row["phase_1"] = following
    return kind


@njit(cache=True, nogil=True, forceinline=True)
def is_naming(port):
    return port == PORT_MDNS or port == PORT_LLMNR or port == PORT_NBNS
