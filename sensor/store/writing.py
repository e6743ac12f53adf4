"""Appending: one transaction, done again from its start where another writer came between."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sensor.errors import StoreError
from sensor.store import chain, covering, schema
from sensor.store.ledger import Incoming, Ledger
from sensor.store.loading import chunks, load
from sensor.store.records import AppendResult, Snapshots
from sensor.store.retrying import written
from sensor.store.rows import Values, evidence_values, head_values, revision_values, source_values
from sensor.store.texts import printable, to_json
from sensor.store.views import app_key_of, evidence_key, subject_of, view_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sensor.model import Episode
    from sensor.store.covering import Content

HEADS_LOCK = 0x68656164  # "head": an advisory lock
Pair = tuple[str, str]


def append(engine: Engine, episodes: Sequence[Episode], snapshots: Snapshots) -> AppendResult:
    """See Store.append."""
    return written(engine, lambda connection: _append(connection, episodes, snapshots, time.time_ns()))


def _append(connection: Connection, episodes: Sequence[Episode], snapshots: Snapshots, now_ns: int) -> AppendResult:
    chain.begin(connection)
    links = _remember(connection, snapshots, now_ns)
    counted = {"added": 0, "revised": 0, "unchanged": 0}
    ids: list[str] = []
    lineages = _lineages(connection, episodes, now_ns)
    policy_of = {id_: policy for (_, policy), id_ in lineages.items()}
    for some in chunks(episodes):
        subjects = _subjects(connection, some, now_ns)
        incoming = [_incoming(episode, subjects, lineages) for episode in some]
        ledger = load(connection, incoming, policy_of)
        for one in incoming:
            id_, what = ledger.take(
                one, now_ns + len(ids)
            )  # later than the one before: which is older is never in doubt
            ids.append(id_)
            counted[what] += 1
        links += _flush(connection, ledger, {id_: pair for pair, id_ in lineages.items()}, now_ns)
    chain.append_all(connection, links)  # last: from here to the commit no other writer can add a link
    return AppendResult(**counted, ids=tuple(ids))


def _incoming(episode: Episode, subjects: Mapping[Pair, int], lineages: Mapping[Pair, int]) -> Incoming:
    view = view_of(episode)
    hashes = _hashes(episode)
    evidence = {evidence_key(one): one for one in reversed(episode.evidence)}  # of equal ones the first stays
    subject = subject_of(view)
    ordered = dict(sorted(evidence.items(), key=lambda item: (item[1].time_ns, item[0])))
    return Incoming(printable(episode.id), subjects[subject], lineages[hashes], "\0".join(hashes), view, ordered)


def _hashes(episode: Episode) -> Pair:
    return printable(episode.signatures_hash), printable(episode.verdict.policy_hash)


def _remember(connection: Connection, snapshots: Snapshots, now_ns: int) -> list[Content]:
    """Keep what is new of them; answers what the chain is to say of it."""
    links: list[Content] = []
    for table, texts in ((schema.policies, snapshots.policies), (schema.signature_sets, snapshots.signatures)):
        for key, text in texts.items():
            hash_, snapshot = printable(key), printable(text)
            query = select(table.c.snapshot).where(table.c.hash == hash_)
            if connection.scalar(query) is None:
                insert_missing(connection, table, [{"hash": hash_, "snapshot": snapshot, "recorded_ns": now_ns}])
                links += covering.rows_added(connection, table.name, [hash_])
            if connection.scalar(query) != snapshot:
                raise StoreError(f"the store has another text under the hash {hash_} in {table.name}")
    for source, sha256 in snapshots.sources:
        values = source_values(source, sha256)
        fingerprint = hashlib.sha256(to_json(values).encode()).hexdigest()
        row = {"fingerprint": fingerprint, "recorded_ns": now_ns, **values}
        known = select(schema.sources.c.fingerprint).where(schema.sources.c.fingerprint == fingerprint)
        if connection.scalar(known) is None:
            insert_missing(connection, schema.sources, [row])
            links += covering.rows_added(connection, schema.sources.name, [fingerprint])
    return links


def _lineages(connection: Connection, episodes: Iterable[Episode], now_ns: int) -> dict[Pair, int]:
    """Ids of all pairs of hashes, made where missing."""
    pairs = sorted({_hashes(episode) for episode in episodes})
    _check_known(connection, schema.signature_sets, {signatures for signatures, _ in pairs}, "signatures")
    _check_known(connection, schema.policies, {policy for _, policy in pairs}, "policy")
    names = "signatures_hash", "policy_hash"
    return _ids(connection, schema.lineages, names, pairs, {"recorded_ns": now_ns})


def _check_known(connection: Connection, table: Table, hashes: set[str], what: str) -> None:
    for hash_ in sorted(hashes):
        if connection.scalar(select(table.c.hash).where(table.c.hash == hash_)) is None:
            raise StoreError(f"the store was not given the {what} snapshot {hash_} that a verdict cites")


def _subjects(connection: Connection, episodes: Iterable[Episode], now_ns: int) -> dict[Pair, int]:
    """Ids of all devices with their apps, made where missing, and locked until the commit."""
    pairs = sorted({(printable(one.device.id), app_key_of(one.app, one.candidates, one.activity)) for one in episodes})
    devices = [{"id": id_, "recorded_ns": now_ns} for id_ in sorted({device for device, _ in pairs})]
    insert_missing(connection, schema.devices, devices)
    insert_missing(connection, schema.labels, [{"app_key": key} for key in sorted({key for _, key in pairs})])
    found = _ids(connection, schema.subjects, ("device_id", "app_key"), pairs, {})
    for some in chunks(sorted(found.values())):
        # SQLite's only writer is this one already; PostgreSQL lets others write about other subjects meanwhile.
        connection.execute(
            select(schema.subjects.c.id)
            .where(schema.subjects.c.id.in_(some))
            .order_by(schema.subjects.c.id)
            .with_for_update()
        )
    return found


def _ids(
    connection: Connection, table: Table, names: tuple[str, str], pairs: Sequence[Pair], more: Values
) -> dict[Pair, int]:
    """The numbers of rows with a unique pair of texts; missing ones are inserted, in order."""
    found = _find_ids(connection, table, names, pairs)
    missing = [pair for pair in pairs if pair not in found]
    if missing:
        insert_missing(connection, table, [{names[0]: one, names[1]: other, **more} for one, other in missing])
        found |= _find_ids(connection, table, names, missing)
    return found


def _find_ids(connection: Connection, table: Table, names: tuple[str, str], pairs: Sequence[Pair]) -> dict[Pair, int]:
    first, second = table.c[names[0]], table.c[names[1]]
    found: dict[Pair, int] = {}
    for some in chunks(pairs):
        wanted = set(some)  # pairs in a list are not looked up in an index by SQLite, the first of each is
        for row in connection.execute(
            select(first, second, table.c.id).where(first.in_(sorted({one for one, _ in some})))
        ):
            if (row[0], row[1]) in wanted:
                found[row[0], row[1]] = row[2]
    return found


def insert_missing(connection: Connection, table: Table, rows: list[Values]) -> None:
    """Insert rows, leaving alone those whose unique key is there: both engines say it in the same words."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)


def _flush(connection: Connection, ledger: Ledger, hashes: Mapping[int, Pair], now_ns: int) -> list[Content]:
    """Write what is planned; answers what the chain is to say of it."""
    new_episodes = [
        {"id": id_, "subject_id": subject, "recorded_ns": ledger.born[id_]} for id_, subject in ledger.new_episodes
    ]
    revisions = [revision_values(new, now_ns) for new in ledger.revisions]
    lines = [[evidence_values(new, key, one) for key, one in new.evidence] for new in ledger.revisions]
    names = [
        {"episode_id": new.episode_id, "lineage_id": new.lineage_id, "name": name, "step": new.step}
        for new in ledger.revisions
        for name in new.names
    ]
    made = [head for head in ledger.dirty.values() if head.is_new]
    changed = [head for head in ledger.dirty.values() if not head.is_new]
    _insert(connection, schema.episodes, new_episodes)
    _insert(connection, schema.revisions, revisions)
    _insert(connection, schema.evidence, [line for some in lines for line in some])
    _insert(connection, schema.names, names)
    written = {"changed_ns": changed_ns(connection, now_ns)} if ledger.dirty else {}
    _insert(connection, schema.heads, [head_values(head, head.view) | written for head in made if head.view])
    _update_heads(connection, [_without_state(head_values(head, head.view)) | written for head in changed if head.view])
    _update_heads(
        connection,
        [
            {"episode_id": head.episode_id, "lineage_id": head.lineage_id, "listed": int(head.listed), **written}
            for head in changed
            if not head.view
        ],
    )
    return [
        (covering.JUDGED, covering.judged(revision, some, new.names, (*subject_of(new.view), *hashes[new.lineage_id])))
        for new, revision, some in zip(ledger.revisions, revisions, lines, strict=True)
    ]


def changed_ns(connection: Connection, now_ns: int) -> int:
    """When heads are written: who commits later has a later time, also where the clock went back.

    On PostgreSQL others wait here until the transaction ends.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(HEADS_LOCK)))  # SQLite's only writer is this one already
    last = connection.scalar(select(func.max(schema.heads.c.changed_ns))) or 0
    return max(now_ns, last + 1)


def _without_state(values: Values) -> Values:
    """Follow-up alone changes the state of what is there."""
    return {name: value for name, value in values.items() if name != "state"}


def _insert(connection: Connection, table: Table, rows: list[Values]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _update_heads(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    heads = schema.heads
    keys = {"episode_id", "lineage_id"}
    statement = (
        update(heads)
        .where(heads.c.episode_id == bindparam("the_episode"), heads.c.lineage_id == bindparam("the_lineage"))
        .values({name: bindparam(f"new_{name}") for name in rows[0].keys() - keys})
    )
    connection.execute(
        statement,
        [
            {
                "the_episode": row["episode_id"],
                "the_lineage": row["lineage_id"],
                **{f"new_{name}": value for name, value in row.items() if name not in keys},
            }
            for row in rows
        ],
    )
