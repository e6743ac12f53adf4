"""A store that is locked, gone, or full stops nothing: what comes meanwhile is written later, once."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from sensor.errors import StoreError
from sensor.model import Episode, SourceInfo
from sensor.ops import recorder as module
from sensor.ops.plain import plain, typed
from sensor.ops.recorder import Piece, Recorder
from sensor.ops.spool import Spool
from sensor.store import Filter, Sighting, Snapshots, Store, open_store
from tests.store import make

if TYPE_CHECKING:
    from pathlib import Path

EVERY = Filter(outcomes=None)
DETAILS = {"record": "observation", "device": "10.0.0.7", "first": "a", "last": "b", "strength": "strong", "services": [],
           "outcome": "recorded", "evidence": [], "flows": 3, "part": "a-1"}  # fmt: skip
SEEN = Sighting("observation", "vpn", "Ward", "ip:10.0.0.7", 0, 3, 300, DETAILS)


class Kept:
    """A recorder of a store in a folder, with what it says."""

    def __init__(self, folder: Path, spool_bytes: int = 1 << 20) -> None:
        self.path = folder / "w.sqlite"
        self.said: list[str] = []
        self.opened = 0
        self.spool = Spool(folder / "w.spool", spool_bytes)
        self.recorder = Recorder(self.open, self.spool, self.said.append)
        self.recorder.remember(make.KNOWN)

    def open(self) -> Store:
        self.opened += 1
        return open_store(self.path, create=self.opened == 1, wait_s=0.1)

    def stored(self) -> list[str]:
        with open_store(self.path, read_only=True) as store:
            return sorted(row.episode.id for row in store.violations(EVERY))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is asked again at once."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)


def test_an_episode_is_the_same_after_it_waited() -> None:
    one = make.episode(keep=3, notes=("a \udc80 note",), app=None, candidates=("whatsapp", "messenger"))
    assert typed(Episode, plain(one)) == one


@pytest.mark.parametrize("broken", [[], ["id"], {}, None, [1] * 26])
def test_what_is_no_episode_is_refused(broken: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        typed(Episode, broken)


@pytest.mark.usefixtures("soon")
def test_locked_it_waits_and_is_written_once_the_lock_is_gone(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.recorder.begin()
    assert kept.recorder.put(Piece((make.episode(range(5)),))) == kept.recorder.put(Piece((make.episode(range(5)),)))
    lock = sqlite3.connect(kept.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for first in (100, 200, 300):
        kept.recorder.put(Piece((make.episode(range(first, first + 5)),), (SEEN,)))
    assert kept.recorder.waiting >= 6
    assert len(kept.stored()) == 1
    assert sum("locked" in line for line in kept.said) == 1  # told once, however often it is tried
    lock.execute("ROLLBACK")
    kept.recorder.put(Piece((make.episode(range(400, 405)),)))
    assert (kept.recorder.waiting, len(kept.stored())) == (0, 5)
    assert "3 episodes that waited" in kept.said[-1]


@pytest.mark.usefixtures("soon")
def test_killed_between_store_and_spool_nothing_is_doubled(tmp_path: Path) -> None:
    """The spool still has what the store has already."""
    kept = Kept(tmp_path)
    kept.recorder.begin()
    records = [module._record("episode", make.episode(range(first, first + 5))) for first in (0, 100)]
    known = module._record("snapshots", [dict(make.KNOWN.policies), dict(make.KNOWN.signatures)])
    kept.spool.put([known, *records, module._record("sighting", SEEN)])
    kept.recorder.drain(now=True)
    kept.spool.put([known, *records, module._record("sighting", SEEN)])
    kept.recorder.finish()
    with open_store(kept.path, read_only=True) as store:
        counts = store.counts()
        assert (counts.episodes, counts.revisions, len(store.sightings())) == (2, 2, 1)


def test_what_waits_from_an_earlier_run_is_written_at_the_start_with_what_it_cites(tmp_path: Path) -> None:
    blocked = Kept(tmp_path)
    blocked.path.mkdir()  # no store can be there
    blocked.recorder.put(Piece((make.episode(range(5), policy=make.POLICIES[1]),), sources=((SourceInfo("m1"), None),)))
    blocked.recorder.finish()
    blocked.path.rmdir()
    later = Kept(tmp_path)
    later.recorder._known.clear()  # another policy is in force
    later.recorder.begin()
    assert len(later.stored()) == 1
    assert later.recorder.waiting == 0


@pytest.mark.usefixtures("soon")
def test_a_store_that_is_taken_away_is_waited_for_and_not_made_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.recorder.begin()
    kept.recorder.put(Piece((make.episode(range(5)),)))
    kept.recorder._let_go()
    for path in tmp_path.glob("w.sqlite*"):
        path.rename(tmp_path / path.name.replace("w.", "moved."))
    kept.recorder.put(Piece((make.episode(range(100, 105)),)))
    assert not kept.path.exists()
    assert any("does not exist" in line for line in kept.said)
    for path in tmp_path.glob("moved.sqlite*"):
        path.rename(tmp_path / path.name.replace("moved.", "w."))
    kept.recorder.put(Piece((make.episode(range(200, 205)),)))
    assert len(kept.stored()) == 3


@pytest.mark.usefixtures("soon")
def test_a_file_deleted_under_an_open_store_is_noticed(tmp_path: Path) -> None:
    """SQLite would write into a file that has no name any more."""
    kept = Kept(tmp_path)
    kept.recorder.begin()
    for path in tmp_path.glob("w.sqlite*"):
        path.unlink()
    kept.recorder.put(Piece((make.episode(range(5)),)))
    assert kept.recorder.waiting > 0


def test_a_run_that_is_reloaded_for_years_keeps_a_few_snapshots_and_loses_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.recorder.begin()
    for number in range(40):
        kept.recorder.remember(Snapshots(policies={f"p{number}": "{}"}))
        kept.recorder.put(Piece((make.episode(range(number * 10, number * 10 + 5), policy=f"p{number}"),)))
    assert len(kept.recorder._known) == module.MAX_KNOWN
    assert (len(kept.stored()), kept.recorder.waiting) == (40, 0)


@pytest.mark.usefixtures("soon")
def test_reloads_while_the_store_is_locked_lose_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.recorder.begin()
    lock = sqlite3.connect(kept.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for number in range(24):
        kept.recorder.remember(Snapshots(policies={f"p{number}": "{}"}))
        kept.recorder.put(Piece((make.episode(range(number * 10, number * 10 + 5), policy=f"p{number}"),)))
    lock.execute("ROLLBACK")
    kept.recorder.put(Piece((make.episode(range(1000, 1005)),)))
    assert (len(kept.stored()), kept.recorder.waiting) == (25, 0)


def test_more_than_the_spool_holds_is_counted_and_told_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path, spool_bytes=10000)
    kept.path.mkdir()
    for first in range(0, 1000, 10):
        kept.recorder.put(Piece((make.episode(range(first, first + 5)),)))
    held = kept.recorder.waiting - 1  # the snapshots wait too
    assert 0 < held < 100
    assert kept.recorder.left_out == 100 - held
    assert sum("no room in the spool" in line for line in kept.said) == 1


def test_a_store_of_another_program_is_a_mistake_and_nothing_that_passes(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.path.write_text("no store at all, and longer than a page header needs to be " * 10, "utf-8")
    with pytest.raises(StoreError, match="not a wardwatch store"):
        kept.recorder.begin()
