from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.store import Store, open_store
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / "wardwatch.db"


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    """An empty store that knows the test's policies and signatures."""
    with open_store(place) as opened:
        opened.append((), snapshots=KNOWN)
        yield opened
