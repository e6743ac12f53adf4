"""What else a ClientHello says beside its name: fingerprint, protocols, versions. Read only for flows somebody asks about.

Plain hellos are decided in the compiled loop and never read again, but for those of flows that a signature knows, and of all
flows where they are listed: a fingerprint of each would cost more than the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.decode.ja4 import ja4, version_name
from sensor.decode.tls import ClientHello, client_hello, datagram_hello, first_handshake
from sensor.kernel import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.decode.ja4 import Transport

HELLO_HITS = frozenset({layout.HIT_TLS, layout.HIT_QUIC, layout.HIT_DTLS})
# By kind of clue: what carried the hello, and what reads it as the clue's payload has it.
READERS: dict[int, tuple[Transport, Callable[[bytes], object]]] = {
    layout.KIND_TLS: ("t", first_handshake),
    layout.KIND_QUIC: ("q", client_hello),
    layout.KIND_DTLS: ("d", datagram_hello),
}
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
        self._listed: dict[int, HelloFacts] = {}  # by flow
        self._facts: dict[int, HelloFacts] = {}  # by flow, of this batch

    def begin(self, kept: NDArray[np.uint8]) -> None:
        """A new batch: `kept` is what its clues point into."""
        self._kept = kept
        self._facts.clear()

    def facts(self, clue: Any, kind: int) -> HelloFacts | None:
        """What the hello behind a clue says; `kind`: the hit that it became. None where it is none, or cannot be read."""
        flow_id = int(clue["flow_id"])
        if kind not in HELLO_HITS:
            return None
        found = self._facts.get(flow_id)
        if found is None:  # a hello may have taken several datagrams, of which the last one has it
            found = self._facts_of(clue)
            if found is not None:
                self._facts[flow_id] = found
        return found

    def _facts_of(self, clue: Any) -> HelloFacts | None:
        start, kind = int(clue["offset"]), int(clue["kind"])
        begin = start + max(-int(clue["sequence"]), 0)  # behind what stood before it in the segment
        raw = self._kept[begin : start + int(clue["length"])].tobytes()
        if not raw or kind not in READERS:
            return None
        transport, read = READERS[kind]
        hello = read(raw)
        return facts_of(hello, transport) if isinstance(hello, ClientHello) else None

    def list_all(self, clues: NDArray[np.void]) -> None:
        """Remembers the hellos of this batch until their flows end."""
        for index in np.flatnonzero(np.isin(clues["kind"], list(READERS))).tolist():
            facts = self.facts(clues[index], layout.HIT_TLS)
            if facts is not None:
                self._listed.setdefault(int(clues[index]["flow_id"]), facts)

    def listed(self, flow_id: int) -> HelloFacts | None:
        """Takes leave of a flow."""
        return self._listed.pop(flow_id, None)

    def reset(self) -> None:
        """The next packets are of a network of their own."""
        self._listed.clear()


def facts_of(hello: ClientHello, transport: Transport) -> HelloFacts:
    """What a hello says beside its name."""
    return HelloFacts(ja4(hello, transport), hello.alpn[:MAX_PROTOCOLS], version_name(hello))
