"""Episodes and flows as JSON: one object a line, keys stable, times RFC 3339 UTC."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensor.classify.flows import Claim, claim
from sensor.model import Activity, Strength
from sensor.statement import CLASS_NAMES
from sensor.wireshark import evidence_filter
from sensor.wording import NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.classify.flows import Flow
    from sensor.listing import FlowRow
    from sensor.model import Episode, Evidence, FlowKey, Observation
    from sensor.statement import NetworkHour, Statement, Sums


def line(record: dict[str, Any]) -> str:
    """One line of JSON with its newline."""
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")) + "\n"


def _key(key: FlowKey) -> dict[str, Any]:
    return {"proto": key.proto, "src": key.src, "sport": key.sport, "dst": key.dst, "dport": key.dport}


def taken_for(flow: Flow | None) -> Claim | None:
    """What a flow is taken for in the end: as its episode was settled, where it has one."""
    found = claim(flow) if flow is not None else None
    if flow is None or flow.episode is None or not flow.episode.closed:
        return found
    episode = flow.episode
    if found is None:  # an address in the app's range, beside its flows
        return Claim(episode.apps, Strength.SUPPORTING, Activity.BACKGROUND, False, tuple(flow.hints[:1]), episode.call)
    return replace(found, apps=episode.apps)


def flow_record(listed: FlowRow) -> dict[str, Any]:
    """A line of `--flows`: what was counted, which names were seen, what the flow is taken for."""
    row = listed.row
    found = taken_for(listed.flow)
    apps, strength, activity = listed.context, Strength.SUPPORTING, Activity.BACKGROUND
    if found is not None:
        apps, strength, activity = found.apps, found.strength, found.activity
    return {
        "file": listed.file,
        "flow": _key(listed.key),
        "first_frame": int(row["first_number"]),
        "first_seen": rfc3339(int(row["first_ns"])),
        "last_seen": rfc3339(int(row["last_ns"])),
        "packets": int(row["packets_0"]) + int(row["packets_1"]),
        "bytes": int(row["bytes_0"]) + int(row["bytes_1"]),
        "names": [
            {"name": name, "source": kind, "frame": frame}
            for kind, name, frame in dict.fromkeys(listed.names)
            if not (kind == "stun" and name.startswith("!"))  # the loop's own mark of a STUN dialect
        ],
        "ja4": listed.hello.ja4 if listed.hello else None,
        "alpn": list(listed.hello.alpn) if listed.hello else [],
        "tls_version": (listed.hello.tls_version or None) if listed.hello else None,
        "app": apps[0] if len(apps) == 1 else None,
        "candidates": list(apps),
        "strength": strength.label if apps else None,
        "activity": activity.label if apps else None,
    }


def evidence_record(evidence: Evidence) -> dict[str, Any]:
    """One piece of evidence, with the Wireshark filter that shows it."""
    return {
        "kind": evidence.kind,
        "value": evidence.value,
        "file": evidence.file,
        "frame": evidence.frame,
        "time": rfc3339(evidence.time_ns),
        "flow": _key(evidence.flow),
        "app": evidence.match.app,
        "rule": evidence.match.rule,
        "strength": evidence.match.strength.label,
        "packet_id": evidence.packet_id,
        "detail": evidence.detail,
        "wireshark": evidence_filter(evidence),
    }


def episode_record(episode: Episode) -> dict[str, Any]:
    """A line of `--episodes` and of `--json`."""
    verdict = episode.verdict
    return {
        "id": episode.id,
        "file": episode.evidence[0].file if episode.evidence else None,
        "app": episode.app,
        "candidates": list(episode.candidates),
        "device": episode.device.address,
        "device_id": episode.device.id,
        "device_notes": list(episode.device.notes),
        "network": episode.network,
        "activity": episode.activity.label,
        "start": rfc3339(episode.start_ns),
        "end": rfc3339(episode.end_ns),
        "duration_s": round((episode.end_ns - episode.start_ns) / NS, 3),
        "bytes": episode.bytes_up + episode.bytes_down,
        "bytes_up": episode.bytes_up,
        "bytes_down": episode.bytes_down,
        "packets": episode.packets,
        "flows": episode.flows,
        "verdict": verdict.outcome.value,
        "severity": verdict.severity.label,
        "policy_rule": verdict.rule,
        "reason": verdict.reason,
        "strength": episode.strength.label,
        "services": list(episode.services),
        "names": list(episode.names),
        "policy_hash": verdict.policy_hash,
        "signatures_hash": episode.signatures_hash,
        "signature_version": episode.signature_version,
        "evidence": [evidence_record(one) for one in episode.evidence],
        "evidence_total": episode.evidence_total,
        "notes": list(episode.notes),
        "profile": [[rfc3339(one.start_ns), one.bytes_up, one.bytes_down] for one in episode.profile],
    }


def observation_record(seen: Observation) -> dict[str, Any]:
    """A line of `--visibility`: something that hides the use of apps. Of an excluded network there is no device."""
    device = seen.device
    return {
        "record": "observation",
        "kind": seen.kind,
        "network": seen.network,
        "device": device.address if device is not None else None,
        "device_id": device.id if device is not None else None,
        "hour": rfc3339(seen.hour_ns),
        "flows": seen.flows,
        "packets": seen.packets,
        "bytes": seen.bytes_up + seen.bytes_down,
        "bytes_up": seen.bytes_up,
        "bytes_down": seen.bytes_down,
        "first": rfc3339(seen.first_ns),
        "last": rfc3339(seen.last_ns),
        "strength": seen.strength.label,
        "services": list(seen.services),
        "outcome": seen.outcome,
        "evidence": [evidence_record(one) for one in seen.evidence],
    }


def hour_record(one: NetworkHour) -> dict[str, Any]:
    """A line of `--visibility`: one network in one hour, and whether it could be seen."""
    return {
        "record": "hour",
        "network": one.network,
        "hour": rfc3339(one.hour_ns),
        **_sums(one.sums),
        "seen": not one.reasons,
        "reasons": list(one.reasons),
    }


def statement_records(found: Statement) -> Iterator[dict[str, Any]]:
    """The last lines of `--visibility`: one for each network and hour, and one of sums."""
    yield from map(hour_record, found.hours)
    yield {"record": "statement", **_sums(found.total), "frames": found.frames, "frames_lost": found.lost}


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        "flows": sums.all_flows,
        "bytes": sums.all_bytes,
        **{f"flows_{name}": count for name, count in zip(CLASS_NAMES, sums.flows, strict=True)},
        **{f"bytes_{name}": count for name, count in zip(CLASS_NAMES, sums.bytes, strict=True)},
        "flows_one_way": sums.one_way_flows,
        "bytes_one_way": sums.one_way_bytes,
    }
