"""Several captures as one timeline: one after the other where they do not overlap, packet by packet where they do.

A packet's key is the latest time that its file has shown so far, so that times running backwards inside a file keep
their place. Equal keys go in the order of files.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from sensor.capture.limits import MAX_FRAMES, MAX_MERGED, MIN_MERGED_CHUNK_BYTES
from sensor.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sensor.capture.source import Capture

_NEVER = int(np.iinfo(np.int64).min)


class _Head:
    """The frames at hand of one capture: its batch, the rows of it not yet used, and their keys."""

    __slots__ = ("_batches", "buffer", "keys", "latest", "order", "rows")

    def __init__(self, order: int, batches: Iterator[Batch]) -> None:
        self.order = order
        self.latest = _NEVER  # the key of the last row at hand
        self._batches = batches
        self.buffer: NDArray[np.uint8]
        self.rows: NDArray[np.void]
        self.keys: NDArray[np.int64]

    def advance(self) -> bool:
        """Take the next batch, which ends the life of the one before; False at the end."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        self.buffer, self.rows = batch.buffer, batch.frames
        self.keys = np.maximum(np.maximum.accumulate(batch.frames["time_ns"]), self.latest)
        self.latest = int(self.keys[-1])
        return True

    def take(self, count: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Return the first `count` rows and keys, and keep the others."""
        rows, self.rows = self.rows[:count], self.rows[count:]
        keys, self.keys = self.keys[:count], self.keys[count:]
        return rows, keys


def in_time_order(captures: Sequence[Capture], chunk_bytes: int, warn: Callable[[str], None]) -> Iterator[Batch]:
    """Yield the frames of all captures in time order, holding at most MAX_MERGED of them open.

    Only captures that overlap are open together: one is opened when the others have reached its first packet.
    """
    waiting = deque(captures)
    first_ns: dict[int, int] = {}
    if len(waiting) > 1:
        first_ns = {capture.index: capture.first_ns() for capture in captures}
        waiting = deque(sorted(captures, key=lambda capture: (first_ns[capture.index], capture.index)))
    heads: list[_Head] = []
    target = np.empty(0, np.uint8)
    crowded = False
    while waiting or heads:
        while waiting and (not heads or first_ns[waiting[0].index] <= min(head.latest for head in heads)):
            if len(heads) == MAX_MERGED:
                if not crowded:
                    warn(f"more than {MAX_MERGED} captures overlap in time; the others wait until one of these ends")
                crowded = True
                break
            capture = waiting.popleft()
            share = max(chunk_bytes // (len(heads) + 1), min(chunk_bytes, MIN_MERGED_CHUNK_BYTES))
            head = _Head(capture.index, capture.batches(share))
            if head.advance():
                heads.append(head)
        if len(heads) == 1:
            yield Batch(heads[0].buffer, heads[0].take(len(heads[0].rows))[0])
        elif heads:
            if len(target) < chunk_bytes:
                target = np.empty(chunk_bytes, np.uint8)
            yield from _interleaved(heads, target)
        heads = [head for head in heads if len(head.rows) or head.advance()]


def _interleaved(heads: list[_Head], target: NDArray[np.uint8]) -> Iterator[Batch]:
    """Yield what is certain to come before anything not yet read, copied together into `target`."""
    heads = sorted(heads, key=lambda head: head.order)
    least = min(heads, key=lambda head: (head.latest, head.order))
    # The next batch of `least` may begin with the key it ended with; only files before it may use theirs of that time.
    counts = [
        int(np.searchsorted(head.keys, least.latest, "right" if head.order <= least.order else "left"))
        for head in heads
    ]
    buffers = [head.buffer for head in heads]
    taken = [head.take(count) for head, count in zip(heads, counts, strict=True)]
    order = np.argsort(np.concatenate([keys for _, keys in taken]), kind="stable")
    rows = np.concatenate([rows for rows, _ in taken])[order]
    owner = np.repeat(np.arange(len(heads)), counts)[order]
    ends = np.cumsum(rows["captured_bytes"], dtype=np.int64)
    first, used = 0, 0
    while first < len(rows):
        after = int(np.searchsorted(ends, used + len(target), "right"))
        after = min(max(after, first + 1), first + MAX_FRAMES)
        size = int(ends[after - 1]) - used
        if size > len(target):  # one packet larger than a whole chunk
            target = np.empty(size, np.uint8)
        yield _gathered(buffers, rows[first:after], owner[first:after], target[:size])
        first, used = after, int(ends[after - 1])


def _gathered(
    buffers: list[NDArray[np.uint8]], rows: NDArray[np.void], owner: NDArray[np.intp], target: NDArray[np.uint8]
) -> Batch:
    """Copy the packets of `rows` into `target`, one behind the other; `owner` says in which buffer each lies."""
    from sensor.capture import frames  # noqa: PLC0415 - Numba is loaded only when frames are read

    lengths = rows["captured_bytes"].astype(np.int64)
    to = np.cumsum(lengths) - lengths
    for index, buffer in enumerate(buffers):
        mine = np.flatnonzero(owner == index)
        frames.copy_packets(buffer, rows["offset"][mine], lengths[mine], target, to[mine])
    rows["offset"] = to
    return Batch(target, rows)
