"""What databases complain of, each as one line an operator can act on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sensor.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKED = "is locked by another process"
DISK_FULL = "cannot be written: the disk is full"
UNWRITABLE = "cannot be opened or written: check the folder and its permissions"
DAMAGED = "is damaged; restore it from a backup"
NOT_OURS = "is not a wardwatch store"
UNREACHABLE = "cannot be reached"
PASSING = frozenset({LOCKED, DISK_FULL, UNREACHABLE})

# Primary result codes, the low byte of the extended ones (sqlite.org/rescode.html).
SQLITE = {
    sqlite3.SQLITE_PERM: UNWRITABLE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_CANTOPEN: UNWRITABLE,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_NOTADB: NOT_OURS,
}

# SQLSTATE, whole or its class of two letters (PostgreSQL manual, appendix A).
SQLSTATE = {
    "55P03": LOCKED,
    "40": LOCKED,
    "53100": DISK_FULL,
    "08": UNREACHABLE,
    "28": "refuses the login",
    "3D": "does not exist",
    "42501": UNWRITABLE,
    "25006": UNWRITABLE,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}

ROOM_BYTES = 256 * 1024  # less than this free counts as full: SQLite needs it for its shared memory file alone


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what a database or its driver raises into a StoreError that names the store."""
    try:
        yield
    except DBAPIError as error:
        raise _failed(place, reason(error.orig, place)) from error
    except sqlite3.Error as error:
        raise _failed(place, reason(error, place)) from error
    except (SQLAlchemyError, OverflowError) as error:
        raise StoreError(f"store {place}: {first_line(error)}") from error


def _failed(place: str, why: str) -> StoreError:
    kind = StoreBusyError if why in PASSING else StoreError
    return kind(f"store {place} {why}")


def reason(error: BaseException | None, place: str) -> str:
    """What is wrong, in words that follow the store's name."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF
        # A full disk also shows as an I/O error, where SQLite grows the file it shares memory by.
        if primary in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _is_full(place):
            return DISK_FULL
        return SQLITE.get(primary, f"failed: {first_line(error)}")
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return SQLSTATE.get(state) or SQLSTATE.get(state[:2]) or f"failed: {first_line(error)}"


def is_conflict(error: DBAPIError) -> bool:
    """Whether another writer came between and doing it all again is right: a unique key, a deadlock, a serial order."""
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""
    unique = getattr(error.orig, "sqlite_errorcode", None) in {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    }
    return unique or state in {"23505", "40001", "40P01"}


def first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_full(place: str) -> bool:
    try:
        return shutil.disk_usage(Path(place).parent).free < ROOM_BYTES
    except OSError:
        return False
