"""`wardwatch replay`: captures in, verdicts out."""

from __future__ import annotations

import gc
import hashlib
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from sensor import records, setup, tables
from sensor.classify.episodes import packet_id, stamped
from sensor.classify.signatures import canonical
from sensor.commands.output import LinesFile, refuse_overwriting, standard_output
from sensor.model import Outcome
from sensor.pipeline import Pipeline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.capture import CaptureSource
    from sensor.listing import FlowRow
    from sensor.model import Episode, Observation
    from sensor.statement import Statement
    from sensor.store import Store

WITH_WARNINGS = 3
BATCH_EPISODES = 2000  # stored in one transaction
GC_AFTER = 100_000  # new objects that are still there, before cycles among them are looked for


def run(options: argparse.Namespace) -> int:
    """Replays; the exit status is 0, or 3 where something in the captures could not be read."""
    from sensor import capture

    made = setup.read(options.config)
    planned = capture.plan(options.paths, options.recursive)
    outputs = {"--flows": options.flows, "--episodes": options.episodes, "--visibility": options.visibility}
    refuse_overwriting(outputs, _kept(options, made, planned.files))
    source = capture.open_plan(planned, separate=options.separate)
    # Nothing that is made for a flow refers to itself, so counting references frees it. Looking for cycles among all that lives
    # would take a fifth of the time; it is done rarely.
    gc.freeze()
    gc.set_threshold(GC_AFTER, 50, 100)
    with ExitStack() as stack:
        keeper = _Keeper(options, made, stack)
        lines = _Lines(options, stack)

        def take(episode: Episode) -> None:
            if keeper.stores or lines.episodes:
                episode = stamped(episode)
            lines.episode(episode)
            keeper.episode(episode)

        observations: list[Observation] = []

        def observe(seen: Observation) -> None:
            seen = replace(seen, evidence=tuple(replace(one, packet_id=packet_id(one)) for one in seen.evidence))
            observations.append(seen)
            lines.observation(seen)

        progress = stack.enter_context(_Progress(source, quiet=options.quiet or options.json))
        pipeline = Pipeline(
            made.settings,
            made.signatures,
            made.policy,
            made.networks,
            on_episode=take,
            on_flow=lines.flow if lines.flows else None,
            separate=options.separate,
            on_progress=progress.update if progress.shown else None,
            visibility=made.visibility,
            on_observation=observe,
        )
        totals = pipeline.run(source)
        if totals.statement is not None:
            lines.statement(totals.statement)
        progress.stop()
        keeper.observed(observations, totals.statement)
        keeper.finish(source, planned.files)
        with standard_output():
            if not options.json:
                tables.episodes(keeper.episodes, made, keeper.stored_ids)
                tables.summary(totals, source, keeper.said())
                tables.visibility(totals.statement, observations, made)
    tables.warnings(source)
    return WITH_WARNINGS if source.warnings else 0


def _kept(options: argparse.Namespace, made: setup.Setup, captures: Sequence[Path]) -> list[tuple[str, str | Path]]:
    """Files that no output may overwrite: what they are, and where. A store that is no SQLite file has no path."""
    kept: list[tuple[str, str | Path]] = [("a capture that is to be read", path) for path in captures]
    if options.config:
        kept.append(("the configuration", options.config))
    if not options.no_store:
        kept.append(("the store", str(options.store or made.settings.store.url).removeprefix("sqlite:///")))
    return kept


class _Lines:
    """The JSON lines that were asked for."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.flows = _opened(options.flows, stack)
        self._episodes = _opened(options.episodes, stack)
        self._visibility = _opened(options.visibility, stack)
        self._json = options.json
        self.episodes = bool(options.json or options.episodes)

    def flow(self, row: FlowRow) -> None:
        if self.flows:
            self.flows.write(records.line(records.flow_record(row)))

    def observation(self, seen: Observation) -> None:
        if self._visibility:
            self._visibility.write(records.line(records.observation_record(seen)))

    def statement(self, found: Statement) -> None:
        if self._visibility:
            for record in records.statement_records(found):
                self._visibility.write(records.line(record))

    def episode(self, episode: Episode) -> None:
        if not self.episodes:
            return
        text = records.line(records.episode_record(episode))
        if self._episodes:
            self._episodes.write(text)
        if self._json and episode.verdict.outcome is Outcome.VIOLATION:
            with standard_output():
                print(text, end="")


def _opened(path: str | None, stack: ExitStack) -> LinesFile | None:
    return None if path is None else stack.enter_context(LinesFile(path))


class _Keeper:
    """Keeps episodes: in the store, and as many as fit a table in memory."""

    def __init__(self, options: argparse.Namespace, made: setup.Setup, stack: ExitStack) -> None:
        self.episodes: list[Episode] = []
        self.stored_ids: dict[str, str] = {}
        self._waiting: list[Episode] = []
        self._store: Store | None = None
        self._added = self._revised = self._unchanged = 0
        if options.no_store:
            return
        from sensor.store import Snapshots, open_store

        self._store = stack.enter_context(open_store(options.store or made.settings.store.url))
        self._store.append(
            (),
            snapshots=Snapshots(
                policies={made.policy.hash: made.policy_json()},
                signatures={
                    one.hash: canonical(one.apps.values(), made.signatures.limits)
                    for one in (made.signatures, made.visibility)
                },
            ),
        )

    @property
    def stores(self) -> bool:
        return self._store is not None

    def episode(self, episode: Episode) -> None:
        self.episodes.append(episode)
        if self._store is not None:
            self._waiting.append(episode)
            if len(self._waiting) >= BATCH_EPISODES:
                self._flush()

    def _flush(self) -> None:
        if self._store is None or not self._waiting:
            return
        result = self._store.append(self._waiting)
        self._added += result.added
        self._revised += result.revised
        self._unchanged += result.unchanged
        for episode, stored in zip(self._waiting, result.ids, strict=True):
            self.stored_ids[episode.id] = stored
        self._waiting.clear()

    def observed(self, seen: Sequence[Observation], statement: Statement | None) -> None:
        """What could not be read is stored beside the episodes."""
        if self._store is None:
            return
        from sensor.store import Sighting

        made = [
            Sighting("observation", one.kind, one.network, one.device.id if one.device is not None else "", one.hour_ns,
                     one.flows, one.bytes_up + one.bytes_down, records.observation_record(one))
            for one in seen
        ]  # fmt: skip
        made += [
            Sighting("hour", "", hour.network, "", hour.hour_ns, hour.sums.all_flows, hour.sums.all_bytes,
                     records.hour_record(hour))
            for hour in (statement.hours if statement is not None else ())
        ]  # fmt: skip
        self._store.observe(made)

    def finish(self, source: CaptureSource, files: Sequence[Path]) -> None:
        """Everything is stored when this returns. `files` are those of the source, in its order."""
        self._flush()
        if self._store is None:
            return
        from sensor.store import Snapshots

        read = zip(source.sources, files, strict=True)
        sources = tuple((info, _sha256(path)) for info, path in read if info.path != "-")
        self._store.append((), snapshots=Snapshots(sources=sources))

    def said(self) -> str:
        if self._store is None:
            return "Nothing was stored (--no-store)."
        return f"Stored: {self._added} new, {self._revised} revised, {self._unchanged} known already."


def _sha256(path: Path) -> str | None:
    """The digest of a regular file; None where it cannot be read again. A named pipe would wait for another writer."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


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
