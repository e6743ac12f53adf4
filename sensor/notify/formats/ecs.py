"""Elastic Common Schema 8.17: an alert in the category network. What ECS has no field for is under `wardwatch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sensor.notify.formats.flow import community_id, first_flow, sentence, server_name, without_empty
from sensor.notify.model import Occasion
from sensor.wording import rfc3339

if TYPE_CHECKING:
    from sensor.notify.model import Violation

ECS_VERSION: Final = "8.17.0"


def record(violation: Violation) -> dict[str, Any]:
    """One ECS document; fields that are not known are left out."""
    proof = first_flow(violation)
    name = server_name(violation)
    server = proof.server_address if proof else ""
    device_address = (proof.device_address if proof else "") or next(iter(violation.device.addresses), "")
    return without_empty(
        {
            "@timestamp": rfc3339(violation.start_ns),
            "ecs": {"version": ECS_VERSION},
            "message": sentence(violation),
            "event": {
                "kind": "event" if violation.occasion is Occasion.WITHDRAWN else "alert",
                "category": ["network"],
                "type": ["info"],
                "module": "wardwatch",
                "dataset": "wardwatch.violation",
                "provider": "wardwatch",
                "action": violation.activity.label,
                "code": violation.kind,
                "id": violation.id,
                "sequence": violation.sequence,
                "severity": int(violation.severity),
                "reason": violation.reason,
                "created": rfc3339(violation.recorded_ns),
                "start": rfc3339(violation.start_ns),
                "end": rfc3339(violation.end_ns),
                "duration": violation.end_ns - violation.start_ns,
            },
            "rule": {
                "id": violation.rule,
                "name": f"{violation.app} {violation.activity.label}",
                "category": violation.kind,
                "description": violation.reason,
                "ruleset": violation.policy_hash,
                "version": violation.signature_version,
            },
            "observer": {
                "type": "sensor",
                "vendor": "wardwatch",
                "product": "wardwatch",
                "version": violation.version,
                "geo": {"name": violation.site},
            },
            "source": {
                "address": device_address or violation.device.label,
                "ip": device_address,
                "port": proof.device_port if proof and proof.device_address else None,
                "mac": violation.device.mac.upper().replace(":", "-"),  # as ECS writes it (RFC 7042)
                "bytes": violation.bytes_up,
            },
            "destination": {
                "address": name or server,
                "domain": name,
                "ip": server,
                "port": proof.server_port if proof else None,
                "bytes": violation.bytes_down,
            },
            "network": {
                "name": violation.network,
                "application": violation.apps[0][0] if len(violation.apps) == 1 else "",
                "transport": proof.proto if proof and proof.proto in {"tcp", "udp", "icmp"} else "",
                "bytes": violation.bytes_up + violation.bytes_down,
                "packets": violation.packets,
                "community_id": community_id(proof) if proof else "",
            },
            "related": {
                "ip": sorted({one for one in (*violation.device.addresses, device_address, server) if one}),
                "hosts": sorted({one for one in (violation.device.label, name) if one}),
            },
            "tags": ["wardwatch", f"severity-{violation.severity.label}"],
            "wardwatch": {
                "occasion": violation.occasion.value,
                "device": {"label": violation.device.label, "id": violation.device.id},
                "app": {"id": [id_ for id_, _ in violation.apps], "name": [name for _, name in violation.apps]},
                "activity": violation.activity.label,
                "strength": violation.strength.label,
                "severity": violation.severity.label,
                "flows": violation.flows,
                "closed": violation.closed,
                "names": list(violation.names),
                "notes": list(violation.notes),
                "signatures_hash": violation.signatures_hash,
                "evidence_total": violation.proofs_total,
                "evidence": [
                    {"kind": one.kind, "value": one.value, "rule": one.rule, "frame": one.frame, "file": one.file,
                     "time": rfc3339(one.time_ns), "packet_id": one.packet_id}
                    for one in violation.proofs
                ],
            },
        }
    )  # fmt: skip
