"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, reached by a Unix socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, make_url, text

from sensor.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
MEMORY = Path("/dev/shm")  # a file system in memory: databases are made and dropped by the hundred
LEAST_BYTES = 2 << 30
USER = "wardwatch"
TEMPLATE = "template_wardwatch"  # a store with nothing in it, which a new one is copied from


class Cluster:
    """A server that runs. `folder` holds its socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)
        self._made = False

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    @property
    def psql(self) -> list[str]:
        """The command that runs SQL from its standard input and stops at the first error."""
        return ["psql", "-h", str(self.folder), "-U", USER, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-qAtX"]

    def database(self) -> str:
        """The URL of a new database without any table."""
        return self._create("")

    def drop(self, url: str) -> None:
        """Nobody needs this database any more."""
        self._run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def store(self) -> str:
        """The URL of a new and empty store."""
        if not self._made:
            self._run(f"CREATE DATABASE {TEMPLATE}")
            open_store(self.url(TEMPLATE)).close()
            self._made = True
        return self._create(f"TEMPLATE {TEMPLATE}")

    def _create(self, how: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} {how}")
        return self.url(name)

    def _run(self, statement: str) -> None:
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > LEAST_BYTES


@contextmanager
def running() -> Iterator[Cluster]:
    """Skips the test where there is no server to run."""
    if BIN is None or not (BIN / "initdb").exists():
        pytest.skip("no PostgreSQL server programs under /usr/lib/postgresql")
    runner: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        runner = ["runuser", "-u", "nobody", "--"]
    folder = Path(tempfile.mkdtemp(prefix="ww-pg-", dir=MEMORY if _has_room(MEMORY) else None))
    try:
        if runner:
            shutil.chown(folder, "nobody")
        data = str(folder / "data")
        made = [*runner, str(BIN / "initdb"), "-D", data, "-U", USER, "-A", "trust", "-N", "--locale=C.UTF-8"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)
        control = [*runner, str(BIN / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
        subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd=folder)
        try:
            yield Cluster(folder)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder)
    finally:
        shutil.rmtree(folder)
