"""Rows of the tables from and to the types of the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sensor.model import (
    Activity,
    Evidence,
    FlowKey,
    Outcome,
    RuleMatch,
    Severity,
    SourceInfo,
    Strength,
    Verdict,
    Window,
)
from sensor.store.texts import printable, to_json
from sensor.store.views import EvidenceKey, View, app_key_of, app_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Row

    from sensor.store.ledger import Head, NewRevision

Values = dict[str, Any]


def revision_values(new: NewRevision, recorded_ns: int) -> Values:
    view, verdict = new.view, new.view.verdict
    details = {
        "address": view.address,
        "addresses": view.addresses,
        "basis": view.basis,
        "candidates": view.candidates,
        "device_notes": view.device_notes,
        "mac": view.mac,
        "notes": view.notes,
        "profile": [(window.start_ns, window.bytes_up, window.bytes_down) for window in view.profile],
        "services": view.services,
        "signature_version": view.signature_version,
    }
    return {
        "episode_id": new.episode_id,
        "lineage_id": new.lineage_id,
        "step": new.step,
        "recorded_ns": recorded_ns,
        "merged_into": new.merged_into,
        "network": view.network,
        "activity": int(view.activity),
        "strength": int(view.strength),
        "start_ns": view.start_ns,
        "end_ns": view.end_ns,
        "bytes_up": view.bytes_up,
        "bytes_down": view.bytes_down,
        "packets": view.packets,
        "flows": view.flows,
        "evidence_total": view.evidence_total,
        "capped": int(view.capped),
        "closed": int(view.closed),
        "outcome": verdict.outcome.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "severity": int(verdict.severity),
        "kind": verdict.kind,
        "details": to_json(details),
    }


def head_values(head: Head, view: View) -> Values:
    return {
        "episode_id": head.episode_id,
        "lineage_id": head.lineage_id,
        "step": head.step,
        "subject_id": head.subject_id,
        "device_id": view.device_id,
        "app_key": app_key_of(view.app, view.candidates, view.activity),
        "network": view.network,
        "outcome": view.verdict.outcome.value,
        "activity": int(view.activity),
        "severity": int(view.verdict.severity),
        "start_ns": head.start_ns,
        "end_ns": head.end_ns,
        "capped": int(head.capped),
        "merged_into": head.merged_into,
        "listed": int(head.listed),
        "judged": head.judged,
        "state": head.state,
    }


def evidence_values(new: NewRevision, key: EvidenceKey, evidence: Evidence) -> Values:
    flow, match = evidence.flow, evidence.match
    values = {
        "subject_id": new.subject_id,
        "lineage_id": new.lineage_id,
        "episode_id": new.episode_id,
        "step": new.step,
        "packet_id": key[0],
        "kind": evidence.kind,
        "value": evidence.value,
        "file": evidence.file,
        "frame": evidence.frame,
        "time_ns": evidence.time_ns,
        "proto": flow.proto,
        "src": flow.src,
        "sport": flow.sport,
        "dst": flow.dst,
        "dport": flow.dport,
        "app": match.app,
        "rule": key[1],
        "strength": int(match.strength),
        "service": match.service,
        "activity": int(match.activity),
        "context": int(match.context),
        "detail": evidence.detail,
    }
    return cleaned(values)


def source_values(source: SourceInfo, sha256: str | None) -> Values:
    return cleaned(
        {
            "path": source.path,
            "size_bytes": source.size_bytes,
            "format": source.format,
            "frames": source.frames,
            "first_ns": source.first_ns,
            "last_ns": source.last_ns,
            "sha256": sha256,
        }
    )


def cleaned(values: Values) -> Values:
    return {name: printable(value) if isinstance(value, str) else value for name, value in values.items()}


def verdict_of(row: Row[Any], policy_hash: str) -> Verdict:
    return Verdict(Outcome(row.outcome), row.rule, row.reason, policy_hash, Severity(row.severity), row.kind)


def view_of_row(
    row: Row[Any],
    device_id: str,
    app_key: str,
    policy_hash: str,
    names: Iterable[str],
    keys: frozenset[EvidenceKey] = frozenset(),
) -> View:
    """A row of `revisions` as a view; names and evidence keys are in tables of their own."""
    details: Mapping[str, Any] = json.loads(row.details)
    strength, activity, total, packets, duration_ns = details["basis"]
    return View(
        device_id=device_id,
        app=app_of(app_key),
        candidates=tuple(details["candidates"]),
        start_ns=row.start_ns,
        network=row.network,
        address=details["address"],
        mac=details["mac"],
        end_ns=row.end_ns,
        closed=bool(row.closed),
        bytes_up=row.bytes_up,
        bytes_down=row.bytes_down,
        packets=row.packets,
        flows=row.flows,
        evidence_total=row.evidence_total,
        capped=bool(row.capped),
        activity=Activity(row.activity),
        strength=Strength(row.strength),
        addresses=tuple(details["addresses"]),
        device_notes=tuple(details["device_notes"]),
        services=tuple(details["services"]),
        names=tuple(sorted(names)),
        notes=tuple(details["notes"]),
        signature_version=details["signature_version"],
        verdict=verdict_of(row, policy_hash),
        basis=(strength, activity, total, packets, duration_ns),
        keys=keys,
        profile=tuple(Window(*window) for window in details.get("profile", ())),
    )


def evidence_of_row(row: Row[Any]) -> Evidence:
    match = RuleMatch(row.app, row.rule, Strength(row.strength), row.service, Activity(row.activity), bool(row.context))
    flow = FlowKey(row.proto, row.src, row.sport, row.dst, row.dport)
    return Evidence(row.kind, row.value, row.file, row.frame, row.time_ns, flow, match, row.packet_id, row.detail)
