"""`wardwatch replay`: captures in, verdicts out."""

from __future__ import annotations

import hashlib
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sensor import records, setup, tables
from sensor.classify.episodes import stamped
from sensor.classify.signatures import canonical
from sensor.errors import UsageError
from sensor.model import Outcome
from sensor.pipeline import Pipeline

if TYPE_CHECKING:
    import argparse

    from sensor.capture import CaptureSource
    from sensor.model import Episode
    from sensor.pipeline import FlowRow
    from sensor.store import Store

WITH_WARNINGS = 3
BATCH_EPISODES = 2000  # stored in one transaction


def run(options: argparse.Namespace) -> int:
    """Replays; the exit status is 0, or 3 where something in the captures could not be read."""
    from sensor import capture

    made = setup.read(options.config)
    planned = capture.plan(options.paths, options.recursive)
    source = capture.open_plan(planned, separate=options.separate)
    with ExitStack() as stack:
        keeper = _Keeper(options, made, stack)
        lines = _Lines(options, stack)

        def take(episode: Episode) -> None:
            if keeper.stores or lines.episodes:
                episode = stamped(episode)
            lines.episode(episode)
            keeper.episode(episode)

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
        )
        totals = pipeline.run(source)
        progress.stop()
        keeper.finish(source)
        if not options.json:
            tables.episodes(keeper.episodes, made, keeper.stored_ids)
            tables.summary(totals, source, keeper.said())
    tables.warnings(source)
    return WITH_WARNINGS if source.warnings else 0


class _Lines:
    """The JSON lines that were asked for."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.flows = _opened(options.flows, stack)
        self._episodes = _opened(options.episodes, stack)
        self._json = options.json
        self.episodes = bool(options.json or options.episodes)

    def flow(self, row: FlowRow) -> None:
        if self.flows:
            self.flows.write(records.line(records.flow_record(row)))

    def episode(self, episode: Episode) -> None:
        if not self.episodes:
            return
        text = records.line(records.episode_record(episode))
        if self._episodes:
            self._episodes.write(text)
        if self._json and episode.verdict.outcome is Outcome.VIOLATION:
            sys.stdout.write(text)


def _opened(path: str | None, stack: ExitStack) -> Any:
    if path is None:
        return None
    try:
        return stack.enter_context(Path(path).open("w", encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


class _Keeper:
    """Keeps episodes: in the store, and as many as fit a table in memory."""

    def __init__(self, options: argparse.Namespace, made: setup.Setup, stack: ExitStack) -> None:
        self.episodes: list[Episode] = []
        self.stored_ids: dict[str, str] = {}
        self._waiting: list[Episode] = []
        self._store: Store | None = None
        self._added = self._revised = self._unchanged = 0
        self._hashes: dict[str, str] = {}
        if options.no_store:
            return
        from sensor.store import Snapshots, open_store

        self._place = options.store or made.settings.store.url
        self._store = stack.enter_context(open_store(self._place))
        self._store.append(
            (),
            snapshots=Snapshots(
                policies={made.policy.hash: made.policy_json()},
                signatures={made.signatures.hash: canonical(made.signatures.apps.values())},
            ),
        )
        self._hashing = threading.Thread(target=self._hash, args=(options.paths,), daemon=True)

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

    def _hash(self, paths: list[str]) -> None:
        for path in paths:
            self._hashes[path] = ""

    def finish(self, source: CaptureSource) -> None:
        """Everything is stored when this returns."""
        self._flush()
        if self._store is None:
            return
        from sensor.store import Snapshots

        sources = tuple((info, _sha256(info.path)) for info in source.sources if info.path != "-")
        self._store.append((), snapshots=Snapshots(sources=sources))

    def said(self) -> str:
        if self._store is None:
            return "Nothing was stored (--no-store)."
        return f"Stored: {self._added} new, {self._revised} revised, {self._unchanged} known already."


def _sha256(path: str) -> str | None:
    """The digest of a regular file; None where it cannot be read again."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() if Path(path).is_file() else None
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
