"""Whatever is changed, removed, inserted or reordered behind the store's back is found, and named."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from sensor.model import SourceInfo
from sensor.store import Sighting, Snapshots, auditing, chain, open_store
from sensor.store.follow_records import Action, Order, Reason, Target
from tests.store.make import KNOWN, POLICIES, episode

if TYPE_CHECKING:
    from pathlib import Path

# Numbers that the database gives, and what only orders or sums up; nothing that a verdict or a list says.
FREE = {("evidence", "id"), ("heads", "judged"), ("heads", "changed_ns")}
COVERED = (
    "chain",
    "revisions",
    "evidence",
    "names",
    "heads",
    "policies",
    "signature_sets",
    "sources",
    "sightings",
    "follow_ups",
)


@pytest.fixture
def small(place: Path) -> Path:
    """A small store of every kind of row; its triggers are gone, as they would be for whoever tampers."""
    with open_store(place) as store:
        store.append((), snapshots=KNOWN)
        store.append([episode(range(10, 13)), episode(range(20, 23), app="zoom"), episode(range(40, 43))])
        store.append([episode(range(12, 21)), episode(range(10, 13), policy=POLICIES[1], names=("a", "b"))])
        store.append((), snapshots=Snapshots(sources=((SourceInfo("a.pcap", 10, "pcap", 3, 1, 2), "ab" * 32),)))
        store.observe([Sighting("hour", "", "Ward", "", 0, 1, 1, {"record": "hour"})])
        (first, *_) = store.violations()
        store.follow_up.change([Target(first.episode.id, 0)], Order(Action.ACKNOWLEDGE, note="seen"), "officer")
        store.follow_up.change([Target(first.episode.id, 1)], Order(Action.CLOSE, reason=Reason.CONFIRMED), "officer")
        with store._engine.begin() as connection:
            for n in range(6):
                chain.append(connection, "read", {"who": "officer", "n": n})
            chain.remove(connection, [chain.last(connection).sequence], "older than a year")  # type: ignore[union-attr]
        assert store.audit().faults == []
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
    return place


def faults(place: Path, anchors: tuple[auditing.Anchor, ...] = ()) -> list[str]:
    with open_store(place, create=False, read_only=True) as store:
        return store.audit(anchors).faults


def rows(place: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(place)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT rowid AS rowid_, * FROM {table}").fetchall()]


class Tampering:
    """Runs statements, and undoes them at the end. Nobody is asked about foreign keys."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._whole = place.read_bytes()

    def __call__(self, *statements: tuple[str, tuple[object, ...]]) -> list[str]:
        with closing(sqlite3.connect(self._place, isolation_level=None)) as connection:
            for statement, values in statements:
                assert connection.execute(statement, values).rowcount > 0, statement
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found = faults(self._place)
        for beside in ("-wal", "-shm"):
            self._place.with_name(self._place.name + beside).unlink(missing_ok=True)
        self._place.write_bytes(self._whole)
        return found


def changed(value: object) -> object:
    return f"{value}x" if isinstance(value, str) else 7 if value is None else int(str(value)) + 1000


@pytest.mark.parametrize("table", COVERED)
def test_every_changed_value_is_found(small: Path, table: str) -> None:
    tamper = Tampering(small)
    for number, row in enumerate(rows(small, table)):
        for place, (column, value) in enumerate(row.items()):
            if table != "chain" and number > 2 and place % 5 != number % 5:
                continue  # every row, and of the first every column
            if column == "rowid_" or (table, column) in FREE or (table == "revisions" and column == "sequence"):
                continue
            new = 1 - int(str(value)) if column in {"listed", "capped", "closed"} else changed(value)
            found = tamper((f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row["rowid_"])))
            assert found, f"{table}.{column} of {row}"
            if table == "chain" and column != "sequence":
                assert any(f"link {row['sequence']}:" in one for one in found), (column, found)


@pytest.mark.parametrize("table", [name for name in COVERED if name not in {"chain", "heads"}])
def test_every_removed_row_is_found(small: Path, table: str) -> None:
    tamper = Tampering(small)
    for row in rows(small, table):
        assert tamper((f"DELETE FROM {table} WHERE rowid = ?", (row["rowid_"],))), row


def test_every_removed_link_but_the_last_is_found_and_named(small: Path) -> None:
    tamper = Tampering(small)
    links = rows(small, "chain")
    for row in links[:-1]:
        found = tamper(("DELETE FROM chain WHERE sequence = ?", (row["sequence"],)))
        assert any(f"link {row['sequence']}: removed" in one for one in found), found
    # Of the end nothing inside the store can tell that it was cut off: an outside checkpoint can.
    last = links[-1]
    with closing(sqlite3.connect(small, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chain WHERE sequence = ?", (last["sequence"],))
    found = faults(small, (auditing.Anchor(last["sequence"], last["hash"], "yesterday"),))
    assert any(f"link {last['sequence']}: missing, yesterday has it" in one for one in found)


@pytest.mark.parametrize("table", ["revisions", "evidence", "names", "policies", "signature_sets", "sources", "sightings", "follow_ups"])  # fmt: skip
def test_an_inserted_row_is_found(small: Path, table: str) -> None:
    tamper = Tampering(small)
    row = {key: value for key, value in rows(small, table)[0].items() if key != "rowid_"}
    own = {"revisions": "step", "evidence": "rule", "names": "name", "policies": "hash", "signature_sets": "hash", "sources": "fingerprint", "sightings": "id", "follow_ups": "version"}  # fmt: skip
    row[own[table]] = changed(row[own[table]])
    for number in ("sequence", "id"):
        if isinstance(row.get(number), int):
            row[number] = 1000
    marks = ",".join("?" * len(row))
    assert tamper((f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", tuple(row.values())))


def test_links_inserted_or_in_another_order_are_found_and_named(small: Path) -> None:
    tamper = Tampering(small)
    links = rows(small, "chain")
    names = [name for name in links[0] if name not in {"rowid_", "sequence"}]
    move = f"UPDATE chain SET {', '.join(f'{name} = ?' for name in names)} WHERE sequence = ?"
    for one, other in pairwise(links):
        found = tamper(
            (move, (*(other[name] for name in names), one["sequence"])),
            (move, (*(one[name] for name in names), other["sequence"])),
        )
        assert any(f"link {one['sequence']}:" in text for text in found), found
    for number in (0, -5, len(links) + 1, len(links) + 9):
        copy = [number, *(value for key, value in links[3].items() if key not in {"rowid_", "sequence"})]
        found = tamper((f"INSERT INTO chain VALUES ({','.join('?' * len(copy))})", tuple(copy)))
        assert any(f"{number}" in text for text in found), found


def test_an_end_made_anew_is_found_by_a_checkpoint_only(small: Path) -> None:
    """Whoever can write may make all links after one anew, and nothing inside the store can tell."""
    links = rows(small, "chain")
    anchors = tuple(auditing.Anchor(links[n]["sequence"], links[n]["hash"], f"day {n}") for n in (4, -1))
    assert faults(small, anchors) == []
    with closing(sqlite3.connect(small, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chain WHERE sequence > ?", (links[-3]["sequence"],))
    with open_store(small) as store, store._engine.begin() as connection:
        chain.append(connection, "read", {"who": "nobody"})
        chain.append(connection, "read", {"who": "nobody"})
    (found,) = faults(small, anchors)
    assert f"link {links[-1]['sequence']}: not the one of day -1: changed after link {links[4]['sequence']}" in found


def test_the_tail_is_what_no_checkpoint_covers(small: Path) -> None:
    links = rows(small, "chain")
    with open_store(small, read_only=True) as store:
        assert store.audit().tail == len(links)
        anchor = auditing.Anchor(links[-4]["sequence"], links[-4]["hash"], "yesterday")
        found = store.audit([anchor])
        assert (found.anchored, found.tail, found.emptied) == (links[-4]["sequence"], 3, 1)


def test_random_damage_never_passes_and_never_ends_in_a_traceback(small: Path) -> None:
    tamper = Tampering(small)
    chosen = random.Random(7)
    for _ in range(60):
        row = chosen.choice(rows(small, "chain"))
        column = chosen.choice([name for name in row if name not in {"rowid_", "content", "salt"}])
        value = chosen.choice(["", "abc", b"\xff\x00", 1.5, "[]", "{}", "é"])
        assert tamper((f"UPDATE OR REPLACE chain SET {column} = ? WHERE rowid = ?", (value, row["rowid_"])))
