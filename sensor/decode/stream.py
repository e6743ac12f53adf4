"""Puts pieces of a byte stream in order: TCP segments by relative sequence number, QUIC CRYPTO frames by offset.

Bounded: nothing behind `limit_bytes` is kept, and no more than MAX_PIECES pieces wait behind a hole. Where two copies
of a byte differ the first one wins, and the difference is counted.
"""

from __future__ import annotations

from bisect import bisect_right

MAX_PIECES = 256  # waiting behind holes; 128 KiB in segments of 1,400 bytes are 94, so only splinters come to this


class Reassembler:
    """A stream from offset 0 to `limit_bytes`.

    Attributes:
        overlaps: how many `add` calls brought other bytes for a place that was already filled.
        refused: how many pieces were not kept because too many were waiting.
    """

    __slots__ = ("_cache", "_limit_bytes", "_pieces", "_prefix", "_starts", "overlaps", "refused")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._prefix = bytearray()
        self._cache: bytes | None = b""
        self._starts: list[int] = []  # of the waiting pieces, ascending; pieces never overlap
        self._pieces: list[bytes] = []
        self.overlaps = 0
        self.refused = 0

    @property
    def full(self) -> bool:
        """No further byte can be used: the prefix has reached the limit, or a piece had to be refused."""
        return len(self._prefix) >= self._limit_bytes or self.refused > 0

    def prefix(self) -> bytes:
        """The bytes from offset 0 to the first hole."""
        if self._cache is None:
            self._cache = bytes(self._prefix)
        return self._cache

    def add(self, offset: int, data: bytes) -> None:
        """Add the bytes at `offset`, which may be negative (a repeat of what came before the stream's start)."""
        if offset < 0:
            data = data[-offset:]
            offset = 0
        data = data[: max(self._limit_bytes - offset, 0)]
        if not data:
            return
        known = len(self._prefix)
        if offset == known and not self._starts:  # in order: the common case
            self._prefix += data
            self._cache = None
            return
        differs = False
        if offset < known:
            differs = self._prefix[offset : offset + len(data)] != data[: known - offset]
            data = data[known - offset :]
            offset = known
        differs |= self._insert(offset, data)
        self.overlaps += differs
        self._join()

    def _insert(self, offset: int, data: bytes) -> bool:
        """Keep those parts of `data` that fall into holes; whether it contradicts what is waiting already."""
        differs = False
        index = max(bisect_right(self._starts, offset) - 1, 0)
        while data:
            if index == len(self._starts):
                self._keep(index, offset, data)
                break
            start = self._starts[index]
            piece = self._pieces[index]
            if offset < start:
                gap = data[: start - offset]
                index += self._keep(index, offset, gap)
                data = data[len(gap) :]
                offset += len(gap)
                continue
            inside = piece[offset - start : offset - start + len(data)]
            differs |= inside != data[: len(inside)]
            data = data[len(inside) :]
            offset += len(inside)
            index += 1
        return differs

    def _keep(self, index: int, offset: int, data: bytes) -> int:
        """Put a piece at `index` of the waiting ones; how many were put there: 1, or 0 if it was refused."""
        if len(self._starts) >= MAX_PIECES and offset != len(self._prefix):
            self.refused += 1
            return 0
        self._starts.insert(index, offset)
        self._pieces.insert(index, data)
        return 1

    def _join(self) -> None:
        """Move the pieces that now touch the prefix into it."""
        count = 0
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if start != len(self._prefix):
                break
            self._prefix += piece
            count += 1
        if count:
            del self._starts[:count]
            del self._pieces[:count]
            self._cache = None
