"""Memory must be flat: however many inputs there were, a target keeps nothing of them."""

from __future__ import annotations

import resource
import time
from pathlib import Path

PAGE_BYTES = resource.getpagesize()
STATM = Path("/proc/self/statm")
EVERY_INPUTS = 256
WARM_UP_SHARE = 0.25


class NotFlatError(Exception):
    """The process grew on and on."""


class Flat:
    """Samples the resident size; after a warm-up it may grow by `growth_bytes` and no more."""

    def __init__(self, seconds: float, growth_bytes: int) -> None:
        self._warm_at = time.monotonic() + seconds * WARM_UP_SHARE
        self._growth_bytes = growth_bytes
        self._highest_warm = 0
        self._inputs = 0
        self.highest = 0

    def sample(self) -> None:
        """Call it after each input; it looks at every 256th."""
        self._inputs += 1
        if self._inputs % EVERY_INPUTS:
            return
        size = int(STATM.read_text("ascii").split()[1]) * PAGE_BYTES
        self.highest = max(self.highest, size)
        if time.monotonic() < self._warm_at or not self._highest_warm:
            self._highest_warm = self.highest
        elif size > self._highest_warm + self._growth_bytes:
            raise NotFlatError(f"{self._highest_warm >> 20} MiB after the warm-up, {size >> 20} MiB now")

    def __str__(self) -> str:
        return (
            f"{self._inputs} inputs, {self._highest_warm >> 20} MiB after the warm-up, {self.highest >> 20} MiB at most"
        )
