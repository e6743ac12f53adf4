"""Episodes for the store's tests: small, whole, and cut into slices as a replay of part of a capture would."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sensor.model import (
    Activity,
    Device,
    Episode,
    Evidence,
    FlowKey,
    Outcome,
    RuleMatch,
    Severity,
    Strength,
    Verdict,
)
from sensor.store import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable

POLICIES = ("policy-one", "policy-two")
SIGNATURES = ("signatures-one", "signatures-two")
KNOWN = Snapshots(policies=dict.fromkeys(POLICIES, "{}"), signatures=dict.fromkeys(SIGNATURES, "{}"))


def evidence(packet: int, app: str = "whatsapp", *, file: str = "a.pcap", value: str = "g.whatsapp.net") -> Evidence:
    """Evidence of one packet; `packet` is its time and its identity."""
    flow = FlowKey("tcp", "10.0.0.1", 40000, "203.0.113.9", 443)
    match = RuleMatch(app, f"{app}/name", Strength.CONCLUSIVE, "chat", Activity.MESSAGING)
    return Evidence("tls_sni", value, file, packet + 1, packet, flow, match, f"{packet:016x}")


def episode(
    packets: Iterable[int] = range(10, 20),
    *,
    id_: str | None = None,
    device: str = "mac:02:00:00:00:00:01",
    app: str | None = "whatsapp",
    candidates: tuple[str, ...] = (),
    network: str = "Ward 3",
    policy: str = POLICIES[0],
    signatures: str = SIGNATURES[0],
    outcome: Outcome = Outcome.VIOLATION,
    activity: Activity = Activity.MESSAGING,
    keep: int | None = None,
    file: str = "a.pcap",
    **more: object,
) -> Episode:
    """An episode whose evidence is these packets, of which the first `keep` are kept."""
    times = sorted(packets)
    kept = times if keep is None else times[:keep]
    values: dict[str, object] = {
        "id": id_ or hashlib.sha256(repr((device, app, candidates, times[0])).encode()).hexdigest()[:16],
        "device": Device(device, device.removeprefix("mac:"), "10.0.0.1", ("10.0.0.1",)),
        "network": network,
        "app": app,
        "candidates": candidates,
        "services": ("chat",),
        "activity": activity,
        "strength": Strength.CONCLUSIVE,
        "start_ns": times[0],
        "end_ns": times[-1],
        "bytes_up": 100 * len(times),
        "bytes_down": 200 * len(times),
        "packets": 3 * len(times),
        "flows": 1,
        "evidence": tuple(evidence(packet, app or "candidate", file=file) for packet in kept),
        "evidence_total": len(times),
        "names": ("g.whatsapp.net",),
        "verdict": Verdict(
            outcome, "policy.disallowed", "WhatsApp is not allowed.", policy, Severity.MEDIUM, "disallowed"
        ),
        "signatures_hash": signatures,
        "signature_version": "1",
    }
    return Episode(**(values | more))  # type: ignore[arg-type]  # the values are checked by name in the tests
