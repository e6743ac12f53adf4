from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.model import Malformed
from tests.decode.samples import varint

DATA = bytes(range(1, 31))
READS = {
    "u8": (1, lambda cursor: cursor.u8(), 0x01),
    "u16": (2, lambda cursor: cursor.u16(), 0x0102),
    "u24": (3, lambda cursor: cursor.u24(), 0x010203),
    "u32": (4, lambda cursor: cursor.u32(), 0x01020304),
    "u64": (8, lambda cursor: cursor.u64(), 0x0102030405060708),
    "take": (5, lambda cursor: cursor.take(5), DATA[:5]),
    "skip": (5, lambda cursor: cursor.skip(5), None),
    "unpack": (3, lambda cursor: cursor.unpack(Struct(">BH")), (0x01, 0x0203)),
    "u16_list": (4, lambda cursor: cursor.u16_list(4), (0x0102, 0x0304)),
    "varint": (1, lambda cursor: cursor.varint(), 1),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_gives_its_value_and_moves_by_its_size(name):
    size, read, value = READS[name]
    cursor = Cursor(DATA)
    assert read(cursor) == value
    assert cursor.offset == size
    assert cursor.remaining == len(DATA) - size


@pytest.mark.parametrize("name", READS)
def test_a_read_past_the_input_needs_more_and_moves_nothing(name):
    size, read, _ = READS[name]
    cursor = Cursor(DATA[: size - 1])
    with pytest.raises(NeedMore):
        read(cursor)
    assert cursor.offset == 0


@pytest.mark.parametrize("name", READS)
def test_a_read_past_a_fence_is_bad_though_the_input_goes_on(name):
    size, read, _ = READS[name]
    outer = Cursor(DATA, 0)
    inner = outer.sub(size - 1)
    with pytest.raises(Bad) as caught:
        read(inner)
    assert caught.value.offset == 0
    assert outer.offset == size - 1


def test_a_nested_fence_counts_from_the_start_of_the_input():
    inner = Cursor(DATA, 2).sub(10).sub(4)
    inner.skip(3)
    with pytest.raises(Bad) as caught:
        inner.u16()
    assert caught.value.offset == 5


def test_a_field_that_is_not_all_there_yet_needs_more_but_inside_a_field_it_is_bad():
    with pytest.raises(NeedMore):
        Cursor(DATA).sub(31)
    with pytest.raises(Bad):
        Cursor(DATA).sub(10).sub(11)


def test_a_list_of_16_bit_values_of_odd_length_is_bad():
    with pytest.raises(Bad):
        Cursor(DATA).u16_list(3)


# RFC 9000, A.1.
@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
        ("4025", 37),
    ],
)
def test_varint_vectors(raw, value):
    cursor = Cursor(bytes.fromhex(raw))
    assert cursor.varint() == value
    assert cursor.remaining == 0


@given(st.integers(0, 2**62 - 1))
def test_varint_round_trip(value):
    assert Cursor(varint(value)).varint() == value


def test_zeros_are_skipped_up_to_the_fence_only():
    cursor = Cursor(b"\x00" * 10, 2, 6)
    cursor.skip_zeros()
    assert cursor.offset == 6
    cursor = Cursor(b"\x00\x00\x07\x00")
    cursor.skip_zeros()
    assert cursor.u8() == 7


def test_strings_stop_at_zero_at_a_long_length_and_behind_the_limit():
    assert Cursor(b"\x01a\x02bc\x00\x01d").strings(63, 255) == [b"a", b"bc"]
    cursor = Cursor(b"\x01a\xc0\x00")
    assert cursor.strings(63, 255) == [b"a"]
    assert cursor.offset == 2
    assert len(Cursor(b"\x01a" * 50_000).strings(63, 255)) == 128
    with pytest.raises(NeedMore):
        Cursor(b"\x01a\x05b").strings(63, 255)
    with pytest.raises(Bad):
        Cursor(b"\x01a\x05bcdefg", 0, 5).strings(63, 255)


def test_lines_end_with_lf_or_cr_lf_within_the_limit():
    cursor = Cursor(b"one\r\ntwo\nthree")
    assert (cursor.line(10), cursor.line(10), cursor.line(10)) == (b"one", b"two", None)
    assert Cursor(b"abc\n").line(3) is None


def test_the_border_turns_the_two_exceptions_into_values_and_hides_nothing_else():
    @decoder
    def decode(data):
        cursor = Cursor(data)
        return cursor.sub(cursor.u8()).u16()

    assert decode(b"\x02\x01\x02") == 0x0102
    assert decode(b"\x02\x01") is None
    assert decode(b"\x01\x01\x02") == Malformed("2 bytes wanted, 1 left in this field", 1)

    @decoder
    def broken(data):
        raise ValueError(data)

    with pytest.raises(ValueError):
        broken(b"")
