"""Writing: one transaction, done again from its start where another writer came between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy.exc import DBAPIError

from sensor.store.failures import is_conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

ATTEMPTS: Final = 5
T = TypeVar("T")


def written(engine: Engine, write: Callable[[Connection], T]) -> T:
    """What `write` gives, once it is committed. Raises what the database raises the last time."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                return write(connection)
        except DBAPIError as error:
            if attempt == ATTEMPTS or not is_conflict(error):
                raise
            time.sleep(0.02 * attempt)
    raise AssertionError("unreachable")
