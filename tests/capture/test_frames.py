"""sensor.capture.frames: the compiled walk, against exact arithmetic, next to forbidden bytes, and interpreted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.capture import formats, frames
from sensor.model import FRAME
from tests.capture import made

MAX_I64 = (1 << 63) - 1


@settings(deadline=None)  # the first call compiles
@given(
    stamp=st.one_of(st.integers(0, (1 << 64) - 1), st.integers(0, 64).map(lambda bits: max((1 << bits) - 1, 0))),
    resolution=st.integers(0, 255),
    offset_s=st.one_of(st.just(0), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(10**10), 10**10)),
)
def test_scaling_is_exact(stamp, resolution, offset_s):
    exponent = resolution & 0x7F
    exact = stamp * 10**9 // (2**exponent if resolution & 0x80 else 10**exponent) + offset_s * 10**9
    kind, a, b, offset_ns = formats.clock(resolution, offset_s)
    ns = frames.scale_ns(stamp >> 32, stamp & 0xFFFFFFFF, kind, a, b, offset_ns)
    if (
        0 <= exact <= MAX_I64 - 2 * 10**9
        and abs(offset_s) * 10**9 <= MAX_I64
        and exact - offset_s * 10**9 <= MAX_I64 - 2 * 10**9
    ):
        assert ns == exact
    elif exact < 0 or exact > MAX_I64:
        assert ns < 0
    else:  # within the last two seconds of the range, or only so by an offset beyond it
        assert ns in {exact, -1}


def walked(data: bytes, *, before: bytes, after: bytes, is_pcapng: bool) -> tuple[tuple[int, ...], bytes]:
    """Walk `data` between other bytes; positions and offsets are told from where it begins."""
    buffer = np.frombuffer(before + data + after, np.uint8).copy()
    start, end = len(before), len(before) + len(data)
    rows = np.zeros(64, FRAME)
    if is_pcapng:
        interfaces = np.zeros(1, frames.INTERFACE_ROW)
        interfaces[0] = (1, *formats.clock(6, 0), 0)
        state, at, count, bad = frames.walk_pcapng(buffer, start, end, False, interfaces, 1, 0, 0, 0, rows)
        result: tuple[int, ...] = (state, at - start, count, bad - start if bad >= 0 else -1)
    else:
        state, at, count = frames.walk_pcap(buffer, start, end, False, 16, 1000, 1, 0, 0, rows)
        result = (state, at - start, count)
    rows["offset"][:count] -= start
    return result, rows[:count].tobytes()


RECORDS = made.pcap(made.packets(4))[24:]
BLOCKS = b"".join((made.enhanced(b"abc", 5), made.simple(b"abcd"), made.obsolete(b"x", 7), made.block(9, bytes(8))))


@pytest.mark.parametrize(("data", "is_pcapng"), [(RECORDS, False), (BLOCKS, True)])
def test_nothing_past_the_end_is_read(data, is_pcapng):
    for cut in range(len(data) + 1):
        alone = walked(data[:cut], before=b"", after=b"", is_pcapng=is_pcapng)
        for poison in (b"\x00", b"\xff"):
            around = walked(data[:cut], before=poison * 40, after=poison * 40, is_pcapng=is_pcapng)
            assert around == alone, cut


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_walked_within_its_bounds(data, is_pcapng):
    alone = walked(data, before=b"", after=b"", is_pcapng=is_pcapng)
    assert walked(data, before=b"\xff" * 40, after=b"\xff" * 40, is_pcapng=is_pcapng) == alone
    rows = np.frombuffer(alone[1], FRAME)
    assert (rows["offset"] >= 0).all()
    assert (rows["captured_bytes"] >= 0).all()
    assert (rows["offset"] + rows["captured_bytes"] <= len(data)).all()
    assert 0 <= alone[0][1] <= len(data)


@pytest.mark.parametrize("variables", [{"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_BOUNDSCHECK": "1"}])
def test_interpreted_and_bounds_checked(tmp_path, variables):
    """The same tests in a process and cache folder of their own; only those that walk every branch."""
    if "NUMBA_DISABLE_JIT" in os.environ or "NUMBA_BOUNDSCHECK" in os.environ:
        pytest.skip("this is that process")
    root = Path(__file__).resolve().parents[2]
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not captures"]
        + [str(here / name) for name in ("test_frames.py", "test_reading.py", "test_merging.py")]
        + ["-k", "not more_frames_than_one_batch"],
        cwd=root,
        env={**os.environ, **variables, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
