"""Follow-up: steps, versions, two officers at once, bulk and undo, and the copies that lists read."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sensor.store import Filter, chain, open_store
from sensor.store.columns import STATES
from sensor.store.follow_records import Action, Order, Reason, Result, Standing, Target
from tests.store.make import POLICIES, episode

if TYPE_CHECKING:
    from sensor.store import Store

ACKNOWLEDGE, CLOSE = Order(Action.ACKNOWLEDGE), Order(Action.CLOSE, Reason.FALSE_POSITIVE)


def stored(store: Store, *packets: int) -> str:
    return store.append([episode(packets or (10, 11))]).ids[0]


def states(store: Store) -> dict[str, str]:
    columns = store.columns.current()
    ids, found = columns.data["id"].tolist(), columns.data["state"].tolist()
    return {id_.decode(): STATES[state].value for id_, state in zip(ids, found, strict=True)}


def test_each_change_is_kept_with_who_from_to_and_why(store: Store) -> None:
    id_ = stored(store)
    store.follow_up.change([Target(id_, 0)], Order(Action.INVESTIGATE, assignee="ana", note="calls the ward"), "ana")
    store.follow_up.change([Target(id_, 1)], Order(Action.NOTE, note="was a relative"), "ben")
    act = store.follow_up.change([Target(id_, 2)], CLOSE, "ben")
    assert act.outcomes[0].standing == Standing(3, "closed", "false_positive", "ana")
    store.follow_up.change([Target(id_, 3)], Order(Action.REOPEN), "ana")
    told = [(one.actor, one.action, one.from_state, one.to_state, one.reason, one.assignee, one.note)
            for one in store.follow_up.history([id_])]  # fmt: skip
    assert told == [
        ("ana", "investigate", "new", "investigating", "", "ana", "calls the ward"),
        ("ben", "note", "investigating", "investigating", "", "ana", "was a relative"),
        ("ben", "close", "investigating", "closed", "false_positive", "ana", ""),
        ("ana", "reopen", "closed", "investigating", "", "ana", ""),
    ]
    assert store.follow_up.assigned("ana") == [id_]
    assert store.follow_up.assigned("ben") == []
    with store._engine.connect() as connection:
        linked = [json.loads(link.content or "") for link in chain.links(connection, kind="follow_up")]
    assert [(one["actor"], one["version"], one["to_state"]) for one in linked] == [
        ("ana", 1, "investigating"), ("ben", 2, "investigating"), ("ben", 3, "closed"), ("ana", 4, "investigating")]  # fmt: skip


def test_who_saw_an_older_version_changes_nothing_and_is_told(store: Store) -> None:
    id_ = stored(store)
    store.follow_up.change([Target(id_, 0)], ACKNOWLEDGE, "ana")
    outcome = store.follow_up.change([Target(id_, 0)], CLOSE, "ben").outcomes[0]
    assert (outcome.result, outcome.standing) == (Result.CHANGED_MEANWHILE, Standing(1, "acknowledged"))
    future = store.follow_up.change([Target(id_, 7)], CLOSE, "ben").outcomes[0]
    assert future.result is Result.CHANGED_MEANWHILE
    assert len(store.follow_up.history([id_])) == 1


@pytest.mark.parametrize("order", [Order(Action.REOPEN)])
def test_a_step_that_the_state_does_not_allow_is_refused(store: Store, order: Order) -> None:
    id_ = stored(store)
    assert store.follow_up.change([Target(id_, 0)], order, "ana").outcomes[0].result is Result.NOT_POSSIBLE
    assert store.follow_up.change([Target("none", 0)], order, "ana").outcomes[0].result is Result.NOT_FOUND


def test_a_bulk_act_changes_exactly_what_was_shown_and_can_be_taken_back(store: Store) -> None:
    ids = [stored(store, start, start + 1) for start in (10, 1000, 2000, 3000)]
    store.follow_up.change([Target(ids[2], 0)], ACKNOWLEDGE, "ben")
    act = store.follow_up.change([Target(id_, 0) for id_ in ids[:3]], CLOSE, "ana")
    assert [one.result for one in act.outcomes] == [Result.DONE, Result.DONE, Result.CHANGED_MEANWHILE]
    assert list(states(store).values()) == ["closed", "closed", "acknowledged", "new"]
    store.follow_up.change([Target(ids[1], 1)], Order(Action.NOTE, note="sure"), "ben")
    undone = store.follow_up.undo(act.id, "ana")
    assert [one.result for one in undone.outcomes] == [Result.DONE, Result.CHANGED_MEANWHILE]
    assert list(states(store).values()) == ["new", "closed", "acknowledged", "new"]
    last = store.follow_up.history([ids[0]])[-1]
    assert (last.action, last.from_state, last.to_state, last.reason) == ("undo", "closed", "new", "")
    assert store.follow_up.undo("no such act", "ana").outcomes == ()


def test_what_was_done_cannot_be_changed(store: Store) -> None:
    store.follow_up.change([Target(stored(store), 0)], ACKNOWLEDGE, "ana")
    for statement in ("UPDATE follow_ups SET note = 'x'", "DELETE FROM follow_ups"):
        with store._engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(statement))


def test_the_sensor_that_writes_of_the_episode_again_leaves_its_state(store: Store) -> None:
    id_ = stored(store)
    store.follow_up.change([Target(id_, 0)], ACKNOWLEDGE, "ana")
    store.append([episode((10, 11, 12))])
    store.append([episode((10, 11, 12), policy=POLICIES[1])])
    assert [row.state for row in store.page()] == ["acknowledged"]
    assert [row.state for row in store.page(Filter(lineage=("signatures-one", POLICIES[0])))] == ["acknowledged"]


def test_columns_follow_what_is_written_and_what_lists_show(store: Store) -> None:
    assert len(store.columns.current()) == 0
    late, early = stored(store, 500, 501), stored(store, 5, 6)
    assert list(states(store)) == [early, late]
    before = store.columns.current()
    assert store.columns.current() is before
    store.follow_up.change([Target(late, 0)], ACKNOWLEDGE, "ana")
    assert states(store) == {early: "new", late: "acknowledged"}
    store.append([episode((5, 6, 500, 501))])  # both turn out to be one
    assert states(store) == {late: "acknowledged"}  # the one recorded first stays
    assert len(before) == 2  # whoever still counts in the older one is not disturbed
    store.append([episode((5, 6), policy=POLICIES[1], id_="other")])
    assert {row.episode.id for row in store.page()} == set(states(store))


def test_columns_that_were_kept_up_are_those_that_are_read_anew(url: str, store: Store) -> None:
    chance = random.Random(3)
    ids = [stored(store, 1000)]
    store.columns.current()
    for number in range(60):
        known = store.columns.current()
        shown = {name: column.copy() for name, column in known.data.items()}
        match chance.randrange(5):
            case 0:
                ids.append(stored(store, 2000 + 10 * number))
            case 1:
                ids.append(stored(store, chance.randrange(900)))
            case 2:
                some = chance.sample(ids, min(3, len(ids)))
                standings = store.follow_up.standings(some)
                store.follow_up.change([Target(id_, standings[id_].version) for id_ in some], ACKNOWLEDGE, "ana")
            case 3:
                store.append([episode((1000, 1001 + number))])
            case _:
                store.append([episode((1000, 1001), policy=chance.choice(POLICIES))])
        now = store.columns.current()
        with open_store(url) as other:
            anew = other.columns.current()
        assert now.words["device"].texts == anew.words["device"].texts
        for name in anew.data:
            if name not in {"app_key", "network", "cell"}:  # numbered in the order of coming
                assert now.data[name].tolist() == anew.data[name].tolist(), name
        assert all((known.data[name] == column).all() for name, column in shown.items())  # who has them keeps them


def test_columns_that_many_threads_ask_for_are_never_older_than_what_was_written_before(store: Store) -> None:
    id_ = stored(store)
    version, wrong = [0], []
    over = threading.Event()

    def reader() -> None:
        while not over.is_set():
            least = version[0]
            seen = store.columns.current().version
            if seen < least:
                wrong.append((seen, least))

    readers = [threading.Thread(target=reader) for _ in range(4)]
    version[0] = store.columns.current().version
    for one in readers:
        one.start()
    for number in range(25):
        store.follow_up.change([Target(id_, number)], Order(Action.NOTE, note="again"), "ana")
        version[0] = store.columns.current().version
    over.set()
    for one in readers:
        one.join()
    assert not wrong
    assert len(store.columns.current()) == 1


def test_two_officers_at_once_one_wins_and_the_other_is_told(url: str, store: Store) -> None:
    ids = [stored(store, start, start + 1) for start in range(0, 400, 20)]
    results: dict[str, list[Result]] = {}

    def officer(name: str, order: Order) -> None:
        with open_store(url, wait_s=60) as own:
            results[name] = [own.follow_up.change([Target(id_, 0)], order, name).outcomes[0].result for id_ in ids]

    both = [threading.Thread(target=officer, args=each) for each in (("ana", ACKNOWLEDGE), ("ben", CLOSE))]
    for one in both:
        one.start()
    for one in both:
        one.join()
    for pair in zip(results["ana"], results["ben"], strict=True):
        assert sorted(pair) == [Result.CHANGED_MEANWHILE, Result.DONE]
    assert len(store.follow_up.history(ids)) == len(ids)
