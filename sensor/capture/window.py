"""The part of a stream that is in memory: one reused buffer, whose unread tail is carried to the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.capture.limits import MAX_BLOCK_BYTES, MIN_CHUNK_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sensor.capture.streams import Stream


class Damage(Exception):  # noqa: N818 - it is what was found in a file, no mistake of anybody's
    """The capture cannot be read past `offset_bytes` of its uncompressed bytes. Never leaves this folder."""

    def __init__(self, reason: str, offset_bytes: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset_bytes = offset_bytes


class NotACapture(Damage):
    """The stream does not even begin as a capture."""


class Window:
    """`buffer[start:end]` are the bytes not yet used; `buffer[0]` is byte `base` of the stream."""

    __slots__ = ("_ended", "_stream", "base", "buffer", "end", "start")

    def __init__(self, stream: Stream, chunk_bytes: int) -> None:
        self.buffer: NDArray[np.uint8] = np.empty(max(chunk_bytes, MIN_CHUNK_BYTES), np.uint8)
        self.start = self.end = self.base = 0
        self._stream = stream
        self._ended = False

    @property
    def offset_bytes(self) -> int:
        """Where the unused bytes begin in the uncompressed stream."""
        return self.base + self.start

    def refill(self) -> bool:
        """Carry the tail to the front, read on; False if nothing more came. What lies in the buffer moves.

        The buffer grows only when it is full of one record that has not ended, so a lying length alone allocates nothing.
        """
        if self.start:
            tail = self.end - self.start
            self.buffer[:tail] = self.buffer[self.start : self.end]
            self.base += self.start
            self.start, self.end = 0, tail
        elif self.end == len(self.buffer):
            self._grow()
        before = self.end
        view = memoryview(self.buffer.data)
        while not self._ended and self.end < len(view):
            count = self._stream.readinto(view[self.end :]) or 0
            self.end += count
            self._ended = count == 0
        return self.end > before

    def _grow(self) -> None:
        size = len(self.buffer)
        larger = np.empty(max(min(2 * size, MAX_BLOCK_BYTES), size), np.uint8)
        larger[:size] = self.buffer
        self.buffer = larger

    def holds(self, count: int) -> bool:
        """Whether `count` bytes can be had from `start` on; reads as needed."""
        while self.end - self.start < count:
            if not self.refill():
                return False
        return True

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes, keeping none of them; False if the stream ends before. `start` is then undefined."""
        while count > (here := self.end - self.start):
            count -= here
            self.start = self.end
            if not self.refill():
                return False
        self.start += count
        return True

    def peek(self, count: int) -> bytes:
        """The next `count` bytes (fewer at the end), as a copy."""
        self.holds(count)
        return self.buffer[self.start : min(self.start + count, self.end)].tobytes()

    def ended(self, what: str, offset_bytes: int) -> Damage:
        """Return the damage of a stream that ended inside the record or block beginning at `offset_bytes`."""
        if self._stream.damage:
            return Damage(self._stream.damage, self.base + self.end)
        return Damage(f"{what} is cut short", offset_bytes)

    def check_end(self, what: str) -> None:
        """At the end of the stream: raise Damage if it broke there, or left part of a record."""
        if self._stream.damage or self.start < self.end:
            raise self.ended(what, self.offset_bytes)
