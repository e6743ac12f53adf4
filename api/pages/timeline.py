"""A day's violations along its hours, a lane for each network, with the hours in which it could not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.pages.words import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.pages.visibility import Stretch
    from sensor.services.records import Violation

WIDTH: Final = 1440  # units: minutes of a day that has 24 hours
LEAST: Final = 5  # units, so that a call of seconds is seen
STEP: Final = 6  # units of height for each level of severity
MOST: Final = 500  # violations that are drawn


@dataclass(frozen=True, slots=True)
class Mark:
    """One violation, or one stretch that could not be seen (`level` empty)."""

    x: float
    width: float
    height: int
    level: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    network: str
    marks: tuple[Mark, ...]
    blind: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """`busiest_ns`: the hour in which most began, and how many those are."""

    lanes: tuple[Lane, ...]
    busiest_ns: int
    busiest: int


HOUR_NS: Final = 3_600_000_000_000


def timeline(rows: Sequence[Violation], stretches: Sequence[Stretch], span_ns: tuple[int, int]) -> Timeline | None:
    """Of rows that began within the span; None where there is none."""
    if not rows:
        return None
    begin_ns, end_ns = span_ns
    scale = WIDTH / (end_ns - begin_ns)

    def mark(start_ns: int, stop_ns: int, height: int, level: str = "") -> Mark:
        left = max(start_ns, begin_ns) - begin_ns
        width = max(LEAST, (min(stop_ns, end_ns) - begin_ns - left) * scale)
        return Mark(round(min(left * scale, WIDTH - LEAST), 1), round(width, 1), height, level)

    lanes = []
    for network in sorted({row.network for row in rows} | {one.network for one in stretches}):
        here = sorted((row for row in rows if row.network == network), key=lambda row: LEVELS.index(row.severity))
        marks = tuple(
            mark(row.start_ns, row.end_ns, STEP * (1 + LEVELS.index(row.severity)), row.severity) for row in here
        )
        blind = tuple(mark(one.begin_ns, one.end_ns, STEP * len(LEVELS)) for one in stretches if one.network == network)
        lanes.append(Lane(network, marks, blind))
    hours: dict[int, int] = {}
    for row in rows:
        hour = (row.start_ns - begin_ns) // HOUR_NS
        hours[hour] = hours.get(hour, 0) + 1
    busiest = max(hours, key=lambda hour: (hours[hour], -hour))
    return Timeline(tuple(lanes), begin_ns + busiest * HOUR_NS, hours[busiest])
