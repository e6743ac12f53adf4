"""From hits to episodes: follows the flows that some signature has a word for, and hands them to the book of episodes."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.classify.devices import device
from sensor.classify.episodes import EpisodeBook, Flow, weakened
from sensor.kernel import layout
from sensor.kernel.table import idle_limit_ns
from sensor.model import Evidence, FlowKey, RuleMatch, Strength

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.kernel.state import Names, Scanner
    from sensor.model import Device
    from sensor.networks import Networks

HIT_KINDS = {
    layout.HIT_TLS: "tls_sni",
    layout.HIT_QUIC: "quic_sni",
    layout.HIT_HTTP: "http_host",
    layout.HIT_DNS_ANSWER: "dns_answer",
    layout.HIT_DNS_QUERY: "dns_query",
    layout.HIT_STUN: "stun",
}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
NO_VLAN = 0xFFFF
MAX_DEVICES = 65536
MAPPED = b"\0" * 10 + b"\xff\xff"

# The clue's fields that are read here, in this order: rows as tuples cost a tenth of rows as records.
FIELDS = ["flow_id", "slot", "time_ns", "number", "source", "side", "opener", "proto", "vlan", "src_high", "src_low",
          "dst_high", "dst_low", "src_port", "dst_port", "src_mac", "dst_mac"]  # fmt: skip


@dataclass(slots=True)
class Followed:
    """What was not followed, and why."""

    excluded: dict[str, int] = field(default_factory=dict)  # flows to known apps by excluded network
    unmonitored: int = 0


class Follower:
    """Keeps the flows that may belong to an episode. `match_address` is asked about flows to published ranges."""

    def __init__(
        self,
        book: Callable[[Callable[[Flow], tuple[int, int]]], EpisodeBook],
        scanner: Scanner,
        names: Names,
        networks: Networks,
        routers: frozenset[int],
        match_address: Callable[[bytes, str, int], tuple[RuleMatch, ...]],
    ) -> None:
        """`book` makes the book, given how to ask for the times of a flow that may still live."""
        self.book = book(self._times_of)
        self.flows: dict[int, Flow] = {}
        self.counts = Followed()
        self.listed: dict[int, list[tuple[str, str, int]]] | None = None
        self.files: list[str] = []
        self.matches: list[tuple[RuleMatch, ...]] = [()]
        self._scanner = scanner
        self._names = names
        self._networks = networks
        self._routers = routers
        self._match_address = match_address
        self._devices: dict[tuple[int, bytes, bool], Device] = {}

    def reset(self) -> None:
        """The next packets are of a network of their own."""
        self.flows.clear()
        self._devices.clear()
        if self.listed is not None:
            self.listed.clear()

    def take(self, clues: NDArray[np.void], hits: NDArray[np.void]) -> None:
        """Adds what each hit says to its flow, in order."""
        rows = clues[FIELDS][hits["clue"]].tolist()
        for hit, clue in zip(hits.tolist(), rows, strict=True):
            _, kind, name_id, match, number, time_ns, source, side, router = hit
            if kind == layout.HIT_FLOW:
                continue
            flow_id = clue[0]
            name = self._names.text(name_id) if name_id else ""
            if self.listed is not None and name:
                self.listed.setdefault(flow_id, []).append((HIT_KINDS[kind], name, number))
            if kind == layout.HIT_DNS_QUERY:
                continue  # a question is no use yet; the answer speaks once it is followed
            flow = self.flows.get(flow_id)
            if kind == layout.HIT_RANGE:
                if flow is None and self.matches[match]:
                    self._hint(clue, side, router)
                continue
            if flow is None:
                flow = self._follow(clue, side, router) if match else None
                if flow is None:
                    continue
                self.flows[flow_id] = flow
            self.book.advance(clue[2])
            self._note(flow, kind, name, match, number, time_ns, source)

    def _note(self, flow: Flow, kind: int, name: str, match: int, number: int, time_ns: int, source: int) -> None:
        dns = kind == layout.HIT_DNS_ANSWER
        into = flow.told if dns else flow.own
        most = Strength.STRONG if dns else Strength.CONCLUSIVE
        if kind != layout.HIT_STUN:
            if name not in flow.names:
                flow.names.append(name)
            if match == 0 and not dns:
                flow.overruled = True
        for one in self.matches[match]:
            file = self.files[source]
            into.append(Evidence(HIT_KINDS[kind], name, file, number, time_ns, flow.key, weakened(one, most)))
        self.book.note(flow, own_name=not dns)

    def _hint(self, clue: tuple[Any, ...], side: int, router: int) -> None:
        """A flow without a name, to a published range: part of an episode that is open, if there is one."""
        who = self._who(clue, side, router)
        if who is None or not self.book.has_open(who[0].id):
            return
        port, server = (clue[14], _raw(clue, 1)) if side == 0 else (clue[13], _raw(clue, 0))
        matches = self._match_address(server, _protocol(clue[7]), port)
        if not matches:
            return
        flow = self._flow(clue, side, *who)
        for one in matches:
            match = weakened(one, Strength.SUPPORTING)
            file = self.files[clue[4]]
            flow.hints.append(Evidence("ip_range", address(server), file, clue[3], clue[2], flow.key, match))
        self.book.advance(clue[2])
        if self.book.hint(flow):
            self.flows[clue[0]] = flow

    def _follow(self, clue: tuple[Any, ...], side: int, router: int) -> Flow | None:
        """Begins to follow a flow; None where its device is in an excluded network or in none of ours."""
        who = self._who(clue, side, router)
        return None if who is None else self._flow(clue, side, *who)

    def _who(self, clue: tuple[Any, ...], side: int, router: int) -> tuple[Device, str] | None:
        """The device and its network's name; None, and counted, where it is nobody's business."""
        raw, mac = _raw(clue, side), clue[15 + side]
        vlan = clue[8]
        network = self._networks.find(raw, None if vlan == NO_VLAN else vlan)
        if network is None:
            self.counts.unmonitored += 1
            return None
        if network.excluded:
            self.counts.excluded[network.name] = self.counts.excluded.get(network.name, 0) + 1
            return None
        hidden = bool(router) or mac in self._routers
        key = (mac, raw, hidden)
        known = self._devices.get(key)
        if known is None:
            if len(self._devices) >= MAX_DEVICES:
                self._devices.clear()
            known = self._devices[key] = device(mac, address(raw), hidden=hidden)
        return known, network.name

    def _flow(self, clue: tuple[Any, ...], side: int, who: Device, network: str) -> Flow:
        forward = clue[5] == clue[6]  # the clue's packet came from the side that opened the flow
        a, b = (address(_raw(clue, 0)), clue[13]), (address(_raw(clue, 1)), clue[14])
        src, dst = (a, b) if forward else (b, a)
        key = FlowKey(_protocol(clue[7]), *src, *dst)
        first_ns = int(self._scanner.flows["first_ns"][clue[1]])
        return Flow(clue[0], clue[1], key, who, network, (side == 0) == forward, first_ns)

    def _times_of(self, flow: Flow) -> tuple[int, int]:
        row = self._scanner.flows[flow.slot]
        last_ns = int(row["last_ns"])
        return last_ns, last_ns + int(idle_limit_ns(row))

    def end(self, rows: NDArray[np.void]) -> None:
        """Takes leave of flows that ended: final counters for those that were followed."""
        if not self.flows:
            return
        known = np.fromiter(self.flows, np.int64, len(self.flows))
        for row in rows[np.isin(rows["flow_id"], known)]:
            flow = self.flows.pop(int(row["flow_id"]))
            flow.last_ns = int(row["last_ns"])
            flow.until_ns = flow.last_ns + int(idle_limit_ns(row))
            flow.packets = int(row["packets_0"]) + int(row["packets_1"])
            opener = int(row["opener"])
            from_src, from_dst = int(row[f"bytes_{opener}"]), int(row[f"bytes_{1 - opener}"])
            flow.bytes_up, flow.bytes_down = (from_src, from_dst) if flow.device_is_src else (from_dst, from_src)
            flow.ended = True


def row_key(row: Any) -> FlowKey:
    """The five-tuple of a flow row, the opener first."""
    a = (address(halves(row["a_high"], row["a_low"])), int(row["a_port"]))
    b = (address(halves(row["b_high"], row["b_low"])), int(row["b_port"]))
    src, dst = (a, b) if row["opener"] == 0 else (b, a)
    return FlowKey(_protocol(int(row["proto"])), *src, *dst)


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
