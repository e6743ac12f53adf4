"""Which payloads are worth reading on: the start of TLS, HTTP and DNS streams, QUIC long headers, STUN, DNS datagrams."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.first import CLIENT, MATCHES, SERVER, TCP, TOO_SHORT, UDP, first_bytes
from sensor.kernel.hello import FOUND, NONE, client_hello, http_host, is_address, is_connect, is_http
from sensor.kernel.layout import (
    COLLECT_BYTES,
    COLLECT_CLUES,
    COLLECT_LIMIT,
    DTLS_CLUES,
    EARLY_CLUES,
    F_BEGIN,
    F_ECH_CONFIG,
    F_FLAGS,
    F_NAME,
    F_NAME_BYTES,
    F_READ,
    FIRST_DATAGRAMS,
    FIRST_STREAM_BYTES,
    HELLO_BEGINS,
    HELLO_BYTES,
    KIND_DNS,
    KIND_DTLS,
    KIND_FIRST,
    KIND_HTTP,
    KIND_NAMING,
    KIND_QUIC,
    KIND_SEGMENT,
    KIND_STUN,
    KIND_TLS,
    LATER_BYTES,
    NAMING_CLUES,
    PHASE_COLLECTING,
    PHASE_DONE,
    PHASE_LATER,
    PHASE_UNDECIDED,
    PORT_DNS,
    PORT_LLMNR,
    PORT_MDNS,
    PORT_NBNS,
    READ_HAND_OVER,
    READ_PENDING,
    STATE_NAMED,
    STUN_CLUES,
)
from sensor.kernel.quic import LEAST_BYTES, quic_clues
from sensor.kernel.upgrade import (
    CLIENT_HELLO,
    HELLO_TELLS,
    SERVER_HELLO,
    begins_hello,
    certificate_end,
    preamble_bytes,
)
from sensor.kernel.wire import u8, u16, u24, u32

STUN_MAGIC = 0x2112A442  # RFC 8489 5
PORT_RDP = 3389
RDP_DATAGRAMS = 16  # of each side that are looked at
RDP_HEAD_BYTES = 64  # a vector of acknowledgements among them


@inlined
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
    # A stream of which no more than its first bytes are put together may go over to TLS meanwhile.
    later = phase == PHASE_COLLECTING and until == FIRST_STREAM_BYTES and relative > 0 and begins_hello(buf, start, end)
    if phase == PHASE_COLLECTING and not later:
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
    elif phase == PHASE_LATER or later:
        if relative >= LATER_BYTES:
            following = PHASE_DONE
        elif relative >= 0 and begins_hello(buf, start, end):
            kind, following, until = stream_begins(buf, start, end, relative, row, side, found)
            if kind == KIND_SEGMENT:
                found[F_FLAGS] |= HELLO_BEGINS
    elif relative == 0:
        skipped = preamble_bytes(buf, start, end)
        if skipped and start + skipped >= end and clues < EARLY_CLUES:
            move_base(row, side, skipped)  # the stream proper begins with a segment to come
            clues += 1
        else:
            kind, following, until = stream_begins(buf, start + skipped, end, skipped, row, side, found)
            if kind == 0:
                sieved = first_bytes(buf, start, end, 0, TCP, CLIENT if side == row["opener"] else SERVER, rules)
                if sieved == MATCHES:
                    kind = KIND_FIRST
                    found[F_READ] = READ_PENDING
                elif sieved == TOO_SHORT:
                    kind = KIND_SEGMENT
                    following = PHASE_COLLECTING
                    until = np.int64(FIRST_STREAM_BYTES)
    elif known_base and 0 < relative < COLLECT_BYTES and clues < EARLY_CLUES:
        kind = KIND_SEGMENT  # overtook the first one, which is still to come
    elif not known_base or clues >= EARLY_CLUES:
        following = PHASE_LATER
    if kind:
        clues += 1
        if dns and kind == KIND_SEGMENT:
            found[F_BEGIN] = until - COLLECT_BYTES
        if kind == KIND_TLS and not is_address(buf, found[F_NAME], found[F_NAME_BYTES]):
            row["state"] |= STATE_NAMED
    if side == 0:
        row["phase_0"] = following
        row["clues_0"] = clues
        row["until_0"] = until
    else:
        row["phase_1"] = following
        row["clues_1"] = clues
        row["until_1"] = until
    return kind


@compiled
def stream_begins(buf, start, end, moved, row, side, found):
    """Judges the first payload of a stream, `moved` bytes behind the beginning that was known. Returns (kind, phase, until)."""
    move_base(row, side, moved)
    found[F_BEGIN] = moved
    kind = 0
    until = np.int64(0)
    if begins_hello(buf, start, end) == SERVER_HELLO:
        if not row["state"] & STATE_NAMED:  # else the certificate would tell nothing new
            until = certificate_end(buf, start, end)
            kind = KIND_SEGMENT if until else 0
    else:
        kind = first_payload(buf, start, end, found)
        until = beginning(buf, start, end)
    if kind == KIND_SEGMENT:
        return kind, PHASE_COLLECTING, until
    if kind == KIND_HTTP:  # behind a CONNECT the stream proper begins (RFC 9110 9.3.6)
        return kind, PHASE_LATER if is_connect(buf, start) else PHASE_DONE, until
    # Within TLS nothing begins in the clear any more.
    tls = end - start >= 2 and 20 <= u8(buf, start) <= 23 and u8(buf, start + 1) == 3
    return kind, PHASE_DONE if kind or tls else PHASE_LATER, until


@compiled
def move_base(row, side, by):
    """Lets the stream begin `by` bytes later: offsets count from there."""
    if side == 0:
        row["base_0"] = (np.int64(row["base_0"]) + by) & 0xFFFFFFFF
    else:
        row["base_1"] = (np.int64(row["base_1"]) + by) & 0xFFFFFFFF


@compiled
def whole_messages(buf, start, end):
    """Whether a segment holds whole DNS messages, each behind its length (RFC 1035 4.2.2), and nothing else."""
    at = start
    while at + 14 <= end:
        at += 2 + u16(buf, at)
    return at == end


@compiled
def beginning(buf, start, end):
    """How many bytes of a stream may belong to the message it begins with, as far as its first bytes tell."""
    if end - start >= 9 and u8(buf, start) == 22 and u16(buf, start + 3) >= 4:
        message = 9 + u24(buf, start + 6)
        if message <= 5 + u16(buf, start + 3):  # all in one record
            return message
        # Further records each add a header to as little as one byte; a ClientHello is shorter than 64 KiB in practice.
        return min(6 * message, np.int64(COLLECT_BYTES))
    return np.int64(HELLO_BYTES)


@compiled
def first_payload(buf, start, end, found):
    """What the first bytes of a stream are: KIND_TLS or KIND_HTTP with a name, KIND_SEGMENT to put together, or 0."""
    if start >= end:
        return 0
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
            return KIND_TLS  # a hello without a name tells something too
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


@inlined
def is_stun(buf, start, length, missing):
    """RFC 8489 5: the magic cookie, and a length that fills the datagram. Meta's relays use types from 0x0800 on."""
    return length >= 20 and u32(buf, start + 4) == STUN_MAGIC and length + missing - u16(buf, start + 2) == 20


@inlined
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
    known = np.int64(row["clues_0"] if side == 0 else row["clues_1"])
    clues = known
    kind = 0
    limit = STUN_CLUES
    naming = is_naming(sport) or is_naming(dport)
    if not naming and (row["packets_0"] if side == 0 else row["packets_1"]) <= FIRST_DATAGRAMS:
        sender = CLIENT if side == row["opener"] else SERVER
        if first_bytes(buf, start, end, missing, UDP, sender, rules) == MATCHES:
            kind = KIND_FIRST
    if kind:
        pass
    elif naming:
        if length >= 12:
            kind = KIND_NAMING
            limit = NAMING_CLUES
    elif first < 0x40 and is_stun(buf, start, length, missing):
        kind = KIND_STUN
    elif (first >= 0xC0 or first & 0xCB == 0x09) and length >= LEAST_BYTES:
        is_client = side == row["opener"] or (sport >= 1024 and dport >= 1024)
        limit = quic_clues(buf, start, first, length, missing, is_client)
        if limit:
            kind = KIND_QUIC
    elif first == 22:
        if is_dtls_hello(buf, start, end):
            kind = KIND_DTLS
            limit = DTLS_CLUES
    if kind == 0 and (sport == PORT_RDP or dport == PORT_RDP) and clues < RDP_DATAGRAMS:
        kind = hello_over_rdp(buf, start, end, found)
        clues += 1
        limit = RDP_DATAGRAMS
    elif kind:
        clues += 1
    if clues == known:
        return 0
    if kind in (KIND_QUIC, KIND_DTLS):
        found[F_READ] = READ_HAND_OVER
    following = PHASE_DONE if clues >= limit else PHASE_UNDECIDED
    if side == 0:
        row["clues_0"] = clues
        row["phase_0"] = following
    else:
        row["clues_1"] = clues
        row["phase_1"] = following
    return kind


@compiled
def is_dtls_hello(buf, start, end):
    """A record of DTLS 1.0 to 1.3 in the clear that holds a ClientHello or a piece of one (RFC 6347 4.1, 4.2.2; RFC 9147 4)."""
    if end - start < 25 or u8(buf, start + 1) != 0xFE or u8(buf, start + 2) < 0xFC:
        return False
    return u16(buf, start + 3) == 0 and u8(buf, start + 13) == 1


@compiled
def hello_over_rdp(buf, start, end, found):
    """A ClientHello in a datagram of remote desktop: behind a header of its version 1 or 2 (MS-RDPEUDP, MS-RDPEUDP2)."""
    for at in range(start + 4, min(start + RDP_HEAD_BYTES, end - HELLO_TELLS)):
        if begins_hello(buf, at, end) == CLIENT_HELLO and client_hello(buf, at, end, found) == FOUND:
            found[F_BEGIN] = at - start
            return KIND_TLS
    return 0


@inlined
def is_naming(port):
    return port == PORT_MDNS or port == PORT_LLMNR or port == PORT_NBNS
