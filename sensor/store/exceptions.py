"""Exceptions that were made from violations, beside those of the configuration. One is made once and ended at most once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from sensor.store import chain
from sensor.store.failures import translated
from sensor.store.opening import READING
from sensor.store.schema_follow import exception_changes
from sensor.store.texts import printable, to_json
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MADE: Final = "made"
ENDED: Final = "ended"
KIND: Final = "exception"  # of link
table = exception_changes.c


@dataclass(frozen=True, slots=True)
class StoredException:
    """`devices`: ids; `activities`: labels; empty: any. In force from `from_ns` on, before `until_ns` or `ended_ns`."""

    id: str
    name: str
    apps: tuple[str, ...]
    devices: tuple[str, ...]
    where: tuple[str, ...]
    activities: tuple[str, ...]
    from_ns: int
    until_ns: int
    reason: str
    owner: str
    episode_id: str
    made_by: str
    recorded_ns: int
    ended_by: str = ""
    ended_ns: int | None = None
    ended_why: str = ""

    @property
    def end_ns(self) -> int:
        """When it ends, or did."""
        return self.until_ns if self.ended_ns is None else min(self.until_ns, self.ended_ns)


DETAILS: Final = (
    "name",
    "apps",
    "devices",
    "where",
    "activities",
    "from_ns",
    "until_ns",
    "reason",
    "owner",
    "episode_id",
)


class Exceptions:
    """Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def make(self, made: StoredException) -> bool:
        """False where there is one of that id or name already."""
        details = {name: getattr(made, name) for name in DETAILS}
        with translated(self._place), self._engine.begin() as connection:
            if any(one.id == made.id or one.name == made.name for one in _listed(connection)):
                return False
            return self._append(connection, made.id, made.made_by, MADE, "", details, made.recorded_ns)

    def end(self, id_: str, actor: str, note: str) -> bool:
        """False where there is none, or it was ended already."""
        with translated(self._place), self._engine.begin() as connection:
            known = connection.scalar(select(func.count()).where(table.exception_id == printable(id_)))
            return known == 1 and self._append(connection, id_, actor, ENDED, note, {}, time.time_ns())

    @staticmethod
    def _append(
        connection: Connection, id_: str, actor: str, action: str, note: str, details: dict[str, Any], now_ns: int
    ) -> bool:
        row = {"exception_id": printable(id_), "recorded_ns": now_ns, "actor": printable(actor), "action": action,
               "note": printable(note), "details": to_json(details)}  # fmt: skip
        here = (table.exception_id == row["exception_id"]) & (table.action == action)
        if connection.scalar(select(func.count()).where(here)):
            return False
        insert_missing(connection, exception_changes, [row])
        chain.append(connection, KIND, {**row, "details": details})
        return True

    def listed(self) -> list[StoredException]:
        """All, in the order in which they were made."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return _listed(connection)

    def mark(self) -> int:
        """Another number after each change."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return connection.scalar(select(func.max(table.sequence))) or 0


def _listed(connection: Connection) -> list[StoredException]:
    rows = connection.execute(select(exception_changes).order_by(table.sequence)).all()
    ended = {row.exception_id: row for row in rows if row.action == ENDED}
    return [_exception(row, ended.get(row.exception_id)) for row in rows if row.action == MADE]


def _exception(row: Any, ended: Any | None) -> StoredException:
    details = json.loads(row.details)
    lists = {name: tuple(details[name]) for name in ("apps", "devices", "where", "activities")}
    return StoredException(
        id=row.exception_id,
        made_by=row.actor,
        recorded_ns=row.recorded_ns,
        ended_by="" if ended is None else ended.actor,
        ended_ns=None if ended is None else ended.recorded_ns,
        ended_why="" if ended is None else ended.note,
        **{**details, **lists},
    )
