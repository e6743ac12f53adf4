"""Which range holds an address: ranges are sorted and do not overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.kernel.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compiled
def range_of(lows_high, lows_low, highs_high, highs_low, high, low):
    """The index of the range that holds an address, -1 where none does. Ranges are sorted and do not overlap."""
    bias = np.int64(-0x8000000000000000)
    left, right = 0, lows_high.shape[0]
    high ^= bias
    low ^= bias
    while left < right:
        middle = (left + right) >> 1
        at_high = lows_high[middle] ^ bias
        if at_high < high or (at_high == high and (lows_low[middle] ^ bias) <= low):
            left = middle + 1
        else:
            right = middle
    if left == 0:
        return np.int64(-1)
    at_high = highs_high[left - 1] ^ bias
    if high < at_high or (high == at_high and low <= (highs_low[left - 1] ^ bias)):
        return np.int64(left - 1)
    return np.int64(-1)


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
