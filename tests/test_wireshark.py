"""The display filters for names show, in the real tshark, the frames that the names were read from, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sensor import setup
from sensor.model import Evidence, FlowKey, RuleMatch, Strength
from sensor.wireshark import evidence_filter
from tests import captures, made
from tests.commands.running import tshark

if TYPE_CHECKING:
    from pathlib import Path

RULE = RuleMatch("app", "app/rule", Strength.CONCLUSIVE)
FIRST = 12  # names of a capture that are asked about


def names(capture: Path, kind: str) -> list[Evidence]:
    """What the sensor read there, as evidence."""
    seen = made.read(setup.read(None), [capture], flows=True)
    found = [
        Evidence(kind, one["name"], capture.name, one["frame"], 0, FlowKey(**line["flow"]), RULE)
        for line in seen.flows
        for one in line["names"]
        if one["source"] == kind
    ]
    return sorted(found, key=lambda one: one.frame)[:FIRST]


@pytest.mark.tshark
@pytest.mark.captures
@pytest.mark.parametrize(
    "name",
    [
        "ndpi__quic.pcap",  # Q024, Q025
        "ndpi__youtube_quic.pcap",  # Q035
        "ndpi__quic_q46.pcap",
        "ndpi__quic046.pcap",
        "suricata__quic-cyu.pcap",  # Q046
        "ndpi__quic_q50.pcap",
        "ndpi__quic_t51.pcap",
        "ndpi__quic-v2.pcapng",
        "suricata__ja4-quic.pcap",
    ],
)
def test_names_of_quic_of_any_make(name: str) -> None:
    capture = captures.capture(name)
    found = names(capture, "quic_sni")
    assert found
    frames = sorted({one.frame for one in found})
    assert shown(capture, found) == frames
    assert shown(capture, [replace(one, value=f"not-{one.value}") for one in found]) == []
    # Bytes that are no text are written otherwise by Wireshark: that there is a name must do.
    assert shown(capture, [replace(one, value=r"\xff.example") for one in found]) == frames


def shown(capture: Path, found: list[Evidence]) -> list[int]:
    return tshark(capture, " || ".join(f"({evidence_filter(one)})" for one in found))
