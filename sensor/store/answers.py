"""What was answered to requests that carry a key of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, select, update

from sensor.store.failures import translated
from sensor.store.schema_follow import answers
from sensor.store.texts import printable
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from sqlalchemy import Engine

table = answers.c
KEPT_NS: Final = 24 * 3_600_000_000_000
BEING_ANSWERED_NS: Final = 120_000_000_000  # longer: whoever was answering is gone


class Answer(NamedTuple):
    """`status` 0: it is being answered."""

    request_sha256: str
    status: int
    headers: str
    body: str


class Answers:
    """Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def begin(self, actor: str, key: str, request_sha256: str) -> Answer | None:
        """None: it is for the caller to answer. Else what was answered before, or that it is being answered."""
        now_ns = time.time_ns()
        here = (table.actor == printable(actor)) & (table.key == printable(key))
        row = {"actor": printable(actor), "key": printable(key), "request_sha256": request_sha256,
               "recorded_ns": now_ns, "status": 0, "headers": "", "body": ""}  # fmt: skip
        with translated(self._place), self._engine.begin() as connection:
            connection.execute(delete(answers).where(table.recorded_ns < now_ns - KEPT_NS))
            connection.execute(
                delete(answers).where(here, table.status == 0, table.recorded_ns < now_ns - BEING_ANSWERED_NS)
            )
            insert_missing(connection, answers, [row])
            found = connection.execute(select(answers).where(here)).one()
        if found.status == 0 and found.recorded_ns == now_ns and found.request_sha256 == request_sha256:
            return None
        return Answer(found.request_sha256, found.status, found.headers, found.body)

    def finish(self, actor: str, key: str, status: int, headers: str, body: str) -> None:
        """It was answered so."""
        here = (table.actor == printable(actor)) & (table.key == printable(key))
        with translated(self._place), self._engine.begin() as connection:
            connection.execute(update(answers).where(here).values(status=status, headers=headers, body=printable(body)))

    def forget(self, actor: str, key: str) -> None:
        """It was not answered."""
        here = (table.actor == printable(actor)) & (table.key == printable(key))
        with translated(self._place), self._engine.begin() as connection:
            connection.execute(delete(answers).where(here))
