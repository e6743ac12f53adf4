"""FNV-1a with 128 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv), by which Google's QUIC proves its unencrypted packets."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled

PRIME_LOW = np.uint64(0x13B)  # the prime is 2**88 + 0x13B
HIGH_SHIFT = np.uint64(24)  # 2**88 moves the low half so far into the high one
HALF = np.uint64(32)
LOW_HALF = np.uint64(0xFFFFFFFF)
MASK_64 = (1 << 64) - 1


def fnv1a_128(data: bytes, value: int) -> int:
    """The hash of `data` behind what hashed to `value`."""
    state = np.array([value >> 64, value & MASK_64], np.uint64)
    if data:
        absorb(np.frombuffer(data, np.uint8), state)
    return int(state[0]) << 64 | int(state[1])


@compiled
def absorb(data, state):
    """Takes each byte into `state`: uint64[2], the high half first."""
    high, low = state[0], state[1]
    for i in range(data.shape[0]):
        low ^= np.uint64(data[i])
        first = (low & LOW_HALF) * PRIME_LOW
        second = (low >> HALF) * PRIME_LOW + (first >> HALF)
        high = high * PRIME_LOW + (second >> HALF) + (low << HIGH_SHIFT)
        low = (second << HALF) | (first & LOW_HALF)
    state[0], state[1] = high, low
