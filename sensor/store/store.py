"""The store's face: append, remember, list, show, count."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sensor.store import chain, covering, news, reading, retention, sightings, writing
from sensor.store.access import Access
from sensor.store.answers import Answers
from sensor.store.columns import ColumnCache
from sensor.store.exceptions import Exceptions
from sensor.store.failures import translated
from sensor.store.fleet import Fleet
from sensor.store.follow_up import FollowUps
from sensor.store.lookup import Lookup
from sensor.store.opening import READING
from sensor.store.outbox import Outbox
from sensor.store.proving import Proofs
from sensor.store.records import (
    AppendResult,
    Counts,
    Cursor,
    Filter,
    News,
    Place,
    Row,
    Sighting,
    Snapshots,
    StoredEpisode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from sqlalchemy import Engine

    from sensor.model import Episode, SourceInfo
    from sensor.store.auditing import Anchor, Audit
    from sensor.store.chain import Link
    from sensor.store.retention import Hold, Rules, Taken

NOTHING = Snapshots()
DEFAULT_FILTER = Filter()


class Store:
    """An open store; made by `sensor.store.open_store`. Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._file = _identity(place) if engine.dialect.name == "sqlite" else None
        self.follow_up = FollowUps(engine, place)
        self.access = Access(engine, place)
        self.answers = Answers(engine, place)
        self.columns = ColumnCache(engine, place)
        self.exceptions = Exceptions(engine, place)
        self.lookup = Lookup(engine, place)
        self.outbox = Outbox(engine, place)
        self.fleet = Fleet(engine, place)
        self.proofs = Proofs(engine, place)

    def append(self, episodes: Sequence[Episode], *, snapshots: Snapshots = NOTHING) -> AppendResult:
        """Store what is new in `episodes`, all or nothing; returns after the commit is on disk.

        Every verdict's policy and every episode's signatures must have been remembered before, or be in `snapshots`.
        """
        with translated(self._place):
            return writing.append(self._engine, episodes, snapshots)

    def remember_policy(self, policy_hash: str, snapshot_json: str) -> None:
        """Keep a policy snapshot; the same hash with another text is an error."""
        self.append((), snapshots=Snapshots(policies={policy_hash: snapshot_json}))

    def remember_signatures(self, signatures_hash: str, snapshot_json: str) -> None:
        """Keep a signature set; the same hash with another text is an error."""
        self.append((), snapshots=Snapshots(signatures={signatures_hash: snapshot_json}))

    def remember_source(self, source: SourceInfo, sha256: str | None = None) -> None:
        """Keep what a capture was; the same one again adds nothing."""
        self.append((), snapshots=Snapshots(sources=((source, sha256),)))

    def page(self, chosen: Filter = DEFAULT_FILTER, *, limit: int = 100, after: Cursor | None = None) -> list[Row]:
        """At most `limit` rows after a cursor, newest start first."""
        with translated(self._place):
            return reading.page(self._engine, chosen, limit, after)

    def violations(self, chosen: Filter = DEFAULT_FILTER, *, after: Cursor | None = None) -> Iterator[Row]:
        """All rows after a cursor, newest start first, fetched page by page."""
        while rows := self.page(chosen, limit=reading.PAGE_ROWS, after=after):
            yield from rows
            after = rows[-1].cursor

    def episode(self, id_or_prefix: str) -> StoredEpisode:
        """One episode by id or a prefix that only it has; StoreError if there is none or more than one."""
        with translated(self._place):
            return reading.episode(self._engine, id_or_prefix)

    def observe(self, seen: Sequence[Sighting]) -> int:
        """Store what could not be read; how many were new. Those that say the same as a stored one add nothing."""
        with translated(self._place):
            return sightings.append(self._engine, seen)

    def sightings(
        self,
        *,
        network: str | None = None,
        kind: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> list[dict[str, Any]]:
        """The records of what could not be read, by hour and network; of several views of one, the fullest."""
        with translated(self._place):
            return sightings.listed(self._engine, network, kind, since_ns, until_ns)

    def link(self, kind: str, content: Mapping[str, object]) -> None:
        """Add one link to the chain of hashes: something that was done or read."""
        with translated(self._place), self._engine.begin() as connection:
            chain.append(connection, kind, content)

    def store_id(self) -> str:
        """By which a centre knows this store from one that replaced it."""
        with translated(self._place):
            return news.store_id(self._engine)

    def news(self, after: Place, limit: int = 500) -> News:
        """What was stored after a place, at most `limit` revisions and as many sightings: for who keeps a copy elsewhere."""
        with translated(self._place):
            return news.news(self._engine, after, limit)

    def health(self, *, since_ns: int | None = None, until_ns: int | None = None) -> list[dict[str, Any]]:
        """What was wrong with the mirror port, by hour: of each finding the last record."""
        with translated(self._place):
            return sightings.listed(self._engine, None, None, since_ns, until_ns, health=True)

    def links(self, *, kind: str | None = None, after: int = 0, limit: int = 100) -> list[chain.Link]:
        """Links of the chain after a number, in order."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return list(islice(chain.links(connection, kind=kind, after=after, size=limit), limit))

    def counts(self) -> Counts:
        """How much the store holds."""
        with translated(self._place):
            return reading.counts(self._engine)

    def is_there(self) -> bool:
        """Whether the file that was opened is still the one of that name; what is written to another one is lost."""
        return self._file is None or _identity(self._place) == self._file

    @property
    def place(self) -> str:
        """The file of an SQLite store; of another engine what errors call it."""
        return self._place

    def chain_ends(self) -> tuple[Link | None, Link | None]:
        """The first and the last link of the chain; None where nothing was linked yet."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return next(chain.links(connection, size=1), None), chain.last(connection)

    def hold(self, episode: str, actor: str, reason: str, *, release: bool = False) -> None:
        """Keep an episode whatever retention says, or no more; who and why is a link of the chain."""
        with translated(self._place):
            retention.hold(self._engine, episode, actor, reason, release=release)

    def holds(self) -> list[Hold]:
        """Episodes that are held."""
        with translated(self._place):
            return retention.holds(self._engine)

    def retain(self, rules: Rules, *, now_ns: int | None = None, dry_run: bool = False) -> Taken:
        """Take away what may no longer be kept; each transaction leaves a receipt in the chain."""
        with translated(self._place):
            return retention.run(self._engine, rules, now_ns=now_ns, dry_run=dry_run)

    def audit(self, anchors: Sequence[Anchor] = ()) -> Audit:
        """Whether the chain holds, and all that it covers is as it says. `anchors`: what is known of it outside."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return covering.audit(connection, anchors)

    def close(self) -> None:
        """Let go of the database; what was appended is on disk already."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
