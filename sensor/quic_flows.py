"""The QUIC and DTLS connections whose hello is not whole yet, bounded in number and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sensor.decode.quic import QuicHello
from sensor.model import Malformed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from sensor.decode.gquic import Chlo
    from sensor.decode.tls import ClientHello

MAX_FLOWS = 16384  # waiting for more of a hello; beyond, the oldest is given up and counted
MAX_BYTES = 64 << 20  # over all of them, of the datagrams that brought pieces
MALFORMED_LIMIT = 3  # datagrams of one flow that are not what they looked like, before it is left alone


class _Assembler(Protocol):
    def add(self, datagram: bytes, /) -> ClientHello | Chlo | Malformed | None: ...


@dataclass(slots=True)
class _Waiting:
    hello: _Assembler
    held_bytes: int = 0
    malformed: int = 0


class QuicFlows:
    """Flows by a key of the caller's; `counts` takes what came of them."""

    def __init__(
        self,
        counts: Counter[str],
        *,
        assembler: Callable[[], _Assembler] = QuicHello,
        malformed: str = "quic_malformed",
        max_flows: int = MAX_FLOWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`assembler` puts a hello together; `malformed` is what datagrams that are none count as."""
        self._counts = counts
        self._assembler = assembler
        self._malformed = malformed
        self._max_flows = max_flows
        self._max_bytes = max_bytes
        self._waiting: dict[int, _Waiting] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def read(self, key: int, datagram: bytes) -> ClientHello | Chlo | Malformed | None:
        """The flow's hello once it is whole; Malformed where it is given up; None: more is wanted.

        After the first two the flow is forgotten.
        """
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(self._assembler())
            if len(self) > self._max_flows:
                self._give_up_oldest()
        found = waiting.hello.add(datagram)
        if found is None:
            waiting.held_bytes += len(datagram)
            self.held_bytes += len(datagram)
            while self.held_bytes > self._max_bytes:
                self._give_up_oldest()
            return None
        if isinstance(found, Malformed):
            self._counts[self._malformed] += 1
            waiting.malformed += 1
            if waiting.malformed < MALFORMED_LIMIT:
                return None
        self.drop(key)
        return found

    def drop(self, key: int) -> None:
        """This flow has ended, or nothing more is wanted of it."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self.held_bytes -= waiting.held_bytes

    def forget(self, keys: AbstractSet[int]) -> None:
        """These flows have ended."""
        for key in self._waiting.keys() & keys:
            self.drop(key)

    def _give_up_oldest(self) -> None:
        self.drop(next(iter(self._waiting)))
        self._counts["streams_given_up"] += 1

    def reset(self) -> None:
        self._waiting.clear()
        self.held_bytes = 0
