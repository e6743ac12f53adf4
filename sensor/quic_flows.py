"""The QUIC and DTLS connections whose hello is not whole yet, bounded in number and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sensor.bounded import MAX_BYTES, MAX_WAITING, Bounded
from sensor.decode.quic import QuicHello
from sensor.model import Malformed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from sensor.decode.gquic import Chlo
    from sensor.decode.tls import ClientHello

MALFORMED_LIMIT = 3  # datagrams of one flow that are not what they looked like, before it is left alone


class _Assembler(Protocol):
    def add(self, datagram: bytes, /) -> ClientHello | Chlo | Malformed | None: ...


@dataclass(slots=True)
class _Waiting:
    hello: _Assembler
    held_bytes: int = 0
    malformed: int = 0


class QuicFlows(Bounded[_Waiting]):
    """Flows by a key of the caller's; `counts` takes what came of them."""

    def __init__(
        self,
        counts: Counter[str],
        *,
        assembler: Callable[[], _Assembler] = QuicHello,
        malformed: str = "quic_malformed",
        max_flows: int = MAX_WAITING,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`assembler` puts a hello together; `malformed` is what datagrams that are none count as."""
        super().__init__(counts, lambda: _Waiting(assembler()), max_flows, max_bytes)
        self._malformed = malformed

    def read(self, key: int, datagram: bytes) -> ClientHello | Chlo | Malformed | None:
        """The flow's hello once it is whole; Malformed where it is given up; None: more is wanted.

        After the first two the flow is forgotten.
        """
        waiting = self.of(key)
        found = waiting.hello.add(datagram)
        if found is None:
            self.grew(waiting, len(datagram))
            return None
        if isinstance(found, Malformed):
            self._counts[self._malformed] += 1
            waiting.malformed += 1
            if waiting.malformed < MALFORMED_LIMIT:
                return None
        self.drop(key)
        return found
