"""The API's violations: pages, one, changes with versions, bulk and undo, the same request twice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.services.clinic import BEGIN_NS, HOUR_NS
from tests.store.make import episode

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from tests.api.visiting import Visitor

FIRST = f"{1:016x}"


def test_a_list_in_pages(viewer: Visitor) -> None:
    page = viewer.get("/api/v1/violations", params={"limit": 5}).json()
    assert (page["total"], len(page["rows"])) == (12, 5)
    assert [facet["name"] for facet in page["facets"]] == [
        "network", "app", "activity", "severity", "state", "device", "day"]  # fmt: skip
    rest = viewer.get("/api/v1/violations", params={"limit": 10, "after": page["next"], "facets": False}).json()
    assert (len(rest["rows"]), rest["next"], rest["facets"]) == (7, None, [])
    assert re.fullmatch(r"2026-03-17T21:30:00\.000000000Z", page["rows"][0]["start"])


def test_filters_narrow_each_other(viewer: Visitor) -> None:
    assert len(viewer.rows(network="Staff", severity="high")) == 2
    assert len(viewer.rows(app=["zoom", "messenger"])) == 4
    assert len(viewer.rows(since="2026-03-17T20:00:00+01:00", until="2026-03-17T20:00:00Z")) == 1
    for asked in (
        {"since": "yesterday"},
        {"severity": "loud"},
        {"limit": 0},
        {"limit": 501},
        {"after": "x"},
        {"day": "17.3."},
    ):
        answer = viewer.get("/api/v1/violations", params=asked)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), asked


def test_one_with_its_evidence_and_history(officer: Visitor) -> None:
    answer = officer.get(f"/api/v1/violations/{FIRST}")
    assert answer.headers["etag"] == '"0"'
    found = answer.json()
    assert found["violation"]["device"]["id"] is None
    assert found["evidence"][0]["wireshark"].startswith("frame.number == ")
    assert officer.get(f"/api/v1/violations/{FIRST}/evidence").json()["items"] == found["evidence"]
    assert officer.get(f"/api/v1/violations/{FIRST}/history").json()["changes"] == []
    for id_, status in (("ffffffff", 404), ("0000", 404), ("no", 422), ("..%2f..%2fetc", 404)):
        assert officer.get(f"/api/v1/violations/{id_}").status_code == status


def test_a_change_names_the_version_that_was_seen(officer: Visitor) -> None:
    answer = officer.post(f"/api/v1/violations/{FIRST}/changes", json={"action": "acknowledge"})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (428, "if-match-needed")
    answer = officer.change(FIRST, 0, action="acknowledge", note="calls the ward")
    assert (answer.status_code, answer.headers["etag"], answer.json()["state"]) == (200, '"1"', "acknowledged")
    answer = officer.change(FIRST, 0, action="close", reason="confirmed")
    assert (answer.status_code, answer.json()["version"], answer.headers["etag"]) == (412, 1, '"1"')
    answer = officer.change(FIRST, 1, action="reopen")
    assert answer.status_code == 409
    history = officer.get(f"/api/v1/violations/{FIRST}/history").json()["changes"]
    assert [(one["actor"], one["action"], one["note"]) for one in history] == [
        ("otto", "acknowledge", "calls the ward")
    ]
    assert officer.change("ffffffffffffffff", 0, action="acknowledge").status_code == 404
    for etag in ("*", "0", 'W/"1"', '"x"', '"1", "2"'):
        answer = officer.post(
            f"/api/v1/violations/{FIRST}/changes", json={"action": "investigate"}, headers={"If-Match": etag}
        )
        assert answer.status_code == 412, etag


def test_a_change_takes_the_beginning_of_an_id_as_a_reading_does(desk: Desk, officer: Visitor) -> None:
    whole, short = "feed" * 4, "feed"
    desk.store.append([episode((BEGIN_NS + 90 * HOUR_NS,), id_=whole)])
    assert officer.get(f"/api/v1/violations/{short}").json()["violation"]["id"] == whole
    answer = officer.change(short, 0, action="acknowledge")
    assert (answer.status_code, answer.json()["id"]) == (200, whole)
    twice = {"action": "note", "note": "x", "targets": [{"id": short, "version": 1}, {"id": whole, "version": 1}]}
    assert officer.post("/api/v1/changes", json=twice).status_code == 422
    assert officer.change("0000", 0, action="acknowledge").status_code == 404  # so do all of them
    assert officer.change(FIRST, 0, action="close", reason="duplicate", related=short).status_code == 200
    history = officer.get(f"/api/v1/violations/{FIRST}/history").json()["changes"]
    assert history[-1]["related"] == whole


def test_bulk_and_undo(officer: Visitor) -> None:
    officer.change(FIRST, 0, action="acknowledge")
    targets = [{"id": row["id"], "version": 0} for row in officer.rows(network="Ward 3")]
    answer = officer.post(
        "/api/v1/changes", json={"action": "close", "reason": "false_positive", "targets": targets}
    ).json()
    assert (answer["done"], len(answer["outcomes"])) == (8, 9)
    assert [one["id"] for one in answer["outcomes"] if one["result"] == "changed_meanwhile"] == [FIRST]
    assert len(officer.rows(state="closed")) == 8
    undone = officer.post(f"/api/v1/acts/{answer['id']}/undo", json={}).json()
    assert undone["done"] == 8
    assert officer.rows(state="closed") == []
    assert officer.post("/api/v1/acts/0000000000000000/undo", json={}).status_code == 404


def test_the_same_request_twice_does_nothing_twice(officer: Visitor) -> None:
    headers = {"If-Match": '"0"', "Idempotency-Key": "k1"}
    path = f"/api/v1/violations/{FIRST}/changes"
    first = officer.post(path, json={"action": "acknowledge"}, headers=headers)
    second = officer.post(path, json={"action": "acknowledge"}, headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (second.json(), second.headers["etag"]) == (first.json(), first.headers["etag"])
    assert second.headers["idempotency-replayed"] == "true"
    other = officer.post(path, json={"action": "investigate"}, headers=headers)
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (422, "key-used")
    late = {"If-Match": '"0"', "Idempotency-Key": "k2"}
    assert [officer.post(path, json={"action": "investigate"}, headers=late).status_code for _ in "12"] == [412, 412]


@pytest.mark.parametrize("body", [{"action": "explode"}, {"action": "close"}, {"action": "note"}, {"action": 1}, {}, [],
                                  {"action": "acknowledge", "more": 1}, {"action": "assign", "assignee": "nobody"}])  # fmt: skip
def test_orders_that_make_no_sense(officer: Visitor, body: object) -> None:
    answer = officer.post(f"/api/v1/violations/{FIRST}/changes", json=body, headers={"If-Match": '"0"'})
    assert (answer.status_code, answer.json()["status"]) == (422, 422)
