"""Two candidates stay two only while nothing tells them apart."""

from __future__ import annotations

import pytest

from sensor.classify.candidates import AMBIGUOUS_NS, candidates, decisive
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


def at(kind: str, time_ns: int, strength: Strength, app: str = "whatsapp") -> Evidence:
    return Evidence(kind, app, "x.pcap", 1, time_ns, KEY, RuleMatch(app, f"{app}/x", strength))


def test_the_strongest_decides() -> None:
    weak, strong = at("stun", 0, Strength.SUPPORTING), at("stun", 0, Strength.STRONG)
    assert decisive([weak, strong]) == [strong]
    assert decisive([]) == []


def test_a_later_name_replaces_an_earlier_one_and_a_shape_stays() -> None:
    early, late = (at("dns_answer", time_ns, Strength.STRONG) for time_ns in (0, AMBIGUOUS_NS + 1))
    assert decisive([early, late]) == [late]
    assert decisive([early, at("dns_answer", AMBIGUOUS_NS, Strength.STRONG)])[0] == early
    shape = at("stun", 0, Strength.STRONG)
    assert decisive([shape, late]) == [shape, late]
