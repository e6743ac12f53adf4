"""`wardwatch replay`: captures in, verdicts out."""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from sensor import setup, tables
from sensor.classify.episodes import stamped
from sensor.commands import compare, excepting
from sensor.commands.keeping import Keeper, Lines, digest_of, must_stay, with_packet_ids
from sensor.commands.output import refuse_overwriting, standard_output
from sensor.dividing import Divided, Work, can_divide, workers_of
from sensor.pipeline import Pipeline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sensor.capture import CaptureSource
    from sensor.model import Episode, Observation
    from sensor.totals import Totals

WITH_WARNINGS = 3
GC_AFTER = 100_000  # new objects that are still there, before cycles among them are looked for


def run(options: argparse.Namespace) -> int:
    """Replays; the exit status is 0, or 3 where something in the captures could not be read."""
    from sensor import capture

    made = setup.read(options.config)
    planned = capture.plan(options.paths, options.recursive)
    outputs = {"--flows": options.flows, "--episodes": options.episodes, "--visibility": options.visibility}
    refuse_overwriting(outputs, must_stay(options, made, planned.files))
    before = compare.old(options)
    made = excepting.begun(options, made)
    source = capture.open_plan(planned, separate=options.separate)
    collect_rarely()
    with ExitStack() as stack:
        keeper = Keeper(options, made, stack)
        lines = Lines(options, stack)

        def take(episode: Episode) -> None:
            if keeper.stores or lines.episodes or before is not None:
                episode = stamped(episode)
            lines.episode(episode)
            keeper.episode(episode)

        observations: list[Observation] = []

        def observe(seen: Observation) -> None:
            seen = with_packet_ids(seen)
            observations.append(seen)
            lines.observation(seen)

        progress = stack.enter_context(_Progress(source, quiet=options.quiet or options.json))
        workers = workers_of(options.workers)
        if options.separate and can_divide(planned, workers):
            totals = _divided(
                Divided(planned, workers, Work(made, flows=bool(lines.flows))), source, take, observe, lines, progress
            )
        else:
            totals = Pipeline(
                made.settings,
                made.signatures,
                made.policy,
                made.networks,
                on_episode=take,
                on_flow=lines.flow if lines.flows else None,
                separate=options.separate,
                parallel=workers > 1,
                on_progress=progress.update if progress.shown else None,
                visibility=made.visibility,
                on_observation=observe,
                repeatable=True,
            ).run(source)
        if totals.statement is not None:
            lines.statement(totals.statement)
        progress.stop()
        keeper.observed(observations, totals.statement)
        read = (
            zip(source.sources, planned.files, strict=True) if keeper.stores else ()
        )  # a digest reads all of a capture
        keeper.finish([(info, digest_of(path)) for info, path in read if info.path != "-"])
        with standard_output():
            if not options.json:
                tables.episodes(keeper.episodes, made, keeper.stored_ids)
                tables.summary(totals, source, keeper.said())
                tables.visibility(totals.statement, observations, made)
            if before is not None:
                compare.tell(before, keeper.episodes, made)
    tables.warnings(source)
    return WITH_WARNINGS if source.warnings else 0


def _divided(
    divided: Divided,
    source: CaptureSource,
    take: Callable[[Episode], None],
    observe: Callable[[Observation], None],
    lines: Lines,
    progress: _Progress,
) -> Totals:
    """Separate captures read in several processes; `source` is told what they had to say of the captures."""
    reached = 0
    for part in divided.parts():
        source.sources[reached : reached + len(part.sources)] = part.sources
        source.warnings += part.warnings
        reached += len(part.sources)
        for seen in part.observations:
            observe(seen)
        for episode in part.episodes:
            take(episode)
        lines.flow_lines(part.flows)
        source.read_bytes += part.read_bytes
        if progress.shown:
            progress.update(source.read_bytes)
    return divided.totals


def collect_rarely() -> None:
    """Makes Python look for cycles rarely: among all that lives it would take a fifth of the time.

    Nothing that is made for a flow refers to itself, so counting references frees it.
    """
    gc.freeze()
    gc.set_threshold(GC_AFTER, 50, 100)


class _Progress:
    """A bar on a terminal, nothing elsewhere. It begins with the first update, for it runs a thread of its own."""

    def __init__(self, source: CaptureSource, *, quiet: bool) -> None:
        self.shown = not quiet and sys.stderr.isatty()
        self._total = source.total_bytes
        self._bar: Any = None
        self._task: Any = None

    def update(self, read_bytes: int) -> None:
        if self._bar is None:
            self._start()
        self._bar.update(self._task, completed=read_bytes)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        self._bar = Progress(
            "[progress.description]{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("reading", total=self._total)
        self._bar.start()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
