from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notify.servers import Authority, make_authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("authority")
    return make_authority(folder)
