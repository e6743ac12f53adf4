"""Single rows by where they are, as columns in memory name them; and what else the follow-up looks up."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, func, select

from sensor.model import Outcome
from sensor.store import schema
from sensor.store.failures import translated
from sensor.store.loading import chunks
from sensor.store.opening import READING
from sensor.store.reading import _row, current, names_of
from sensor.store.texts import printable
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.store.records import Row

heads = schema.heads.c


class Lookup:
    """Reads; every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def rows(self, places: Sequence[tuple[str, int]]) -> list[Row]:
        """The rows of these episodes and lineages, in this order; those that are gone are left out."""
        found: dict[tuple[str, int], Row] = {}
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            names = names_of(connection, places)
            for some in chunks(places, 200):
                # Pairs in a list are not looked up in an index by SQLite, the first of each is.
                query = current().where(heads.episode_id.in_([id_ for id_, _ in some]))
                for row in connection.execute(query):
                    place = row.episode_id, row.lineage_id
                    found[place] = _row(row, names.get(place, []))
        return [found[place] for place in places if place in found]

    def changed(self, changed_ns: int, id_: str, limit: int) -> list[tuple[int, Row]]:
        """Violations that lists show and that were written after this, in the order of writing, with when."""
        query = (
            select(heads.changed_ns, heads.episode_id, heads.lineage_id)
            .where(heads.listed == 1, heads.outcome == Outcome.VIOLATION.value, heads.changed_ns >= changed_ns)
            .where((heads.changed_ns > changed_ns) | (heads.episode_id > printable(id_)))
            .order_by(heads.changed_ns, heads.episode_id)
            .limit(limit)
        )
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            places = connection.execute(query).all()
        when = {row.episode_id: int(row.changed_ns) for row in places}  # an episode has one listed row
        rows = self.rows([(row.episode_id, row.lineage_id) for row in places])
        return [(when[row.episode.id], row) for row in rows]

    def merged_into(self, episode_id: str) -> list[str]:
        """Episodes that turned out to be part of this one, under any hashes."""
        query = select(heads.episode_id).where(heads.merged_into == printable(episode_id)).distinct()
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return sorted(map(str, connection.scalars(query)))

    def ids_beginning(self, prefix: str, limit: int = 100) -> list[str]:
        """Episodes whose id begins so."""
        table = schema.episodes.c
        wanted = printable(prefix)
        query = select(table.id).where(table.id >= wanted, table.id < wanted + "z").order_by(table.id).limit(limit)
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return [str(id_) for id_ in connection.scalars(query) if id_.startswith(wanted)] if wanted else []

    def last_hashes(self) -> tuple[str, str] | None:
        """(signatures hash, policy hash) of what was judged last; None in an empty store."""
        lineages, revisions = schema.lineages.c, schema.revisions.c
        query = (
            select(lineages.signatures_hash, lineages.policy_hash)
            .join_from(schema.lineages, schema.revisions, lineages.id == revisions.lineage_id)
            .order_by(revisions.sequence.desc())
            .limit(1)
        )
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (row.signatures_hash, row.policy_hash)

    def snapshot(self, hash_: str) -> Any:
        """The policy or signature set of that hash as it was stored, None where there is none."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            for table in (schema.policies, schema.signature_sets):
                text = connection.scalar(select(table.c.snapshot).where(table.c.hash == printable(hash_)))
                if text is not None:
                    return json.loads(text)
        return None

    def last_recorded_ns(self) -> int | None:
        """When the sensor last wrote of an episode."""
        last = select(schema.revisions.c.recorded_ns).order_by(schema.revisions.c.sequence.desc()).limit(1)
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            found = connection.scalar(last)
        return None if found is None else int(found)

    def last_sighting_ns(self) -> int | None:
        """The last hour of which it is known what could be read."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            found = connection.scalar(select(func.max(schema.sightings.c.hour_ns)))
        return None if found is None else int(found)

    def secret(self, name: str) -> bytes:
        """A key of this store's own, made when it is first asked for."""
        query = select(schema.meta.c.value).where(schema.meta.c.key == name)
        with translated(self._place):
            with self._engine.connect().execution_options(**READING) as connection:
                known = connection.scalar(query)
            if known is None:
                with self._engine.begin() as connection:
                    insert_missing(connection, schema.meta, [{"key": name, "value": secrets.token_hex(32)}])
                    known = connection.scalar(query)
        return bytes.fromhex(str(known))
