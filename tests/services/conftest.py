from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.services.desk import Desk
from sensor.store import open_store
from tests.services.clinic import NOW_NS, made_setup, morning
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A small clinic's desk: 12 violations and 3 other episodes of two days."""
    store = open_store(tmp_path / "store.sqlite")
    store.append(morning(), snapshots=KNOWN)
    with Desk(store, made_setup(), now_ns=lambda: NOW_NS) as opened:
        yield opened
