"""What waits for more bytes, bounded in number and in bytes: beyond, the oldest is given up and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

MAX_WAITING = 16384
MAX_BYTES = 64 << 20  # over all of them


class Holding(Protocol):
    """Something that waits, and how many bytes it has brought."""

    held_bytes: int


T = TypeVar("T", bound=Holding)


class Bounded(Generic[T]):
    """By a key of the caller's: a flow and its side. `counts` takes what is given up."""

    def __init__(
        self, counts: Counter[str], made: Callable[[], T], max_waiting: int = MAX_WAITING, max_bytes: int = MAX_BYTES
    ) -> None:
        self._counts = counts
        self._made = made
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._waiting: dict[int, T] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def of(self, key: int) -> T:
        """What waits under this key, made where nothing does."""
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = self._made()
            if len(self._waiting) > self._max_waiting:
                self._give_up_oldest()
        return waiting

    def grew(self, waiting: T, by_bytes: int) -> None:
        """It holds so many bytes more."""
        waiting.held_bytes += by_bytes
        self.held_bytes += by_bytes
        while self.held_bytes > self._max_bytes and self._waiting:
            self._give_up_oldest()

    def drop(self, key: int) -> None:
        """This flow has ended, or nothing more is wanted of it."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self.held_bytes -= waiting.held_bytes

    def forget(self, keys: AbstractSet[int]) -> None:
        """These flows have ended."""
        for key in self._waiting.keys() & keys:
            self.drop(key)

    def reset(self) -> None:
        """Forgets everything."""
        self._waiting.clear()
        self.held_bytes = 0

    def _give_up_oldest(self) -> None:
        self.drop(next(iter(self._waiting)))
        self._counts["streams_given_up"] += 1
