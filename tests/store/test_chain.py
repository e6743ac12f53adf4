"""Links follow each other without gaps, whoever writes at the same time, and the database refuses to change them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sensor.store import Sighting, Store, chain, open_store
from tests.store.make import KNOWN, episode

WRITER = """
import sys
from sensor.store import chain, open_store
with open_store(sys.argv[1], wait_s=60) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(40):
        with store._engine.begin() as connection:
            chain.append(connection, "test", {"writer": sys.argv[2], "n": n})
"""


def add(store: Store, *contents: dict[str, object]) -> list[chain.Link]:
    with store._engine.begin() as connection:
        return [chain.append(connection, "test", content) for content in contents]


def all_links(store: Store) -> list[chain.Link]:
    with store._engine.connect() as connection:
        return list(chain.links(connection, size=3))


def check_whole(links: list[chain.Link]) -> None:
    assert [link.sequence for link in links] == list(range(1, len(links) + 1))
    assert [link.previous for link in links] == [chain.NOTHING, *(link.hash for link in links)][: len(links)]
    for link in links:
        made = chain.link_hash(link.sequence, link.recorded_ns, link.kind, link.content_sha256, link.previous)
        assert made == link.hash
        if link.content is not None:
            assert chain.content_hash(link.content, str(link.salt)) == link.content_sha256


def test_each_link_holds_the_hash_of_the_one_before(store: Store) -> None:
    before = len(all_links(store))
    made = add(store, {"b": 1, "a": "é"}, {}, {"list": [1, None]})
    found = all_links(store)
    check_whole(found)
    assert found[-3:] == made
    assert made[0].content == '{"a":"\\u00e9","b":1}', "sorted keys, no spaces, ASCII"
    assert len(found) == max(before, 1) + 3
    assert found[0].kind == chain.BEGIN


def test_equal_contents_have_different_hashes(store: Store) -> None:
    one, other = add(store, {"device": "mac:02:00:00:00:00:01"}, {"device": "mac:02:00:00:00:00:01"})
    assert one.content_sha256 != other.content_sha256, "of a removed content nobody finds out by trying what it was"


def test_a_transaction_that_fails_leaves_no_gap(store: Store) -> None:
    add(store, {"n": 1})
    with store._engine.connect() as connection:
        chain.append(connection, "test", {"n": 2})
        connection.rollback()
    add(store, {"n": 3})
    check_whole(all_links(store))


def test_writers_at_the_same_time_make_one_chain(url: str) -> None:
    with open_store(url) as store:
        command = [sys.executable, "-c", WRITER, url]
        writers = [
            subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for name in "abc"
        ]
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in writers:
            one.communicate("\n")
            assert one.returncode == 0
        store.append([episode(), episode(range(12, 30))], snapshots=KNOWN)
        store.observe([Sighting("hour", "", "Ward", "", 0, 1, 1, {"record": "hour"})])
        found = all_links(store)
        assert store.audit().faults == []
    check_whole(found)
    assert sorted(link.content or "" for link in found if link.kind == "test") == sorted(
        f'{{"n":{n},"writer":"{name}"}}' for name in "abc" for n in range(40)
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chain SET kind = 'other'",
        "UPDATE chain SET content = '{}'",
        "UPDATE chain SET content = NULL",
        "UPDATE chain SET content = NULL, salt = NULL, hash = ''",
        "DELETE FROM chain",
    ],
)
def test_the_database_refuses_to_change_a_link(store: Store, statement: str) -> None:
    add(store, {"n": 1})
    with store._engine.connect() as connection, pytest.raises(DBAPIError, match="chain is append-only"):
        connection.execute(text(statement))


def test_retention_takes_contents_and_a_link_says_so(store: Store) -> None:
    made = add(store, {"n": 0}, {"n": 1}, {"n": 2}, {"n": 3})
    numbers = [link.sequence for link in made]
    with store._engine.begin() as connection:
        link = chain.remove(connection, [numbers[0], numbers[1], numbers[3]], "older than a year", episodes=["e"])
    found = all_links(store)
    check_whole(found)
    assert [one.content is None for one in found[-5:]] == [True, True, False, True, False]
    assert found[-1] == link
    assert f'"links":[[{numbers[0]},{numbers[1]}],[{numbers[3]},{numbers[3]}]]' in str(link.content)
