"""Frames to names: the compiled loop and the decoders behind it, without signatures and episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.beginnings import Beginnings
from sensor.following import HIT_KINDS
from sensor.handover import HandOver
from sensor.hellos import Hellos
from sensor.kernel import layout
from sensor.kernel.room import HEAP
from sensor.model import Batch, RuleMatch, Strength
from tests.kernel.harness import Frame, Loop, packed, segment

if TYPE_CHECKING:
    from collections import Counter

    from sensor.decode.stun import StunMessage

CLIENT, SERVER = "10.0.0.1", "198.51.100.7"
SYN, SYN_ACK, ACK, FIN = 2, 0x12, 0x10, 0x11
MARKS = layout.HELLO_BEGINS | layout.HELLO_HOST  # which say nothing of a hidden name
FLAGS = (layout.CLUE.names or ()).index("flags")


def no_stun(message: StunMessage, clue: Any) -> tuple[str, tuple[RuleMatch, ...]]:
    return message.software or "", ()


def no_beginning(clue: Any, number: int, payload: bytes) -> tuple[str, tuple[RuleMatch, ...]]:
    """Stands for the signatures: no flow begins in a way that they know."""
    return "", ()


def no_name(name: str) -> tuple[RuleMatch, ...]:
    """Stands for the signatures: `app.example` and what is below belong to one app, `other.example` to another."""
    for app in ("app", "other"):
        if name.endswith(f"{app}.example"):
            return (RuleMatch(app, f"{app}/zone", Strength.CONCLUSIVE),)
    return ()


class Line:
    """A loop with its decoders. `names`: (source, name, frame) in the order in which they were told."""

    def __init__(self, rows: int = 1 << 12) -> None:
        """`rows`: how many flows at once."""
        self.loop = Loop(rows)
        self.hellos = Hellos()
        self.beginnings = Beginnings(self.loop.scanner.rules)
        self.handover = HandOver(self.loop.names, no_stun, no_beginning, no_name)
        self.names: list[tuple[str, str, int]] = []
        self.flags: list[int] = []
        self.clues: Any = None  # of the last batch

    def read(self, frames: list[Frame], *, batches: int = 1) -> Line:
        """Reads frames in so many batches."""
        buffer, rows = packed(frames)
        size = -(-len(rows) // batches)
        for start in range(0, len(rows), size):
            batch = Batch(buffer, rows[start : start + size])
            for clues, kept in self.loop.scanner.read(batch, HEAP, self.beginnings.spare_bytes).parts:
                self.beginnings.read(clues, kept)
                self._take(clues, kept)
        return self

    def _take(self, clues: Any, kept: Any) -> None:
        self.hellos.begin(kept)
        answers, odd = self.loop.joiner.read_names(kept, clues)
        if odd:
            clues, answers = self.handover.read(kept, clues, answers)
        self.flags += [flags & ~MARKS for flags in clues["flags"].tolist() if flags & ~MARKS]
        self.clues = clues
        begin = answer = 0
        while begin < len(clues):
            begin, answer, hits = self.loop.joiner.join(clues, begin, answers, answer)
            self.names += [
                (HIT_KINDS[kind], self.loop.names.text(name), number) for _, kind, name, _, number, *_ in hits.tolist()
            ]

    @property
    def counts(self) -> Counter[str]:
        """What came of it, whoever read it."""
        return self.beginnings.counts + self.handover.counts


def names(frames: list[Frame], *, batches: int = 1) -> list[tuple[str, str]]:
    """What was told of these frames: (source, name)."""
    return [(source, name) for source, name, _ in Line().read(frames, batches=batches).names]


class Talk:
    """A TCP connection, segment by segment."""

    def __init__(self, *, port: int = 443, begun: bool = True, sequence: int = 1000) -> None:
        """`begun`: with its three packets of beginning; else the capture begins in the middle."""
        self.frames: list[Frame] = []
        self.port = port
        self.start = {True: sequence, False: 7000}
        self.sent = {True: 0, False: 0}
        if begun:
            self.put(b"", client=True, flags=SYN, at=-1)
            self.put(b"", client=False, flags=SYN_ACK, at=-1)
            self.put(b"", client=True, at=0)

    def put(self, data: bytes, *, client: bool, at: int, flags: int = ACK) -> Talk:
        """A segment at an offset of its stream."""
        ends = (CLIENT, 40000, SERVER, self.port) if client else (SERVER, self.port, CLIENT, 40000)
        sequence = (self.start[client] + at) & 0xFFFFFFFF
        time_ns = (len(self.frames) + 1) * 1_000_000
        self.frames.append(segment(time_ns, *ends, data, sequence=sequence, flags=flags))
        return self

    def client(self, *parts: bytes) -> Talk:
        return self._say(parts, client=True)

    def server(self, *parts: bytes) -> Talk:
        return self._say(parts, client=False)

    def _say(self, parts: tuple[bytes, ...], *, client: bool) -> Talk:
        for part in parts:
            self.put(part, client=client, at=self.sent[client])
            self.sent[client] += len(part)
        return self
