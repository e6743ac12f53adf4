"""wardwatch's own JSON: everything the model holds, its keys stable within a version of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sensor.notify.formats.flow import community_id, sentence
from sensor.wording import NS, rfc3339

if TYPE_CHECKING:
    from sensor.notify.model import Proof, Violation

SCHEMA: Final = "wardwatch.violation/1"  # raise the number whenever a key changes its meaning or goes


def record(violation: Violation) -> dict[str, Any]:
    """Every key is always there; what is not known or may not be told is empty."""
    device = violation.device
    return {
        "schema": SCHEMA,
        "id": violation.id,
        "sequence": violation.sequence,
        "occasion": violation.occasion.value,
        "recorded": rfc3339(violation.recorded_ns),
        "site": violation.site,
        "wardwatch": violation.version,
        "summary": sentence(violation),
        "device": {
            "label": device.label,
            "id": device.id,
            "mac": device.mac,
            "addresses": list(device.addresses),
        },
        "network": violation.network,
        "apps": [{"id": id_, "name": name} for id_, name in violation.apps],
        "services": list(violation.services),
        "activity": violation.activity.label,
        "strength": violation.strength.label,
        "severity": violation.severity.label,
        "start": rfc3339(violation.start_ns),
        "end": rfc3339(violation.end_ns),
        "duration_s": round((violation.end_ns - violation.start_ns) / NS, 3),
        "closed": violation.closed,
        "bytes_up": violation.bytes_up,
        "bytes_down": violation.bytes_down,
        "packets": violation.packets,
        "flows": violation.flows,
        "policy": {
            "rule": violation.rule,
            "kind": violation.kind,
            "reason": violation.reason,
            "hash": violation.policy_hash,
        },
        "signatures": {"hash": violation.signatures_hash, "version": violation.signature_version},
        "names": list(violation.names),
        "notes": list(violation.notes),
        "evidence": [_proof(proof) for proof in violation.proofs],
        "evidence_total": violation.proofs_total,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "kind": proof.kind,
        "value": proof.value,
        "detail": proof.detail,
        "time": rfc3339(proof.time_ns),
        "app": proof.app,
        "rule": proof.rule,
        "strength": proof.strength.label,
        "file": proof.file,
        "frame": proof.frame,
        "packet_id": proof.packet_id,
        "proto": proof.proto,
        "device": {"address": proof.device_address, "port": proof.device_port},
        "server": {"address": proof.server_address, "port": proof.server_port},
        "community_id": community_id(proof),
    }
