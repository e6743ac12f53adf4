"""Seeds of the hashes."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.policy import Policy
    from sensor.settings import Settings


def seeds_of(settings: Settings, policy: Policy, *, repeatable: bool) -> list[int]:
    """Seeds of the hashes of scanner, names and joiner, 63 bits each.

    Memories of fixed size forget by hash what there is no room for. A capture that is read again must give the same again: then
    the policy seeds, which who sends packets does not know. On a live port chance does.
    """
    seed = settings.sensor.hash_seed
    if seed is None and not repeatable:
        return [secrets.randbits(63) for _ in range(3)]
    if seed is None:
        seed = int.from_bytes(hashlib.sha256(policy.hash.encode()).digest()[:8], "big")
    return [(seed + i) % (1 << 63) for i in range(3)]
