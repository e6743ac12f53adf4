"""Address ranges of signatures as the compiled loop asks for them: sorted, without overlaps, each with a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sensor.classify.rules import Ports
from sensor.errors import SignatureError
from sensor.kernel.places import MAX_PLACES
from sensor.kernel.state import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sensor.classify.signatures import SignatureSet
    from sensor.kernel.places import Places

T = TypeVar("T")


def stun_places(signatures: SignatureSet) -> Places:
    """Where STUN rules hold that do not hold everywhere, as the compiled loop asks. Raises SignatureError."""
    asked = signatures.stun_places()
    if len(asked) > MAX_PLACES:
        raise SignatureError(f"STUN rules with {len(asked)} different ranges and ports; at most {MAX_PLACES}")
    spans = [
        (one.low.to_bytes(16, "big"), one.high.to_bytes(16, "big"), place)
        for place, (ranges, _) in enumerate(asked)
        for one in ranges
    ]
    ports = [
        (place, one.low, one.high)
        for place, (_, given) in enumerate(asked)
        for one in given or (Ports("udp", 0, 65535),)
        if one.proto == "udp"
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
