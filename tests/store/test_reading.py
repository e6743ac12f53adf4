"""Lists, one episode, counts; and that lists come from an index."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sensor.errors import StoreError
from sensor.model import Activity, Outcome
from sensor.store import Cursor, Filter, Store
from sensor.store.reading import queries
from tests.store.make import POLICIES, SIGNATURES, episode

EVERYTHING = Filter(outcomes=None)


@pytest.fixture
def filled(store: Store) -> Store:
    return fill(store)


@pytest.fixture
def sqlite_filled(sqlite_store: Store) -> Store:
    return fill(sqlite_store)


def fill(store: Store) -> Store:
    store.append(
        [
            episode(range(10, 12), device="mac:1"),
            episode(range(20, 22), device="mac:2", app="zoom", network="Staff", activity=Activity.MEETING),
            episode(range(30, 32), device="mac:1", app="zoom", outcome=Outcome.ALLOWED),
            episode(range(40, 42), device="mac:3", app=None, candidates=("whatsapp", "messenger")),
            episode(range(50, 52), device="mac:3", outcome=Outcome.REVIEW),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("chosen", "starts"),
    [
        (Filter(), [40, 20, 10]),
        (EVERYTHING, [50, 40, 30, 20, 10]),
        (Filter(app="zoom"), [20]),
        (Filter(app="zoom", outcomes=None), [30, 20]),
        (Filter(app="whatsapp"), [40, 10]),
        (Filter(app="messenger"), [40]),
        (Filter(app="nosuch"), []),
        (Filter(device="mac:3", outcomes=None), [50, 40]),
        (Filter(network="Staff"), [20]),
        (Filter(activity=Activity.MEETING), [20]),
        (Filter(outcomes=(Outcome.REVIEW, Outcome.ALLOWED)), [50, 30]),
        (Filter(outcomes=()), []),
        (Filter(outcomes=None, since_ns=20, until_ns=40), [30, 20]),
        (Filter(outcomes=None, state="new"), [50, 40, 30, 20, 10]),
        (Filter(outcomes=None, state="closed"), []),
        (Filter(lineage=(SIGNATURES[0], POLICIES[0])), [40, 20, 10]),
        (Filter(lineage=(SIGNATURES[0], POLICIES[1])), []),
        (Filter(app="zoom", device="mac:1", outcomes=(Outcome.ALLOWED,)), [30]),
    ],
)
def test_filters(filled: Store, chosen: Filter, starts: list[int]) -> None:
    assert [row.episode.start_ns for row in filled.violations(chosen)] == starts


@pytest.mark.parametrize("chosen", [EVERYTHING, Filter(), Filter(app="whatsapp", outcomes=tuple(Outcome))])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_join_to_the_whole_list(store: Store, chosen: Filter, limit: int) -> None:
    same_start = [episode(range(10, 12), device=f"mac:{n}") for n in range(5)]
    store.append([*same_start, episode(range(5, 7), outcome=Outcome.REVIEW), episode(range(20, 22))])
    whole = [row.cursor for row in store.violations(chosen)]
    assert whole == sorted(whole, reverse=True)
    assert len(whole) >= 6
    found: list[Cursor] = []
    while rows := store.page(chosen, limit=limit, after=found[-1] if found else None):
        assert len(rows) <= limit
        found += [row.cursor for row in rows]
    assert found == whole


def test_an_iterator_goes_on_past_a_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.store.reading.PAGE_ROWS", 2)
    store.append([episode(range(n, n + 2), device=f"mac:{n}") for n in range(7)])
    assert [row.episode.start_ns for row in store.violations()] == [6, 5, 4, 3, 2, 1, 0]


def test_a_row_is_the_episode_without_its_evidence(filled: Store) -> None:
    for row in filled.violations(EVERYTHING):
        whole = filled.episode(row.episode.id)
        assert row.episode == replace(whole.episode, evidence=())
        assert (row.sequence, row.recorded_ns) == (whole.revisions[-1].sequence, whole.revisions[-1].recorded_ns)


def test_an_id_may_be_short_while_it_is_the_only_one(store: Store) -> None:
    store.append([episode(id_="abc1"), episode(range(50, 60), id_="abc2"), episode(app="zoom", id_="abc10")])
    assert store.episode("abc2").episode.id == "abc2"
    assert store.episode("abc1").episode.id == "abc1", "the whole id wins over longer ones"
    for prefix, message in {
        "abc": "several episodes",
        "": "no episode",
        "abd": "no episode",
        "%": "no episode",
        "ABC2": "no episode",
        "\0\udcff": "no episode",
    }.items():
        with pytest.raises(StoreError, match=message):
            store.episode(prefix)


def test_counts(filled: Store) -> None:
    counts = filled.counts()
    assert (counts.devices, counts.episodes, counts.violations) == (3, 5, 3)
    assert (counts.revisions, counts.evidence) == (5, 10)
    assert counts.outcomes == {"violation": 3, "allowed": 1, "review": 1}


APP_KEYS = ("zoom", "zoom#call")  # of the store below


@pytest.mark.parametrize(
    ("chosen", "columns"),
    [
        (Filter(), "listed_outcome_start_ns"),
        (EVERYTHING, "listed_start_ns"),
        (Filter(app="zoom"), "listed_outcome_app_key_start_ns"),
        (Filter(device="mac:1"), "listed_outcome_device_id_start_ns"),
        (Filter(network="Staff"), "listed_outcome_network_start_ns"),
        (Filter(lineage=(SIGNATURES[0], POLICIES[0])), "lineage_id_outcome_start_ns"),
        (Filter(since_ns=15, until_ns=45), "listed_outcome_start_ns"),
    ],
)
@pytest.mark.parametrize("after", [None, Cursor(45, "x")])
def test_lists_are_read_in_an_indexs_order(
    sqlite_filled: Store, chosen: Filter, columns: str, after: Cursor | None
) -> None:
    with sqlite_filled._engine.connect() as connection:
        asked = queries(connection, chosen, 100, after)
        assert len(asked) == (1 if chosen.app is None else len(APP_KEYS))
        for query in asked:
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
            assert f"USING INDEX ix_heads_{columns}_episode_id" in next(line for line in plan if "heads" in line), plan
            assert not any("TEMP B-TREE" in line or line.startswith("SCAN") for line in plan), plan
