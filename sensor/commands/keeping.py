"""What becomes of episodes, flows and observations: JSON lines, and the store."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensor import records
from sensor.classify.episodes import packet_id
from sensor.classify.signatures import canonical
from sensor.commands.output import LinesFile, standard_output
from sensor.model import Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from sensor.listing import FlowRow
    from sensor.model import Episode, Observation, SourceInfo
    from sensor.setup import Setup
    from sensor.statement import Statement
    from sensor.store import Store

WITHDRAWN = "withdrawn"  # kind of the verdict on what was told and turned out to be another episode
BATCH_EPISODES = 2000  # stored in one transaction


def must_stay(options: argparse.Namespace, made: Setup, captures: Sequence[Path]) -> list[tuple[str, str | Path]]:
    """Files that no output may overwrite: what they are, and where. A store that is no SQLite file has no path."""
    kept: list[tuple[str, str | Path]] = [("a capture that is to be read", path) for path in captures]
    if options.config:
        kept.append(("the configuration", options.config))
    if not options.no_store:
        kept.append(("the store", str(options.store or made.settings.store.url).removeprefix("sqlite:///")))
    return kept


class Lines:
    """The JSON lines that were asked for."""

    def __init__(self, options: argparse.Namespace, stack: ExitStack, *, live: bool = False) -> None:
        """`live`: for whoever reads along."""
        self.flows = _opened(options.flows, stack, at_once=live)
        self._episodes = _opened(options.episodes, stack, at_once=live)
        self._visibility = _opened(options.visibility, stack, at_once=live)
        self._json = options.json
        self.episodes = bool(options.json or options.episodes)

    def flow(self, row: FlowRow) -> None:
        if self.flows:
            self.flows.write(records.line(records.flow_record(row)))

    def flow_lines(self, lines: Sequence[str]) -> None:
        """What `flow` would have written, made elsewhere."""
        if self.flows:
            for text in lines:
                self.flows.write(text)

    def observation(self, seen: Observation) -> None:
        if self._visibility:
            self._visibility.write(records.line(records.observation_record(seen)))

    def statement(self, found: Statement) -> None:
        if self._visibility:
            for record in records.statement_records(found):
                self._visibility.write(records.line(record))

    def hour(self, record: dict[str, Any]) -> None:
        """One network in one hour that is over."""
        if self._visibility:
            self._visibility.write(records.line(record))

    def sums(self, found: Statement) -> None:
        """The last line."""
        if self._visibility:
            self._visibility.write(records.line(list(records.statement_records(found))[-1]))

    def episode(self, episode: Episode) -> None:
        if not self.episodes:
            return
        record = records.episode_record(episode)
        text = records.line(record if episode.closed else record | {"closed": False})
        if self._episodes and episode.closed and episode.verdict.kind != WITHDRAWN:
            self._episodes.write(text)
        if self._json and episode.verdict.outcome is Outcome.VIOLATION:
            with standard_output():
                print(text, end="")


def _opened(path: str | None, stack: ExitStack, *, at_once: bool) -> LinesFile | None:
    return None if path is None else stack.enter_context(LinesFile(path, at_once=at_once))


class Keeper:
    """Keeps episodes: in the store, and as many as fit a table in memory."""

    def __init__(self, options: argparse.Namespace, made: Setup, stack: ExitStack) -> None:
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
                self.flush()

    def flush(self) -> None:
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

    def finish(self, sources: Sequence[tuple[SourceInfo, str | None]]) -> None:
        """Everything is stored when this returns. `sources`: what was read, with its digest where it has one."""
        self.flush()
        if self._store is None:
            return
        from sensor.store import Snapshots

        self._store.append((), snapshots=Snapshots(sources=tuple(sources)))

    def said(self) -> str:
        if self._store is None:
            return "Nothing was stored (--no-store)."
        return f"Stored: {self._added} new, {self._revised} revised, {self._unchanged} known already."


def digest_of(path: Path) -> str | None:
    """The digest of a regular file; None where it cannot be read again. A named pipe would wait for another writer."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def with_packet_ids(seen: Observation) -> Observation:
    """As the store wants it."""
    return replace(seen, evidence=tuple(replace(one, packet_id=packet_id(one)) for one in seen.evidence))
