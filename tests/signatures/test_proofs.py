"""What rules claim to be proven by is so: each fires on the captures it names, and names all on which it fires."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sensor.classify import signatures
from sensor.classify.coverage import NOT_PROVEN, coverage
from sensor.model import Activity, Strength
from tests.signatures import proofs

OURS = signatures.load()
CLAIMED = {rule.match.rule: set(rule.proven) for rule in OURS.rules.values() if rule.proven}


@pytest.mark.captures
def test_every_claimed_proof_fires() -> None:
    found = proofs.proofs()
    assert len(CLAIMED) > 50
    wrong = {rule: captures - found.get(rule, set()) for rule, captures in CLAIMED.items()}
    assert {rule: captures for rule, captures in wrong.items() if captures} == {}


@pytest.mark.captures
def test_every_proof_is_claimed() -> None:
    """Where this fails, `python -m tests.signatures.proofs` writes what is missing."""
    missing = {rule: captures - CLAIMED.get(rule, set()) for rule, captures in proofs.proofs().items()}
    assert {rule: captures for rule, captures in missing.items() if captures} == {}


@pytest.mark.captures
def test_the_files_are_as_the_tool_writes_them() -> None:
    for path in signatures.BUILTIN.glob("*.yaml"):
        own = {rule.partition("/")[2]: names for rule, names in CLAIMED.items() if rule.startswith(f"{path.stem}/")}
        assert proofs.written(path.read_text("utf-8"), own) == path.read_text("utf-8")


def test_the_tool_adds_and_takes_away() -> None:
    text = "id: x\nrules:\n  - id: a\n    exact: [a.example]\n  - id: b\n    seen: 2026\nexamples:\n  positive: []\n"
    once = proofs.written(text, {"b": {"o/r two.pcap", "o/r one.pcap"}})
    assert "    seen: 2026\n    proven:\n      - o/r one.pcap\n      - o/r two.pcap\nexamples:\n" in once
    assert proofs.written(once, {"b": {"o/r two.pcap", "o/r one.pcap"}}) == once
    assert proofs.written(once, {}) == text


def test_facetime_is_not_proven_and_says_so() -> None:
    (facetime,) = coverage([OURS.apps["facetime"]])
    assert facetime.proven == ()
    assert facetime.statement == NOT_PROVEN
    assert all(rule.match.strength < Strength.CONCLUSIVE for rule in facetime.rules)


def test_proofs_are_not_part_of_the_hash() -> None:
    app = OURS.apps["facetime"]
    proven = replace(app, rules=tuple(replace(rule, proven=("o/r x.pcap",)) for rule in app.rules))
    assert signatures.SignatureSet({**OURS.apps, "facetime": proven}, OURS.limits).hash == OURS.hash


def test_coverage_leaves_no_rule_out() -> None:
    found = coverage(OURS.apps.values())
    assert [one.app.context for one in found] == sorted(one.app.context for one in found)
    assert {rule.match.rule for one in found for activity in Activity for rule in one.of(activity)} == set(OURS.rules)
