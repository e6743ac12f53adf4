"""What is too old goes whole and leaves a receipt; what is held stays; the chain holds; and a run that is cut off took all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from sensor.errors import StoreError
from sensor.model import Outcome
from sensor.store import Filter, Sighting, chain, open_store
from sensor.store import retention as module
from sensor.store.retention import NS_OF_DAY, Rules
from tests.commands.running import lines, wardwatch
from tests.store import make

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.store import Store

DAY = NS_OF_DAY
RULES = Rules(30, 365)
NOW = 1000 * DAY


def aged(days: int, *, device: int = 0, outcome: Outcome = Outcome.VIOLATION, **more: Any) -> Any:
    """An episode that ended so many days ago."""
    at = NOW - days * DAY
    return make.episode(range(at - 10, at), device=f"mac:02:00:00:00:00:{device:02x}", outcome=outcome, **more)


def shown(store: Store) -> list[str]:
    return sorted(row.episode.id for row in store.violations(Filter(outcomes=None)))


def sighting(days: int) -> Sighting:
    return Sighting("hour", "", "Ward", "", NOW - days * DAY, 1, 1, {"record": "hour", "days": days})


def leftovers(store: Store, id_: str) -> list[str]:
    """Tables in which an episode is still named."""
    with store._engine.connect() as connection:
        inspector = inspect(connection)
        places = [
            (table, column["name"])
            for table in inspector.get_table_names()
            for column in inspector.get_columns(table)
            if table != "chain" and str(column["type"]) == "TEXT"
        ]
        query = 'SELECT count(*) FROM "{}" WHERE "{}" = :id'
        named = {one[0] for one in places if connection.scalar(text(query.format(*one)), {"id": id_})}
        return sorted(named)


def test_what_is_too_old_goes_whole_and_the_chain_holds(store: Store) -> None:
    kept = [aged(29, outcome=Outcome.ALLOWED), aged(364, device=1), aged(31, device=2)]
    gone = [
        aged(31, device=3, outcome=Outcome.REVIEW),
        aged(366, device=4),
        aged(400, device=5, outcome=Outcome.ALLOWED),
    ]
    store.append([*kept, *gone], snapshots=make.KNOWN)
    store.observe([sighting(29), sighting(31), sighting(90)])
    planned = store.retain(RULES, now_ns=NOW, dry_run=True)
    assert len(shown(store)) == 6
    taken = store.retain(RULES, now_ns=NOW)
    assert (
        (taken.episodes, taken.violations, taken.sightings)
        == (3, 1, 2)
        == (planned.episodes, planned.violations, planned.sightings)
    )
    assert shown(store) == sorted(one.id for one in kept)
    assert [leftovers(store, one.id) for one in gone] == [[], [], []]
    with store._engine.connect() as connection:
        devices = set(connection.scalars(text("SELECT id FROM devices")))
    assert devices == {one.device.id for one in kept}
    audit = store.audit()
    assert audit.faults == []
    assert audit.emptied == 3
    assert store.retain(RULES, now_ns=NOW).receipts == []


def test_what_was_taken_without_a_receipt_is_a_fault(tmp_path: Path) -> None:
    with open_store(tmp_path / "w.sqlite") as store:
        store.append([aged(5)], snapshots=make.KNOWN)
        with store._engine.begin() as connection, module._changeable(connection, ["evidence", "names", "revisions"]):
            for table in ("evidence", "names", "heads", "revisions"):
                connection.execute(text(f"DELETE FROM {table}"))
        assert any("removed" in fault for fault in store.audit().faults)


def test_the_database_refuses_again_afterwards(store: Store) -> None:
    store.append([aged(400), aged(1, device=1)], snapshots=make.KNOWN)
    store.observe([sighting(1)])
    store.retain(RULES, now_ns=NOW)
    for table in ("revisions", "evidence", "names", "sightings", "follow_ups"):
        with store._engine.connect() as connection:
            connection.execute(text(f"SELECT 1 FROM {table}"))
            if table != "follow_ups":
                with pytest.raises(DBAPIError, match="is append-only"):
                    connection.execute(text(f"DELETE FROM {table}"))


def test_a_hold_stops_it_until_it_is_released(store: Store) -> None:
    held, other = aged(400), aged(400, device=1)
    store.append([held, other], snapshots=make.KNOWN)
    store.hold(held.id, "ana", "court order 7")
    taken = store.retain(RULES, now_ns=NOW)
    assert (taken.episodes, taken.held) == (1, 1)
    assert shown(store) == [held.id]
    assert [(one.episode, one.actor, one.reason) for one in store.holds()] == [(held.id, "ana", "court order 7")]
    store.hold(held.id, "ana", "over", release=True)
    assert store.holds() == []
    assert store.retain(RULES, now_ns=NOW).episodes == 1
    assert store.audit().faults == []
    with pytest.raises(StoreError, match="no episode"):
        store.hold(held.id, "ana", "too late")


def test_what_was_merged_goes_together(store: Store) -> None:
    at = NOW - 400 * DAY
    for packets in (range(at, at + 5), range(at + 10, at + 15), range(at + 4, at + 11)):
        store.append([make.episode(packets)], snapshots=make.KNOWN)
    store.hold(make.episode(range(at + 10, at + 15)).id, "ana", "one of them")
    assert store.retain(RULES, now_ns=NOW).episodes == 0
    store.hold(make.episode(range(at + 10, at + 15)).id, "ana", "", release=True)
    assert store.retain(RULES, now_ns=NOW).episodes == 2
    assert store.audit().faults == []


def test_follow_up_goes_with_its_episode(store: Store) -> None:
    one = aged(400)
    store.append([one], snapshots=make.KNOWN)
    with store._engine.begin() as connection:
        columns = {column["name"]: str(column["type"]) for column in inspect(connection).get_columns("follow_ups")}
        values = {name: "" if kind == "TEXT" else 1 for name, kind in columns.items()} | {"episode_id": one.id}
        names = ", ".join(values)
        connection.execute(text(f"INSERT INTO follow_ups ({names}) VALUES (:{names.replace(', ', ', :')})"), values)
    assert "follow_ups" in leftovers(store, one.id)
    store.retain(RULES, now_ns=NOW)
    assert leftovers(store, one.id) == []


def test_by_bytes_what_is_no_violation_goes_first_then_the_oldest(sqlite_store: Store) -> None:
    store = sqlite_store
    many = [aged(20 + n % 5, device=n, outcome=Outcome.ALLOWED if n % 2 else Outcome.VIOLATION, names=(f"{n}.example." + "x" * 2000,))
            for n in range(200)]  # fmt: skip
    store.append(many, snapshots=make.KNOWN)
    before = store.retain(RULES, now_ns=NOW).bytes_after
    assert before is not None
    taken = store.retain(Rules(30, 365, int(before * 0.7)), now_ns=NOW)
    assert taken.bytes_after is not None
    assert taken.bytes_after <= before * 0.7
    assert 0 < taken.episodes < 200
    left = [row.episode for row in store.violations(Filter(outcomes=None))]
    allowed = [one for one in left if one.verdict.outcome is Outcome.ALLOWED]
    assert taken.violations == 0 or not allowed
    if allowed:
        oldest = min(one.end_ns for one in allowed)
        assert all(
            one.end_ns <= oldest
            for one in many
            if one.verdict.outcome is Outcome.ALLOWED and one.id not in {each.id for each in left}
        )
    assert store.audit().faults == []


def test_a_run_that_fails_takes_nothing_of_that_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append([aged(400)], snapshots=make.KNOWN)

    def failing(*_: object, **__: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(chain, "remove", failing)
    with pytest.raises(StoreError, match="the disk is gone"):
        store.retain(RULES, now_ns=NOW)
    assert len(shown(store)) == 1
    monkeypatch.undo()
    assert store.audit().faults == []


def test_as_commands(tmp_path: Path) -> None:
    place = tmp_path / "w.sqlite"
    with open_store(place) as store:
        store.append(
            [make.episode(range(10)), make.episode(range(10), device="mac:02:00:00:00:00:09")], snapshots=make.KNOWN
        )
        held, other = shown(store)
    done = wardwatch("retention", "hold", held[:8], "--reason", "court order 7", "--store", place)
    assert (done.status, done.out) == (0, f"{held} is held\n")
    assert "court order 7" in wardwatch("retention", "list", "--store", place).out
    assert (
        "Would be taken: 1 episodes (1 of violations)"
        in wardwatch("retention", "run", "--dry-run", "--store", place).out
    )
    done = wardwatch("retention", "run", "--store", place)
    assert "Taken: 1 episodes (1 of violations), 0 records of hours; 1 are held and stay." in done.out
    assert "Receipts: links " in done.out
    listed = wardwatch("violations", "--store", place, "--format", "json")
    assert [one["id"] for one in lines(listed.out)] == [held]
    assert other not in listed.out
    assert wardwatch("audit", "verify", "--store", place).status == 0
    wardwatch("retention", "release", held, "--reason", "over", "--store", place)
    assert wardwatch("retention", "list", "--store", place).out == ""
