"""What else a ClientHello says beside its name: fingerprint, protocols, versions. Read only for flows somebody asks about.

Plain hellos are decided in the compiled loop and never read again, but for those of flows that a signature knows, and of all
flows where they are listed: a fingerprint of each would cost more than the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.decode.ja4 import ja4, version_name
from sensor.decode.tls import ClientHello, first_handshake
from sensor.kernel import layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sensor.decode.ja4 import Transport

TRANSPORTS: dict[int, Transport] = {layout.HIT_TLS: "t", layout.HIT_QUIC: "q", layout.HIT_DTLS: "d"}
MAX_PROTOCOLS = 8  # of a hello that are kept; browsers offer two


@dataclass(frozen=True, slots=True)
class HelloFacts:
    """`tls_version`: the highest offered, as "TLS 1.3"; `alpn`: protocols in order."""

    ja4: str
    alpn: tuple[str, ...]
    tls_version: str

    def __str__(self) -> str:
        """In one line, as evidence shows it: "TLS 1.3, ALPN h2 http/1.1, JA4 t13d..."."""
        said = [self.tls_version, f"ALPN {' '.join(self.alpn)}" if self.alpn else "", f"JA4 {self.ja4}"]
        return ", ".join(part for part in said if part)


class Hellos:
    """The hellos of one batch of clues, and where flows are listed those of all flows that are alive."""

    def __init__(self) -> None:
        self._kept: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._read: dict[int, tuple[ClientHello, Transport]] = {}  # by flow: those that a decoder read in this batch
        self._listed: dict[int, HelloFacts] = {}  # by flow
        self._facts: dict[int, HelloFacts | None] = {}  # by flow, of this batch

    def begin(self, kept: NDArray[np.uint8]) -> None:
        """A new batch: `kept` is what its clues point into."""
        self._kept = kept
        self._read.clear()
        self._facts.clear()

    def note(self, flow_id: int, hello: ClientHello, transport: Transport) -> None:
        """A decoder has read this flow's hello."""
        self._read[flow_id] = hello, transport

    def facts(self, clue: Any, kind: int) -> HelloFacts | None:
        """What the hello behind a clue says; `kind`: the hit that it became. None where it is none, or cannot be read."""
        flow_id = int(clue["flow_id"])
        if kind not in TRANSPORTS:
            return None
        if flow_id not in self._facts:
            self._facts[flow_id] = self._facts_of(clue, flow_id)
        return self._facts[flow_id]

    def _facts_of(self, clue: Any, flow_id: int) -> HelloFacts | None:
        known = self._read.get(flow_id)
        if known is not None:
            return facts_of(*known)
        if clue["kind"] != layout.KIND_TLS:
            return None
        start = int(clue["offset"])
        begin = start + max(-int(clue["sequence"]), 0)  # behind what stood before it in the segment
        hello = first_handshake(self._kept[begin : start + int(clue["length"])].tobytes())
        return facts_of(hello, "t") if isinstance(hello, ClientHello) else None

    def list_all(self, clues: NDArray[np.void]) -> None:
        """Remembers the hellos of this batch until their flows end."""
        for index in np.flatnonzero(clues["kind"] == layout.KIND_TLS).tolist():
            facts = self.facts(clues[index], layout.HIT_TLS)
            if facts is not None:
                self._listed.setdefault(int(clues[index]["flow_id"]), facts)
        for flow_id, known in self._read.items():
            self._listed.setdefault(flow_id, facts_of(*known))

    def listed(self, flow_id: int) -> HelloFacts | None:
        """Takes leave of a flow."""
        return self._listed.pop(flow_id, None)

    def reset(self) -> None:
        """The next packets are of a network of their own."""
        self._listed.clear()


def facts_of(hello: ClientHello, transport: Transport) -> HelloFacts:
    """What a hello says beside its name."""
    return HelloFacts(ja4(hello, transport), hello.alpn[:MAX_PROTOCOLS], version_name(hello))
