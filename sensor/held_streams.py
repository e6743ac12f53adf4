"""Beginnings of TCP streams that wait for more bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensor.bounded import Bounded
from sensor.decode.stream import Reassembler
from sensor.kernel import layout

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Set as AbstractSet


@dataclass(slots=True)
class Held:
    """One stream. `taken`: bytes of it that were read already."""

    pieces: Reassembler = field(default_factory=lambda: Reassembler(layout.COLLECT_BYTES))
    held_bytes: int = 0
    taken: int = 0


class HeldStreams(Bounded[Held]):
    """Streams by flow and side."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__(counts, Held)
        self.settled: set[int] = set()  # of which nothing more is wanted

    def __bool__(self) -> bool:
        return bool(len(self) or self.settled)

    def add(self, key: int, sequence: int, payload: bytes) -> Held:
        """The stream, with these bytes `sequence` bytes behind its beginning."""
        stream = self.of(key)
        stream.pieces.add(sequence, payload)
        self.grew(stream, len(payload))
        return stream

    def settle(self, key: int) -> None:
        """Nothing more is wanted of this stream."""
        self.drop(key)
        self.settled.add(key)

    def begin_anew(self, key: int) -> None:
        """What was put together before is not of the stream that begins now."""
        self.drop(key)
        self.settled.discard(key)

    def forget(self, keys: AbstractSet[int]) -> None:
        """These flows have ended."""
        super().forget(keys)
        self.settled -= keys

    def reset(self) -> None:
        """Forgets everything."""
        super().reset()
        self.settled.clear()
