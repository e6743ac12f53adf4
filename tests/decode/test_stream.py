import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.decode.stream import MAX_PIECES, Reassembler
from sensor.decode.tls import client_hello, first_handshake
from tests.decode.samples import FULL_HELLO, records

TEXT = bytes(range(256)) * 2


def test_in_order():
    stream = Reassembler(1000)
    stream.add(0, b"abc")
    stream.add(3, b"def")
    assert stream.prefix() == b"abcdef"
    assert not stream.full


def test_a_hole_holds_back_what_is_behind_it():
    stream = Reassembler(1000)
    stream.add(3, b"def")
    assert stream.prefix() == b""
    stream.add(9, b"jkl")
    stream.add(0, b"abc")
    assert stream.prefix() == b"abcdef"
    stream.add(6, b"ghi")
    assert stream.prefix() == b"abcdefghijkl"
    assert stream.overlaps == 0


def test_what_comes_first_wins_and_a_difference_is_counted():
    stream = Reassembler(1000)
    stream.add(0, b"abcd")
    stream.add(2, b"XXef")
    assert stream.prefix() == b"abcdef"
    assert stream.overlaps == 1
    stream.add(0, b"abcdef")  # a plain retransmission
    assert stream.overlaps == 1


def test_a_piece_over_several_waiting_ones_fills_the_holes_between_them():
    stream = Reassembler(1000)
    stream.add(2, b"CC")
    stream.add(6, b"GG")
    stream.add(1, b"bccdeeghh")
    assert stream.overlaps == 1
    stream.add(0, b"a")
    assert stream.prefix() == b"abCCdeGGhh"


def test_bytes_before_the_start_are_cut_off():
    stream = Reassembler(1000)
    stream.add(-1, b"\x00")  # a TCP keep-alive
    stream.add(-2, b"xxab")
    assert stream.prefix() == b"ab"
    stream.add(-5, b"abc")
    assert stream.prefix() == b"ab"


def test_nothing_behind_the_limit_is_kept():
    stream = Reassembler(4)
    stream.add(2, b"cdef")
    stream.add(100, b"x" * 1000)
    before = stream.full
    stream.add(0, b"ab")
    assert stream.prefix() == b"abcd"
    assert (before, stream.full) == (False, True)
    stream.add(4, b"e")
    assert stream.prefix() == b"abcd"


def test_splinters_behind_a_hole_are_bounded():
    stream = Reassembler(1 << 20)
    for index in range(MAX_PIECES + 10):
        stream.add(10 + 2 * index, b"x")
    assert stream.refused == 10
    assert stream.full
    stream.add(0, b"y" * 10)  # what continues the prefix is always taken
    assert stream.prefix() == b"y" * 10 + b"x"


@st.composite
def cut_up(draw, data=TEXT):
    """The data as pieces in any order, some of them twice, some overlapping."""
    places = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=20)))
    edges = [0, *places, len(data)]
    pieces = []
    for start, end in pairwise(edges):
        back = draw(st.integers(0, start))
        pieces.append((start, end) if draw(st.booleans()) else (back, end))
    extra = draw(st.lists(st.sampled_from(pieces), max_size=5))
    return draw(st.permutations(pieces + extra))


@given(cut_up())
def test_any_order_gives_the_stream(pieces):
    stream = Reassembler(len(TEXT))
    for start, end in pieces:
        stream.add(start, TEXT[start:end])
    assert stream.prefix() == TEXT
    assert stream.overlaps == 0
    assert stream.full


@settings(max_examples=50)
@given(cut_up(), st.randoms(use_true_random=False))
def test_the_first_copy_of_every_byte_wins(pieces, rng):
    stream = Reassembler(len(TEXT))
    model: dict[int, int] = {}
    for start, end in pieces:
        data = bytes(rng.randrange(256) for _ in range(start, end))
        for at, byte in enumerate(data, start):
            model.setdefault(at, byte)
        stream.add(start, data)
    assert stream.prefix() == bytes(model[at] for at in range(len(TEXT)))


@given(cut_up(records(FULL_HELLO, 5, 90)))
def test_a_client_hello_in_any_pieces_and_order(pieces):
    data = records(FULL_HELLO, 5, 90)
    stream = Reassembler(4096)
    answers = []
    for start, end in pieces:
        stream.add(start, data[start:end])
        answers.append(first_handshake(stream.prefix()))
    assert answers[-1] == client_hello(FULL_HELLO)
    whole = answers.index(answers[-1])
    assert answers[:whole] == [None] * whole


def test_splinters_in_the_worst_order_stay_cheap():
    stream = Reassembler(1 << 16)
    places = list(range(1, 1 << 16, 2))
    random.Random(1).shuffle(places)
    for at in places:
        stream.add(at, b"x")
    assert stream.refused == len(places) - MAX_PIECES
