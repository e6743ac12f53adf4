"""What was reported as stored stays, whoever is killed and whoever writes at the same time."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sensor.errors import StoreError
from sensor.store import open_store
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from sensor.store import open_store
from tests.store.make import KNOWN, POLICIES, episode
first, last, policy = int(sys.argv[2]), int(sys.argv[3]), POLICIES[int(sys.argv[4])]
with open_store(sys.argv[1], wait_s=30) as store:
    store.append((), snapshots=KNOWN)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(first, last, 3):
        some = [episode(range(k * 10, k * 10 + 5), device=f"mac:{k % 11}", policy=policy) for k in range(n, n + 3)]
        print(*store.append(some).ids, flush=True)
"""


def writer(place: Path, first: int, last: int, policy: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(place), str(first), str(last), str(policy)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start(*processes: subprocess.Popen[str]) -> None:
    """Let writers go at the same moment, all of them imported and opened."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def check_whole(place: Path) -> None:
    """SQLite finds no fault, and neither an episode nor a packet is there twice."""
    connection = sqlite3.connect(place)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        packets = Counter(connection.execute("SELECT subject_id, lineage_id, packet_id FROM evidence").fetchall())
        assert not packets or max(packets.values()) == 1
        halves = (
            "SELECT count(*) FROM revisions LEFT JOIN heads USING (episode_id, lineage_id) WHERE heads.step IS NULL"
        )
        assert connection.execute(halves).fetchone() == (0,)
    finally:
        connection.close()


def test_what_was_reported_survives_kill_9(place: Path) -> None:
    told: set[str] = set()
    for turn in range(10):
        process = writer(place, turn * 300, turn * 300 + 3000)
        start(process)
        assert process.stdout is not None
        told.update(process.stdout.readline().split())  # it is in the middle of its work
        time.sleep(0.007 * turn)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.wait()
        process.communicate()
        complete = rest[: rest.rfind("\n") + 1]
        told.update(complete.split())
        check_whole(place)
        with open_store(place, read_only=True) as store:
            held = [row.episode.id for row in store.violations()]
        assert told <= set(held)
        assert len(held) == len(set(held))
    assert len(told) >= 30


def test_killed_while_the_store_is_made(place: Path) -> None:
    for turn in range(5):
        process = writer(place, 0, 0)
        time.sleep(0.25 + 0.06 * turn)
        process.kill()
        process.communicate()
        process.wait()
        try:
            with open_store(place) as store:
                store.append([episode()], snapshots=KNOWN)
        except StoreError as error:
            pytest.fail(f"turn {turn}: {error}")
        check_whole(place)
        place.unlink()
        for beside in place.parent.iterdir():
            beside.unlink()


@pytest.mark.parametrize("policies", [(0, 0), (0, 1)], ids=["same policy", "two policies"])
def test_two_processes_replay_the_same_capture_at_once(place: Path, policies: tuple[int, int]) -> None:
    """Both also find no store there, so both make it."""
    processes = [writer(place, 0, 90, policy) for policy in policies]
    start(*processes)
    told = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert told[0] == told[1]
    assert len(set(told[0])) == 90
    check_whole(place)
    with open_store(place) as store:
        counts = store.counts()
        lineages = len(set(policies))
        assert (counts.episodes, counts.revisions, counts.evidence) == (90, 90 * lineages, 450 * lineages)
        again = store.append([episode(range(n * 10, n * 10 + 5), device=f"mac:{n % 11}") for n in range(90)])
        assert again.unchanged == 90
