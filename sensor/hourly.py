"""What a line that runs for long need not keep: observations and sums of hours are told soon after the hour, and forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sensor.kernel import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from sensor.statement import NetworkHour, Statement
    from sensor.stating import Counter

AFTER_NS: Final = (
    300 * layout.NS
)  # so long after its end an hour is told; what ends later is told as a further part of it
KEPT_HOURS: Final = 24  # rows of the loop's own sums, from twice as many on

Rows = tuple[tuple[int, int, int], ...]  # (when the hour began in ns, frames, lost frames)


def counted(hours: NDArray[np.void], kept: int | None = None) -> Rows:
    """Rows of `hours` (layout.HOUR) that count something. With `kept`, of more than twice as many the latest stay for later calls."""
    rows = hours[hours["frames"] > 0]
    if kept is not None and len(rows) > 2 * kept:
        hours[:] = 0
        hours[:kept] = np.sort(rows, order="hour")[-kept:]
    return tuple(rows.tolist())


class Hourly:
    """Goes by packet time. `forget` is told the time before which hours are over, `on_hours` what was counted of them."""

    def __init__(
        self,
        counter: Counter,
        forget: Callable[[int], None],
        on_hours: Callable[[tuple[NetworkHour, ...]], None] | None,
    ) -> None:
        """Without `on_hours` everything is kept to the end."""
        self._counter = counter
        self._forget = forget
        self._on_hours = on_hours
        self._rows: dict[int, tuple[int, int]] = {}
        self._told: dict[int, tuple[int, int]] = {}
        self._hour = 0

    def account(self, rows: Rows) -> None:
        """What the loop has counted by hour so far; hours that are long over may be missing."""
        self._rows = {begin: (frames, lost) for begin, frames, lost in rows}
        self._told = {begin: counted for begin, counted in self._told.items() if begin in self._rows}

    def change(self, counter: Counter) -> None:
        """Other networks hold from now on: what was counted so far is told."""
        found = self._counter.take(self._hour + 1, self._news((self._hour + 1) * layout.HOUR_NS))
        if found and self._on_hours is not None:
            self._on_hours(found)
        self._counter = counter

    def passed(self, time_ns: int) -> None:
        """Packet time has come this far, or gone back to there."""
        hour = (time_ns - AFTER_NS) // layout.HOUR_NS
        if self._on_hours is None or hour == self._hour:
            return
        over, self._hour = hour > self._hour > 0, hour
        if over:
            self._forget(hour * layout.HOUR_NS)
            found = self._counter.take(hour, self._news(hour * layout.HOUR_NS))
            if found:
                self._on_hours(found)

    def finish(self, rows: Rows) -> Statement:
        """The statement of everything; its hours are those that were not told yet."""
        self.account(rows)
        return self._counter.finish(self._news(1 << 63))

    def _news(self, before_ns: int) -> Iterable[tuple[int, int, int]]:
        """Rows of hours before that, without what was told of them."""
        found = []
        for begin, (frames, lost) in self._rows.items():
            if begin < before_ns:
                told = self._told.get(begin, (0, 0))
                found.append((begin, frames - told[0], lost - told[1]))
                self._told[begin] = frames, lost
        return found
