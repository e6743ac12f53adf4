from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands.running import CAPTURE, CONFIG, TRUTH, lines, wardwatch

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """The demo's capture, replayed once for all tests that only look."""

    store: Path
    out: str
    flows: list[dict[str, Any]]
    episodes: list[dict[str, Any]]
    truth: dict[str, Any]
    episodes_text: str

    @property
    def violations(self) -> list[dict[str, Any]]:
        return [one for one in self.episodes if one["verdict"] == "violation"]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    store, flows, episodes = folder / "w.sqlite", folder / "flows.jsonl", folder / "episodes.jsonl"
    done = wardwatch("replay", CAPTURE, "--config", CONFIG, "--store", store, "--flows", flows, "--episodes", episodes)
    assert (done.status, done.err) == (0, "")
    said = episodes.read_text("utf-8")
    truth = json.loads(TRUTH.read_text("utf-8"))
    return Demo(store, done.out, lines(flows.read_text("utf-8")), lines(said), truth, said)


@pytest.fixture
def store(demo: Demo, tmp_path: Path) -> Path:
    """A copy of the demo's store that a test may write to."""
    for path in demo.store.parent.glob("w.sqlite*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "w.sqlite"
