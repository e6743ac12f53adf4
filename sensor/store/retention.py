"""Taking away what may no longer be kept: whole episodes with all that hangs on them, and records of what could not be read.

Each transaction leaves a link of the chain that names what it took (the receipt), so that the chain holds and an audit tells
taken from tampered. Triggers that refuse to change what was recorded are taken off and put back inside the same transaction.
A legal hold is a link of the chain too: it stands until one that releases it.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, MetaData, Table, delete, func, inspect, select, text

from sensor.errors import StoreError
from sensor.model import Outcome
from sensor.store import chain, schema
from sensor.store.loading import chunks
from sensor.store.opening import READING
from sensor.store.texts import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOLD: Final = "hold"  # kind of the links
NS_OF_DAY: Final = 86_400_000_000_000
BATCH: Final = 200  # episodes, or sightings by the tenfold, in one transaction: the sensor writes between two
TOLD_OF_EPISODES: Final = ("judged", "follow_up")  # links whose content goes with the episode
PARENTS: Final = ("revisions", "episodes")  # taken last, in this order
KEPT_COLUMN: Final = "episode_id"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long and how much. Bytes 0: no bound."""

    evidence_days: int
    violation_days: int
    max_bytes: int = 0


@dataclass(slots=True)
class Taken:
    """What a run took; `links` are the receipts."""

    episodes: int = 0
    violations: int = 0
    sightings: int = 0
    held: int = 0  # that would have been taken
    bytes_before: int | None = None
    bytes_after: int | None = None
    receipts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Group:
    """Episodes that were merged: they go together."""

    ids: tuple[str, ...]
    end_ns: int
    violation: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """An episode that stays whatever its age."""

    episode: str
    actor: str
    reason: str
    recorded_ns: int


def hold(engine: Engine, episode: str, actor: str, reason: str, *, release: bool = False) -> None:
    """See Store.hold."""
    with engine.begin() as connection:
        known = connection.scalar(select(schema.episodes.c.id).where(schema.episodes.c.id == printable(episode)))
        if known is None:
            raise StoreError(f"no episode {episode} is in the store")
        if release and known not in {one.episode for one in _holds(connection)}:
            raise StoreError(f"episode {episode} is not held")
        chain.append(connection, HOLD, {"episode": known, "actor": printable(actor), "reason": printable(reason),
                                        "what": "released" if release else "held"})  # fmt: skip


def holds(engine: Engine) -> list[Hold]:
    """See Store.holds."""
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        return _holds(connection)


def _holds(connection: Connection) -> list[Hold]:
    found: dict[str, Hold] = {}
    for link in chain.links(connection, kind=HOLD):
        said = json.loads(link.content or "{}")
        if said.get("what") == "held":
            found[said["episode"]] = Hold(said["episode"], said["actor"], said["reason"], link.recorded_ns)
        else:
            found.pop(said.get("episode", ""), None)
    return list(found.values())


def run(engine: Engine, rules: Rules, *, now_ns: int | None = None, dry_run: bool = False) -> Taken:
    """See Store.retain."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    taken = Taken(bytes_before=_used(engine))
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        groups = _groups(connection)
        held = {one.episode for one in _holds(connection)}
    free = [one for one in groups if held.isdisjoint(one.ids)]
    limits = {False: now_ns - rules.evidence_days * NS_OF_DAY, True: now_ns - rules.violation_days * NS_OF_DAY}
    old = [one for one in free if one.end_ns < limits[one.violation]]
    taken.held = sum(one.end_ns < limits[one.violation] for one in groups) - len(old)
    _take_groups(
        engine, old, f"older than {rules.evidence_days} and {rules.violation_days} days", taken, dry_run=dry_run
    )
    _take_sightings(engine, limits[False], rules, taken, dry_run=dry_run)
    if rules.max_bytes and not dry_run:
        gone = {id(one) for one in old}
        rest = sorted((one for one in free if id(one) not in gone), key=lambda one: (one.violation, one.end_ns))
        _shrink(engine, rest, rules.max_bytes, taken)
    taken.bytes_after = _used(engine)
    return taken


def _shrink(engine: Engine, groups: Sequence[_Group], max_bytes: int, taken: Taken) -> None:
    """Takes what is no violation first, then the oldest, until what is left is within bounds."""
    at = 0
    while at < len(groups):
        used = _used(engine)
        if used is None or used <= max_bytes:
            return
        # As many as would do if all were of one size, for each transaction costs a walk over the chain's new end.
        some = max(min(BATCH, int((used - max_bytes) / used * (len(groups) - at)) + 1), 1)
        _take_groups(engine, groups[at : at + some], f"more than {max_bytes} bytes", taken, dry_run=False)
        at += some


def _groups(connection: Connection) -> list[_Group]:
    """All episodes, those that were merged together."""
    heads = schema.heads.c
    merged: dict[str, set[str]] = {}
    ends: dict[str, int] = {}
    bad: set[str] = set()
    for row in connection.execute(select(heads.episode_id, heads.merged_into, heads.end_ns, heads.outcome)):
        ends[row.episode_id] = max(ends.get(row.episode_id, 0), row.end_ns)
        if row.outcome == Outcome.VIOLATION.value:
            bad.add(row.episode_id)
        if row.merged_into is not None:
            one = merged.setdefault(row.episode_id, {row.episode_id}) | merged.setdefault(
                row.merged_into, {row.merged_into}
            )
            for id_ in one:
                merged[id_] = one
    done: set[str] = set()
    found = []
    for id_ in ends:
        if id_ not in done:
            ids = sorted(merged.get(id_, {id_}))
            done.update(ids)
            found.append(_Group(tuple(ids), max(ends.get(one, 0) for one in ids), any(one in bad for one in ids)))
    return sorted(found, key=lambda one: (one.end_ns, one.ids))


def _take_groups(engine: Engine, groups: Sequence[_Group], why: str, taken: Taken, *, dry_run: bool) -> None:
    for begin in range(0, len(groups), BATCH):
        some = groups[begin : begin + BATCH]
        ids = [id_ for one in some for id_ in one.ids]
        if not dry_run:
            with engine.begin() as connection:
                taken.receipts.append(_take(connection, ids, why))
        taken.episodes += len(ids)
        taken.violations += sum(len(one.ids) for one in some if one.violation)


def _take(connection: Connection, ids: Sequence[str], why: str) -> int:
    """The number of the receipt."""
    links = _links_of(connection, set(ids))
    found = MetaData()
    names = [name for name in inspect(connection).get_table_names() if name not in PARENTS]
    tables = [Table(name, found, autoload_with=connection) for name in names]
    hanging = [one for one in tables if KEPT_COLUMN in one.c]
    with _changeable(connection, [*(one.name for one in hanging), *PARENTS]):
        for table in hanging:
            _delete(connection, table, table.c[KEPT_COLUMN], ids)
        _delete(connection, schema.revisions, schema.revisions.c.episode_id, ids)
        _delete(connection, schema.episodes, schema.episodes.c.id, ids)
    used = select(schema.episodes.c.subject_id)
    connection.execute(delete(schema.subjects).where(schema.subjects.c.id.not_in(used)))
    connection.execute(delete(schema.devices).where(schema.devices.c.id.not_in(select(schema.subjects.c.device_id))))
    return chain.remove(connection, links, why, episodes=sorted(ids)).sequence


def _links_of(connection: Connection, ids: set[str]) -> list[int]:
    """Links whose content speaks of these episodes."""
    found = []
    for kind in TOLD_OF_EPISODES:
        for link in chain.links(connection, kind=kind):
            said = json.loads(link.content) if link.content is not None else {}
            if {said.get("episode"), said.get(KEPT_COLUMN)} & ids:
                found.append(link.sequence)
    return found


def _take_sightings(engine: Engine, before_ns: int, rules: Rules, taken: Taken, *, dry_run: bool) -> None:
    table = schema.sightings
    while True:
        with engine.connect().execution_options(**READING) as connection, connection.begin():
            old = table.c.hour_ns < before_ns
            if dry_run:
                taken.sightings = connection.scalar(select(func.count()).select_from(table).where(old)) or 0
                return
            ids = list(connection.scalars(select(table.c.id).where(old).order_by(table.c.hour_ns).limit(10 * BATCH)))
        if not ids:
            return
        with engine.begin() as connection:
            with _changeable(connection, [table.name]):
                _delete(connection, table, table.c.id, ids)
            receipt = chain.remove(connection, [], f"older than {rules.evidence_days} days", sightings=sorted(ids))
            taken.receipts.append(receipt.sequence)
        taken.sightings += len(ids)


def _delete(connection: Connection, table: Table, column: Any, ids: Sequence[str]) -> None:
    for some in chunks(sorted(ids)):
        connection.execute(delete(table).where(column.in_(some)))


@contextmanager
def _changeable(connection: Connection, tables: Sequence[str]) -> Iterator[None]:
    """Without the triggers that refuse deletion, which are there again before the transaction ends."""
    if connection.dialect.name == "postgresql":
        query = text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass) AND NOT tgisinternal"
                     " AND tgname LIKE '%append_only'")  # fmt: skip
        pairs = [(name, trigger) for name in tables for trigger in connection.scalars(query, {"name": name})]
        for name, trigger in pairs:
            connection.execute(text(f'ALTER TABLE "{name}" DISABLE TRIGGER "{trigger}"'))
        yield
        for name, trigger in pairs:
            connection.execute(text(f'ALTER TABLE "{name}" ENABLE TRIGGER "{trigger}"'))
        return
    query = text(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name AND name LIKE '%_no_delete'"
    )
    refusing = [tuple(row) for name in tables for row in connection.execute(query, {"name": name})]
    for trigger, _ in refusing:
        connection.execute(text(f'DROP TRIGGER "{trigger}"'))
    yield
    for _, statement in refusing:
        connection.exec_driver_sql(statement)


def _used(engine: Engine) -> int | None:
    """Bytes of an SQLite store that hold something; None of another engine, whose size deletion does not change at once."""
    if engine.dialect.name != "sqlite":
        return None
    with engine.connect().execution_options(**READING) as connection:
        pages, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size
