"""Which range holds each of many addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.join import range_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def numbers_of(
    highs: NDArray[np.int64], lows: NDArray[np.int64], ranges: tuple[NDArray[np.int64], ...]
) -> NDArray[np.int64]:
    """For each address the number of the range that holds it, -1 where none does. `ranges`: as for `join`."""
    found = np.full(highs.shape[0], -1, np.int64)
    put_numbers(highs, lows, ranges, found)
    return found


@compiled
def put_numbers(highs, lows, ranges, found):
    """Leaves the number of each address that lies in a range in `found`."""
    for i in range(highs.shape[0]):
        place = range_of(ranges[0], ranges[1], ranges[2], ranges[3], highs[i], lows[i])
        if place >= 0:
            found[i] = ranges[4][place]
