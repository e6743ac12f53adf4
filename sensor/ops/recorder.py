"""Writes to the store without ever waiting long for it: what it does not take waits in the spool, and is written later.

The store knows again what it has (an episode by its packets, an observation by what it says), so that what was written just
before a kill, and waits still, is not doubled.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sensor.errors import StoreBusyError, StoreError
from sensor.model import Episode, SourceInfo
from sensor.ops.plain import plain, typed
from sensor.store import AppendResult, Sighting, Snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sensor.ops.spool import Spool
    from sensor.store import Store

AGAIN_S = 5.0  # after this the store is asked again
MAX_KNOWN = (
    16  # policies and signatures of this run that are told again to a store that was taken away and brought back
)
BATCH = 500  # records from the spool in one transaction


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of what is to be stored, in one transaction each."""

    episodes: tuple[Episode, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    sources: tuple[tuple[SourceInfo, str | None], ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)


class Recorder:
    """The store, with the spool in front of it. Nothing here raises: what cannot be stored now waits, what cannot wait is counted."""

    def __init__(self, opened: Callable[[], Store], spool: Spool | None, say: Callable[[str], None]) -> None:
        """`opened` opens the store and raises StoreError; `say` takes one line where something changed."""
        self._opened = opened
        self._spool = spool
        self._say = say
        self._store: Store | None = None
        self._known: list[Snapshots] = []  # of this run
        self._told = 0  # how many of these the open store was told of
        self._spooled = 0  # and how many wait in the spool
        self._again_s = 0.0
        self._failing = False
        self.added = self.revised = self.unchanged = 0
        self.left_out = 0  # there was no room in the spool either

    @property
    def waiting(self) -> int:
        """Records in the spool."""
        return self._spool.records if self._spool is not None else 0

    @property
    def failing(self) -> bool:
        """Whether the store did not take what it was given last."""
        return self._failing

    def remember(self, snapshots: Snapshots) -> None:
        """What verdicts from now on cite."""
        if snapshots in self._known:
            return
        self._known.append(snapshots)
        if len(self._known) > MAX_KNOWN and min(self._told, self._spooled if self.waiting else self._told) > 0:
            del self._known[0]  # the store has it
            self._told, self._spooled = self._told - 1, max(self._spooled - 1, 0)

    def begin(self) -> None:
        """Opens the store, and writes what waits from an earlier run. Raises StoreError for what does not pass by itself."""
        try:
            self._store = self._opened()
        except StoreBusyError as error:
            self._failed(error)
            return
        self.drain()
        self._write(Piece())

    def put(self, piece: Piece) -> tuple[str, ...]:
        """Stores it, or sees to it that it will be; on disk when this returns. The stored ids of episodes, in order."""
        own = tuple(one.id for one in piece.episodes)
        if self.drain():
            result = self._write(piece)
            if result is not None:
                return result.ids or own
        records = [_record("episode", one) for one in piece.episodes]
        records += [_record("sighting", one) for one in piece.sightings]
        records += [_record("source", list(one)) for one in piece.sources]
        self._keep(records)
        return own

    def drain(self, *, now: bool = False) -> bool:
        """Writes what waits, if it is time to try again. Whether the store takes more."""
        if time.monotonic() < self._again_s and not now:
            return False
        if self._spool is None or not self._spool.records:
            return True
        written = 0
        try:
            for some in _pieces([json.loads(one) for one in self._spool.waiting()]):
                if self._write(some) is None:
                    return False
                written += len(some.episodes)
            self._spool.clear()
        except StoreError as error:  # of the spool
            self._failed(error)
            return False
        self._spooled = 0
        self._say(f"the store takes what is written again: {written} episodes that waited are in it")
        return True

    def finish(self) -> None:
        """Tries once more, and lets go of everything."""
        self.drain(now=True)
        if self._store is not None:
            self._store.close()
        if self._spool is not None:
            if self._spool.records:
                self._say(f"{self._spool.records} records wait in {self._spool.path} and are written at the next start")
            self._spool.close()
        if self.left_out:
            self._say(f"{self.left_out} records could not be kept at all")

    def _write(self, piece: Piece) -> AppendResult | None:
        """None where the store does not take it now."""
        try:
            if self._store is None or not self._store.is_there():
                self._let_go()
                self._store = self._opened()
            cited = [*self._known[self._told :], Snapshots(piece.policies, piece.signatures, piece.sources)]
            result = self._store.append(piece.episodes, snapshots=_joined(cited))
            self._told = len(self._known)
            if piece.sightings:
                self._store.observe(piece.sightings)
        except StoreError as error:
            self._failed(error)
            return None
        self._failing = False
        self.added += result.added
        self.revised += result.revised
        self.unchanged += result.unchanged
        return result

    def _failed(self, error: StoreError) -> None:
        self._again_s = time.monotonic() + AGAIN_S
        if not self._failing:
            self._say(f"{error}; what is to be stored waits in the spool meanwhile")
        self._failing = True
        self._let_go()

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._told = None, 0

    def _keep(self, records: list[bytes]) -> None:
        """Puts records into the spool, behind the snapshots that they cite."""
        cited = [
            _record("snapshots", [dict(one.policies), dict(one.signatures)]) for one in self._known[self._spooled :]
        ]
        taken = 0
        if self._spool is not None:
            try:
                taken = self._spool.put([*cited, *records])
            except StoreError as error:
                self._say(str(error))
        self._spooled += min(taken, len(cited))
        missing = len(records) - max(taken - len(cited), 0)
        if missing and not self.left_out:
            self._say("there is no room in the spool: what comes now is not stored, and counted")
        self.left_out += missing


def made_spool(path: Path, size_bytes: int, say: Callable[[str], None]) -> Spool | None:
    """The spool, or None where it cannot be made, which is told."""
    from sensor.ops.spool import Spool  # noqa: PLC0415  with the rest of what only a live run needs

    try:
        return Spool(path, size_bytes)
    except StoreError as error:
        say(str(error))
        return None


def _record(kind: str, value: Any) -> bytes:
    return json.dumps([kind, plain(value)], separators=(",", ":")).encode("ascii")


def _joined(several: Sequence[Snapshots]) -> Snapshots:
    return Snapshots(
        policies={key: text for one in several for key, text in one.policies.items()},
        signatures={key: text for one in several for key, text in one.signatures.items()},
        sources=tuple(source for one in several for source in one.sources),
    )


def _pieces(records: list[Any]) -> list[Piece]:
    """Records as they were kept, many to a transaction, behind the snapshots that they cite."""
    made: list[Piece] = []
    episodes: list[Episode] = []
    sightings: list[Sighting] = []
    sources: list[tuple[SourceInfo, str | None]] = []
    for begin in range(0, len(records), BATCH):
        policies: dict[str, str] = {}
        signatures: dict[str, str] = {}
        for kind, value in records[begin : begin + BATCH]:
            if kind == "snapshots":
                policies |= value[0]
                signatures |= value[1]
            elif kind == "episode":
                episodes.append(typed(Episode, value))
            elif kind == "sighting":
                sightings.append(typed(Sighting, value))
            else:
                sources.append((typed(SourceInfo, value[0]), value[1]))
        made.append(Piece(tuple(episodes), tuple(sightings), tuple(sources), policies, signatures))
        episodes.clear()
        sightings.clear()
        sources.clear()
    return made
