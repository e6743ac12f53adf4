from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sensor import setup
from sensor.proof import keys, making
from sensor.store import Filter, open_store
from tests.commands.running import CAPTURE, CONFIG, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.setup import Setup


@dataclass(frozen=True)
class Demo:
    """The demo's store, replayed once. `ids`: of everything that its lists show, violations or not."""

    store: Path
    key: Path
    made: Setup
    ids: tuple[str, ...]

    @property
    def public(self) -> Path:
        return self.key.with_name(f"{self.key.name}.pub")

    def pack(self, *ids: str) -> making.Made:
        with open_store(self.store, create=False) as store:
            return making.pack(making.Request(store, self.made, keys.signer(self.key), actor="tests"), ids)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("proof")
    store = folder / "demo.sqlite"
    done = wardwatch("replay", CAPTURE, "--config", CONFIG, "--store", store, "--quiet")
    assert done.status == 0, done.err
    key = folder / "signing-key.pem"
    keys.signer(key)
    with open_store(store, create=False, read_only=True) as opened:
        ids = tuple(row.episode.id for row in opened.violations(Filter(outcomes=None)))
    return Demo(store, key, setup.read(str(CONFIG)), ids)
