"""The one bounded cursor that every binary decoder reads through, and the border where its errors become values.

A cursor over the whole input raises `NeedMore` past the end: more bytes may come. A cursor over a length-prefixed
field (`sub`) raises `Bad` past the end: no more bytes can help. `decoder` turns the first into None and the second
into Malformed; nothing else leaves a decoder.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec, Self, TypeVar

from sensor.model import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_ZEROS = re.compile(rb"\x00*")


class NeedMore(Exception):  # noqa: N818 - an answer on its way to the border, not an error
    """The input ends before the value does."""


class Bad(Exception):  # noqa: N818 - as above
    """The bytes break the protocol at `offset`, counted from the start of the data under the cursor."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset


@lru_cache(maxsize=512)
def _u16_list(count: int) -> struct.Struct:
    return struct.Struct(f">{count}H")


class Cursor:
    """Reads big-endian values from `data[offset:end]`, never past `end`.

    Without `end` the cursor reaches to the end of the input and raises NeedMore there; with it, or made by `sub`, it is
    fenced by a length that was promised, and raises Bad. `offset` counts from the start of `data` in both cases. The
    checks are written out in each method: a common function for them would double what a read costs.
    """

    __slots__ = ("data", "end", "fenced", "offset")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.offset = start
        self.end = len(data) if end is None else end
        self.fenced = end is not None

    @property
    def remaining(self) -> int:
        """Bytes left before the limit."""
        return self.end - self.offset

    def _short(self, count: int) -> NoReturn:
        if self.fenced:
            raise Bad(f"{count} bytes wanted, {self.end - self.offset} left in this field", self.offset)
        raise NeedMore

    def u8(self) -> int:
        at = self.offset
        if at >= self.end:
            self._short(1)
        self.offset = at + 1
        return self.data[at]

    def u16(self) -> int:
        at = self.offset
        if at + 2 > self.end:
            self._short(2)
        self.offset = at + 2
        return self.data[at] << 8 | self.data[at + 1]

    def u24(self) -> int:
        return int.from_bytes(self.take(3), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def varint(self) -> int:
        """A QUIC integer of 1, 2, 4 or 8 bytes, at most 2**62 - 1 (RFC 9000, 16)."""
        at = self.offset
        first = self.u8()
        if first < 0x40:
            return first
        more = (1 << (first >> 6)) - 1
        self.skip(more)
        return int.from_bytes(self.data[at : at + more + 1], "big") & ((1 << (8 * more + 6)) - 1)

    def unpack(self, shape: struct.Struct) -> tuple[int, ...]:
        """Several fields at once."""
        at = self.offset
        if at + shape.size > self.end:
            self._short(shape.size)
        self.offset = at + shape.size
        return shape.unpack_from(self.data, at)

    def u16_list(self, count_bytes: int) -> tuple[int, ...]:
        """The next bytes as 16-bit integers; Bad if a byte is over."""
        at = self.offset
        if at + count_bytes > self.end:
            self._short(count_bytes)
        if count_bytes & 1:
            raise Bad("a list of 16-bit values has an odd length", at)
        self.offset = at + count_bytes
        return _u16_list(count_bytes >> 1).unpack_from(self.data, at)

    def take(self, count: int) -> bytes:
        at = self.offset
        if at + count > self.end:
            self._short(count)
        self.offset = at + count
        return self.data[at : at + count]

    def strings(self, longest: int, limit_bytes: int) -> list[bytes]:
        """A run of strings, each behind its length in one byte, up to a length of 0 or above `longest`.

        That byte is left for the caller. The run also ends once it has taken more than `limit_bytes`.
        """
        data, at, end = self.data, self.offset, self.end
        last = at + limit_bytes
        found: list[bytes] = []
        while at < end and at <= last:
            length = data[at]
            if not length or length > longest:
                break
            start = at + 1
            at = start + length
            if at > end:
                self.offset = start
                self._short(length)
            found.append(data[start:at])
        self.offset = at
        return found

    def rest(self) -> bytes:
        """All that is left before the limit."""
        return self.take(self.end - self.offset)

    def skip(self, count: int) -> None:
        if self.offset + count > self.end:
            self._short(count)
        self.offset += count

    def skip_zeros(self) -> None:
        """Step over zero bytes, none or many, at the cost of one operation."""
        found = _ZEROS.match(self.data, self.offset, self.end)
        if found:
            self.offset = found.end()

    def sub(self, count: int) -> Self:
        """A cursor fenced to the next `count` bytes; this one moves behind them."""
        at = self.offset
        if at + count > self.end:
            self._short(count)
        self.offset = at + count
        return type(self)(self.data, at, at + count)

    def line(self, limit: int) -> bytes | None:
        """The bytes up to the next LF, without CR LF or LF; None if there is no LF within `limit` bytes."""
        at = self.offset
        found = self.data.find(b"\n", at, min(self.end, at + limit))
        if found < 0:
            return None
        self.offset = found + 1
        return self.data[at:found].removesuffix(b"\r")


def decoder(parse: Callable[P, T]) -> Callable[P, T | Malformed | None]:
    """The border of a decoder: a value, None (need more bytes) or Malformed."""

    @wraps(parse)
    def bordered(*args: P.args, **kwargs: P.kwargs) -> T | Malformed | None:
        try:
            return parse(*args, **kwargs)
        except NeedMore:
            return None
        except Bad as bad:
            return Malformed(bad.reason, bad.offset)

    return bordered
