"""Frames taken out of their captures, and a source made of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sensor import capture
from sensor.model import FRAME, Batch, SourceInfo
from sensor.networks import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sensor.model import CaptureWarning

MAPPED: Final = bytes(10) + b"\xff\xff"
MAX_HELD: Final = 2000  # frames of one pair, up to the one that is asked about


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was captured. `number`: in its capture, from 1, as Wireshark counts."""

    number: int
    time_ns: int
    link: int
    wire_bytes: int
    data: bytes


class MemorySource:
    """Frames as a source, in this order; they are numbered from 1."""

    def __init__(self, frames: Sequence[Frame], name: str = "memory") -> None:
        self.sources = [SourceInfo(name)]
        self.warnings: list[CaptureWarning] = []
        self.total_bytes: int | None = None
        self.read_bytes = 0
        self._frames = frames

    def batches(self) -> Iterator[Batch]:
        if not self._frames:
            return
        rows = np.zeros(len(self._frames), FRAME)
        at = 0
        for number, frame in enumerate(self._frames, 1):
            rows[number - 1] = (at, frame.time_ns, number, len(frame.data), frame.wire_bytes, frame.link, 0)
            at += len(frame.data)
        yield Batch(np.frombuffer(b"".join(frame.data for frame in self._frames), np.uint8), rows)


Pair = tuple[bytes, bytes]  # two addresses as they stand in a packet, 4 or 16 bytes; the second may be empty


def pair(one: str, other: str = "") -> Pair:
    return packed(one).removeprefix(MAPPED), packed(other).removeprefix(MAPPED) if other else b""


def taken(path: Path, numbers: Iterable[int], pairs: Mapping[Pair, int]) -> tuple[dict[int, Frame], dict[Pair, list[int]]]:  # fmt: skip
    """Frames of a capture: those numbered so, and those that hold both addresses of a pair, up to the number given for it.

    By addresses alone, so that fragments and what goes through tunnels are among them. Raises CaptureError.
    """
    wanted = frozenset(numbers)
    last = max([*wanted, *pairs.values()], default=0)
    frames: dict[int, Frame] = {}
    holding: dict[Pair, list[int]] = {each: [] for each in pairs}
    for batch in capture.open_paths([path]).batches():
        if not len(batch.frames):
            continue
        rows = batch.frames
        picked = {int(at) for at in np.flatnonzero(np.isin(rows["number"], list(wanted)))}
        data = batch.buffer.tobytes()
        for each, until in pairs.items():
            places = [at for at in _holding(data, rows, each) if int(rows[at]["number"]) <= until]
            holding[each] = _bounded(holding[each] + [int(rows[at]["number"]) for at in places])
            picked.update(places)
        for at in picked:
            frames[int(rows[at]["number"])] = _frame(data, rows[at])
        if int(rows["number"].max()) > last:
            break
    kept = wanted.union(*holding.values())
    return {number: frame for number, frame in frames.items() if number in kept}, holding


def _bounded(numbers: list[int]) -> list[int]:
    """The first and the last of too many."""
    return numbers if len(numbers) <= MAX_HELD else numbers[: MAX_HELD // 4] + numbers[-MAX_HELD * 3 // 4 :]


def _holding(data: bytes, rows: NDArray[np.void], wanted: Pair) -> list[int]:
    """Places of the rows whose frames hold both addresses."""
    one, other = wanted
    rare, common = (one, other) if not other or data.count(one) <= data.count(other) else (other, one)
    order = np.argsort(rows["offset"], kind="stable")
    starts = rows["offset"][order]
    found: list[int] = []
    at = data.find(rare)
    while at >= 0:
        place = int(np.searchsorted(starts, at, "right")) - 1
        end = at + 1
        if place >= 0:
            row = rows[order[place]]
            begin, stop = int(row["offset"]), int(row["offset"]) + int(row["captured_bytes"])
            if at + len(rare) <= stop and data.find(common, begin, stop) >= 0:
                found.append(int(order[place]))
                end = stop
        at = data.find(rare, end)
    return sorted(found)


def _frame(data: bytes, row: np.void) -> Frame:
    begin = int(row["offset"])
    return Frame(
        int(row["number"]),
        int(row["time_ns"]),
        int(row["link"]),
        int(row["wire_bytes"]),
        data[begin : begin + int(row["captured_bytes"])],
    )
