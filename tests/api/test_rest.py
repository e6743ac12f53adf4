"""Everything of the API beside the violations: sums, exceptions, exports, the feed, users, keys, the audit log."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from sensor.model import Device
from sensor.wording import rfc3339
from tests.api.visiting import PASSWORD, Visitor
from tests.services.clinic import BEGIN_NS, HOUR_NS, TABLET
from tests.store.make import episode

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sensor.services.desk import Desk

FIRST = f"{1:016x}"
READS = ("summary", "violations", f"violations/{FIRST}", "devices", "networks", "apps", "statistics", "visibility", "health",
         "signatures", "policy", "exceptions", "unmaskings", "keys", "session", "snapshots/policy-one")  # fmt: skip


@pytest.mark.parametrize("path", READS[:-1])
def test_every_role_reads(viewer: Visitor, path: str) -> None:
    answer = viewer.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "02:00:00:00:00:01" not in answer.text
    assert "10.0.0.1" not in answer.text.replace("10.0.0.77", "")


def test_unmasking_shows_whose_device_it_is_to_who_did_it(officer: Visitor, auditor: Visitor, viewer: Visitor) -> None:
    pseudonym = officer.rows()[0]["device"]["pseudonym"]
    path = f"/api/v1/devices/{pseudonym}/unmaskings"
    assert officer.post(path, json={"reason": "short"}).status_code == 422
    assert viewer.post(path, json={"reason": "I am curious about it"}).status_code == 403
    answer = officer.post(path, json={"reason": "the ward asks which one it is"})
    assert (answer.status_code, answer.json()["device"]["label"]) == (201, "Tablet of the ward")
    assert officer.rows()[0]["device"]["id"] == TABLET
    assert officer.get(f"/api/v1/devices/{pseudonym}").json()["device"]["label"] == "Tablet of the ward"
    assert auditor.rows()[0]["device"]["id"] is None
    (told,) = auditor.get("/api/v1/audit", params={"kind": "unmask"}).json()["entries"]
    assert (told["content"]["actor"], told["content"]["reason"]) == ("otto", "the ward asks which one it is")
    assert told["content"]["device_id"] == pseudonym  # the auditor has not unmasked it


def test_an_exception_from_preview_to_end(officer: Visitor, viewer: Visitor) -> None:
    body = {
        "violation": FIRST,
        "reason": "No interpreter on site at night",
        "until": rfc3339(time.time_ns() + 24 * HOUR_NS),
    }
    assert viewer.post("/api/v1/exceptions/preview", json=body).status_code == 403
    preview = officer.post("/api/v1/exceptions/preview", json=body).json()
    assert (preview["matches"], len(preview["examples"])) == (4, 4)
    made = officer.post("/api/v1/exceptions", json=body, headers={"Idempotency-Key": "e1"})
    again = officer.post("/api/v1/exceptions", json=body, headers={"Idempotency-Key": "e1"})
    assert (made.status_code, again.status_code, again.json()) == (201, 201, made.json())
    path = made.headers["location"]
    assert officer.get(path).headers["etag"] == '"1"'
    why = {"why": "An interpreter is on site again"}
    assert officer.post(f"{path}/end", json=why).status_code == 428
    assert officer.post(f"{path}/end", json=why, headers={"If-Match": '"2"'}).status_code == 412
    ended = officer.post(f"{path}/end", json=why, headers={"If-Match": '"1"'})
    assert (ended.status_code, ended.json()["status"], ended.headers["etag"]) == (200, "ended", '"2"')
    assert len(officer.get("/api/v1/exceptions").json()) == 1


def hostile(desk: Desk) -> None:
    """A violation whose texts come from who sends packets."""
    one = episode(
        (BEGIN_NS + 90 * HOUR_NS,), id_="abcd" * 4, network='=cmd|"/C calc"!A1', names=("<script>alert(1)</script>",)
    )
    desk.store.append([replace(one, device=Device("ip:10.0.0.9", "", "10.0.0.9", ("10.0.0.9",)))])


def test_exports_in_three_forms_say_the_same(officer: Visitor, viewer: Visitor, desk: Desk) -> None:
    hostile(desk)
    assert viewer.get("/api/v1/exports/violations.csv").status_code == 403
    answer = officer.get("/api/v1/exports/violations.csv")
    assert (answer.headers["x-total-count"], answer.headers["content-type"]) == ("13", "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["network"] == "'" + '=cmd|"/C calc"!A1'
    lines = [json.loads(line) for line in officer.get("/api/v1/exports/violations.jsonl").text.splitlines()]
    table = pq.read_table(io.BytesIO(officer.get("/api/v1/exports/violations.parquet").content)).to_pylist()
    assert table == lines
    assert [row["id"] for row in rows] == [row["id"] for row in lines]
    assert len(officer.get("/api/v1/exports/violations.jsonl", params={"network": "Staff"}).text.splitlines()) == 3
    with desk.store._engine.connect() as connection:
        told = (
            connection.exec_driver_sql("SELECT content FROM chain WHERE kind = 'read' ORDER BY sequence")
            .scalars()
            .all()
        )
    assert [json.loads(one)["rows"] for one in told] == [13, 13, 13, 3]


@pytest.mark.parametrize("form", ["wardwatch", "ecs", "ocsf", "cef", "eve"])
def test_a_siem_asks_for_what_is_new(officer: Visitor, form: str) -> None:
    first = officer.get("/api/v1/siem", params={"format": form, "limit": 5})
    second = officer.get("/api/v1/siem", params={"format": form, "after": first.headers["x-next"]})
    assert (len(first.text.splitlines()), len(second.text.splitlines())) == (5, 7)
    assert "02:00:00:00:00:01" not in first.text + second.text
    third = officer.get("/api/v1/siem", params={"format": form, "after": second.headers["x-next"]})
    assert (third.text, third.headers["x-next"]) == ("", second.headers["x-next"])
    officer.change(FIRST, 0, action="acknowledge")
    assert (
        len(officer.get("/api/v1/siem", params={"format": form, "after": second.headers["x-next"]}).text.splitlines())
        == 1
    )


def test_events_tell_what_comes(officer: Visitor, desk: Desk) -> None:
    silent = officer.get("/api/v1/events", params={"seconds": 1})
    assert silent.headers["content-type"].startswith("text/event-stream")
    assert "event:" not in silent.text
    behind = desk.feed.now()
    hostile(desk)
    text = officer.get("/api/v1/events", params={"seconds": 1}, headers={"Last-Event-ID": behind}).text
    (data,) = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert data["id"] == "abcd" * 4
    (id_,) = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]
    assert "event:" not in officer.get("/api/v1/events", params={"seconds": 1}, headers={"Last-Event-ID": id_}).text
    assert officer.get("/api/v1/events", headers={"Last-Event-ID": "nonsense"}).status_code == 422


def test_users_are_made_and_shut_out_by_admins(app: FastAPI, admin: Visitor, officer: Visitor) -> None:
    assert officer.get("/api/v1/users").status_code == 403
    new = {"name": "nina", "role": "viewer", "password": "another long pass phrase"}
    assert officer.post("/api/v1/users", json=new).status_code == 403
    assert admin.post("/api/v1/users", json=new).status_code == 201
    assert admin.post("/api/v1/users", json=new).status_code == 409
    for wrong in ({**new, "password": "short"}, {**new, "name": "Not Allowed"}, {**new, "role": "king"},
                  {**new, "name": "kim", "password": "aaaaaaaaaaaaaaaa"}):  # fmt: skip
        assert admin.post("/api/v1/users", json=wrong).status_code == 422
    with Visitor(app) as nina:
        nina.sign_in("nina", new["password"])
        assert nina.get("/api/v1/session").json()["rights"] == ["read"]
        assert admin.patch("/api/v1/users/nina", json={"disabled": True}).status_code == 428
        seen = {"If-Match": admin.get("/api/v1/users/nina").headers["etag"]}
        changed = admin.patch("/api/v1/users/nina", json={"disabled": True}, headers=seen)
        assert changed.json()["disabled"] is True
        late = admin.patch("/api/v1/users/nina", json={"disabled": False}, headers=seen)
        assert (late.status_code, late.headers["etag"]) == (412, changed.headers["etag"])
        assert nina.get("/api/v1/session").status_code == 401
        assert nina.post("/api/v1/session", json=new | {"role": None}).status_code == 422
        answer = nina.post("/api/v1/session", json={"name": "nina", "password": new["password"]})
        assert answer.status_code == 401
    seen = {"If-Match": admin.get("/api/v1/users/ada").headers["etag"]}
    assert admin.patch("/api/v1/users/ada", json={"disabled": True}, headers=seen).status_code == 409
    assert admin.patch("/api/v1/users/ada", json={"role": "viewer"}, headers=seen).status_code == 409
    assert admin.patch("/api/v1/users/nobody", json={"role": "viewer"}, headers=seen).status_code == 404
    told = admin.get("/api/v1/audit", params={"kind": "admin", "limit": 500}).json()["entries"]
    assert [one["content"]["what"] for one in told if one["content"]["user"] == "nina"] == [
        "user added",
        "user changed: disabled",
    ]
    assert "another long" not in json.dumps(told)


def test_a_key_does_what_its_scopes_say_until_it_is_revoked(app: FastAPI, officer: Visitor, viewer: Visitor) -> None:
    assert viewer.post("/api/v1/keys", json={"title": "SIEM", "scopes": ["export"]}).status_code == 403
    made = officer.post("/api/v1/keys", json={"title": "SIEM", "scopes": ["read"], "days": 1}).json()
    with Visitor(app) as program:
        del program.headers["Origin"]
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert len(program.rows()) == 12
        assert program.change(FIRST, 0, action="acknowledge").status_code == 403
        assert program.get("/api/v1/exports/violations.csv").status_code == 403
        assert program.post("/api/v1/keys", json={"title": "x", "scopes": ["read"]}).status_code == 403
        assert viewer.delete(f"/api/v1/keys/{made['key']['id']}").status_code == 404
        assert officer.delete(f"/api/v1/keys/{made['key']['id']}").status_code == 204
        assert program.get("/api/v1/violations").status_code == 401
        for wrong in ("", "ww", "ww_x_y", f"ww_{made['key']['id']}_wrong", "é"):
            headers = [(b"Authorization", f"Bearer {wrong}".encode())]
            assert program.get("/api/v1/violations", headers=headers).status_code == 401
    assert [(one["title"], one["revoked"]) for one in officer.get("/api/v1/keys").json()] == [("SIEM", True)]


def test_ones_own_password(officer: Visitor) -> None:
    new = {"old": PASSWORD, "new": "a new long pass phrase"}
    assert officer.post("/api/v1/session/password", json=new | {"old": "wrong"}).status_code == 401
    assert officer.post("/api/v1/session/password", json=new).status_code == 204
    assert officer.get("/api/v1/session").status_code == 401
    officer.sign_in("otto", "a new long pass phrase")


def test_the_log_goes_on_in_pages(auditor: Visitor, officer: Visitor) -> None:
    assert officer.get("/api/v1/audit").status_code == 403
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = auditor.get("/api/v1/audit", params={"after": after, "limit": 7}).json()
        seen += [one["sequence"] for one in page["entries"]]
        after = page["next"] if len(seen) < 20 else None
    assert seen == list(range(1, len(seen) + 1))
