"""Frames of any bytes through the whole line: loop, decoders, signatures, episodes, policy, and the lines of its lists.

Inputs are those of kernel.py. The loop runs compiled here, so that many inputs go through what stands behind it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor import records, setup
from sensor.model import Batch
from sensor.pipeline import Pipeline
from tests import captures
from tests.fuzz.kernel import LINKS, AccountsError, frames_of, input_of
from tests.kernel.harness import Frame, packed, read

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "pcaps" / "clinic-morning.pcap"
FRAMES_PER_SEED, SEEDS_OF_DEMO = 12, 400
BATCH_FRAMES = 5
START_NS = 1_773_730_000_000_000_000  # the morning of the demo, within the policy's hours


class _Lines:
    """Takes what a replay would write, as it would be written."""

    def __init__(self) -> None:
        self.flows = 0
        self.packets = 0

    def flow(self, row: Any) -> None:
        record = records.flow_record(row)
        self.flows += 1
        self.packets += record["packets"]
        _printable(records.line(record))

    def episode(self, episode: Any) -> None:
        _printable(records.line(records.episode_record(episode)))

    def observation(self, seen: Any) -> None:
        _printable(records.line(records.observation_record(seen)))


def _printable(line: str) -> None:
    """Whatever a name on the wire was, what is written of it can be shown and read back."""
    if not line.rstrip("\n").isascii() or not line.rstrip("\n").isprintable():
        raise AccountsError(f"not printable: {line!r}")
    json.loads(line)


class Line:
    """One pipeline, used for every input: making one costs far more."""

    def __init__(self) -> None:
        made = setup.read(str(ROOT / "pcaps" / "clinic.toml"))
        small = replace(made.settings.sensor, flow_table_rows=1 << 10, dns_memory_rows=1 << 10, hash_seed=7)
        self.lines = _Lines()
        self.pipeline = Pipeline(
            replace(made.settings, sensor=small),
            made.signatures,
            made.policy,
            made.networks,
            on_episode=self.lines.episode,
            on_flow=self.lines.flow,
            on_observation=self.lines.observation,
            visibility=made.visibility,
            separate=True,
            parallel=False,
        )
        self.pipeline._follower.files = ["fuzzed.pcap"]
        if self.pipeline._watcher is not None:
            self.pipeline._watcher.files = self.pipeline._follower.files

    def read(self, frames: list[Frame]) -> None:
        line, scanner = self.pipeline, self.pipeline._scanner
        before = int(scanner.counters.sum())
        for batch in _batches(frames):
            line._take(line._scan(batch))
        line._take(scanner.finish())
        line._take(None)
        scanner.reset()
        line._beginnings.reset()
        if int(scanner.counters.sum()) - before != len(frames):
            raise AccountsError(f"{len(frames)} frames, {int(scanner.counters.sum()) - before} counted")
        if line._follower.flows or line._follower.listed:
            raise AccountsError("flows are left after the end")


def _batches(frames: list[Frame]) -> Iterator[Batch]:
    for start in range(0, len(frames), BATCH_FRAMES):
        part = [(START_NS + time, data, link) for time, data, link in frames[start : start + BATCH_FRAMES]]
        buffer, rows = packed(part)
        rows["number"] += start
        yield Batch(buffer, rows)


@lru_cache(maxsize=1)
def _line() -> Line:
    return Line()


def run(data: bytes) -> None:
    _line().read(frames_of(data))


def seeds() -> list[bytes]:
    """The first frames of every capture, and stretches of the demo."""
    demo = read(DEMO, 1 << 20)
    step = max(len(demo) // SEEDS_OF_DEMO, 1)
    found = [demo[at : at + FRAMES_PER_SEED] for at in range(0, len(demo), step)]
    folder = captures.find()
    for path in sorted(folder.iterdir()) if folder else []:
        if path.suffix in {".pcap", ".pcapng"}:
            found += islice(_stretches(path), 2)
    return [input_of(row) for row in found]


def _stretches(path: Path) -> Iterator[list[Frame]]:
    try:
        frames = [frame for frame in read(path, 2 * FRAMES_PER_SEED) if frame[2] in LINKS]
    except Exception:  # noqa: BLE001 - whatever dpkt makes of a damaged capture, it is left out
        return
    for at in range(0, len(frames), FRAMES_PER_SEED):
        yield frames[at : at + FRAMES_PER_SEED]
