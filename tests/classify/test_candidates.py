"""Two candidates stay two only while nothing tells them apart."""

from __future__ import annotations

import pytest

from sensor.classify.candidates import candidates
from sensor.model import Evidence, FlowKey, RuleMatch, Strength

KEY = FlowKey("udp", "192.0.2.1", 50000, "198.51.100.7", 3478)


def said(frame: int, *apps: str, context: bool = False) -> list[Evidence]:
    """One packet that fits a rule of each of these apps."""
    return [
        Evidence(
            "stun",
            "method 3",
            "x.pcap",
            frame,
            frame,
            KEY,
            RuleMatch(app, f"{app}/relay", Strength.STRONG, context=context),
        )
        for app in apps
    ]


SHARED = said(1, "whatsapp", "messenger")


@pytest.mark.parametrize(
    ("evidence", "left"),
    [
        ([], ()),
        (SHARED, ("whatsapp", "messenger")),
        (SHARED + said(2, "whatsapp"), ("whatsapp",)),
        (said(2, "messenger") + SHARED, ("messenger",)),
        (SHARED + said(2, "messenger", "whatsapp"), ("whatsapp", "messenger")),
        (said(1, "whatsapp") + said(2, "zoom"), ("whatsapp", "zoom")),  # they contradict each other
        (SHARED + said(2, "whatsapp") + said(3, "messenger"), ("whatsapp", "messenger")),
        (said(1, "facebook", context=True), ()),
        (SHARED + said(2, "facebook", context=True) + said(3, "messenger"), ("messenger",)),
    ],
)
def test_what_is_left(evidence: list[Evidence], left: tuple[str, ...]) -> None:
    assert candidates(evidence) == left
