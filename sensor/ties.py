"""Flows that belong to a call by their local socket, whatever else they say: relays and peers share it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sensor.classify.episodes import weakened
from sensor.classify.flows import CALL_SERVICES
from sensor.kernel import layout
from sensor.model import Evidence, Strength

if TYPE_CHECKING:
    from sensor.classify.episodes import EpisodeBook
    from sensor.classify.flows import Flow

SOCKETS_KEPT = 4096
MAX_LOOSE = 8  # flows of one socket
LOOSE_NS = 10 * layout.NS  # a call asks which NAT is in the way before it asks its relays

Socket = tuple[str, int]


class Ties:
    """What the sockets of devices were last used for; and flows that spoke STUN before that was known."""

    def __init__(self, book: EpisodeBook) -> None:
        self._book = book
        self._told: dict[Socket, list[Evidence]] = {}
        self._loose: dict[Socket, deque[tuple[int, Flow]]] = {}
        self._last: dict[str, Socket] = {}  # of each device

    def reset(self) -> None:
        """The next packets are of a network of their own."""
        self._told.clear()
        self._loose.clear()
        self._last.clear()

    def remember(self, flow: Flow) -> None:
        """What is known of this flow's local socket, for other flows of it and for those of the peers it names."""
        told = [one for one in flow.own or flow.told if one.match.service in CALL_SERVICES]
        if not told:
            return
        strongest = max(one.match.strength for one in told)
        if strongest >= Strength.STRONG:
            self._know(flow, [one for one in told if one.match.strength == strongest])

    def tie(self, flow: Flow, file: str, frame: int, time_ns: int) -> bool:
        """A flow of a socket that was in a call, or to a peer that a relay was told of; whether it is known of which."""
        told = self._told.get(_local(flow)) or self._told.get(self._last.get(flow.device.id, ("", 0)))
        if told is None:
            return False
        self._tie(flow, told, (file, frame, time_ns))
        self._know(flow, told)
        return True

    def loosely(self, flow: Flow, time_ns: int) -> None:
        """STUN that tells no app: of a call if its socket is found to be a call's shortly after."""
        self._loose.setdefault(_local(flow), deque(maxlen=MAX_LOOSE)).append((time_ns, flow))
        while len(self._loose) > SOCKETS_KEPT:
            del self._loose[next(iter(self._loose))]

    def _know(self, flow: Flow, told: list[Evidence]) -> None:
        socket = _local(flow)
        self._told[socket] = told
        self._last[flow.device.id] = socket
        while len(self._told) > SOCKETS_KEPT:
            del self._told[next(iter(self._told))]
        for began_ns, other in self._loose.pop(socket, ()):
            if told[-1].time_ns - began_ns <= LOOSE_NS and not other.own and not other.tied:
                self._tie(other, told)

    def _tie(self, flow: Flow, told: list[Evidence], seen: tuple[str, int, int] | None = None) -> None:
        """The flow is of the same call as those that `told`; `seen`: file, frame and time at which it showed."""
        first = told[0]
        file, frame, time_ns = seen or (first.file, first.frame, first.time_ns)
        value = f"same socket as {first.value} in frame {first.frame}"
        flow.tied = [
            Evidence("tied", value, file, frame, time_ns, flow.key, weakened(one.match, Strength.STRONG))
            for one in {one.match.rule: one for one in reversed(told)}.values()
        ]
        self._book.note(flow, own_name=False)  # what the flow says itself comes first


def _local(flow: Flow) -> Socket:
    key = flow.key
    return (key.src, key.sport) if flow.device_is_src else (key.dst, key.dport)
