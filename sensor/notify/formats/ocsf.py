"""OCSF Detection Finding, class 2004 (schema.ocsf.io), version 1.5.0. Times are milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sensor.model import Strength
from sensor.notify.formats.flow import NAME_KINDS, community_id, sentence, without_empty
from sensor.notify.model import Occasion
from sensor.wording import ACTIVITIES

if TYPE_CHECKING:
    from sensor.notify.model import Proof, Violation

OCSF_VERSION: Final = "1.5.0"
CLASS: Final = 2004
CREATE, UPDATE, CLOSE = 1, 2, 3
ACTIVITY_NAMES: Final = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
ACTIVITIES_OF: Final = {Occasion.RAISED: UPDATE, Occasion.WITHDRAWN: CLOSE}
SEVERITIES: Final = ("Unknown", "Informational", "Low", "Medium", "High")  # 1 to 4 are ours as well
CONFIDENCES: Final = {Strength.SUPPORTING: (1, "Low"), Strength.STRONG: (2, "Medium"), Strength.CONCLUSIVE: (3, "High")}
RULE: Final = 1  # type of an analytic
PROTOCOLS: Final = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58}
HOSTNAME, IP_ADDRESS, MAC_ADDRESS = 1, 2, 3  # types of observables
MS: Final = 1_000_000


def record(violation: Violation) -> dict[str, Any]:
    """One finding; attributes that are not known are left out."""
    activity = ACTIVITIES_OF.get(violation.occasion, CREATE)
    confidence_id, confidence = CONFIDENCES[violation.strength]
    start_ms, end_ms = violation.start_ns // MS, violation.end_ns // MS
    title = f"{ACTIVITIES[violation.activity].capitalize()} over {violation.app_name}"
    return without_empty(
        {
            "category_uid": 2,
            "category_name": "Findings",
            "class_uid": CLASS,
            "class_name": "Detection Finding",
            "activity_id": activity,
            "activity_name": ACTIVITY_NAMES[activity],
            "type_uid": CLASS * 100 + activity,
            "type_name": f"Detection Finding: {ACTIVITY_NAMES[activity]}",
            "time": start_ms,
            "start_time": start_ms,
            "end_time": end_ms,
            "duration": max(0, end_ms - start_ms),
            "count": 1,
            "severity_id": int(violation.severity),
            "severity": SEVERITIES[violation.severity],
            "confidence_id": confidence_id,
            "confidence": confidence,
            "status_id": 4 if activity == CLOSE else 1,
            "status": "Resolved" if activity == CLOSE else "New",
            "message": sentence(violation),
            "metadata": {
                "version": OCSF_VERSION,
                "uid": f"{violation.id}-{violation.sequence}",
                "correlation_uid": violation.id,
                "event_code": violation.kind,
                "sequence": violation.sequence,
                "labels": [f"site:{violation.site}"] if violation.site else [],
                "product": {
                    "name": "wardwatch",
                    "vendor_name": "wardwatch",
                    "version": violation.version,
                    "lang": "en",
                },
            },
            "finding_info": {
                "uid": violation.id,
                "title": title,
                "desc": violation.reason,
                "types": ["Policy Violation"],
                "created_time": violation.recorded_ns // MS,
                "first_seen_time": start_ms,
                "last_seen_time": end_ms,
                "data_sources": ["network traffic"],
                "analytic": {
                    "name": violation.rule,
                    "uid": violation.rule,
                    "type": "Rule",
                    "type_id": RULE,
                    "category": violation.kind,
                    "version": violation.policy_hash,
                },
            },
            "resources": [
                without_empty(
                    {
                        "uid": violation.device.id,
                        "name": violation.device.label,
                        "type": "Device",
                        "labels": list(violation.device.addresses),
                        "data": {"network": violation.network},
                    }
                )
            ],
            "evidences": [_evidence(proof) for proof in violation.proofs],
            "observables": _observables(violation),
            "unmapped": {
                "apps": [{"id": id_, "name": name} for id_, name in violation.apps],
                "activity": violation.activity.label,
                "strength": violation.strength.label,
                "bytes_up": violation.bytes_up,
                "bytes_down": violation.bytes_down,
                "packets": violation.packets,
                "flows": violation.flows,
                "closed": violation.closed,
                "names": list(violation.names),
                "notes": list(violation.notes),
                "signatures_hash": violation.signatures_hash,
                "signature_version": violation.signature_version,
                "evidence_total": violation.proofs_total,
            },
        }
    )


def _evidence(proof: Proof) -> dict[str, object]:
    """An evidence artifact: the ends of the flow, and what was seen in it."""
    return without_empty(
        {
            "name": proof.kind,
            "src_endpoint": {"ip": proof.device_address, "port": proof.device_port if proof.device_address else None},
            "dst_endpoint": {
                "ip": proof.server_address,
                "port": proof.server_port,
                "hostname": proof.value if proof.kind in NAME_KINDS else "",
            },
            "connection_info": {
                "protocol_name": proof.proto,
                "protocol_num": PROTOCOLS.get(proof.proto),
                "direction_id": 2,
                "direction": "Outbound",
                "community_uid": community_id(proof),
            },
            "data": {
                "value": proof.value,
                "detail": proof.detail,
                "rule": proof.rule,
                "strength": proof.strength.label,
                "file": proof.file,
                "frame": proof.frame,
                "time_ms": proof.time_ns // MS,
                "packet_id": proof.packet_id,
            },
        }
    )


def _observables(violation: Violation) -> list[dict[str, object]]:
    device = violation.device
    named = [
        ("resources.name", "Hostname", HOSTNAME, device.label),
        *(("resources.labels", "IP Address", IP_ADDRESS, address) for address in device.addresses),
        ("resources.uid", "MAC Address", MAC_ADDRESS, device.mac),
        *(("unmapped.names", "Hostname", HOSTNAME, name) for name in violation.names),
    ]
    return [
        {"name": name, "type": kind, "type_id": number, "value": value} for name, kind, number, value in named if value
    ]
