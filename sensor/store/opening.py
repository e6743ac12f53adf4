"""Opening: the file and its folder, the connection's settings, the schema's version."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from sensor.errors import StoreBusyError, StoreError
from sensor.store import schema
from sensor.store.failures import NOT_OURS, first_line, translated

READING = {"wardwatch_reading": True}  # execution options of a transaction that takes no write lock


def open_engine(url_or_path: str | Path, *, create: bool, read_only: bool, wait_s: float) -> tuple[Engine, str]:
    """An engine whose schema is this program's, and the name by which errors call the store."""
    path = _file_of(os.fspath(url_or_path))
    if path is None:
        url = os.fspath(url_or_path)
        place = url.split("://", 1)[0] + " database"  # the rest of the URL may hold a password
        engine = _server_engine(url, place, wait_s, read_only=read_only)
    else:
        place = str(path)
        _prepare_file(path, create=create)
        engine = _sqlite_engine(path, read_only=read_only, wait_s=wait_s)
    try:
        with translated(place):
            _settle_schema(engine, place, create=create, read_only=read_only)
    except BaseException:
        engine.dispose()
        raise
    return engine, place


def _file_of(text: str) -> Path | None:
    """The file of a path or an SQLite URL, None for another engine's URL. Raises StoreError for no URL at all."""
    if "://" not in text:
        return Path(text)
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError(
            "the store's URL cannot be read: it should look like postgresql+psycopg://host/name"
        ) from error
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database:
        raise StoreError("the store's URL names no file: sqlite:////folder/name.db has four slashes")
    return Path(url.database)


def _server_engine(url: str, place: str, wait_s: float, *, read_only: bool) -> Engine:
    try:
        engine = create_engine(make_url(url), pool_pre_ping=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"store {place} cannot be used: {first_line(error)}") from error
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "begin")
        def bound_waiting(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(wait_s * 1000)}")
            if read_only:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def _prepare_file(path: Path, *, create: bool) -> None:
    """Make the file and its folder, for their owner only. SQLite gives its own files beside it the same mode."""
    try:
        if path.exists():
            if not stat.S_ISREG(path.stat().st_mode):
                raise StoreError(f"store {path} {NOT_OURS}: not a regular file")
            return
        if not create:
            raise StoreError(f"store {path} does not exist")
        for folder in reversed([path.parent, *path.parent.parents]):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_fd)  # without it a power loss may take the file's name with all that was stored
        finally:
            os.close(folder_fd)
    except OSError as error:
        kind = StoreBusyError if error.errno == errno.ENOSPC else StoreError
        raise kind(f"store {path} cannot be made: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"store {str(path)!r} cannot be made: {error}") from error


def _sqlite_engine(path: Path, *, read_only: bool, wait_s: float) -> Engine:
    uri = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"
    if read_only and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        uri += "&immutable=1"  # nobody can write there, and WAL's files beside it cannot be made

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, timeout=wait_s, isolation_level=None, uri=True, check_same_thread=False)
        try:
            _set_pragmas(connection, read_only=read_only, wait_s=wait_s)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver begins late and as a reader; a reader that turns writer fails at once when another one wrote.
        reading = read_only or connection.get_execution_options().get("wardwatch_reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _set_pragmas(connection: sqlite3.Connection, *, read_only: bool, wait_s: float) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")  # a store from elsewhere runs nothing here
    if read_only:
        return
    deadline = time.monotonic() + wait_s
    while True:  # the change to WAL does not always wait for a lock as other statements do
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = FULL")  # each commit is on disk when it returns


def _settle_schema(engine: Engine, place: str, *, create: bool, read_only: bool) -> None:
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        version = _version(connection, place)
    if version == schema.VERSION:
        return
    if read_only or (version is None and not create):
        state = NOT_OURS if version is None else "is of an older wardwatch: open it once for writing"
        raise StoreError(f"store {place} {state}")
    from sensor.store.migrations import upgrade  # noqa: PLC0415  Alembic is slow to import and seldom needed

    with engine.begin() as connection:
        version = _version(connection, place)  # another process may have been first
        if version != schema.VERSION:
            upgrade(connection)


def _version(connection: Connection, place: str) -> str | None:
    """The stored schema's version, None for an empty database. Raises StoreError for what is not ours or newer."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if not {"alembic_version", "meta"} <= tables:
        raise StoreError(f"store {place} {NOT_OURS}")
    application = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "application"))
    if application != schema.APPLICATION:
        raise StoreError(f"store {place} {NOT_OURS}")
    found: Any = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if not isinstance(found, str) or found not in schema.VERSIONS:
        raise StoreError(
            f"store {place} was written by a newer wardwatch (schema {found}; this one knows {schema.VERSION})"
        )
    return found
