"""A TCP conversation as a mirror port near the client sees it (RFC 9293): sequence numbers, acknowledgements, FINs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from pcaps.wire import Link, Station, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tcp:
    """One conversation. `at` moves forward with each call; `up` means from the client."""

    def __init__(self, trace: Trace, client: Station, sport: int, server: Station, dport: int, *, at: float,
                 rtt: float = 0.018, six: bool = False) -> None:  # fmt: skip
        self.trace, self.at, self.rtt = trace, at, rtt
        self.client, self.server, self.six = client, server, six
        self._links = {True: Link(client, sport, server, dport, six)}
        self._links[False] = self._links[True].turned()
        self.rng = trace.rng(f"tcp/{client.name}/{sport}/{server.name}/{dport}/{at:.3f}")
        self._next = {True: self.rng.getrandbits(32), False: self.rng.getrandbits(32)}
        self._stamped = client.system != "windows"
        self._clock = {True: self.rng.getrandbits(31), False: self.rng.getrandbits(31)}
        self._begun = at
        self._mss = (1440 if six else 1460) - (12 if self._stamped else 0)
        self._handshake()

    def send(self, data: bytes, *, up: bool, think: float = 0.0, order: Sequence[int] = (), again: int = -1,
             cuts: Sequence[int] = ()) -> list[int]:  # fmt: skip
        """Send data in segments; returns their frames' references, in stream order.

        `order` gives the places in which the segments pass by, `again` is the segment that is sent twice, `cuts` are
        offsets where a segment must end.
        """
        self.at += think + (self.rng.uniform(0.0002, 0.0012) if up else self.rtt * self.rng.uniform(0.9, 1.2))
        parts = self._parts(data, cuts)
        if up and len(parts) > 3 and again < 0 and self.rng.random() < 0.5:
            again = self.rng.randrange(len(parts) - 1)  # lost beyond the mirror
        refs = [0] * len(parts)
        first = self._next[up]
        for count, index in enumerate(order or range(len(parts))):
            offset, part = parts[index]
            flags = "PA" if offset + len(part) == len(data) else "A"
            refs[index] = self._segment(flags, up=up, seq=first + offset, data=part)
            self.at += self.rng.uniform(0.00002, 0.00012)
            if not up and count % 2 and count + 1 < len(parts):
                self._segment("A", up=True, ack=first + offset + len(part))
        self._next[up] = (first + len(data)) & 0xFFFFFFFF
        if again >= 0:
            self.at += self.rng.uniform(0.21, 0.24)
            self._segment("PA", up=up, seq=first + parts[again][0], data=parts[again][1])
        self.at += self.rtt if up else self.rng.uniform(0.0001, 0.0004)
        self._segment("A", up=not up)
        return refs

    def close(self, think: float = 0.0) -> None:
        """Client ends it; both send their FIN."""
        self.at += think
        for up, delay in ((True, self.rtt), (False, 0.0003)):
            self._segment("FA", up=up)
            self._next[up] = (self._next[up] + 1) & 0xFFFFFFFF
            self.at += delay
        self._segment("A", up=True)

    def _handshake(self) -> None:
        size = ("MSS", 1440 if self.six else 1460)
        scale = ("WScale", 8)
        for up, flags in ((True, "S"), (False, "SA")):
            if self._stamped:
                options = [size, ("SAckOK", b""), ("Timestamp", self._stamp(up=up)), ("NOP", None), scale]
            else:
                options = [size, ("NOP", None), scale, ("NOP", None), ("NOP", None), ("SAckOK", b"")]
            self._segment(flags, up=up, options=options)
            self._next[up] = (self._next[up] + 1) & 0xFFFFFFFF
            self.at += self.rtt if up else self.rng.uniform(0.0001, 0.0006)
        self._segment("A", up=True)

    def _parts(self, data: bytes, cuts: Sequence[int]) -> list[tuple[int, bytes]]:
        parts = []
        edges = [0, *cuts, len(data)]
        for low, high in itertools.pairwise(edges):
            parts += [(at, data[at : min(at + self._mss, high)]) for at in range(low, high, self._mss)]
        return parts

    def _stamp(self, *, up: bool) -> tuple[int, int]:
        elapsed = round((self.at - self._begun) * 1000)
        echo = 0 if self._next[False] == 0 else (self._clock[not up] + elapsed) & 0xFFFFFFFF
        return (self._clock[up] + elapsed) & 0xFFFFFFFF, echo

    def _segment(self, flags: str, *, up: bool, seq: int | None = None, ack: int | None = None, data: bytes = b"",
                 options: list[tuple[str, Any]] | None = None) -> int:  # fmt: skip
        if options is None:
            options = [("NOP", None), ("NOP", None), ("Timestamp", self._stamp(up=up))] if self._stamped else []
        elif flags == "S":
            options = [(name, (value[0], 0)) if name == "Timestamp" else (name, value) for name, value in options]
        fields = {
            "flags": flags,
            "seq": (self._next[up] if seq is None else seq) & 0xFFFFFFFF,
            "ack": 0 if flags == "S" else (self._next[not up] if ack is None else ack) & 0xFFFFFFFF,
            "window": 64240 if flags in {"S", "SA"} else 1026,
            "options": options,
        }
        return self.trace.tcp(self.at, self._links[up], fields, data)
