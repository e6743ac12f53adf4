"""Memory for what a batch gives, and what that is: the same in one process and across two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CACHE_LINE_BYTES = 64


def aligned(rows: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Zeroed rows that begin at a cache line; memory is taken as it is touched."""
    raw = np.zeros(rows * dtype.itemsize + CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE_BYTES
    return raw[start : start + rows * dtype.itemsize].view(dtype)


class Room:
    """Memory for what a batch gives: a piece of shared memory, or where it is too small, or None, the heap."""

    def __init__(self, memory: NDArray[np.uint8] | None = None) -> None:
        self._memory = memory
        self._used = 0

    def take(self, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Room for `count` rows, at the beginning of a cache line; what they hold is not defined."""
        size = count * dtype.itemsize
        start = self._used
        if self._memory is None or start + size > len(self._memory):
            return np.empty(count, dtype)
        self._used = start + size + (-size % CACHE_LINE_BYTES)
        return self._memory[start : start + size].view(dtype)


HEAP = Room()


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one batch gave: (clues, payload bytes they point into) in order; slots and rows of flows that ended."""

    parts: list[tuple[NDArray[np.void], NDArray[np.uint8]]]
    ended: tuple[NDArray[np.int32], NDArray[np.void]]
    frames: int
    last_ns: int
    ticks: NDArray[np.void]  # windows that are over, in order; each after the packets that it counts
    account: Any = None  # of a live source, now and then: what became of all frames up to here
