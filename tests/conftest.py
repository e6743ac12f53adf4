from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sensor.store import Store, open_store
from tests import postgres
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THRESHOLD = gc.get_threshold()


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server for the whole run of tests, started for the first that asks."""
    with postgres.running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / "wardwatch.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, place: Path) -> Iterator[str]:
    """Where a store is, or is to be, on either engine."""
    if request.param == "sqlite":
        yield str(place)
        return
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    made = cluster.store()
    yield made
    cluster.drop(made)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store that knows the test's policies and signatures."""
    with open_store(url) as opened:
        opened.append((), snapshots=KNOWN)
        yield opened
        assert opened.audit().faults == [], "whatever was written, the chain covers it"


@pytest.fixture
def sqlite_store(place: Path) -> Iterator[Store]:
    """As `store`, where a test is about SQLite itself."""
    with open_store(place) as opened:
        opened.append((), snapshots=KNOWN)
        yield opened
        assert opened.audit().faults == [], "whatever was written, the chain covers it"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by what they are for: some are made by chance, and all processes have to call a test the same."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="module")
def collecting() -> Iterator[None]:
    """A command that is run in this process has cycles collected rarely; the tests after it would keep what it left.

    And the tables of the lines that a file's tests made, some hundred megabytes each for a while, go back to the system.
    """
    yield
    if gc.get_freeze_count() or gc.get_threshold() != THRESHOLD:
        gc.unfreeze()
        gc.set_threshold(*THRESHOLD)
    gc.collect()
    with suppress(AttributeError, OSError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)
