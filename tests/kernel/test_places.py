"""STUN rules that hold at some addresses only: the compiled loop tells the same places as the signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.classify import signatures
from sensor.kernel import layout
from sensor.kernel.dialect import PLACE_NIBBLES, TEXT_LIMIT, with_places
from sensor.kernel.places import MAX_PLACES, NOWHERE, places_of
from sensor.places import stun_places

KNOWN = signatures.load()
ASKED = KNOWN.stun_places()
PLACES = stun_places(KNOWN)
EDGES = sorted(
    {at for ranges, _ in ASKED for one in ranges for at in (one.low - 1, one.low, one.high, one.high + 1)} | {0, 1}
)
PORTS = sorted({at for _, ports in ASKED for one in ports for at in (one.low - 1, one.low, one.high, one.high + 1)})

addresses = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 128) - 1))
ports = st.one_of(st.sampled_from(PORTS), st.integers(0, 65535))
ends = st.tuples(addresses, ports)
Pair = tuple[tuple[int, int], tuple[int, int]]


def clue(src: tuple[int, int], dst: tuple[int, int]) -> Any:
    row = np.zeros(1, layout.CLUE)[0]
    for end, (address, port) in (("src", src), ("dst", dst)):
        raw = address.to_bytes(16, "big")
        row[f"{end}_high"] = int.from_bytes(raw[:8], "big", signed=True)
        row[f"{end}_low"] = int.from_bytes(raw[8:], "big", signed=True)
        row[f"{end}_port"] = port
    return row


def test_there_are_places() -> None:
    assert len(ASKED) >= 5
    assert any(given for _, given in ASKED)
    assert not all(given for _, given in ASKED)  # some hold at every port


@settings(max_examples=1000, deadline=None)
@given(ends, ends)
def test_an_end_lies_where_the_signatures_say(src: tuple[int, int], dst: tuple[int, int]) -> None:
    bits = int(places_of(clue(src, dst), PLACES))
    for place, (ranges, given_ports) in enumerate(ASKED):
        held = any(
            any(one.holds(address) for one in ranges)
            and (not given_ports or any(one.fits("udp", port) for one in given_ports))
            for address, port in (src, dst)
        )
        assert bits >> place & 1 == held


@settings(max_examples=300, deadline=None)
@given(st.tuples(ends, ends), st.tuples(ends, ends))
def test_the_same_places_are_judged_the_same(one: Pair, two: Pair) -> None:
    if places_of(clue(*one), PLACES) == places_of(clue(*two), PLACES):
        for method, attributes in ((1, []), (1, [(0x0024, b"abcd")]), (3, [(0x0019, b"abcd")])):
            found = [
                KNOWN.match_stun(
                    method=method, attributes=attributes, ends=[(a.to_bytes(16, "big"), p) for a, p in pair]
                )
                for pair in (one, two)
            ]
            assert found[0] == found[1]


def test_no_places() -> None:
    assert places_of(clue((1, 2), (3, 4)), NOWHERE) == 0


@pytest.mark.parametrize("bits", [1, 5, (1 << MAX_PLACES) - 1])
def test_places_are_part_of_the_dialect(bits: int) -> None:
    text = np.zeros(256, np.uint8)
    assert with_places(text, 10, 0) == 10
    end = int(with_places(text, 10, bits))
    shown = bytes(text[11:end].tolist()).translate(bytes.maketrans(b"abcdefghijklmnop", b"0123456789abcdef"))
    assert int(shown, 16) == bits
    assert with_places(text, -1, bits) == -1
    assert with_places(text, TEXT_LIMIT - PLACE_NIBBLES, bits) == -1
