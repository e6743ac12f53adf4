"""Beginnings of streams in several segments: what the loop puts together, what it leaves to the decoders, and its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from sensor.kernel import layout
from sensor.kernel.assemble import A_FREE, A_TOUCHED, STREAMS
from sensor.model import Batch
from tests.decode import samples
from tests.kernel.harness import Frame, Loop, packed, segment
from tests.lines import SYN, Talk

NAME = b"chat.app.example"
HELLO = samples.records(samples.client_hello(samples.server_name(NAME)))
FLIGHT = samples.flight(samples.certificate("a.example", "a.example"))
MS = 1_000_000


def clues_of(*batches: list[Frame], loop: Loop | None = None) -> list[tuple[int, int, bytes]]:
    """Kind, READ_* and payload of every clue that is no new flow."""
    loop = loop or Loop()
    found = []
    for frames in batches:
        buffer, rows = packed(frames)
        for clues, kept in loop.scanner.read(Batch(buffer, rows)).parts:
            for clue in clues[clues["kind"] != layout.KIND_NEW_FLOW]:
                start, length = int(clue["offset"]), int(clue["length"])
                found.append((int(clue["kind"]), int(clue["read"]), kept[start : start + length].tobytes()))
    return found


def test_a_split_hello_is_one_clue_with_all_of_it():
    frames = Talk().client(HELLO[:20], HELLO[20:60], HELLO[60:]).frames
    assert clues_of(frames) == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)]
    assert clues_of(frames[:4], frames[4:5], frames[5:]) == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)]


def test_a_certificate_is_all_that_is_kept_of_a_flight():
    leaf = samples.certificate("a.example", "a.example")
    whole = samples.flight(leaf)
    talk = Talk().client(samples.records(samples.client_hello())).server(whole[:500], whole[500:])
    kinds = clues_of(talk.frames)
    assert kinds[-1] == (layout.KIND_CERT, layout.READ_PENDING, leaf)
    # Where the client said a name, nothing is kept of it at all.
    named = Talk().client(HELLO[:20], HELLO[20:]).server(whole[:500], whole[500:])
    assert [kind for kind, _, _ in clues_of(named.frames)] == [layout.KIND_TLS]


def test_a_hole_makes_it_the_decoders():
    talk = Talk().client(HELLO[:20])
    talk.put(HELLO[40:], client=True, at=40)
    talk.put(HELLO[20:40], client=True, at=20)
    found = clues_of(talk.frames)
    assert [(kind, read) for kind, read, _ in found] == [(layout.KIND_SEGMENT, layout.READ_HAND_OVER)] * 2
    assert found[0][2] == HELLO[:20] + HELLO[40:]  # both pieces, the first of which is as long as `name_length` says
    assert found[1][2] == HELLO[20:40]


def test_repeats_say_nothing():
    talk = Talk().client(HELLO[:50])
    for _ in range(5):
        talk.put(HELLO[:50], client=True, at=0)
        talk.put(HELLO[10:30], client=True, at=10)
    talk.put(HELLO[30:], client=True, at=30)
    assert clues_of(talk.frames) == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)]


def test_the_first_copy_of_a_byte_counts():
    talk = Talk().client(HELLO[:50])
    talk.put(b"\xff" * 20 + HELLO[50:], client=True, at=30)
    assert clues_of(talk.frames) == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)]


def half_open(number: int) -> list[Frame]:
    """A connection of its own, of which the first part of a hello has come."""
    ends = (f"10.1.{number >> 8}.{number & 255}", 40000, "198.51.100.7", 443)
    begin = number * 3 * MS + MS
    return [segment(begin, *ends, flags=SYN, sequence=99), segment(begin + MS, *ends, HELLO[:30], sequence=100)]


def rest(number: int, time_ns: int) -> Frame:
    ends = (f"10.1.{number >> 8}.{number & 255}", 40000, "198.51.100.7", 443)
    return segment(time_ns, *ends, HELLO[30:], sequence=130)


def test_the_oldest_makes_room_and_is_counted():
    many = STREAMS + 5
    loop = Loop(1 << 13)
    begun = [frame for number in range(many) for frame in half_open(number)]
    assert clues_of(begun, loop=loop) == []
    assert int(loop.scanner.notices[layout.STREAMS_GIVEN_UP]) == 5
    end = begun[-1][0] + MS
    ended = clues_of([rest(number, end + number) for number in range(many)], loop=loop)
    assert (
        ended == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)] * STREAMS
    )  # of the five that made room nothing comes


def held(loop: Loop) -> Any:
    return loop.scanner.streams[2]


def test_places_come_free_and_are_taken_again():
    loop = Loop(1 << 13)
    for number in range(3):
        whole = Talk(port=1000 + number).client(HELLO[:20], HELLO[20:]).frames
        assert clues_of(whole, loop=loop) == [(layout.KIND_TLS, layout.READ_PENDING, HELLO)]
    assert places(loop) == (1, 1)  # one place served all three
    clues_of(half_open(0) + half_open(1), loop=loop)
    assert places(loop) == (2, 0)
    loop.take(loop.scanner.finish())  # flows that end in the middle of a hello give theirs back
    assert places(loop) == (2, 2)
    assert int(held(loop)[1]) == 0


def places(loop: Loop) -> tuple[int, int]:
    """How many places of the pool were ever taken, and how many of them are free."""
    return int(held(loop)[A_TOUCHED]), int(held(loop)[A_FREE])


def test_nothing_is_held_once_it_is_judged():
    loop = Loop()
    clues_of(Talk().client(HELLO[:20], HELLO[20:]).frames, loop=loop)
    assert int(held(loop)[1]) == 0
    clues_of(half_open(1), loop=loop)
    assert int(held(loop)[1]) == 30
    loop.scanner.reset()
    assert int(held(loop)[1]) == 0
    assert np.count_nonzero(loop.scanner.streams[0]["have"]) == 0
