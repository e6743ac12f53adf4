"""What goes wrong around a watch that runs: the store locked, full, gone; kills; and each time all of it is there afterwards, once."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sensor.store import Filter, open_store
from tests.commands.running import CAPTURE, CONFIG, lines
from tests.live.net import run, watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root


def stored(store: Path) -> list[str]:
    """Ids of all episodes."""
    with open_store(store, read_only=True) as opened:
        return sorted(row.episode.id for row in opened.violations(Filter(outcomes=None)))


def ids(episodes: Path) -> list[str]:
    return sorted(one["id"] for one in lines(episodes.read_text("utf-8")))


@contextlib.contextmanager
def tmpfs(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A small disk of its own."""
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount")
    asked = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if subprocess.run(asked, capture_output=True, check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        run("umount", "-l", folder)


def test_a_store_that_is_locked_stops_nothing_and_is_written_later(port: Mirror, tmp_path: Path) -> None:
    store, out = tmp_path / "w.sqlite", tmp_path / "episodes"
    with watching(port, "--config", CONFIG, "--store", store, "--episodes", out) as watch:
        lock = sqlite3.connect(store, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        port.send(CAPTURE, "--topspeed")
        done = watch.stop(signal.SIGTERM)
        assert "is locked by another process; what is to be stored waits in the spool" in done.err
        assert "records wait in" in done.err
        assert done.status == 0
        lock.execute("ROLLBACK")
    assert stored(store) == []
    assert len(ids(out)) > 10
    with watching(port, "--config", CONFIG, "--store", store, "--seconds", "1") as watch:
        done = watch.end()
    assert f"{len(ids(out))} episodes that waited are in it" in done.err
    assert stored(store) == ids(out)


def test_a_full_disk_stops_nothing_and_a_kill_loses_nothing(port: Mirror, tmp_path: Path) -> None:
    """The spool has taken its room beforehand, on the same disk."""
    quick = tmp_path / "quick.toml"
    idle = "[sensor.idle]\nbackground_s = 1\nmessaging_s = 1\nfile_transfer_s = 1\ncalls_s = 1\n"
    quick.write_text(CONFIG.read_text("utf-8") + f"\n[store]\nspool_mebibytes = 1\n{idle}", "utf-8")
    with tmpfs(tmp_path / "disk", 2400) as disk:
        store = disk / "w.sqlite"
        with watching(port, "--config", quick, "--store", store) as watch:
            with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            port.send(CAPTURE, "--topspeed")
            watch.wait_for("the disk is full; what is to be stored waits in the spool", 60)
            until = time.monotonic() + 30
            while not watch.out and time.monotonic() < until:
                time.sleep(0.2)
            done = watch.stop(signal.SIGKILL)
        told = re.findall(r"VIOLATION .*\[([0-9a-f]{8})\]$", done.out, re.MULTILINE)
        assert told
        (disk / "filler").unlink()
        with watching(port, "--config", quick, "--store", store, "--seconds", "1") as watch:
            watch.end()
        known = stored(store)
        assert all(any(id_.startswith(one) for id_ in known) for one in told)


def test_a_store_taken_away_and_brought_back(port: Mirror, tmp_path: Path) -> None:
    store, out = tmp_path / "w.sqlite", tmp_path / "episodes"
    moved = tmp_path / "moved"
    moved.mkdir()
    with watching(port, "--config", CONFIG, "--store", store, "--episodes", out) as watch:
        for path in tmp_path.glob("w.sqlite*"):
            if path.suffix != ".spool":
                path.rename(moved / path.name)
        port.send(CAPTURE, "--topspeed")
        done = watch.stop()
        assert "does not exist; what is to be stored waits" in done.err
    assert not store.exists()
    for path in moved.iterdir():
        path.rename(tmp_path / path.name)
    with watching(port, "--config", CONFIG, "--store", store, "--seconds", "1") as watch:
        watch.end()
    assert stored(store) == ids(out)
