"""The store: what was seen and judged, appended and never changed.

Importing this package is cheap; SQLAlchemy is imported when a store is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.store.records import (
    AppendResult,
    Counts,
    Cursor,
    Filter,
    News,
    Place,
    Revision,
    Row,
    Sensor,
    Sighting,
    Snapshots,
    StoredEpisode,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.store.store import Store

__all__ = [
    "AppendResult",
    "Counts",
    "Cursor",
    "Filter",
    "News",
    "Place",
    "Revision",
    "Row",
    "Sensor",
    "Sighting",
    "Snapshots",
    "Store",
    "StoredEpisode",
    "open_store",
]

WAIT_S = 5.0


def open_store(
    url_or_path: str | Path, *, create: bool = True, read_only: bool = False, wait_s: float = WAIT_S
) -> Store:
    """Open the store at a file path, a sqlite:/// URL or another SQLAlchemy URL; bring its schema up to date.

    `create` makes the file (mode 0600) and its folder (mode 0700) where they are missing; `read_only` changes nothing
    at all. `wait_s` is how long another process's lock is waited for, here and in every later call.
    Raises StoreError, one line: no such store, unwritable place, locked, disk full, damaged, not a wardwatch store,
    written by a newer wardwatch.
    """
    from sensor.store.opening import open_engine  # noqa: PLC0415  SQLAlchemy comes late: --help must be quick
    from sensor.store.store import Store  # noqa: PLC0415  as above

    return Store(*open_engine(url_or_path, create=create and not read_only, read_only=read_only, wait_s=wait_s))


def __getattr__(name: str) -> object:
    if name == "Store":
        from sensor.store.store import Store  # noqa: PLC0415  SQLAlchemy comes late: --help must be quick

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
