"""A read past a frame's end is in bounds, and silent, as long as another frame follows. So every frame is scanned in an array
of its exact length, and between poison of 0x00 and of 0xFF: the answers must be equal."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.kernel import layout
from sensor.model import LinkType
from tests import captures
from tests.kernel.harness import Frame, Loop, packed, read

DEMO = Path(__file__).resolve().parents[2] / "pcaps" / "clinic-morning.pcap"
POISON = 512
LINKS = [int(link) for link in LinkType]

# One loop for each surrounding, reused: making one costs more than a frame.
LOOPS = [Loop(1 << 10) for _ in range(3)]


def answers(frame: Frame) -> list[dict[str, Any]]:
    """What the loop says of one frame alone, between zeros, and between ones."""
    found = []
    for loop, fill in zip(LOOPS, (b"", b"\0" * POISON, b"\xff" * POISON), strict=True):
        loop.scanner.reset()
        loop.scanner.counters[:] = 0
        loop.scanner.notices[:] = 0
        loop.joiner.reset()
        loop.names.reset()
        loop.said = []
        loop.run(*packed([frame], before=fill, between=fill))
        found.append(loop.result())
    return found


def check(frame: Frame) -> None:
    alone, zeros, ones = answers(frame)
    assert alone == zeros == ones
    assert sum(alone["counters"]) == 1


def cut(frame: Frame, rng: random.Random) -> Frame:
    return frame[0], frame[1][: rng.randrange(len(frame[1]) + 1)], frame[2]


def damaged(frame: Frame, rng: random.Random) -> Frame:
    data = bytearray(frame[1])
    for _ in range(rng.randint(1, 4)):
        if data:
            data[rng.randrange(min(len(data), 96))] = rng.choice((0, 1, 0x45, 0x60, 0x7F, 0xFF, rng.randrange(256)))
    return frame[0], bytes(data), frame[2]


def test_every_frame_of_the_demo() -> None:
    rng = random.Random(1)
    frames = read(DEMO, 1 << 20)
    kinds = {(frame[1][12:24], len(frame[1])): frame for frame in frames}
    for frame in list(kinds.values())[:1500]:
        check(frame)
        check(cut(frame, rng))
        check(damaged(frame, rng))


@pytest.mark.captures
def test_frames_of_real_captures() -> None:
    rng = random.Random(2)
    seen = 0
    for path in sorted(captures.folder().iterdir()):
        if path.suffix not in {".pcap", ".pcapng"}:
            continue
        try:
            frames = read(path, 12)
        except Exception:  # noqa: BLE001 - whatever dpkt makes of a damaged capture, it is left out
            continue
        for frame in frames[::3]:
            seen += 1
            check(frame)
            check(cut(frame, rng))
            check(damaged(frame, rng))
    assert seen > 500


@pytest.mark.parametrize("link", LINKS)
def test_every_prefix_of_a_hello(link: int) -> None:
    hello = next(frame for frame in read(DEMO, 1 << 20) if b"\x16\x03\x01" in frame[1][54:80])
    for length in range(len(hello[1]) + 1):
        check((0, hello[1][:length], link))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*LINKS, 9999]))
def test_garbage(data: bytes, link: int) -> None:
    check((1, data, link))


ETHERNET = b"\x02" * 6 + b"\x04" * 6


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([b"\x08\x00\x45", b"\x86\xdd\x60", b"\x81\x00\x00\x1e\x08\x00\x45"]), st.binary(max_size=160))
def test_garbage_that_begins_well(start: bytes, rest: bytes) -> None:
    check((1, ETHERNET + start + rest, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=40), st.integers(1, 7))
def test_batches_of_any_size_say_the_same(payloads: list[bytes], size: int) -> None:
    """Where a batch ends must not matter: the same clues, rows and counters."""
    frames = [(i * 10**9, ETHERNET + b"\x08\x00" + payload, 1) for i, payload in enumerate(payloads)]
    one, many = Loop(1 << 10), Loop(1 << 10)
    buffer, rows = packed(frames)
    one.run(buffer, rows)
    for start in range(0, max(len(rows), 1), size):
        many.run(buffer, rows[start : start + size])
    assert one.scanner.counters.tolist() == many.scanner.counters.tolist()
    assert one.scanner.notices.tolist() == many.scanner.notices.tolist()
    live = np.flatnonzero(one.scanner.flows["ended"] == 0)
    for name in ("a_low", "b_low", "packets_0", "bytes_1", "last_ns"):
        assert one.scanner.flows[name][live].sum() == many.scanner.flows[name][live].sum()
    assert sum(one.scanner.counters) == len(frames)
    assert len(layout.COUNTERS) == len(one.scanner.counters)
