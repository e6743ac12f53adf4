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


@dataclass(frozen=True, slots=True)
class Account:
    """What became of all frames of a live source up to one moment: those it handed on are the exact sum of `counters`."""

    source: SourceState
    counters: dict[str, int]
    hours: Rows = ()  # the latest
