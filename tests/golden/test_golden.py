"""The demo's episodes are what they were. Where they are meant to change, `python -m tests.golden.update` says so."""

from __future__ import annotations

import json

import pytest

from tests.commands.running import lines
from tests.golden import update

KEPT = {one["id"]: one for one in lines(update.EPISODES.read_text("utf-8"))}


@pytest.fixture(scope="module")
def now() -> dict[str, object]:
    return {one["id"]: one for one in update.replayed()}


def test_it_is_of_this_capture() -> None:
    assert json.loads(update.PROVENANCE.read_text("utf-8")) == update.provenance()


def test_the_same_episodes(now: dict[str, object]) -> None:
    assert list(now) == list(KEPT)


@pytest.mark.parametrize("id_", KEPT)
def test_an_episode_says_what_it_said(now: dict[str, object], id_: str) -> None:
    assert now[id_] == KEPT[id_]
