"""Separate captures divided among processes. Each is a network of its own, so what they give is only put together again, in order.

One timeline cannot be divided like this: a DNS answer in one capture names a flow in the next.
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensor import records
from sensor.capture.limits import CHUNK_BYTES
from sensor.capture.planning import Plan, status_of
from sensor.capture.source import CaptureSource
from sensor.errors import CaptureError
from sensor.pipeline import Pipeline
from sensor.stating import Counted
from sensor.totals import Totals
from sensor.worker import can_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.listing import FlowRow
    from sensor.model import CaptureWarning, Episode, Observation, SourceInfo
    from sensor.setup import Setup

SHARES_PER_WORKER = 8  # so that nobody waits long for the one with the largest captures


@dataclass(frozen=True, slots=True)
class Work:
    """What every process does with its captures. `chunk_bytes`: as for `capture.open_paths`."""

    made: Setup
    flows: bool
    chunk_bytes: int = CHUNK_BYTES


@dataclass(slots=True)
class Part:
    """What a share of the captures gave; `flows`: JSON lines. `failed`: none of its captures could be read."""

    sources: list[SourceInfo]
    warnings: list[CaptureWarning]
    read_bytes: int
    episodes: list[Episode] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    flows: list[str] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    counted: Counted = field(default_factory=Counted)  # for the visibility statement
    failed: bool = False


def workers_of(asked: int | None) -> int:
    """As many as asked for, else one for each core."""
    return asked or len(os.sched_getaffinity(0))


def can_divide(planned: Plan, workers: int) -> bool:
    """Whether there is more than one capture, each can be opened by the process that reads it, and processes can be forked safely."""
    several = workers > 1 and len(planned.files) > 1
    return several and can_fork() and all(path.is_file() for path in planned.files)


class Divided:
    """Reads separate captures in `workers` processes. `parts` gives what each share gave, `totals` then the sums."""

    def __init__(self, planned: Plan, workers: int, work: Work) -> None:
        self._work = work
        self._shares = list(_shares(planned.files, workers * SHARES_PER_WORKER))
        self._workers = min(workers, len(self._shares))
        self._whole = _pipeline(work, Part([], [], 0))
        self.totals = Totals()

    def parts(self) -> Iterator[Part]:
        """In the captures' order. Raises CaptureError where no capture could be read at all."""
        self._whole.warm()  # once, rather than in each process
        readable, first, counted = 0, "", Counted()
        with multiprocessing.get_context("fork").Pool(self._workers, _begin, (self._work,)) as pool:
            for part in pool.imap(_read, self._shares):
                readable += not part.failed
                first = first or "".join(map(str, part.warnings[:1]))
                self.totals.add(part.totals)
                counted.add(part.counted)
                yield part
        if not readable:
            raise CaptureError(first)
        self.totals.statement = self._whole.statement_of(counted)


def _shares(files: list[Path], most: int) -> Iterator[list[Path]]:
    """The files in order, in at most `most` pieces of about as many bytes each."""
    sizes = list(map(_size_of, files))
    enough = max(1, -(-sum(sizes) // most))
    share: list[Path] = []
    held = 0
    for path, size in zip(files, sizes, strict=True):
        share.append(path)
        held += size
        if held >= enough:
            yield share
            share, held = [], 0
    if share:
        yield share


def _size_of(path: Path) -> int:
    try:
        return status_of(path).st_size
    except OSError:
        return 0  # it vanished since it was listed; reading it will say so


_work: list[Work] = []  # of this process


def _begin(work: Work) -> None:
    _work[:] = [work]


def _pipeline(work: Work, part: Part) -> Pipeline:
    def listed(row: FlowRow) -> None:
        part.flows.append(records.line(records.flow_record(row)))

    made = work.made
    return Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=part.episodes.append,
        on_flow=listed if work.flows else None,
        separate=True,
        parallel=False,
        visibility=made.visibility,
        on_observation=part.observations.append,
        repeatable=True,
    )


def _read(files: list[Path]) -> Part:
    work = _work[0]
    source = CaptureSource(Plan(files, []), chunk_bytes=work.chunk_bytes, separate=True)
    part = Part(source.sources, source.warnings, 0)
    pipeline = _pipeline(work, part)
    try:
        part.totals = pipeline.run(source)
    except CaptureError:
        part.failed = True  # the warnings say why
    part.totals.statement = None
    part.counted = pipeline.counted()
    part.read_bytes = source.read_bytes
    return part
