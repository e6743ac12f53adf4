"""`wardwatch signatures coverage`: every app and rule is there, and what rests on documents only says so."""

from __future__ import annotations

import json
import re

from sensor.classify import signatures
from tests.commands.running import told, wardwatch

OURS = signatures.load()


def test_as_text() -> None:
    done = wardwatch("signatures", "coverage")
    assert (done.status, done.err) == (0, "")
    for app in OURS.apps.values():
        assert re.search(rf"^{re.escape(app.name)} \({app.id}[,)]", done.out, re.MULTILINE)
        for rule in app.rules:
            assert f" {rule.id} " in done.out
    assert "FaceTime (facetime): not proven on a real capture: documents only\n" in done.out
    proven = sum(bool(rule.proven) for rule in OURS.rules.values())
    assert f"{len(OURS.rules)} rules: {proven} met on real captures" in done.out
    (missing,) = re.findall(r"^Not proven on a real capture: (.+)\.$", done.out, re.MULTILINE)
    assert "FaceTime" in missing.split(", ")
    assert "WhatsApp" not in missing.split(", ")


def test_as_json() -> None:
    done = wardwatch("signatures", "coverage", "--json")
    assert (done.status, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["signatures_hash"] == OURS.hash
    apps = {app["id"]: app for app in said["apps"]}
    assert apps.keys() == OURS.apps.keys()
    rules = {rule["rule"]: rule for app in said["apps"] for listed in app["activities"].values() for rule in listed}
    assert rules.keys() == OURS.rules.keys()
    for id_, rule in rules.items():
        assert rule["proven"] == list(OURS.rules[id_].proven)
        assert (rule["basis"] == "capture") == bool(rule["proven"])
    assert rules["whatsapp/chat"]["strength"] == "conclusive"
    assert rules["whatsapp/chat"]["strength_by_dns"] == "strong"
    assert rules["zoom/direct-stun"]["strength_by_dns"] is None
    assert not apps["facetime"]["proven"]
    assert "call_attempt" in apps["facetime"]["activities"]


def test_one_app() -> None:
    done = wardwatch("signatures", "coverage", "facetime")
    assert "FaceTime (facetime)" in done.out
    assert "WhatsApp" not in done.out


def test_no_such_app() -> None:
    told(wardwatch("signatures", "coverage", "telex"), 2, "no app has the id 'telex'")
