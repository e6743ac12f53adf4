"""`wardwatch violations`: what is listed, by what it can be filtered, and in which forms."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands.running import CONFIG, Done, lines, told, wardwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands.conftest import Demo

Record = dict[str, Any]
PIXEL = "mac:da:a1:19:5c:20:32"


def violations(demo: Demo, *options: str | Path) -> Done:
    return wardwatch("violations", "--config", CONFIG, "--store", demo.store, *options)


def ids(done: Done) -> list[str]:
    assert done.status == 0, done.err
    return [one["id"] for one in lines(done.out)]


def test_json_is_what_the_replay_told(demo: Demo) -> None:
    done = violations(demo, "--format", "json")
    assert (done.status, done.err) == (0, "")
    listed = {one["id"]: one for one in lines(done.out)}
    assert listed.keys() == {one["id"] for one in demo.violations}
    for one in demo.violations:
        # What a list leaves out: evidence, which `explain` shows.
        assert listed[one["id"]] == {**one, "state": "new", "evidence": [], "file": None}


def test_the_newest_comes_first(demo: Demo) -> None:
    found = [one["start"] for one in lines(violations(demo, "--format", "json", "--outcome", "all").out)]
    assert len(found) == len(demo.episodes)
    assert found == sorted(found, reverse=True)


def test_the_table_has_a_row_for_each_with_an_id_to_ask_about(demo: Demo) -> None:
    done = violations(demo)
    assert done.status == 0
    assert done.out.count("VIOLATION") == len(demo.violations)
    for one in demo.violations:
        assert one["id"][:8] in done.out
    assert "Staff tablet" in done.out
    assert "\x1b" not in done.out


def test_csv_has_a_row_for_each_and_one_of_names(demo: Demo) -> None:
    rows = list(csv.DictReader(io.StringIO(violations(demo, "--format", "csv").out)))
    assert [row["id"] for row in rows] == ids(violations(demo, "--format", "json"))
    by_id = {one["id"]: one for one in demo.violations}
    for row in rows:
        one = by_id[row["id"]]
        assert (row["device_id"], row["verdict"], row["reason"]) == (one["device_id"], "violation", one["reason"])
        assert int(row["bytes_up"]) + int(row["bytes_down"]) == one["bytes"]
        assert row["app"] == (one["app"] or " or ".join(one["candidates"]))


CHOSEN: list[tuple[str, list[str], Callable[[Record], bool]]] = [
    ("app", ["--app", "zoom"], lambda one: one["app"] == "zoom"),
    ("candidate", ["--app", "whatsapp"], lambda one: "whatsapp" in one["candidates"]),
    ("device", ["--device", PIXEL], lambda one: one["device_id"] == PIXEL),
    ("bare MAC", ["--device", "DA-A1-19-5C-20-32"], lambda one: one["device_id"] == PIXEL),
    ("its address", ["--device", "10.20.3.132"], lambda one: one["device_id"] == PIXEL),
    ("its label", ["--device", "Staff tablet, Ward 3"], lambda one: one["device_id"] == "mac:3e:7f:04:91:b2:31"),
    ("network", ["--network", "Ward 3"], lambda one: one["network"] == "Ward 3"),
    ("since, local", ["--since", "2026-03-17T09:35"], lambda one: one["start"] >= "2026-03-17T08:35"),
    ("since, UTC", ["--since", "2026-03-17T08:35:00Z"], lambda one: one["start"] >= "2026-03-17T08:35"),
    ("until", ["--until", "2026-03-17T09:35"], lambda one: one["start"] < "2026-03-17T08:35"),
    (
        "both",
        ["--since", "2026-03-17T08:45", "--until", "2026-03-17T09:20"],
        lambda one: "2026-03-17T07:45" <= one["start"] < "2026-03-17T08:20",
    ),
    ("together", ["--app", "zoom", "--network", "Ward 3"], lambda one: False),
    ("state", ["--state", "new"], lambda one: True),
    ("another state", ["--state", "closed"], lambda one: False),
]


@pytest.mark.parametrize(("options", "fits"), [each[1:] for each in CHOSEN], ids=[each[0] for each in CHOSEN])
def test_filters(demo: Demo, options: list[str], fits: Callable[[Record], bool]) -> None:
    assert set(ids(violations(demo, "--format", "json", *options))) == {
        one["id"] for one in demo.violations if fits(one)
    }


@pytest.mark.parametrize("outcome", ["allowed", "review"])
def test_other_outcomes(demo: Demo, outcome: str) -> None:
    found = set(ids(violations(demo, "--format", "json", "--outcome", outcome)))
    assert found == {one["id"] for one in demo.episodes if one["verdict"] == outcome}


def test_since_and_until_meet_without_gap_or_overlap(demo: Demo) -> None:
    moment = max(one["start"] for one in demo.violations)[:26] + "Z"
    before = ids(violations(demo, "--format", "json", "--until", moment))
    after = ids(violations(demo, "--format", "json", "--since", moment))
    assert sorted(before + after) == sorted(one["id"] for one in demo.violations)
    assert after


def test_what_a_limit_leaves_out_is_said(demo: Demo) -> None:
    done = violations(demo, "--limit", "2", "--format", "csv")
    assert len(done.out.splitlines()) == 3
    told(done, 0, "newest 2", "--limit")
    assert violations(demo, "--limit", str(len(demo.violations)), "--format", "csv").err == ""


def test_an_empty_list_says_so(demo: Demo) -> None:
    done = violations(demo, "--app", "nosuch")
    assert (done.status, done.out) == (0, "Nothing in the store is what was asked for.\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--since", "yesterday"], ("--since", "'yesterday'")),
        (["--until", "0001-01-01"], ("--until", "0001-01-01", "beyond")),
        (["--since", "9999-12-31T23:59:59"], ("--since", "beyond")),
        (["--limit", "0"], ("--limit",)),
        (["--device", "Nobody's"], ("--device", "Nobody's", "neither")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes(demo: Demo, options: list[str], words: tuple[str, ...]) -> None:
    told(violations(demo, *options), 2, *words)
