"""One violation with something in every field, and others near it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensor.classify.devices import RANDOM_MAC
from sensor.model import Activity, Device, Episode, Evidence, FlowKey, Outcome, RuleMatch, Severity, Strength, Verdict
from sensor.notify.model import Occasion, Violation
from sensor.notify.shown import violation
from sensor.settings_notify import ShownAs

if TYPE_CHECKING:
    from sensor.notify.model import Proof

START_NS = 1_772_438_400_123_456_789  # 2026-03-02 08:00:00 UTC
NS = 1_000_000_000
PHONE, MAC, SERVER = "10.20.3.14", "02:00:5e:00:53:10", "203.0.113.9"
NAMES = {"whatsapp": "WhatsApp", "messenger": "Messenger", "zoom": "Zoom"}


def evidence() -> tuple[Evidence, ...]:
    match = RuleMatch("whatsapp", "whatsapp/chat-name", Strength.CONCLUSIVE, "chat", Activity.MESSAGING)
    relay = RuleMatch("whatsapp", "whatsapp/relay", Strength.STRONG, "call", Activity.VIDEO_CALL)
    flow = FlowKey("tcp", PHONE, 40_000, SERVER, 443)
    call = FlowKey("udp", "203.0.113.77", 3478, PHONE, 50_001)  # opened from outside, as far as could be told
    return (
        Evidence("tls_sni", "g.whatsapp.net", "ward.pcap", 17, START_NS, flow, match, "00000000000000aa", "TLS 1.3"),
        Evidence("tied", f"{PHONE}:50001", "ward.pcap", 99, START_NS + NS, call, relay, "00000000000000bb"),
    )


def episode(**more: Any) -> Episode:
    values: dict[str, Any] = {
        "id": "5f0c9d2b7a31e846",
        "device": Device(f"mac:{MAC}", MAC, PHONE, (PHONE, "2001:db8:20::14"), (RANDOM_MAC,)),
        "network": "Wards",
        "app": "whatsapp",
        "candidates": ("whatsapp",),
        "services": ("call", "chat"),
        "activity": Activity.VIDEO_CALL,
        "strength": Strength.CONCLUSIVE,
        "start_ns": START_NS,
        "end_ns": START_NS + 860 * NS,
        "bytes_up": 41_000_000,
        "bytes_down": 55_000_000,
        "packets": 120_345,
        "flows": 4,
        "evidence": evidence(),
        "evidence_total": 12,
        "names": ("g.whatsapp.net", "mmg.whatsapp.net"),
        "verdict": Verdict(
            Outcome.VIOLATION,
            "policy.disallowed",
            "WhatsApp is on the list of disallowed apps.",
            "a" * 64,
            Severity.HIGH,
            "disallowed",
        ),
        "signatures_hash": "b" * 64,
        "signature_version": "2026-02-01",
        "notes": ("partial view: frames were lost",),
    }
    return Episode(**(values | more))


def told(shown_as: ShownAs = ShownAs.ID, **more: Any) -> Violation:
    """The violation of `episode`, with other values in `more`."""
    made = violation(
        episode(),
        sequence=7,
        recorded_ns=START_NS + 870 * NS,
        occasion=Occasion.NEW,
        label="Telemedicine cart, Ward 3",
        names=NAMES,
        site="Clínica del Mar",
        version="0.1.0",
        devices=shown_as,
    )
    return replace(made, **more)


def proof(**more: Any) -> Proof:
    return replace(told().proofs[0], **more)


HOSTILE = 'a|b\\c=d"e]f\r\nCEF:0|x|y|z|1|n|9|src=1.2.3.4\x00\x1b[31m\u2028ü <b>&amp;'


def hostile() -> Violation:
    """What a device on the network may name itself, its servers and its apps, everywhere."""
    made = told()
    return replace(
        made,
        site=HOSTILE,
        device=replace(made.device, label=HOSTILE),
        network=HOSTILE,
        apps=((HOSTILE, HOSTILE),),
        reason=HOSTILE,
        rule=HOSTILE,
        kind=HOSTILE,
        names=(HOSTILE,),
        notes=(HOSTILE,),
        proofs=(replace(made.proofs[0], value=HOSTILE, detail=HOSTILE, rule=HOSTILE, file=HOSTILE),),
    )
