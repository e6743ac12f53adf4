"""Address ranges of signatures as the compiled loop asks for them: sorted, without overlaps, each with a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sensor.classify.rules import Ports, Range
from sensor.errors import SignatureError
from sensor.kernel.first import MAX_RULES
from sensor.kernel.places import MAX_PLACES
from sensor.kernel.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from sensor.classify.rules import Rule
    from sensor.classify.signatures import SignatureSet
    from sensor.classify.visibility import VisibilitySet
    from sensor.kernel.places import Places

T = TypeVar("T")
EVERYWHERE = (Range(0, 0),)


def stun_places(signatures: SignatureSet) -> Places:
    """Where STUN rules hold that do not hold everywhere, as the compiled loop asks. Raises SignatureError."""
    return _places(
        [(ranges, tuple(one for one in ports if one.proto == "udp")) for ranges, ports in signatures.stun_places()]
    )


def beginning_places(rules: list[Rule], visibility: VisibilitySet | None) -> tuple[Places, NDArray[np.int64]]:
    """Where each rule for first bytes holds, as `kernel.first.beginning_text` asks. Raises SignatureError."""
    groups: dict[tuple[tuple[Range, ...], tuple[Ports, ...]], int] = {}
    needs = np.zeros((MAX_RULES, 2), np.int64)

    def place(ranges: tuple[Range, ...], ports: tuple[Ports, ...]) -> int:
        return 1 << groups.setdefault((ranges or EVERYWHERE, ports), len(groups))

    for number, rule in enumerate(rules[:MAX_RULES]):
        first = rule.first_bytes
        proto = first.proto if first else ""
        ports = tuple(one for one in rule.ports if one.proto == proto)
        if rule.ports and not ports:
            needs[number, 0] = place((), (Ports(proto, 1, 0),))  # of the other protocol alone: it holds nowhere
        elif rule.ranges or ports:
            needs[number, 0] = place(rule.ranges, ports)
        outside = visibility.outside(rule.match.rule) if visibility is not None and rule.outside else ()
        if outside:
            needs[number, 1] = place(outside, ())
    return _places(list(groups)), needs


def _places(asked: list[tuple[tuple[Range, ...], tuple[Ports, ...]]]) -> Places:
    """Groups of ranges and ports, by number, as the loop asks; none is any. Raises SignatureError."""
    if len(asked) > MAX_PLACES:
        raise SignatureError(
            f"rules for STUN or first bytes with {len(asked)} different ranges and ports; at most {MAX_PLACES}"
        )
    spans = [
        (one.low.to_bytes(16, "big"), one.high.to_bytes(16, "big"), place)
        for place, (ranges, _) in enumerate(asked)
        for one in ranges
    ]
    ports = [
        (place, one.low, one.high)
        for place, (_, given) in enumerate(asked)
        for one in given or (Ports("udp", 0, 65535),)
    ]
    bits = Ranges.of(disjoint(spans, lambda places: sum(1 << place for place in places)))
    return bits.columns(), np.array(ports, np.int64).reshape(-1, 3)


def disjoint(
    ranges: Iterable[tuple[bytes, bytes, T]], number: Callable[[tuple[T, ...]], int]
) -> list[tuple[bytes, bytes, int]]:
    """Overlapping ranges -> disjoint ones, each with the number of all that hold in it."""
    edges: list[tuple[int, int, T]] = []
    for low, high, match in ranges:
        edges.append((int.from_bytes(low, "big"), 1, match))
        edges.append((int.from_bytes(high, "big") + 1, 0, match))
    edges.sort(key=lambda edge: edge[:2])
    found: list[tuple[bytes, bytes, int]] = []
    active: list[T] = []
    start = 0
    for at, opens, match in edges:
        if active and at > start:
            matches = tuple(dict.fromkeys(active))
            found.append((start.to_bytes(16, "big"), (at - 1).to_bytes(16, "big"), number(matches)))
        start = at
        if opens:
            active.append(match)
        else:
            active.remove(match)
    return found
