"""Beginnings of streams put together from several segments, and judged as those in one segment are.

Only what comes in order is put together here, in a pool of fixed size; a stream with a hole, or one that is odd in any way,
goes to the decoders with all that was kept of it, and stays theirs. Repeats bring nothing: the first copy of a byte counts.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.certificate import leaf_certificate
from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.first import CLIENT, MATCHES, SERVER, TCP, TOO_SHORT, first_bytes
from sensor.kernel.hello import FOUND, NONE, ODD, PARTIAL, client_hello, http_host, is_address, is_http
from sensor.kernel.layout import (
    F_ECH_CONFIG,
    F_FLAGS,
    F_NAME,
    F_NAME_BYTES,
    FIRST_STREAM_BYTES,
    HELLO_BEGINS,
    KIND_CERT,
    KIND_FIRST,
    KIND_HTTP,
    KIND_SEGMENT,
    KIND_TLS,
    READ_PENDING,
    STATE_NAMED,
    STREAMS_GIVEN_UP,
)
from sensor.kernel.upgrade import CLIENT_HELLO, HANDSHAKE, SERVER_HELLO
from sensor.kernel.wire import u8

# One stream of the pool: whose it is, and how much of it is there.
STREAM = np.dtype([("flow_id", "<i8"), ("slot", "<i4"), ("side", "<i4"), ("have", "<i8")])
STREAMS = 2048  # beyond, the oldest is given up
STREAM_BYTES = 32768  # room for each
HELD_BYTES = 20480  # longer ones are the decoders'
# Slots of the pool's `control`: the place that makes room next, bytes that are held, places in use so far, and those that are free.
A_NEXT, A_HELD, A_TOUCHED, A_FREE, A_SIZE = range(5)

# What a flow row says of a side's stream: 0 nothing yet, above 0 its place in the pool, counted from 1.
DECODERS, SETTLED = -1, -2

WAIT, DONE, GIVE = 0, 1, 2  # what becomes of a clue: no clue yet, a clue of its own kind, one for the decoders


def stream_pool():
    """Beginnings of streams: whose they are, their bytes, their control, and the places that came free."""
    memory = np.zeros(STREAMS * STREAM_BYTES, np.uint8)  # taken as it is touched
    return np.zeros(STREAMS, STREAM), memory, np.zeros(A_SIZE, np.int64), np.zeros(STREAMS, np.int32)


@inlined
def place_of_stream(row, side):
    return np.int64(row["pool_0"] if side == 0 else row["pool_1"])


@inlined
def set_place(row, side, place):
    if side == 0:
        row["pool_0"] = place
    else:
        row["pool_1"] = place


def give_back(pool, places):
    """Frees what flows that ended still held: `places` as their rows say."""
    streams, _, control, free = pool
    held = places[places > 0] - 1
    if len(held):
        control[A_HELD] -= streams["have"][held].sum()
        streams["have"][held] = 0
        free[control[A_FREE] : control[A_FREE] + len(held)] = held
        control[A_FREE] += len(held)


@compiled
def take_stream(flows, streams, control, free, notices, row, slot, side):
    """A stream of the pool for this side of a flow; where all are taken, one makes room in turn. Returns its place, from 1.

    The place that came free last is taken first: its memory has been touched, and lately.
    """
    if control[A_FREE] > 0:
        control[A_FREE] -= 1
        place = np.int64(free[control[A_FREE]])
    elif control[A_TOUCHED] < streams.shape[0]:
        place = control[A_TOUCHED]
        control[A_TOUCHED] += 1
    else:
        place = control[A_NEXT]
        control[A_NEXT] = (place + 1) % streams.shape[0]
    stream = streams[place]
    if stream["have"] > 0:
        old = flows[stream["slot"]]
        if old["flow_id"] == stream["flow_id"] and place_of_stream(old, stream["side"]) == place + 1:
            set_place(old, stream["side"], SETTLED)
            notices[STREAMS_GIVEN_UP] += 1
        control[A_HELD] -= stream["have"]
    stream["flow_id"] = row["flow_id"]
    stream["slot"] = slot
    stream["side"] = side
    stream["have"] = 0
    set_place(row, side, place + 1)
    return place + 1


@compiled
def free_stream(row, side, streams, control, free, instead):
    """The stream is over for this pool; `instead` is what the flow row says from now on."""
    place = place_of_stream(row, side)
    if place > 0:
        control[A_HELD] -= streams[place - 1]["have"]
        streams[place - 1]["have"] = 0
        free[control[A_FREE]] = place - 1
        control[A_FREE] += 1
    set_place(row, side, instead)


@compiled
def add_segment(buf, clue, flows, pool, notices, rules, found):
    """Takes in one segment. Returns (what becomes of its clue, whether the clue's payload now lies in the pool's memory).

    WAIT: it says nothing yet, or nothing any more; DONE: it is a clue of its own kind; GIVE: the decoders read it.
    """
    streams, memory, control, free = pool
    row = flows[clue["slot"]]
    side = np.int64(clue["side"])
    if clue["flags"] & HELLO_BEGINS:  # what was put together before is not of this stream
        free_stream(row, side, streams, control, free, 0)
    place = place_of_stream(row, side)
    if place == SETTLED:
        return WAIT, False
    if place == DECODERS:
        return GIVE, False
    sequence = clue["sequence"]
    length = np.int64(clue["length"])
    if place == 0:
        if sequence != 0 or length > HELD_BYTES:
            set_place(row, side, DECODERS)
            return GIVE, False
        place = take_stream(flows, streams, control, free, notices, row, np.int64(clue["slot"]), side)
    stream = streams[place - 1]
    have = np.int64(stream["have"])
    base = (place - 1) * STREAM_BYTES
    if sequence + length <= have:
        return WAIT, False  # a repeat
    skipped = max(have - sequence, 0)
    whole = sequence <= have and have + length - skipped <= HELD_BYTES
    count = min(length - skipped, STREAM_BYTES - have)
    for k in range(count):
        memory[base + have + k] = buf[clue["offset"] + skipped + k]
    clue["offset"] = base
    clue["length"] = have + count
    if not whole:
        # Both pieces go to the decoders in one clue: the first `name_length` bytes begin the stream, the rest lies at `sequence`.
        clue["name_length"] = have
        clue["sequence"] = sequence + skipped
        free_stream(row, side, streams, control, free, DECODERS)
        return GIVE, True
    stream["have"] = have + count
    control[A_HELD] += count
    clue["sequence"] = 0
    clue["name_length"] = 0
    what = judge(memory, clue, row, rules, found)
    if what == WAIT:
        return WAIT, False
    free_stream(row, side, streams, control, free, SETTLED if what == DONE else DECODERS)
    if what == DONE and clue["kind"] == KIND_SEGMENT:
        return WAIT, False  # it says nothing
    return what, True


@compiled
def judge(memory, clue, row, rules, found):
    """What the beginning of a stream that is there says. A clue that keeps its kind after DONE says nothing."""
    start = clue["offset"]
    end = start + clue["length"]
    first = u8(memory, start)
    if first == HANDSHAKE:
        if end - start < 6:
            return WAIT
        kind = u8(memory, start + 5)
        if kind == CLIENT_HELLO and u8(memory, start + 1) == 3:
            return judge_hello(memory, start, end, clue, row, found)
        if kind == SERVER_HELLO:
            return judge_flight(memory, start, end, clue, row, found)
        return GIVE
    if first & 0x80:
        return GIVE  # an SSLv2-compatible hello, or none
    if is_http(memory, start, end):
        answer = http_host(memory, start, end, found)
        if answer == FOUND:
            clue["kind"] = KIND_HTTP
            tell_name(clue, found)
        return WAIT if answer == PARTIAL else GIVE if answer == ODD else DONE
    side = CLIENT if clue["side"] == clue["opener"] else SERVER
    answer = first_bytes(memory, start, end, 0, TCP, side, rules)
    if answer == MATCHES:
        clue["kind"] = KIND_FIRST
        clue["read"] = READ_PENDING
        return DONE
    return WAIT if answer == TOO_SHORT and end - start < FIRST_STREAM_BYTES else DONE


@compiled
def judge_hello(memory, start, end, clue, row, found):
    found[F_FLAGS] = 0
    found[F_ECH_CONFIG] = 0
    answer = client_hello(memory, start, end, found)
    if answer == PARTIAL:
        return WAIT
    if answer == ODD:
        return GIVE
    clue["kind"] = KIND_TLS
    clue["flags"] = found[F_FLAGS]
    clue["ech_config"] = found[F_ECH_CONFIG]
    if answer == NONE:
        clue["read"] = READ_PENDING
        return DONE
    tell_name(clue, found)
    if not is_address(memory, found[F_NAME], found[F_NAME_BYTES]):
        row["state"] |= STATE_NAMED
    return DONE


@compiled
def judge_flight(memory, start, end, clue, row, found):
    """A server's certificate names the flow where the client's hello did not."""
    if row["state"] & STATE_NAMED:
        return DONE
    answer = leaf_certificate(memory, start, end, found)
    if answer == FOUND:
        clue["kind"] = KIND_CERT
        clue["read"] = READ_PENDING
        clue["offset"] = found[F_NAME]
        clue["length"] = found[F_NAME_BYTES]
        return DONE
    return WAIT if answer == PARTIAL else GIVE if answer == ODD else DONE


@inlined
def tell_name(clue, found):
    clue["name_offset"] = found[F_NAME]
    clue["name_length"] = found[F_NAME_BYTES]
    clue["read"] = READ_PENDING
