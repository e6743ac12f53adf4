"""What a centre has not been told yet: episodes by the sequence of their revisions, sightings by when they were recorded.

An episode is given whole, as it is now, under each pair of hashes that was written to. Who is told of it twice, or out of order,
comes to the same: see `views`.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, select, tuple_

from sensor.store import schema
from sensor.store.loading import chunks
from sensor.store.opening import READING
from sensor.store.reading import current, evidence_of, names_of
from sensor.store.records import News, Place, Sighting, Snapshots
from sensor.store.rows import view_of_row
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.model import Episode

STORE_ID = "store_id"  # of `meta`

revisions, heads, sightings = schema.revisions.c, schema.heads.c, schema.sightings.c


def store_id(engine: Engine) -> str:
    """By which a centre knows this store from one that replaced it: its sequences begin anew."""
    with engine.begin() as connection:
        rows = [{"key": STORE_ID, "value": secrets.token_hex(16)}]
        insert_missing(connection, schema.meta, rows)
        found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == STORE_ID))
    return str(found)


def news(engine: Engine, after: Place, limit: int) -> News:
    """At most `limit` revisions and as many sightings after a place."""
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        changed = connection.execute(
            select(revisions.sequence, revisions.episode_id, revisions.lineage_id)
            .where(revisions.sequence > after.sequence)
            .order_by(revisions.sequence)
            .limit(limit)
        ).all()
        episodes = tuple(_episodes(connection, [(row.episode_id, row.lineage_id) for row in changed]))
        seen = connection.execute(
            select(schema.sightings)
            .where(tuple_(sightings.recorded_ns, sightings.id) > tuple_(after.recorded_ns, after.sighting))
            .order_by(sightings.recorded_ns, sightings.id)
            .limit(limit)
        ).all()
        cited = _cited(connection, episodes)
    place = Place(
        changed[-1].sequence if changed else after.sequence,
        seen[-1].recorded_ns if seen else after.recorded_ns,
        seen[-1].id if seen else after.sighting,
    )
    more = len(changed) == limit or len(seen) == limit
    return News(episodes, tuple(map(_sighting, seen)), cited, place, more)


def _episodes(connection: Connection, places: list[tuple[str, int]]) -> Iterable[Episode]:
    """Those that show under these ids now, each once, the oldest first."""
    roots: dict[tuple[str, int], None] = {}
    wanted = dict.fromkeys(places)
    found: dict[tuple[str, int], tuple[str, int]] = {}
    for some in chunks({id_ for id_, _ in wanted}):
        query = select(heads.episode_id, heads.lineage_id, heads.merged_into).where(heads.episode_id.in_(some))
        for id_, lineage_id, merged_into in connection.execute(query):  # SQLite reads no index for pairs in a list
            found[id_, lineage_id] = merged_into or id_, lineage_id
    roots |= {found[place]: None for place in wanted if place in found}
    names = names_of(connection, list(roots))
    for place in _by_age(connection, list(roots)):
        row = connection.execute(current().where(heads.episode_id == place[0], heads.lineage_id == place[1])).first()
        if row is not None:
            view = view_of_row(row, row.device_id, row.app_key, row.policy_hash, names.get(place, []))
            yield view.episode(place[0], row.signatures_hash, evidence_of(connection, *place))


def _by_age(connection: Connection, places: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The order in which they were recorded: of those that turn out to be one, the centre keeps the same one as this store."""
    born: dict[str, int] = {}
    for some in chunks({id_ for id_, _ in places}):
        query = select(schema.episodes.c.id, schema.episodes.c.recorded_ns).where(schema.episodes.c.id.in_(some))
        born |= {row.id: row.recorded_ns for row in connection.execute(query)}
    return sorted(places, key=lambda place: (born[place[0]], *place))


def _sighting(row: Any) -> Sighting:
    return Sighting(
        row.record, row.kind, row.network, row.device_id, row.hour_ns, row.flows, row.bytes, json.loads(row.details)
    )


def _cited(connection: Connection, episodes: Iterable[Episode]) -> Snapshots:
    """The texts behind the hashes that episodes cite."""
    listed = list(episodes)

    def texts(table: Any, hashes: set[str]) -> dict[str, str]:
        query = select(table.c.hash, table.c.snapshot).where(table.c.hash.in_(hashes))
        return {row.hash: row.snapshot for row in connection.execute(query)}

    policies = {one.verdict.policy_hash for one in listed}
    return Snapshots(
        texts(schema.policies, policies), texts(schema.signature_sets, {one.signatures_hash for one in listed})
    )
