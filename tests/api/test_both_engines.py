"""The whole desk on SQLite and on PostgreSQL: signing in, following up, two officers at once, exceptions, keys, the same request twice."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from api.app import create_app
from sensor.services.desk import Desk
from sensor.store import open_store
from sensor.wording import rfc3339
from tests.api.visiting import HASHER, PASSWORD, Visitor
from tests.services.clinic import ADMIN, AUDITOR, HOUR_NS, OFFICER, made_setup, morning
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = f"{1:016x}"


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    url = str(tmp_path / "w.sqlite") if request.param == "sqlite" else request.getfixturevalue("cluster").store()
    store = open_store(url)
    store.append(morning(), snapshots=KNOWN)
    with Desk(store, made_setup(), hasher=PasswordHasher(**HASHER)) as opened:
        for who in (OFFICER, AUDITOR, ADMIN):
            opened.accounts.add("test", who.name, who.role, PASSWORD)
        yield opened


def test_two_officers_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    app = create_app(desk)
    ids = [f"{number:016x}" for number in range(12)]
    told: dict[str, list[int]] = {}
    begin = threading.Barrier(2)

    def officer(name: str, order: dict[str, str]) -> None:
        with Visitor(app) as visitor:
            visitor.sign_in(name)
            told[name] = []
            for id_ in ids:
                begin.wait(60)
                told[name].append(visitor.change(id_, 0, **order).status_code)

    both = [
        threading.Thread(target=officer, args=("otto", {"action": "acknowledge"})),
        threading.Thread(target=officer, args=("ada", {"action": "close", "reason": "confirmed"})),
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    for pair in zip(told["otto"], told["ada"], strict=True):
        assert sorted(pair) == [200, 412]
    history = desk.store.follow_up.history(ids)
    assert sorted(one.episode_id for one in history) == ids
    won = {one.episode_id: one.to_state for one in history}
    assert {row.episode.id: row.state for row in desk.store.page(limit=50)} == won


def test_an_officers_morning(desk: Desk) -> None:
    app = create_app(desk)
    with Visitor(app) as officer, Visitor(app) as auditor, Visitor(app) as program:
        assert officer.post("/api/v1/session", json={"name": "otto", "password": "wrong"}).status_code == 401
        officer.sign_in("otto")
        row = officer.rows()[-1]
        for _ in "12":
            headers = {"If-Match": '"0"', "Idempotency-Key": "one"}
            path = f"/api/v1/violations/{FIRST}/changes"
            assert officer.post(path, json={"action": "acknowledge"}, headers=headers).status_code == 200
        assert officer.change(FIRST, 1, action="assign", assignee="ada").json()["assignee"] == "ada"
        assert [one["id"] for one in officer.rows(assignee="ada")] == [FIRST]
        targets = [{"id": one["id"], "version": one["version"]} for one in officer.rows(state="new")]
        act = officer.post(
            "/api/v1/changes", json={"action": "close", "reason": "duplicate", "targets": targets}
        ).json()
        assert act["done"] == 11
        assert officer.post(f"/api/v1/acts/{act['id']}/undo", json={}).json()["done"] == 11
        unmask = f"/api/v1/devices/{row['device']['pseudonym']}/unmaskings"
        assert officer.post(unmask, json={"reason": "the ward asks for it"}).status_code == 201
        body = {"violation": FIRST, "reason": "No interpreter on site", "until": rfc3339(time.time_ns() + HOUR_NS)}
        made = officer.post("/api/v1/exceptions", json=body).json()
        ended = officer.post(
            f"/api/v1/exceptions/{made['id']}/end", json={"why": "no longer needed"}, headers={"If-Match": '"1"'}
        )
        assert ended.json()["status"] == "ended"
        key = officer.post("/api/v1/keys", json={"title": "SIEM", "scopes": ["export"]}).json()["secret"]
        program.headers["Authorization"] = f"Bearer {key}"
        assert len(program.get("/api/v1/siem", params={"format": "ecs"}).text.splitlines()) == 12
        assert len(officer.get("/api/v1/exports/violations.csv").text.splitlines()) == 13
        auditor.sign_in("axel")
        kinds = {one["kind"] for one in auditor.get("/api/v1/audit", params={"limit": 500}).json()["entries"]}
        assert kinds >= {"judged", "follow_up", "read", "unmask", "exception", "admin", "access"}
        assert auditor.get("/api/v1/summary").json()["total"] == {"violations": 12, "open": 12}
    assert desk.store.counts().violations == 12
