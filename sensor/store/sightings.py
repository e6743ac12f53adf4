"""What could not be read: appending and listing. A record says all of itself, so its id is made of it."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from sensor.store import chain, covering, schema
from sensor.store.loading import chunks
from sensor.store.opening import READING
from sensor.store.parts import PART, summed
from sensor.store.texts import printable, to_json
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from sensor.store.records import Sighting

table = schema.sightings.c
HEALTH = "health"  # records of what is wrong with the mirror port
COPIED = frozenset({"evidence"})  # a copy of a capture has another name, and the same packets


def append(engine: Engine, sightings: Sequence[Sighting]) -> int:
    """See Store.observe."""
    now_ns = time.time_ns()
    rows = [_row(one, now_ns) for one in sightings]
    with engine.begin() as connection:
        chain.begin(connection)
        known: set[str] = set()
        for some in chunks([row["id"] for row in rows]):
            known |= set(connection.scalars(select(table.id).where(table.id.in_(some))))
        fresh = {row["id"]: row for row in rows if row["id"] not in known}
        insert_missing(connection, schema.sightings, list(fresh.values()))
        chain.append_all(connection, covering.rows_added(connection, schema.sightings.name, list(fresh)))
    return len(fresh)


def _row(one: Sighting, now_ns: int) -> dict[str, Any]:
    said = {key: value for key, value in one.details.items() if key not in COPIED}
    return {
        "id": hashlib.sha256(to_json(said).encode()).hexdigest()[:32],
        "recorded_ns": now_ns,
        "record": one.record,
        "kind": one.kind,
        "network": printable(one.network),
        "device_id": printable(one.device_id),
        "hour_ns": one.hour_ns,
        "flows": one.flows,
        "bytes": one.bytes,
        "details": to_json(one.details),
    }


def listed(
    engine: Engine,
    network: str | None,
    kind: str | None,
    since_ns: int | None,
    until_ns: int | None,
    *,
    health: bool = False,
) -> list[dict[str, Any]]:
    """See Store.sightings."""
    query = select(schema.sightings).order_by(table.hour_ns, table.network, table.record, table.kind, table.device_id)
    query = query.where(table.record == HEALTH if health else table.record != HEALTH)
    if network is not None:
        query = query.where(table.network == printable(network))
    if kind is not None:
        query = query.where(table.kind == kind)
    if since_ns is not None:
        query = query.where(table.hour_ns >= since_ns)
    if until_ns is not None:
        query = query.where(table.hour_ns < until_ns)
    fullest: dict[tuple[Any, ...], _View] = {}
    parts: dict[tuple[Any, ...], list[_View]] = {}
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        for row in connection.execute(query):
            place = row.hour_ns, row.network, row.record, row.kind, row.device_id
            details = json.loads(row.details)
            view = _View(row.flows, row.bytes, row.recorded_ns, row.id, details)
            if PART in details:
                parts.setdefault(place, []).append(view)
                fullest.setdefault(place, view._replace(flows=-1))  # it keeps the place in order
            elif place not in fullest or view[:4] > fullest[place][:4]:
                fullest[place] = view
    for place, of_runs in parts.items():
        flows, size = sum(one.flows for one in of_runs), sum(one.bytes for one in of_runs)
        last = max(of_runs, key=lambda one: (one.recorded_ns, one.id))
        whole = _View(flows, size, last.recorded_ns, last.id, summed([one.details for one in of_runs]))
        if whole[:4] > fullest[place][:4]:
            fullest[place] = whole
    return [one.details for one in fullest.values()]


class _View(NamedTuple):
    """The larger, the fuller; then the later."""

    flows: int
    bytes: int
    recorded_ns: int
    id: str
    details: dict[str, Any]
