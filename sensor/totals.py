"""What the line has to say of itself: at its end, and of a live source now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.hourly import Rows
    from sensor.model import SourceState
    from sensor.statement import Statement


@dataclass(slots=True)
class Totals:
    """What passed, by class and reason: `frames` is the exact sum of `counters`."""

    frames: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    notices: dict[str, int] = field(default_factory=dict)
    decoders: dict[str, int] = field(default_factory=dict)
    flows: int = 0
    flows_named: int = 0
    flows_named_by_dns: int = 0
    excluded_flows: dict[str, int] = field(default_factory=dict)
    unmonitored_flows: int = 0
    statement: Statement | None = None  # once everything has been read

    def add(self, other: Totals) -> None:
        """What passed in captures that were read elsewhere; the statement is left to who has counted both."""
        self.frames += other.frames
        self.flows += other.flows
        self.flows_named += other.flows_named
        self.flows_named_by_dns += other.flows_named_by_dns
        self.unmonitored_flows += other.unmonitored_flows
        for mine, theirs in (
            (self.counters, other.counters),
            (self.notices, other.notices),
            (self.decoders, other.decoders),
            (self.excluded_flows, other.excluded_flows),
        ):
            for what, count in theirs.items():
                mine[what] = mine.get(what, 0) + count


@dataclass(frozen=True, slots=True)
class Account:
    """What became of all frames of a live source up to one moment: those it handed on are the exact sum of `counters`."""

    source: SourceState
    counters: dict[str, int]
    hours: Rows = ()  # the latest
    notices: dict[str, int] = field(default_factory=dict)
    flows: int = 0  # in the flow table
    flow_rows: int = 0  # that it has room for
