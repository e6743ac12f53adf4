"""The hash of Google's QUIC in the compiled loop, beside plain arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.gquic import FNV_OFFSET, FNV_PRIME, MASK_128
from sensor.kernel.fnv import fnv1a_128


def plainly(data: bytes, value: int) -> int:
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & MASK_128
    return value


def test_published_values():
    """draft-eastlake-fnv, test vectors for 128 bits."""
    assert fnv1a_128(b"", FNV_OFFSET) == FNV_OFFSET == 0x6C62272E07BB014262B821756295C58D
    assert fnv1a_128(b"a", FNV_OFFSET) == 0xD228CB696F1A8CAF78912B704E4A8964
    assert fnv1a_128(b"foobar", FNV_OFFSET) == 0x343E1662793C64BF6F0D3597BA446F18


@given(st.binary(max_size=1500), st.integers(0, MASK_128))
def test_as_plain_arithmetic_has_it(data, value):
    assert fnv1a_128(data, value) == plainly(data, value)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_in_two_steps(one, two):
    assert fnv1a_128(two, fnv1a_128(one, FNV_OFFSET)) == fnv1a_128(one + two, FNV_OFFSET)
