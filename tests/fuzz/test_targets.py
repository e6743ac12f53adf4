"""Every decoder is fuzzed; a few seconds of it belong to the normal tests, by hypothesis and always the same."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.decode.cursor import Cursor
from sensor.model import Malformed
from tests.fuzz import targets
from tests.fuzz.by_hypothesis import run_round
from tests.fuzz.counting import OutsideError, Watched, counted_cursors
from tests.fuzz.memory import Flat, NotFlatError
from tests.fuzz.names import KERNEL, PIPELINE
from tests.fuzz.targets import TARGETS, BrokenPromiseError, Target

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = 300
KERNEL_SECONDS = 5


def test_every_public_decoder_has_a_target() -> None:
    found = sorted(targets.decoders())
    assert {"tls.client_hello", "quic.initials", "quic.QuicHello", "dns.tcp_messages"} <= set(found)
    covered = {name.partition(" ")[0] for name in TARGETS}
    assert [name for name in found if name not in covered] == [], "add them to DECODERS in tests/decode/test_promise.py"


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in {KERNEL, PIPELINE}])
def test_a_short_run(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    for seed in seeds:
        target.run(seed)
    run_round(target, seeds, 1, EXAMPLES)


def test_a_short_run_of_the_interpreted_loop(tmp_path: Path) -> None:
    from tests.fuzz.kernel import seeds

    for number, seed in enumerate(seeds()[:40]):
        (tmp_path / f"{number:03}").write_bytes(seed)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.by_hypothesis", KERNEL, str(KERNEL_SECONDS), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("kernel: ")


def test_a_short_run_of_the_whole_line() -> None:
    target = TARGETS[PIPELINE]
    seeds = target.seeds()[::12]
    for seed in seeds:
        target.run(seed)
    run_round(target, seeds, 1, EXAMPLES)


def test_what_escapes_is_found() -> None:
    def escapes(data: bytes) -> None:
        if data[:1] == b"\xc0":
            raise IndexError

    with pytest.raises(IndexError):
        run_round(Target("escapes", escapes, list), [b"\xbf"], 1, 2000)


def test_too_many_operations_are_found() -> None:
    def slow(data: bytes) -> None:
        for _ in range(len(data) ** 2):
            Cursor(data).remaining  # noqa: B018 - making the cursor is what counts

    with pytest.raises(BrokenPromiseError, match="cursor operations"):
        targets.limited("slow", lambda: slow(bytes(40)), 40)


def test_cursors_inside_of_cursors_are_counted() -> None:
    with counted_cursors() as count:
        assert Cursor(b"\x01\x02\x03").sub(2).u16() == 0x0102
    assert count.operations == 4  # two cursors made, sub and u16
    Cursor(b"\x01").u8()
    assert count.operations == 4


def test_reads_outside_a_frame_are_found() -> None:
    import numpy as np

    watched = Watched.of(np.arange(10, dtype=np.uint8), 2, 8)
    assert watched[np.uintp(7)] == 7
    for index in (1, 8, -3, np.int64(-1), slice(0, 4), slice(7, 9)):
        with pytest.raises(OutsideError):
            watched[index]
    assert watched.reads == 1


def test_growth_after_the_warm_up_is_found() -> None:
    flat = Flat(0, 8 << 20)
    kept: list[mmap.mmap] = []

    def leak() -> None:
        for _ in range(256 * 8):
            kept.append(mmap.mmap(-1, 16 << 10))  # pages of its own: what earlier tests gave back would not grow
            kept[-1].write(b"\x01" * (16 << 10))
            flat.sample()

    with pytest.raises(NotFlatError):
        leak()


def test_malformed_is_what_a_decoder_may_say() -> None:
    assert isinstance(TARGETS["tls.client_hello"].run(b"\x02"), Malformed)
