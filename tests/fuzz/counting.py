"""Counts work instead of timing it: operations of cursors, and bytes that the loop over frames reads of a buffer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.decode.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


class Count:
    """What was counted since `counted_cursors` began."""

    __slots__ = ("operations",)

    def __init__(self) -> None:
        self.operations = 0


def _counting(name: str, plain: Callable[..., Any], count: Count) -> Callable[..., Any]:
    def counted(self: Cursor, *args: Any) -> Any:
        count.operations += 1
        found = plain(self, *args)
        if name in {"strings", "u16_list"}:  # one operation for each string; a list of numbers counts by its length
            count.operations += len(found)
        return found

    return counted


@contextmanager
def counted_cursors() -> Iterator[Count]:
    """Within it every method of every cursor counts, whoever made the cursor and however deep it lies."""
    count = Count()
    plain = {name: one for name, one in vars(Cursor).items() if callable(one) and name != "_short"}
    for name, method in plain.items():
        setattr(Cursor, name, _counting(name, method, count))
    try:
        yield count
    finally:
        for name, method in plain.items():
            setattr(Cursor, name, method)


class OutsideError(Exception):
    """The loop read a byte that belongs to no part of the frame it was given."""


class Watched(np.ndarray[Any, Any]):
    """A buffer of bytes that counts each read, and refuses those outside `low` <= index < `high`.

    A negative index would wrap, and one behind the frame would read the next frame: both are silent in compiled code.
    """

    low: int
    high: int
    reads: int

    @classmethod
    def of(cls, buffer: NDArray[np.uint8], low: int, high: int) -> Watched:
        watched = buffer.view(cls)
        watched.low, watched.high, watched.reads = low, high, 0
        return watched

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            if start < stop and not (self.low <= start and stop <= self.high):
                raise OutsideError(start, stop)
            return np.asarray(self)[index]
        at = int(index)
        if not self.low <= at < self.high:
            raise OutsideError(at)
        self.reads += 1
        return np.ndarray.__getitem__(self, index)
