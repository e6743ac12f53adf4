"""Listing, showing and counting."""

from __future__ import annotations

import heapq
import json
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, func, or_, select, tuple_

from sensor.errors import StoreError
from sensor.model import Activity, Evidence, Outcome
from sensor.store import schema
from sensor.store.opening import READING
from sensor.store.records import Counts, Cursor, Filter, Revision, Row, StoredEpisode
from sensor.store.rows import evidence_of_row, verdict_of, view_of_row
from sensor.store.texts import printable
from sensor.store.views import concerns

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_ROWS = 500

heads, revisions, lineages = schema.heads.c, schema.revisions.c, schema.lineages.c


def page(engine: Engine, chosen: Filter, limit: int, after: Cursor | None) -> list[Row]:
    """See Store.page."""
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        parts = [connection.execute(query).all() for query in queries(connection, chosen, limit, after)]
        merged = heapq.merge(*parts, key=lambda row: (row.start_ns, row.episode_id), reverse=True)
        rows = list(islice(merged, limit))
        names = names_of(connection, [(row.episode_id, row.lineage_id) for row in rows])
    return [_row(row, names.get((row.episode_id, row.lineage_id), [])) for row in rows]


def queries(connection: Connection, chosen: Filter, limit: int, after: Cursor | None) -> list[Select[Any]]:
    """One query per outcome and app key, each read in an index's order; sorting a million rows would take too long."""
    keys: list[str | None] = [None]
    if chosen.app is not None:
        app = printable(chosen.app)
        keys = [key for key in connection.scalars(select(schema.labels.c.app_key)) if concerns(key, app)]
    outcomes = [None] if chosen.outcomes is None else sorted(set(chosen.outcomes))
    conditions = _conditions(connection, chosen, after)
    return [
        current()
        .where(*conditions, *_equal(outcome, key))
        .order_by(heads.start_ns.desc(), heads.episode_id.desc())
        .limit(limit)
        for outcome, key in product(outcomes, keys)
    ]


def _equal(outcome: Outcome | None, key: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if outcome is not None:
        found.append(heads.outcome == outcome.value)
    if key is not None:
        found.append(heads.app_key == key)
    return found


def _conditions(connection: Connection, chosen: Filter, after: Cursor | None) -> list[ColumnElement[bool]]:
    if chosen.lineage is None:
        found = [heads.listed == 1]
    else:
        lineage = connection.scalar(
            select(lineages.id).where(
                lineages.signatures_hash == chosen.lineage[0], lineages.policy_hash == chosen.lineage[1]
            )
        )
        found = [heads.lineage_id == (-1 if lineage is None else lineage), heads.merged_into.is_(None)]
    if chosen.device is not None:
        found.append(heads.device_id == printable(chosen.device))
    if chosen.network is not None:
        found.append(heads.network == printable(chosen.network))
    if chosen.activity is not None:
        found.append(heads.activity == int(chosen.activity))
    if chosen.state is not None:
        found.append(heads.state == printable(chosen.state))
    if chosen.since_ns is not None:
        found.append(heads.start_ns >= chosen.since_ns)
    if chosen.until_ns is not None:
        found.append(heads.start_ns < chosen.until_ns)
    if after is not None:
        found.append(tuple_(heads.start_ns, heads.episode_id) < tuple_(after.start_ns, after.id))
    return found


def current() -> Select[Any]:
    """Heads with their revision and hashes."""
    return (
        select(
            schema.revisions,
            heads.device_id,
            heads.app_key,
            heads.state,
            heads.listed,
            heads.merged_into.label("root"),
            lineages.signatures_hash,
            lineages.policy_hash,
        )
        .join_from(
            schema.heads,
            schema.revisions,
            (heads.episode_id == revisions.episode_id)
            & (heads.lineage_id == revisions.lineage_id)
            & (heads.step == revisions.step),
        )
        .join(schema.lineages, lineages.id == heads.lineage_id)
    )


def _row(row: Any, names: Sequence[str]) -> Row:
    view = view_of_row(row, row.device_id, row.app_key, row.policy_hash, names)
    return Row(view.episode(row.episode_id, row.signatures_hash), row.state, row.sequence, row.recorded_ns)


def names_of(connection: Connection, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
    table = schema.names.c
    found: dict[tuple[str, int], list[str]] = {}
    for start in range(0, len(places), PAGE_ROWS):
        some = places[start : start + PAGE_ROWS]
        # Pairs in a list are not looked up in an index by SQLite, the first of each is.
        query = select(table.episode_id, table.lineage_id, table.name)
        for row in connection.execute(query.where(table.episode_id.in_([id_ for id_, _ in some]))):
            found.setdefault((row.episode_id, row.lineage_id), []).append(row.name)
    return found


def episode(engine: Engine, id_or_prefix: str) -> StoredEpisode:
    """See Store.episode."""
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        shown = _shown(connection, _find(connection, printable(id_or_prefix)))
        place = shown.episode_id, shown.lineage_id
        names = names_of(connection, [place]).get(place, [])
        evidence = evidence_of(connection, *place)
        history = _history(connection, shown.episode_id)
    view = view_of_row(shown, shown.device_id, shown.app_key, shown.policy_hash, names)
    return StoredEpisode(view.episode(shown.episode_id, shown.signatures_hash, evidence), shown.state, history)


def _find(connection: Connection, prefix: str) -> str:
    """The one id that begins with `prefix`."""
    table = schema.episodes.c
    exact = connection.scalar(select(table.id).where(table.id == prefix))
    if exact is not None:
        return str(exact)
    # Ids are hex digits: the range is read from the index, which LIKE would not use.
    query = select(table.id).where(table.id > prefix, table.id < prefix + "z").order_by(table.id).limit(2)
    found = [str(id_) for id_ in connection.scalars(query) if id_.startswith(prefix)] if prefix else []
    if not found:
        raise StoreError(f"no episode has the id {prefix!r}")
    if len(found) > 1:
        raise StoreError(f"several episodes have ids that begin with {prefix!r}; give more of it")
    return found[0]


def _shown(connection: Connection, id_: str) -> Any:
    """The head that lists show; of an episode that none shows, the latest; of a merged one, what it became part of."""
    rows = connection.execute(current().where(heads.episode_id == id_)).all()
    shown = max(rows, key=lambda row: (row.listed, row.sequence))
    if shown.root is None:
        return shown
    return connection.execute(
        current().where(heads.episode_id == shown.root, heads.lineage_id == shown.lineage_id)
    ).one()


def evidence_of(connection: Connection, id_: str, lineage_id: int) -> tuple[Evidence, ...]:
    """Evidence in time order, with that of the episodes merged into this one."""
    table = schema.evidence
    members = select(heads.episode_id).where(heads.merged_into == id_, heads.lineage_id == lineage_id)
    query = (
        select(table)
        .where(table.c.lineage_id == lineage_id, or_(table.c.episode_id == id_, table.c.episode_id.in_(members)))
        .order_by(table.c.time_ns, table.c.packet_id, table.c.rule)
    )
    return tuple(evidence_of_row(row) for row in connection.execute(query))


def _history(connection: Connection, id_: str) -> tuple[Revision, ...]:
    query = (
        select(schema.revisions, lineages.signatures_hash, lineages.policy_hash)
        .join_from(schema.revisions, schema.lineages, lineages.id == revisions.lineage_id)
        .where(revisions.episode_id == id_)
        .order_by(revisions.sequence)
    )
    return tuple(_revision(row) for row in connection.execute(query))


def _revision(row: Any) -> Revision:
    return Revision(
        sequence=row.sequence,
        recorded_ns=row.recorded_ns,
        signatures_hash=row.signatures_hash,
        policy_hash=row.policy_hash,
        signature_version=json.loads(row.details)["signature_version"],
        verdict=verdict_of(row, row.policy_hash),
        activity=Activity(row.activity),
        start_ns=row.start_ns,
        end_ns=row.end_ns,
        bytes_up=row.bytes_up,
        bytes_down=row.bytes_down,
        evidence_total=row.evidence_total,
        merged_into=row.merged_into,
    )


def counts(engine: Engine) -> Counts:
    """See Store.counts."""
    with engine.connect().execution_options(**READING) as connection, connection.begin():

        def size(table: Table) -> int:
            return connection.scalar(select(func.count()).select_from(table)) or 0

        listed = select(heads.outcome, func.count()).where(heads.listed == 1).group_by(heads.outcome)
        outcomes = {str(outcome): int(number) for outcome, number in connection.execute(listed)}
        return Counts(
            devices=size(schema.devices),
            episodes=sum(outcomes.values()),
            violations=outcomes.get(Outcome.VIOLATION.value, 0),
            revisions=size(schema.revisions),
            evidence=size(schema.evidence),
            sources=size(schema.sources),
            outcomes=outcomes,
        )
