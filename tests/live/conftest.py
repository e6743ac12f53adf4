from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.net import Mirror, mirror

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> Iterator[Mirror]:
    """A mirror of one clinic's port, for one test."""
    with mirror() as made:
        yield made
