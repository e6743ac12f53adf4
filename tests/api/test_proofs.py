"""Packs and reports over the API: who may, what comes, and that it is recorded."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader

from api.app import create_app
from sensor import setup
from sensor.proof import keys, verifying
from sensor.services.desk import Desk
from sensor.services.people import Role
from sensor.store import open_store
from tests.api.visiting import PASSWORD, Visitor
from tests.commands.running import CAPTURE, CONFIG, wardwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAYS = {"from": "2026-03-16", "to": "2026-03-18"}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("proofs") / "demo.sqlite"
    done = wardwatch("replay", CAPTURE, "--config", CONFIG, "--store", place, "--quiet")
    assert done.status == 0, done.err
    return place


@pytest.fixture
def demo(replayed: Path) -> Iterator[Desk]:
    with Desk(open_store(replayed), setup.read(str(CONFIG))) as desk:
        names = {user.name for user in desk.store.access.users()}
        for name, role in (("otto", Role.OFFICER), ("vera", Role.VIEWER)):
            if name not in names:
                desk.accounts.add("test", name, role, PASSWORD)
        yield desk


def test_a_pack_is_made_for_who_may_see_whose_device_it_is(demo: Desk, replayed: Path) -> None:
    with Visitor(create_app(demo)) as visitor:
        officer = visitor.sign_in("otto")
        row = officer.rows()[0]
        refused = officer.post("/api/v1/evidence", json={"ids": [row["id"]]})
        assert (refused.status_code, "look that up first" in refused.text) == (403, True)
        unmask = f"/api/v1/devices/{row['device']['pseudonym']}/unmaskings"
        assert officer.post(unmask, json={"reason": "an auditor asks for evidence"}).status_code == 201
        answer = officer.post("/api/v1/evidence", json={"ids": [row["id"]]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["x-missing"] == "0"
    public = keys.public_key(replayed.with_name("signing-key.pem.pub"))
    assert verifying.pack(answer.content, {public}, ask=False).wrong == []
    last = demo.store.chain_ends()[1]
    assert last is not None
    assert (last.kind, json.loads(last.content or "{}")["actor"]) == ("evidence", "otto")


def test_what_cannot_be_packed_is_said(demo: Desk) -> None:
    with Visitor(create_app(demo)) as visitor:
        officer = visitor.sign_in("otto")
        assert officer.post("/api/v1/evidence", json={"ids": ["nope"]}).status_code == 404
        assert officer.post("/api/v1/evidence", json={"ids": []}).status_code == 422
    with Visitor(create_app(demo)) as visitor:
        viewer = visitor.sign_in("vera")
        assert viewer.post("/api/v1/evidence", json={"ids": ["nope"]}).status_code == 403
        assert viewer.get("/api/v1/reports/report.pdf", params=DAYS).status_code == 403


def test_a_report_comes_as_page_and_as_pdf_by_pseudonym(demo: Desk) -> None:
    with Visitor(create_app(demo)) as visitor:
        officer = visitor.sign_in("otto")
        page = officer.get("/api/v1/reports/report.html", params=DAYS | {"language": "es"})
        made = officer.get("/api/v1/reports/report.pdf", params=DAYS)
        wrong = officer.get("/api/v1/reports/report.pdf", params={"from": "2026-03-18", "to": "2026-03-16"})
        beyond = officer.get("/api/v1/reports/report.pdf", params={"from": "9999-12-30", "to": "9999-12-31"})
        pseudonym = officer.rows()[0]["device"]["pseudonym"]
    assert page.status_code == made.status_code == 200
    assert "Resumen" in page.text
    assert pseudonym in page.text
    assert "10.20.3.131" not in page.text
    text = " ".join(one.extract_text() for one in PdfReader(io.BytesIO(made.content)).pages)
    assert "Summary" in text
    assert (wrong.status_code, beyond.status_code) == (422, 422)
