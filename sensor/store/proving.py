"""What a proof is made of beside the episode: snapshots, sources, and the links that speak of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select

from sensor.store import schema
from sensor.store.chain import links
from sensor.store.covering import JUDGED
from sensor.store.failures import translated
from sensor.store.opening import READING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A capture that was read. `sha256` None: it could not be read again, as live traffic."""

    path: str
    size_bytes: int | None
    format: str
    frames: int
    first_ns: int | None
    last_ns: int | None
    sha256: str | None


class Proofs:
    """Reads; every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def sources(self) -> list[SourceRow]:
        """All captures that were read, oldest reading first."""
        names = SourceRow.__slots__
        query = select(*(schema.sources.c[name] for name in names)).order_by(
            schema.sources.c.recorded_ns, schema.sources.c.fingerprint
        )
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return [SourceRow(*row) for row in connection.execute(query)]

    def policy(self, hash_: str) -> str | None:
        """The text of a policy's snapshot."""
        return self._snapshot(schema.policies, hash_)

    def signatures(self, hash_: str) -> str | None:
        """The text of a set of signatures."""
        return self._snapshot(schema.signature_sets, hash_)

    def _snapshot(self, table: Any, hash_: str) -> str | None:
        query = select(table.c.snapshot).where(table.c.hash == hash_)
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return connection.scalar(query)

    def links(self, episodes: Collection[str]) -> list[dict[str, Any]]:
        """The links that judged these episodes, whole."""
        wanted = [f'"episode":"{id_}"' for id_ in episodes]
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return [
                {name: getattr(link, name) for name in link.__slots__}
                for link in links(connection, kind=JUDGED)
                if any(one in (link.content or "") for one in wanted)
            ]
