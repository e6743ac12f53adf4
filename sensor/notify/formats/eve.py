"""Suricata's EVE JSON, an `alert` (docs.suricata.io, output/eve). What it has no field for is in `alert.metadata`."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from sensor.model import Severity
from sensor.notify.formats.flow import community_id, first_flow, without_empty
from sensor.notify.model import Occasion
from sensor.wording import ACTIVITIES, NS, rfc3339

if TYPE_CHECKING:
    from sensor.notify.model import Proof, Violation

SEVERITIES: Final = {Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3, Severity.INFORMATION: 4}  # 1 is the gravest
FIRST_SID, SIDS = 1_000_000, 1_000_000  # the range that Suricata leaves for local rules
FLOW_ID_BITS: Final = 53  # what a reader in JavaScript holds exactly


def record(violation: Violation) -> dict[str, Any]:
    """One event; fields that are not known are left out."""
    proof = first_flow(violation)
    device_address = (proof.device_address if proof else "") or next(iter(violation.device.addresses), "")
    return without_empty(
        {
            "timestamp": _time(violation.start_ns),
            "flow_id": _flow_id(violation.id),
            "event_type": "alert",
            "src_ip": device_address,
            "src_port": proof.device_port if proof and proof.device_address else None,
            "dest_ip": proof.server_address if proof else "",
            "dest_port": proof.server_port if proof else None,
            "proto": proof.proto.upper() if proof else "",
            "community_id": community_id(proof) if proof else "",
            "pkt_src": "wire/pcap",
            "alert": {
                "action": "allowed",
                "gid": 1,
                "signature_id": signature_id(violation),
                "rev": 1,
                "signature": f"wardwatch: {_withdrawn(violation)}{ACTIVITIES[violation.activity]} over {violation.app_name}",
                "category": "Potential Corporate Privacy Violation",  # Suricata's class policy-violation
                "severity": SEVERITIES[violation.severity],
                "metadata": _metadata(violation),
            },
            "flow": {
                "bytes_toserver": violation.bytes_up,
                "bytes_toclient": violation.bytes_down,
                "start": _time(violation.start_ns),
            },
            **_protocol(proof),
        }
    )


def _withdrawn(violation: Violation) -> str:
    return "withdrawn: " if violation.occasion is Occasion.WITHDRAWN else ""


def signature_id(violation: Violation) -> int:
    """A number for app and activity, always the same one; two may fall on one number, so rely on `metadata`."""
    key = f"{violation.app}/{violation.activity.label}".encode("utf-8", "backslashreplace")
    return FIRST_SID + zlib.crc32(key) % SIDS


def _flow_id(id_: str) -> int:
    """One number for one episode."""
    try:
        return int(id_[:16], 16) & ((1 << FLOW_ID_BITS) - 1)
    except ValueError:
        return zlib.crc32(id_.encode("utf-8", "backslashreplace"))


def _time(time_ns: int) -> str:
    """EVE's form: microseconds and an offset without a colon."""
    seconds = rfc3339(time_ns // NS * NS)[:19]
    return f"{seconds}.{time_ns % NS // 1000:06d}+0000"


def _metadata(violation: Violation) -> dict[str, list[str]]:
    """Lists of texts, as Suricata has them."""
    found = {
        "episode": [violation.id],
        "revision": [str(violation.sequence)],
        "occasion": [violation.occasion.value],
        "device": [violation.device.label],
        "device_id": [violation.device.id],
        "network": [violation.network],
        "site": [violation.site],
        "app": [id_ for id_, _ in violation.apps],
        "activity": [violation.activity.label],
        "strength": [violation.strength.label],
        "severity": [violation.severity.label],
        "policy_rule": [violation.rule],
        "policy_hash": [violation.policy_hash],
        "reason": [violation.reason],
        "end": [_time(violation.end_ns)],
        "packets": [str(violation.packets)],
        "flows": [str(violation.flows)],
        "names": list(violation.names),
        "notes": list(violation.notes),
    }
    return {key: kept for key, values in found.items() if (kept := [value for value in values if value])}


def _protocol(proof: Proof | None) -> dict[str, object]:
    """The name under the key that Suricata has for its protocol."""
    if proof is None:
        return {}
    found: dict[str, dict[str, object]] = {
        "tls_sni": {"app_proto": "tls", "tls": {"sni": proof.value}},
        "quic_sni": {"app_proto": "quic", "quic": {"sni": proof.value}},
        "http_host": {"app_proto": "http", "http": {"hostname": proof.value}},
        "tls_cert": {"app_proto": "tls", "tls": {"subject": proof.value}},
    }
    return found.get(proof.kind, {})
