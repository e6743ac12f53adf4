"""From hits to episodes: follows the flows that some signature has a word for, and hands them to the book of episodes."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.classify.devices import device
from sensor.classify.episodes import EpisodeBook, weakened
from sensor.classify.flows import UNKNOWN_CALL, Carried, Flow
from sensor.decode.text import is_address
from sensor.hellos import HELLO_HITS
from sensor.kernel import layout
from sensor.model import Activity, Evidence, FlowKey, RuleMatch, Strength
from sensor.networks import packed
from sensor.ties import Ties

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.hellos import Hellos
    from sensor.kernel.state import Names
    from sensor.model import Device
    from sensor.networks import Networks
    from sensor.watching import Watcher

    MatchAddress = Callable[[bytes, str, int], tuple[RuleMatch, ...]]

HIT_KINDS = {
    layout.HIT_TLS: "tls_sni",
    layout.HIT_QUIC: "quic_sni",
    layout.HIT_HTTP: "http_host",
    layout.HIT_DNS_ANSWER: "dns_answer",
    layout.HIT_DNS_QUERY: "dns_query",
    layout.HIT_STUN: "stun",
    layout.HIT_CERT: "tls_cert",
    layout.HIT_DTLS: "dtls_sni",
    layout.HIT_FIRST: "payload",
    layout.HIT_MEDIA: "media",
    layout.HIT_TIED: "tied",
}
NOT_NAMES = frozenset({layout.HIT_STUN, layout.HIT_FIRST, layout.HIT_MEDIA})
PORTED = (6, 17)  # TCP and UDP
MEDIA = RuleMatch(UNKNOWN_CALL, f"{UNKNOWN_CALL}/media", Strength.SUPPORTING, "call", Activity.CALL_ATTEMPT)
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
NO_VLAN = 0xFFFF
MAX_DEVICES = 65536
MAX_ADDRESSES = 8192  # whose text, and what signatures say of them, is remembered
MAPPED = b"\0" * 10 + b"\xff\xff"

# The clue's fields that are read here, in this order: rows as tuples cost a tenth of rows as records.
FIELDS = ["flow_id", "slot", "time_ns", "number", "source", "side", "opener", "proto", "vlan", "src_high", "src_low",
          "dst_high", "dst_low", "src_port", "dst_port", "src_mac", "dst_mac", "first_ns", "kind", "flags"]  # fmt: skip

# Of a row of the flow table, in this order; what differs by side in pairs.
ENDED = ["last_ns", "ended_ns", "media_first_ns", "media_last_ns", "window_ns", "bytes_0", "bytes_1", "packets_0",
         "packets_1", "media_0", "media_1", "tick_bytes_0", "tick_bytes_1", "tick_packets_0", "tick_packets_1"]  # fmt: skip


@dataclass(slots=True)
class Followed:
    """What was not followed, and why."""

    excluded: dict[str, int] = field(default_factory=dict)  # flows to known apps by excluded network
    unmonitored: int = 0


class Follower:
    """Keeps the flows that may belong to an episode. `match_address` is asked about flows to published ranges."""

    def __init__(
        self,
        book: EpisodeBook,
        names: Names,
        networks: Networks,
        routers: frozenset[int],
        match_address: MatchAddress,
        hellos: Hellos,
    ) -> None:
        self.book = book
        self.flows: dict[int, Flow] = {}
        self.counts = Followed()
        self.listed: dict[int, list[tuple[str, str, int]]] | None = None
        self.files: list[str] = []
        self.matches: list[tuple[RuleMatch, ...]] = [()]
        self.watcher: Watcher | None = None
        self._names = names
        self._known: dict[tuple[int, int, int, int, int], tuple[Device, str]] = {}
        self.change(networks, routers, match_address)
        self._hellos = hellos
        self._ending: NDArray[np.void] = np.zeros(0, layout.FLOW)[ENDED]
        self._ending_at: dict[int, int] = {}
        self._ticks: NDArray[np.void] = np.zeros(0, layout.TICK)
        self._ticks_at: dict[int, slice] = {}  # by flow: where its windows lie in `_ticks`
        self._ties = Ties(book)
        self._detailed: set[tuple[str, int]] = set()  # devices and names whose hellos were told
        self._weak: dict[tuple[int, int], tuple[tuple[RuleMatch, ...], bool]] = {}

    def change(self, networks: Networks, routers: frozenset[int], match_address: MatchAddress) -> None:
        """These hold from now on; flows that are followed stay whose they are."""
        self._networks, self._routers = networks, routers
        self._match_address = lru_cache(MAX_ADDRESSES)(match_address)  # servers come again and again
        self._known.clear()

    def reset(self) -> None:
        """The next packets are of a network of their own."""
        self.flows.clear()
        self._known.clear()
        self._ties.reset()
        self._detailed.clear()
        if self.listed is not None:
            self.listed.clear()

    def forget_names(self) -> None:
        """The numbers of names begin anew."""
        for flow in self.flows.values():
            flow.seen.clear()
        self._detailed.clear()

    def take(self, clues: NDArray[np.void], hits: NDArray[np.void]) -> None:
        """Adds what each hit says to its flow, in order."""
        rows = clues[hits["clue"]][FIELDS].tolist()
        text = self._names.text
        for hit, clue in zip(hits.tolist(), rows, strict=True):
            _, kind, name_id, match, number, time_ns, source, side, router = hit
            flow_id = clue[0]
            if kind >= layout.HIT_SEEN:
                if self.watcher is not None:
                    self.watcher.take(clue, hit, text(name_id) if name_id else "")
                continue
            if self.listed is not None and name_id and kind != layout.HIT_FIRST:
                self.listed.setdefault(flow_id, []).append((HIT_KINDS[kind], text(name_id), number))
            if kind == layout.HIT_DNS_QUERY:
                continue  # a question is no use yet; the answer speaks once it is followed
            flow = self.flows.get(flow_id)
            if kind == layout.HIT_RANGE:
                self._hint(flow, clue, side, router)
                continue
            if kind in {layout.HIT_TIED, layout.HIT_MEDIA}:
                self._call(flow, kind, hit, clue)
                continue
            if kind == layout.HIT_STUN and not match:
                self._loosely(flow, clue, side, router)
                continue
            if kind == layout.HIT_DNS_ANSWER and clue[7] not in PORTED:
                continue  # a ping to an app's server is no use of it
            if flow is None:
                who = self._who(clue, side, router) if match else None
                if who is None:
                    continue
                flow = self.flows[flow_id] = self._flow(clue, side, *who)
            self.book.advance(clue[2])
            # What a flow repeats says nothing new: a name, or bytes that mean the same.
            says = (match if kind in NOT_NAMES else name_id) * 16 + kind
            if says not in flow.seen:
                flow.seen.add(says)
                if any(one.service == "telephony" for one in self.matches[match]):
                    self.book.telephone(flow.device.id, time_ns)
                    continue
                detail = self._detail(flow, clues, hit) if match and kind in HELLO_HITS else ""
                self._note(flow, kind, text(name_id), match, number, time_ns, source, detail)
                if flow.key.proto == "udp":
                    self._ties.remember(flow)

    def _detail(self, flow: Flow, clues: NDArray[np.void], hit: tuple[Any, ...]) -> str:
        """What else a hello says; of each device and name the first one tells it, for a fingerprint costs more than the rest."""
        told = flow.device.id, hit[2]
        if told in self._detailed:
            return ""
        if len(self._detailed) >= MAX_DEVICES:
            self._detailed.clear()
        self._detailed.add(told)
        return str(self._hellos.facts(clues[hit[0]], hit[1]) or "")

    def _note(
        self, flow: Flow, kind: int, name: str, match: int, number: int, time_ns: int, source: int, detail: str
    ) -> None:
        dns = kind == layout.HIT_DNS_ANSWER
        matches, tells = self._weakened(match, Strength.STRONG if dns else Strength.CONCLUSIVE)
        if kind not in NOT_NAMES:
            if tells and name not in flow.names:
                flow.names.append(name)
            hidden = self.watcher is not None and self.watcher.hides(flow.flow_id)
            # An address is no name; a certificate may be that of a content network's front, shown to who asks for no name.
            if match == 0 and not dns and not hidden and kind != layout.HIT_CERT and not is_address(name):
                flow.overruled = True
        file, what = self.files[source], HIT_KINDS[kind]
        into = flow.told if dns else flow.own
        for one in matches:
            into.append(Evidence(what, name, file, number, time_ns, flow.key, one, detail=detail))
        # A name that cannot accuse changes nothing, unless it is the flow's own and DNS had let one expect another.
        own_name = not dns and kind not in NOT_NAMES
        if tells or (own_name and any(telling(one.match) for one in flow.told)):
            self.book.note(flow, own_name=not dns)

    def _call(self, flow: Flow | None, kind: int, hit: tuple[Any, ...], clue: tuple[Any, ...]) -> None:
        """Datagrams that are a call's by what they look like, or by their socket or peer."""
        number, time_ns, source, side, router = hit[4:9]
        if flow is None:
            who = self._who(clue, side, router, counted=False)
            if who is None:
                return
            flow = self._flow(clue, side, *who)
        self.book.advance(clue[2])
        if kind == layout.HIT_TIED:
            if self._ties.tie(flow, self.files[source], number, time_ns):
                self.flows[clue[0]] = flow
            return
        self._note_media(flow, number, time_ns, source)
        self.flows[clue[0]] = flow
        self.book.note(flow, own_name=True)

    def _loosely(self, flow: Flow | None, clue: tuple[Any, ...], side: int, router: int) -> None:
        """STUN that tells no app: of a call if its socket is found to be a call's shortly after."""
        if flow is None:
            who = self._who(clue, side, router, counted=False)
            if who is None:
                return
            flow = self.flows[clue[0]] = self._flow(clue, side, *who)
        self._ties.loosely(flow, clue[2])

    def _note_media(self, flow: Flow, number: int, time_ns: int, source: int) -> None:
        """A run of RTP packets in one direction."""
        key = flow.key
        value = f"{layout.MEDIA_RUN} RTP packets in sequence"
        if len(flow.media) < 2:
            flow.media.append(Evidence("media", value, self.files[source], number, time_ns, key, MEDIA))
        server, port = (key.dst, key.dport) if flow.device_is_src else (key.src, key.sport)
        if not flow.hints:
            for one in self._match_address(packed(server), key.proto, port):
                match = replace(one, strength=min(one.strength, Strength.STRONG))
                flow.hints.append(Evidence("ip_range", server, self.files[source], number, time_ns, key, match))

    def _take_windows(self, flow: Flow) -> None:
        """What the flow carries in windows that are over within this batch."""
        place = self._ticks_at.get(flow.flow_id)
        for tick in self._ticks[place].tolist() if place else ():
            _, time_ns, start_ns, bytes_0, bytes_1, packets_0, packets_1, *_ = tick
            if time_ns >= flow.followed_ns:
                sides = (bytes_0, bytes_1, packets_0, packets_1)
                if flow.device_side:
                    sides = (bytes_1, bytes_0, packets_1, packets_0)
                flow.windows.append(Carried(start_ns, *sides))

    def _weakened(self, match: int, most: Strength) -> tuple[tuple[RuleMatch, ...], bool]:
        """The matches of this number at most so strong, and whether one of them tells."""
        key = (match, int(most))
        made = self._weak.get(key)
        if made is None:
            matches = tuple(weakened(one, most) for one in self.matches[match])
            made = self._weak[key] = matches, any(map(telling, matches))
        return made

    def _hint(self, flow: Flow | None, clue: tuple[Any, ...], side: int, router: int) -> None:
        """A flow without a telling name, to a published range: part of an episode that is open, if there is one."""
        if clue[7] not in PORTED:
            return
        who = self._who(clue, side, router, counted=False)
        if who is None or not self.book.expects(who[0].id):
            return
        port, server = (clue[14], _raw(clue, 1)) if side == 0 else (clue[13], _raw(clue, 0))
        matches = self._match_address(server, _protocol(clue[7]), port)
        if not matches:
            return
        flow = flow or self._flow(clue, side, *who)
        for one in matches:
            match = weakened(one, Strength.SUPPORTING)
            file = self.files[clue[4]]
            flow.hints.append(Evidence("ip_range", address(server), file, clue[3], clue[2], flow.key, match))
        self.book.advance(clue[2])
        if self.book.hint(flow):
            self.flows[clue[0]] = flow

    def _who(self, clue: tuple[Any, ...], side: int, router: int, *, counted: bool = True) -> tuple[Device, str] | None:
        """The device and its network's name; None, and counted, where it is nobody's business."""
        high, low = (clue[9], clue[10]) if side == 0 else (clue[11], clue[12])
        mac, vlan = clue[15 + side], clue[8]
        key = (mac, high, low, vlan, router)
        found = self._known.get(key)
        if found is not None:
            return found
        raw = _raw(clue, side)
        network = self._networks.find(raw, None if vlan == NO_VLAN else vlan)
        if network is None:
            self.counts.unmonitored += counted
        elif network.excluded:
            if counted:
                self.counts.excluded[network.name] = self.counts.excluded.get(network.name, 0) + 1
        else:
            hidden = bool(router) or mac in self._routers
            found = device(mac, address(raw), hidden=hidden), network.name
            if len(self._known) >= MAX_DEVICES:
                self._known.clear()
            self._known[key] = found
        return found

    def is_excluded(self, row: Any) -> bool:
        """Whether an end of this flow lies in an excluded network."""
        vlan = None if row["vlan"] == NO_VLAN else int(row["vlan"])
        ends = (halves(row["a_high"], row["a_low"]), halves(row["b_high"], row["b_low"]))
        found = [self._networks.find(end, vlan) for end in ends]
        return any(network is not None and network.excluded for network in found)

    def _flow(self, clue: tuple[Any, ...], side: int, who: Device, network: str) -> Flow:
        forward = clue[5] == clue[6]  # the clue's packet came from the side that opened the flow
        a, b = (_address(clue[9], clue[10]), clue[13]), (_address(clue[11], clue[12]), clue[14])
        src, dst = (a, b) if forward else (b, a)
        key = FlowKey(_protocol(clue[7]), *src, *dst)
        flow = Flow(clue[0], key, who, network, (side == 0) == forward, clue[5] if side == 0 else 1 - clue[5], clue[17])
        flow.followed_ns = clue[2]
        self._take_windows(flow)
        if clue[0] in self._ending_at:
            self._finalise(flow)
        return flow

    def ending(self, rows: NDArray[np.void], ticks: NDArray[np.void]) -> None:
        """These flows end, and these windows are over, within the batch whose hits come next.

        Final counters and windows for those that are followed; `take` gives them to those it begins to follow.
        """
        self._ticks = ticks[np.argsort(ticks["flow_id"], kind="stable")]
        ids, starts = np.unique(self._ticks["flow_id"], return_index=True)
        places = map(slice, starts.tolist(), [*starts[1:].tolist(), len(ticks)])
        self._ticks_at = dict(zip(ids.tolist(), places, strict=True))
        for flow_id in self.flows.keys() & self._ticks_at.keys():
            self._take_windows(self.flows[flow_id])
        self._ending = rows[ENDED]
        self._ending_at = dict(zip(rows["flow_id"].tolist(), range(len(rows)), strict=True))
        for flow_id in self.flows.keys() & self._ending_at.keys():
            self._finalise(self.flows[flow_id])

    def _finalise(self, flow: Flow) -> None:
        row = self._ending[self._ending_at[flow.flow_id]].item()
        last_ns, ended_ns, media_first_ns, media_last_ns, window_ns, *sides = row
        if flow.device_side:
            sides = [sides[at ^ 1] for at in range(len(sides))]
        up, down, packets_up, packets_down, media_up, media_down, *before = sides
        flow.last_ns, flow.ended_ns = last_ns, ended_ns
        flow.bytes_up, flow.bytes_down, flow.packets = up, down, packets_up + packets_down
        flow.media_up, flow.media_down = media_up, media_down
        flow.media_first_ns, flow.media_last_ns = media_first_ns, media_last_ns
        flow.last_window = Carried(
            window_ns, up - before[0], down - before[1], packets_up - before[2], packets_down - before[3]
        )
        flow.ended = True

    def end(self) -> None:
        """The batch is over: takes leave of the flows that ended in it."""
        for flow_id in self.flows.keys() & self._ending_at.keys():
            del self.flows[flow_id]
        self._ending_at = {}


def telling(match: RuleMatch) -> bool:
    """Whether a match can make an episode; what cannot need not be followed unless flows are listed."""
    return match.strength >= Strength.STRONG and not match.context


def row_key(row: Any) -> FlowKey:
    """The five-tuple of a flow row, the opener first."""
    a = (address(halves(row["a_high"], row["a_low"])), int(row["a_port"]))
    b = (address(halves(row["b_high"], row["b_low"])), int(row["b_port"]))
    src, dst = (a, b) if row["opener"] == 0 else (b, a)
    return FlowKey(_protocol(int(row["proto"])), *src, *dst)


@lru_cache(maxsize=MAX_ADDRESSES)
def _address(high: int, low: int) -> str:
    """Two int64 halves -> text."""
    return address(halves(high, low))


def halves(high: Any, low: Any) -> bytes:
    """Two int64 halves -> 16 bytes."""
    return int(high).to_bytes(8, "big", signed=True) + int(low).to_bytes(8, "big", signed=True)


def address(raw: bytes) -> str:
    """16 bytes -> text, IPv4 as IPv4."""
    if raw.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def file_names(paths: list[str]) -> list[str]:
    """What evidence calls its captures: base names, for a path says more of the auditor's machine than of the evidence."""
    return [Path(path).name for path in paths]


def _raw(clue: tuple[Any, ...], end: int) -> bytes:
    return halves(clue[9], clue[10]) if end == 0 else halves(clue[11], clue[12])


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number, str(number))
