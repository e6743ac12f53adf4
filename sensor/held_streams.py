"""Beginnings of TCP streams that wait for more bytes, bounded in number and in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.decode.stream import Reassembler
from sensor.kernel import layout

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Set as AbstractSet

MAX_STREAMS = 16384  # beyond, the oldest is given up and counted
MAX_BYTES = 64 << 20  # over all of them


@dataclass(slots=True)
class Held:
    """One stream. `taken`: bytes of it that were read already."""

    pieces: Reassembler
    held_bytes: int = 0
    taken: int = 0


class HeldStreams:
    """Streams by a key of the caller's: its flow and side. `counts` takes what is given up."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._streams: dict[int, Held] = {}
        self.settled: set[int] = set()  # of which nothing more is wanted
        self.held_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._streams or self.settled)

    def add(self, key: int, sequence: int, payload: bytes) -> Held:
        """The stream, with these bytes `sequence` bytes behind its beginning."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Held(Reassembler(layout.COLLECT_BYTES))
            if len(self._streams) > MAX_STREAMS:
                self._give_up_oldest()
        stream.pieces.add(sequence, payload)
        stream.held_bytes += len(payload)
        self.held_bytes += len(payload)
        while self.held_bytes > MAX_BYTES and len(self._streams) > 1:
            self._give_up_oldest()
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
        for key in self._streams.keys() & keys:
            self.drop(key)
        self.settled -= keys

    def reset(self) -> None:
        """Forgets everything."""
        self._streams.clear()
        self.settled.clear()
        self.held_bytes = 0

    def drop(self, key: int) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            self.held_bytes -= stream.held_bytes

    def _give_up_oldest(self) -> None:
        self.drop(next(iter(self._streams)))
        self._counts["streams_given_up"] += 1
