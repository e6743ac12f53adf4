"""Frames of any bytes and any link type through the interpreted loop: its accounts add up, and nothing outside a frame counts.

An input is a row of frames: a byte that chooses the link type, two bytes of length, and as many bytes. Each frame is a
batch of its own, once in an array of its exact length, once between zeros and once between ones; every read of a byte is
watched. Reads of bytes are limited to A for each byte and B for each frame.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from sensor.kernel.scan import scan
from sensor.model import Batch, LinkType
from tests import captures
from tests.fuzz.counting import Watched
from tests.kernel.harness import Frame, Loop, packed, read

LINKS = [*map(int, LinkType), 9999]
ETHERNET_PLACE = LINKS.index(LinkType.ETHERNET)
POISON_BYTES = 256
FILLS = (b"", b"\0" * POISON_BYTES, b"\xff" * POISON_BYTES)
STEP_NS = 400_000_000  # between two frames, so that long inputs outlive a flow
READS_PER_BYTE, READS_PER_FRAME = 24, 256
MAX_FRAMES = 64
SEED_FRAMES = 300
DEMO = Path(__file__).resolve().parents[2] / "pcaps" / "clinic-morning.pcap"

_LOOPS: list[Loop] = []


class AccountsError(Exception):
    """The loop said something that cannot be."""


def interpreted() -> bool:
    """Whether Numba leaves functions as they are: only then are reads watched."""
    return not hasattr(scan, "py_func")


def loops() -> list[Loop]:
    """One loop for each surrounding, as new; making one costs more than a frame."""
    if not _LOOPS:
        _LOOPS.extend(Loop(1 << 10) for _ in FILLS)
        # Interpreted, NumPy warns where 64-bit products wrap; hashing means them to.
        warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
    for loop in _LOOPS:
        loop.scanner.reset()
        loop.scanner.counters[:] = 0
        loop.scanner.notices[:] = 0
        loop.joiner.reset()
        loop.joiner.marks[:] = 0
        loop.names.reset()
        loop.said = []
    return _LOOPS


def frames_of(data: bytes) -> list[Frame]:
    frames: list[Frame] = []
    at = 0
    while at + 3 <= len(data) and len(frames) < MAX_FRAMES:
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        frames.append((len(frames) * STEP_NS, data[at + 3 : at + 3 + size], LINKS[data[at] % len(LINKS)]))
        at += 3 + size
    return frames


def input_of(frames: list[Frame]) -> bytes:
    """The input that gives these frames."""
    return b"".join(bytes([LINKS.index(link)]) + len(data).to_bytes(2, "big") + data for _, data, link in frames)


def run(data: bytes) -> None:
    frames = frames_of(data)
    results = []
    for loop, fill in zip(loops(), FILLS, strict=True):
        for number, frame in enumerate(frames):
            _feed(loop, frame, number, fill)
        loop.take(loop.scanner.finish())
        results.append(loop.result())
    if not results[0] == results[1] == results[2]:
        raise AccountsError("what lies around a frame changes what is said of it")
    if sum(results[0]["counters"]) != len(frames):
        raise AccountsError(f"{len(frames)} frames, {results[0]['counters']} counted")
    if _LOOPS[0].scanner.live:
        raise AccountsError("flows are left after the end")


def _feed(loop: Loop, frame: Frame, number: int, fill: bytes) -> None:
    buffer, rows = packed([frame], before=fill, between=fill)
    rows["number"] = number + 1
    watched: Any = Watched.of(buffer, len(fill), len(fill) + len(frame[1])) if interpreted() else buffer
    loop.take(loop.scanner.read(Batch(watched, rows)))
    if isinstance(watched, Watched) and watched.reads > READS_PER_BYTE * len(frame[1]) + READS_PER_FRAME:
        raise AccountsError(f"{watched.reads} reads of a frame of {len(frame[1])} bytes")


def seeds() -> list[bytes]:
    """Frames of the demo, in rows of a few, one of each length and beginning; and of the captures where they are."""
    known: dict[tuple[bytes, int], Frame] = {}
    for frame in read(DEMO, 1 << 20):
        known.setdefault((frame[1][12:24], len(frame[1]) // 64), frame)
    found = list(known.values())[:SEED_FRAMES]
    folder = captures.find()
    for path in sorted(folder.iterdir()) if folder else []:
        if path.suffix in {".pcap", ".pcapng"}:
            found += _first_frames(path)
    rows = [found[at : at + 4] for at in range(0, len(found), 4)]
    return [input_of([(time, data[:600], link) for time, data, link in row]) for row in rows]


def _first_frames(path: Path) -> list[Frame]:
    try:
        return [frame for frame in read(path, 4) if frame[2] in LINKS]
    except Exception:  # noqa: BLE001 - whatever dpkt makes of a damaged capture, it is left out
        return []
