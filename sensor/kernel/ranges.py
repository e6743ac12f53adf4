"""Address ranges as the compiled functions look them up; see `lookup`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranges:
    """Address ranges, sorted, not overlapping; `number` is what a hit inside one reports."""

    low_high: NDArray[np.int64]
    low_low: NDArray[np.int64]
    high_high: NDArray[np.int64]
    high_low: NDArray[np.int64]
    number: NDArray[np.int64]

    @classmethod
    def of(cls, ranges: list[tuple[bytes, bytes, int]]) -> Ranges:
        """From (lowest address, highest address, number), 16 bytes each, sorted and not overlapping."""
        halves = np.zeros((4, len(ranges)), np.int64)
        for i, (low, high, _) in enumerate(ranges):
            halves[:, i] = [int.from_bytes(part, "big", signed=True) for part in (low[:8], low[8:], high[:8], high[8:])]
        numbers = np.array([number for _, _, number in ranges], np.int64)
        return cls(halves[0], halves[1], halves[2], halves[3], numbers)

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        return (self.low_high, self.low_low, self.high_high, self.high_low, self.number)
