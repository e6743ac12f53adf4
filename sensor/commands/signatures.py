"""`wardwatch signatures check [PATH]` and `wardwatch signatures coverage [APP]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor.commands.output import standard_output
from sensor.errors import UsageError

if TYPE_CHECKING:
    from sensor.classify.coverage import AppCoverage
    from sensor.classify.rules import Rule

LABELS = {
    "exact": "name",
    "regex": "name",
    "suffix": "name",
    "ranges": "address",
    "stun": "STUN",
    "first_bytes": "first bytes",
}


def check(path: str | None) -> int:
    """Prints each finding on one line. Returns 0, 2 where there is an error, 3 where there are warnings only."""
    from sensor.classify import check as checking

    findings = checking.check(Path(path) if path else None)
    errors = sum(finding.level == "error" for finding in findings)
    with standard_output():
        for finding in findings:
            print(finding, file=sys.stderr if finding.level == "error" else sys.stdout)
        print(f"{errors} errors, {len(findings) - errors} warnings")
    if errors:
        return 2
    return 3 if findings else 0


def coverage(app: str | None, *, as_json: bool) -> int:
    """Prints what can prove each app and activity. Raises UsageError where there is no such app."""
    from sensor.classify import coverage as covering
    from sensor.classify import signatures as loading

    loaded = loading.load()
    if app is not None and app not in loaded.apps:
        raise UsageError(f"no app has the id {app!r}; there are {', '.join(loaded.apps)}")
    found = covering.coverage(one for one in loaded.apps.values() if app in {None, one.id})
    with standard_output():
        if as_json:
            print(json.dumps({"signatures_hash": loaded.hash, "apps": [_record(one) for one in found]}, indent=1))
        else:
            _show(found)
    return 0


def _show(found: list[AppCoverage]) -> None:
    """One heading an app, one line a rule, and what is missing at the end."""
    for one in found:
        context = ", context: accuses nobody" if one.app.context else ""
        print(f"{one.app.name} ({one.app.id}{context}): {one.statement}")
        last = ""
        for rule in one.rules:
            activity = rule.match.activity.label.replace("_", " ")
            shown = "" if activity == last else activity
            last = activity
            print(f"  {shown:14} {rule.match.strength.label:11} {LABELS[rule.kind]:12} {rule.id:24} {_basis(rule)}")
        print()
    rules = [rule for one in found for rule in one.rules]
    met = sum(bool(rule.proven) for rule in rules)
    print(f"{len(found)} apps, {len(rules)} rules: {met} met on real captures, {len(rules) - met} rest on documents.")
    if missing := [one.app.name for one in found if not one.proven]:
        print(f"Not proven on a real capture: {', '.join(missing)}.")
    print("A name known through DNS alone is strong at most. What --json adds: sources, dates and every capture.")


def _basis(rule: Rule) -> str:
    if not rule.proven:
        return "documents only"
    shortest = min(rule.proven, key=len)
    return shortest if len(rule.proven) == 1 else f"{len(rule.proven)} captures, such as {shortest}"


def _record(one: AppCoverage) -> dict[str, Any]:
    from sensor.model import Activity

    return {
        "id": one.app.id,
        "name": one.app.name,
        "context": one.app.context,
        "proven": bool(one.proven),
        "statement": one.statement,
        "captures": list(one.proven),
        "activities": {
            activity.label: [_rule_record(rule) for rule in one.of(activity)]
            for activity in Activity
            if one.of(activity)
        },
    }


def _rule_record(rule: Rule) -> dict[str, Any]:
    from sensor.classify.coverage import EVIDENCE, by_dns

    dns = by_dns(rule)
    return {
        "rule": rule.match.rule,
        "kind": rule.kind,
        "evidence": list(EVIDENCE[rule.kind]),
        "strength": rule.match.strength.label,
        "strength_by_dns": dns.label if dns is not None else None,
        "service": rule.match.service,
        "confidence": rule.confidence,
        "source": rule.source,
        "seen": rule.seen,
        "note": rule.note,
        "basis": "capture" if rule.proven else "document",
        "proven": list(rule.proven),
    }
