"""Runs frames through the compiled loop and says everything it said. As a script: prints a digest for each capture given.

python -m tests.kernel.harness MAXIMUM CAPTURE...
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dpkt
import numpy as np

from sensor.kernel import fields, layout
from sensor.kernel.headers import locate
from sensor.kernel.ranges import Ranges
from sensor.kernel.state import Joiner, Names, Scanner
from sensor.model import FRAME, Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.kernel.room import Scanned

SEED = 7
NAME_ID = (layout.CLUE.names or ()).index("name_id")
PRIVATE = [(bytes(10) + b"\xff\xff\x0a\0\0\0", bytes(10) + b"\xff\xff\x0a\xff\xff\xff", 0)]
Frame = tuple[int, bytes, int]  # (time_ns, bytes, link type)


def read(path: Path, maximum: int) -> list[Frame]:
    """The first frames of a capture, read by dpkt."""
    frames: list[Frame] = []
    with path.open("rb") as stream:
        reader = dpkt.pcap.UniversalReader(stream)
        link = reader.datalink()
        for time, data in reader:
            frames.append((min(int(float(time) * 1e9), 1 << 62), bytes(data), link))
            if len(frames) == maximum:
                break
    return frames


def packed(frames: list[Frame], *, before: bytes = b"", between: bytes = b"") -> tuple[Any, Any]:
    """A buffer with the frames one after the other, and their rows."""
    rows = np.zeros(len(frames), FRAME)
    buffer = bytearray(before)
    for i, (time_ns, data, link) in enumerate(frames):
        rows[i] = (len(buffer), time_ns, i + 1, len(data), len(data), link, 0)
        buffer += data + between
    return np.frombuffer(buffer or bytearray(1), np.uint8), rows


def payloads(path: Path, maximum: int) -> Iterator[tuple[int, int, int, bytes]]:
    """(protocol, source port, destination port, payload) of the TCP and UDP packets that have one, as the loop reads them.

    Of a capture that dpkt cannot read, as far as it can: nothing.
    """
    try:
        frames = read(path, maximum)
    except Exception:  # noqa: BLE001 - whatever dpkt makes of a damaged capture, it is left out
        return
    buffer, rows = packed(frames)
    h, notices = np.zeros(fields.H_SIZE, np.int64), np.zeros(len(layout.NOTICES), np.int64)
    for offset, size, link in zip(*(rows[name].tolist() for name in ("offset", "captured_bytes", "link")), strict=True):
        kind = locate(buffer, offset, offset + size, offset + size, link, h, notices)
        if kind in {layout.CLASSIFIED_TCP, layout.CLASSIFIED_UDP} and h[fields.H_PAYLOAD] < h[fields.H_END]:
            data = buffer[h[fields.H_PAYLOAD] : h[fields.H_END]].tobytes()
            yield int(h[fields.H_PROTO]), int(h[fields.H_SRC_PORT]), int(h[fields.H_DST_PORT]), data


def datagram(time_ns: int, src: str, sport: int, dst: str, dport: int, payload: bytes = b"", *, ttl: int = 64,
             macs: tuple[int, int] = (0x020000000001, 0x020000000002)) -> Frame:  # fmt: skip
    """A UDP packet on Ethernet; `macs` are the source's and the destination's."""
    body = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return time_ns, frame(src, dst, 17, body, ttl, macs), 1


def segment(time_ns: int, src: str, sport: int, dst: str, dport: int, payload: bytes = b"", *, sequence: int = 0, flags: int = 0x10,
            ttl: int = 64, macs: tuple[int, int] = (0x020000000001, 0x020000000002)) -> Frame:  # fmt: skip
    """A TCP packet on Ethernet."""
    body = struct.pack(">HHIIHHHH", sport, dport, sequence & 0xFFFFFFFF, 0, 0x5000 | flags, 999, 0, 0) + payload
    return time_ns, frame(src, dst, 6, body, ttl, macs), 1


def frame(src: str, dst: str, proto: int, body: bytes, ttl: int, macs: tuple[int, int]) -> bytes:
    """An IP packet on Ethernet, of the version of its addresses."""
    head = macs[1].to_bytes(6, "big") + macs[0].to_bytes(6, "big")
    if ":" in src:
        raw = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
        return head + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(body), proto, ttl) + raw + body
    raw = socket.inet_aton(src) + socket.inet_aton(dst)
    return head + b"\x08\0" + struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, ttl, proto, 0) + raw + body


class Loop:
    """Scanner, names and joiner, small."""

    def __init__(self, rows: int = 1 << 12) -> None:
        self.scanner = Scanner(rows, SEED, drop_duplicates=True)
        self.names = Names(1 << 12, SEED)
        self.joiner = Joiner(1 << 10, self.names, SEED, rows)
        self.joiner.locals = Ranges.of(PRIVATE)
        self.joiner.everything = True
        self.said: list[Any] = []

    def run(self, buffer: Any, frames: Any) -> None:
        """One batch. `said` grows by every clue, name, hit and ended row."""
        if len(frames):
            self.take(self.scanner.read(Batch(buffer, frames)))

    def take(self, scanned: Scanned) -> None:
        for clues, kept in scanned.parts:
            answers, odd = self.joiner.read_names(kept, clues)
            self.said.append(odd)
            begin = answer = 0
            while begin < len(clues):
                begin, answer, hits = self.joiner.join(clues, begin, answers, answer)
                self.said.append(hits.tolist())
            self.said += [[*clue, self.names.text(clue[NAME_ID]) if clue[NAME_ID] else ""] for clue in clues.tolist()]
            self.said.append(hashlib.sha256(kept[: int(clues["length"].sum())].tobytes()).hexdigest())
        self.said.append(scanned.ticks.tolist())
        slots, rows = scanned.ended
        self.said.append(slots.tolist())
        self.said.append([rows[name].tolist() for name in layout.FLOW.names or () if not name.startswith("pad")])

    def result(self) -> dict[str, Any]:
        """Everything said, and the counters."""
        return {
            "said": self.said,
            "counters": self.scanner.counters.tolist(),
            "notices": self.scanner.notices.tolist(),
            "names": [self.names.text(i) for i in range(1, len(self.names) + 1)],
        }


@dataclass(slots=True)
class Scan:
    """A scanner and everything that it said."""

    scanner: Scanner = field(default_factory=lambda: Scanner(1 << 8, 7))
    clues: list[tuple[int, int, bytes]] = field(default_factory=list)  # (kind, frame, payload)
    rows: list[Any] = field(default_factory=list)

    def read(self, frames: list[Frame], size: int = 1000, fill: bytes = b"") -> Scan:
        for start in range(0, len(frames), size):
            buffer, rows = packed(frames[start : start + size], before=fill, between=fill)
            rows["number"] += start
            scanned = self.scanner.read(Batch(buffer, rows))
            for clues, kept in scanned.parts:
                for clue in clues:
                    at, length = int(clue["offset"]), int(clue["length"])
                    self.clues.append((int(clue["kind"]), int(clue["number"]), kept[at : at + length].tobytes()))
            self.rows += list(scanned.ended[1])
        return self

    def finish(self) -> Scan:
        self.rows += list(self.scanner.finish().ended[1])
        return self

    def counters(self) -> dict[str, int]:
        counts = zip(layout.COUNTERS, self.scanner.counters.tolist(), strict=True)
        return {name: count for name, count in counts if count}

    def notice(self, name: str) -> int:
        return int(self.scanner.notices[layout.NOTICES.index(name)])

    def said(self, kind: int) -> list[tuple[int, bytes]]:
        return [(number, payload) for one, number, payload in self.clues if one == kind]


def digest(loop: Loop) -> str:
    """One number for everything said."""
    return hashlib.sha256(json.dumps(loop.result(), sort_keys=True).encode()).hexdigest()


def whole(frames: list[Frame]) -> Loop:
    """All frames in one batch, then the end."""
    loop = Loop()
    loop.run(*packed(frames))
    loop.take(loop.scanner.finish())
    return loop


def main(maximum: int, paths: list[Path]) -> None:
    # Interpreted, NumPy warns where 64-bit products wrap; hashing means them to.
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
    for path in paths:
        loop = whole(read(path, maximum))
        print(path.name, int(loop.scanner.counters.sum()), digest(loop))  # noqa: T201 - a script


if __name__ == "__main__":
    main(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
