"""When frames were lost, and which episodes that bears upon."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Episode

PARTIAL = "partial view: frames were lost"
NEAR_NS = 60_000_000_000
MAX_LOSSES = 4096


class Losses:
    """When frames were lost: intervals of time, the latest."""

    def __init__(self) -> None:
        self._intervals: deque[tuple[int, int]] = deque(maxlen=MAX_LOSSES)
        self._last_ns, self._lost = 0, 0

    def note(self, time_ns: int, lost: int) -> None:
        """So many had been lost since the start at this time."""
        if lost > self._lost:
            begin_ns = self._last_ns
            if self._intervals and self._intervals[-1][1] == begin_ns:
                begin_ns = self._intervals.pop()[0]
            self._intervals.append((begin_ns, time_ns))
        self._last_ns, self._lost = time_ns, lost

    def marked(self, episode: Episode) -> Episode:
        """With a note where frames were lost while it lasted, or just before or after: they may have been of it."""
        begin_ns, end_ns = episode.start_ns - NEAR_NS, episode.end_ns + NEAR_NS
        if any(begin <= end_ns and begin_ns <= end for begin, end in self._intervals):
            return replace(episode, notes=tuple(sorted({*episode.notes, PARTIAL})))
        return episode
