"""From hits to observations: what hides the use of apps, by device and hour; of an excluded network by network and hour only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor import outdated
from sensor.classify import systems
from sensor.classify.devices import device
from sensor.classify.episodes import PENDING, episode_id
from sensor.classify.visibility import ESNI, LEARNED, WIFI_CALLING
from sensor.following import FIELDS, HIT_KINDS, NO_VLAN, address, halves
from sensor.kernel import layout
from sensor.kernel.join import HIT_OF_KIND
from sensor.kernel.ranges import Ranges
from sensor.kernel.watch import PORT_ANYWHERE, PORT_SOMEWHERE
from sensor.model import Activity, Episode, Evidence, FlowKey, Observation, Strength, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from sensor.classify.rules import Side
    from sensor.classify.visibility import VisibilitySet
    from sensor.kernel.state import Joiner, Names
    from sensor.model import Device, RuleMatch
    from sensor.networks import Networks

HOUR_NS = 3600 * layout.NS
MAX_EVIDENCE = 4  # of one observation
MAX_OBSERVATIONS = 1 << 16  # kept at a time; more are counted and left out
MAX_DEVICES = 65536
NAMING = frozenset({"tls_sni", "quic_sni", "dtls_sni", "http_host", "tls_cert", "dns_answer", "dns_query"})
PROTOCOLS = {6: "tcp", 17: "udp", 50: "esp"}
WEB_PORT = 443
PROXY = "proxy"
# What such a flow carries is the use of other servers; the other kinds hide names or answers only.
TUNNELS = frozenset({"private_relay", "vpn", "tor"})


@dataclass(frozen=True, slots=True)
class _Said:
    """One rule that fitted a flow. `evidence` is None in an excluded network."""

    match: RuleMatch
    what: str  # kind of evidence
    evidence: Evidence | None


@dataclass(slots=True)
class _Flow:
    network: str
    device: Device | None
    device_side: int  # of the flow row
    own_name: bool = False
    said: list[_Said] = field(default_factory=list)


@dataclass(slots=True)
class _Bucket:
    device: Device | None
    flows: int = 0
    packets: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    first_ns: int = 1 << 63
    last_ns: int = 0
    strength: Strength = Strength.SUPPORTING
    services: set[str] = field(default_factory=set)
    evidence: list[Evidence] = field(default_factory=list)


class Watcher:
    """Follows the flows that something hides. `emit` takes the observations once everything has been read."""

    def __init__(
        self,
        found: VisibilitySet,
        names: Names,
        networks: Networks,
        routers: frozenset[int],
        *,
        ignored: Collection[str],
        public_names: Mapping[str, int],
        emit: Callable[[Observation], None],
    ) -> None:
        """`ignored`: kinds of which nothing is recorded. `public_names`: those that DNS gave out, and since when."""
        self.files: list[str] = []
        self.left_out = 0
        self._found = found
        self._names = names
        self._networks = networks
        self._routers = routers
        self._ignored = frozenset(ignored)
        self._public_names = public_names
        self._emit = emit
        self._flows: dict[int, _Flow] = {}
        self._hidden: set[int] = set()
        self._buckets: dict[tuple[str, str, str, int], _Bucket] = {}
        self._known: dict[tuple[int, int, int, int, int], tuple[str, Device | None] | None] = {}
        self._told: set[str] = set()
        self._beginnings: dict[int, tuple[tuple[RuleMatch, ...], str]] = {}  # by number, as names are

    def change(
        self, found: VisibilitySet, networks: Networks, routers: frozenset[int], ignored: Collection[str]
    ) -> None:
        """These hold from now on; `tell` has to follow."""
        self._found, self._networks, self._routers, self._ignored = found, networks, routers, frozenset(ignored)
        self._known.clear()
        self.forget_names()

    def tell(self, joiner: Joiner) -> None:
        """What the compiled joiner has to know: ports and addresses."""
        places = {"tcp": 0, "udp": 1, "esp": 2}
        joiner.ports[:] = 0
        anywhere, somewhere = self._found.ports()
        for watched, what in ((somewhere, PORT_SOMEWHERE), (anywhere, PORT_ANYWHERE)):
            for proto, port in watched:
                joiner.ports[places[proto], port] = what
        joiner.seen_ranges = Ranges.of(sorted({(low, high, 0) for low, high, _ in self._found.ranges()}))

    def classify(self, number: int, name: str) -> None:
        """A name seen for the first time."""
        if self._found.says_of_name(name) or name in self._public_names:
            self._names.see[number] = 1

    def learn(self) -> None:
        """Names that HTTPS records gave out since the last call."""
        for name in self._public_names.keys() - self._told:
            self._told.add(name)
            number = self._names.intern(name)
            if number:
                self._names.see[number] = 1

    def forget_names(self) -> None:
        """The numbers of names begin anew."""
        self._told.clear()
        self._beginnings.clear()

    def beginning(self, number: int, proto: str, side: Side, payload: bytes, port: int, server: bytes) -> None:
        """First bytes seen for the first time; what they mean holds for all of this number."""
        matches = self._found.of_first_bytes(proto, side, payload, port, server)
        first = self._found.rules[matches[0].rule].first_bytes if matches else None
        if first is not None:
            self._names.see[number] = 1
            self._beginnings[number] = matches, first.shown()

    def hides(self, flow_id: int) -> bool:
        """Whether the name that this flow shows is known to stand for another."""
        return flow_id in self._hidden

    def take(self, clue: tuple[Any, ...], hit: tuple[Any, ...], name: str) -> None:
        """One hit of the compiled loop. `clue` has following.FIELDS, `hit` those of layout.HIT."""
        _, kind, _, _, number, time_ns, source, side, router = hit
        flow = self._flows.get(clue[0])
        matches, what, value = self._read(clue, kind, side, hit[2], name)
        if kind == layout.HIT_SEEN and flow is not None:
            flow.own_name = flow.own_name or bool(name)
        if not matches:
            return
        if flow is None:
            who = self._who(clue, side, router)
            if who is None:
                return
            flow = self._flows[clue[0]] = _Flow(*who, clue[5] if side == 0 else 1 - clue[5])
            flow.own_name = kind == layout.HIT_SEEN and bool(name)
        for match in matches:
            if match.app == "ech":
                self._hidden.add(clue[0])
            if all(one.match != match or one.what != what for one in flow.said):
                evidence = None
                if flow.device is not None:
                    evidence = Evidence(what, value, self.files[source], number, time_ns, _key(clue), match)
                flow.said.append(_Said(match, what, evidence))

    def marked(self, clues: NDArray[np.void], stations: NDArray[np.void]) -> None:
        """Clues that tell of a system out of support at their time. `stations`: what is known of MACs."""
        for at in np.flatnonzero(clues["mark"]).tolist():
            told = outdated.read(int(clues["mark"][at]), systems.load())
            clue = clues[FIELDS][at].item()
            if told is None or clue[2] < told[0].end_ns:
                continue
            system, what, value = told
            router = bool(stations["router"][stations["mac"] == clue[15]].any())
            self._note(clue, router, system.match, what, value)

    def _note(self, clue: tuple[Any, ...], router: bool, match: RuleMatch, what: str, value: str) -> None:
        """The sender of a packet is the device. What a flow says again is not told again."""
        flow = self._flows.get(clue[0])
        if flow is None:
            who = self._who(clue, 0, router)
            if who is None:
                return
            flow = self._flows[clue[0]] = _Flow(*who, clue[5])
        if any(one.match == match for one in flow.said):
            return
        evidence = None
        if flow.device is not None:
            evidence = Evidence(what, value, self.files[clue[4]], clue[3], clue[2], _key(clue), match)
        flow.said.append(_Said(match, what, evidence))

    def _read(
        self, clue: tuple[Any, ...], kind: int, side: int, number: int, name: str
    ) -> tuple[tuple[RuleMatch, ...], str, str]:
        """What a hit means, by which kind of evidence, and the evidence itself."""
        proto = PROTOCOLS.get(clue[7], str(clue[7]))
        port, server = (clue[14], halves(clue[11], clue[12])) if side == 0 else (clue[13], halves(clue[9], clue[10]))
        if kind == layout.HIT_SEEN_ASKED:
            return self._found.of_question(name), "dns_query", name
        if kind == layout.HIT_SEEN_ADDRESS:
            return self._found.of_address(proto, port, server), "ip_range", address(server)
        if clue[18] == layout.KIND_FIRST:
            matches, shown = self._beginnings[number]
            return matches, "payload", shown
        matches = self._found.of_name(name, proto, port, server)
        if kind == layout.HIT_SEEN_TOLD:
            return tuple(one for one in matches if one.app != "ech"), "dns_answer", name
        what = HIT_KINDS[int(HIT_OF_KIND[clue[18]])]
        if not clue[19] & layout.HELLO_ECH_OUTER:
            matches = tuple(one for one in matches if one.app != "ech")
        elif not matches and self._public_names.get(name, 1 << 63) <= clue[2]:
            matches = (LEARNED,)
        if clue[19] & layout.HELLO_ESNI:
            return (*matches, ESNI), what, name or "(no name)"
        return matches, what, name

    def _who(self, clue: tuple[Any, ...], side: int, router: int) -> tuple[str, Device | None] | None:
        """The network's name and the device, none of an excluded network; None where it is nobody's business."""
        high, low = (clue[9], clue[10]) if side == 0 else (clue[11], clue[12])
        mac, vlan = clue[15 + side], clue[8]
        key = (mac, high, low, vlan, router)
        if key not in self._known:
            if len(self._known) >= MAX_DEVICES:
                self._known.clear()
            raw = halves(high, low)
            network = self._networks.find(raw, None if vlan == NO_VLAN else vlan)
            if network is None:
                self._known[key] = None
            elif network.excluded:
                self._known[key] = network.name, None
            else:
                hidden = bool(router) or mac in self._routers
                self._known[key] = network.name, device(mac, address(raw), hidden=hidden)
        return self._known[key]

    def end(self, rows: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Takes leave of flows that ended; returns the ids of those that hid their name, and of tunnels."""
        nothing = np.zeros(0, np.int64)
        if not self._flows:
            return nothing, nothing
        hidden, tunnels = [], []
        known = np.fromiter(self._flows, np.int64, len(self._flows))
        for row in rows[np.isin(rows["flow_id"], known)]:
            flow_id = int(row["flow_id"])
            flow = self._flows.pop(flow_id)
            said = _settled(flow, row)
            for kind in {one.match.app for one in said} - self._ignored:
                self._add(kind, flow, [one for one in said if one.match.app == kind], row)
            if any(one.match.app == "ech" for one in said):
                hidden.append(flow_id)
            elif any(one.match.app in TUNNELS and one.match.service != "website" for one in said):
                tunnels.append(flow_id)
            self._hidden.discard(flow_id)
        return np.array(hidden, np.int64), np.array(tunnels, np.int64)

    def _add(self, kind: str, flow: _Flow, said: list[_Said], row: Any) -> None:
        first_ns, last_ns = int(row["first_ns"]), int(row["last_ns"])
        hour_ns = first_ns - first_ns % HOUR_NS
        place = (kind, flow.network, flow.device.id if flow.device is not None else "", hour_ns)
        bucket = self._buckets.get(place)
        if bucket is None:
            if len(self._buckets) >= MAX_OBSERVATIONS:
                self.left_out += 1
                return
            bucket = self._buckets[place] = _Bucket(flow.device)
        bucket.flows += 1
        bucket.packets += int(row["packets_0"]) + int(row["packets_1"])
        bucket.bytes_up += int(row[f"bytes_{flow.device_side}"])
        bucket.bytes_down += int(row[f"bytes_{1 - flow.device_side}"])
        if first_ns < bucket.first_ns:
            bucket.first_ns, bucket.device = first_ns, flow.device
        bucket.last_ns = max(bucket.last_ns, last_ns)
        bucket.strength = max(bucket.strength, *(one.match.strength for one in said))
        bucket.services |= {one.match.service for one in said}
        bucket.evidence += [one.evidence for one in said if one.evidence is not None]
        if len(bucket.evidence) > MAX_EVIDENCE * 4:
            bucket.evidence = _first_of(bucket.evidence)

    def emit_before(self, time_ns: int) -> None:
        """Emits what was seen of hours that began before this, in order of time, and forgets it."""
        for place in sorted((one for one in self._buckets if one[3] < time_ns), key=lambda place: (place[3], place)):
            bucket = self._buckets.pop(place)
            kind, network, _, hour_ns = place
            self._emit(
                Observation(
                    kind=kind,
                    network=network,
                    device=bucket.device,
                    hour_ns=hour_ns,
                    flows=bucket.flows,
                    packets=bucket.packets,
                    bytes_up=bucket.bytes_up,
                    bytes_down=bucket.bytes_down,
                    first_ns=bucket.first_ns,
                    last_ns=bucket.last_ns,
                    strength=bucket.strength,
                    services=tuple(sorted(bucket.services)),
                    evidence=tuple(_first_of(bucket.evidence)),
                )
            )

    def finish(self) -> None:
        """No more packets: emits what was seen."""
        self.emit_before(1 << 63)
        self._flows.clear()
        self._hidden.clear()
        self._known.clear()
        self._told.clear()


def as_episode(
    seen: Observation, judge: Callable[[Episode], Verdict], signatures_hash: str, version: str
) -> Episode | None:
    """The observation as an episode of its hour, where the policy wants one; None of an excluded network."""
    if seen.device is None or not seen.evidence:
        return None
    pending = Episode(
        id=episode_id(seen.device, (seen.kind,), seen.evidence[0]),
        device=seen.device,
        network=seen.network,
        app=seen.kind,
        candidates=(seen.kind,),
        services=seen.services,
        activity=Activity.BACKGROUND,
        strength=seen.strength,
        start_ns=seen.first_ns,
        end_ns=seen.last_ns,
        bytes_up=seen.bytes_up,
        bytes_down=seen.bytes_down,
        packets=seen.packets,
        flows=seen.flows,
        evidence=seen.evidence,
        evidence_total=len(seen.evidence),
        names=tuple(sorted({one.value for one in seen.evidence if one.kind in NAMING})),
        verdict=PENDING,
        signatures_hash=signatures_hash,
        signature_version=version,
    )
    return replace(pending, verdict=judge(pending))


def _settled(flow: _Flow, row: Any) -> list[_Said]:
    """What a flow's evidence amounts to, now that all of it is there.

    A flow's own name overrules what DNS let one expect of its server, and on a web port what its address did.
    """
    if any(one.what == "dns_answer" and one.match.service == PROXY for one in flow.said):
        # DNS itself gave this address for the service's name: that is where it lives, and no proxy.
        flow.said = [one for one in flow.said if one.match.service != PROXY]
    web = WEB_PORT in {int(row["a_port"]), int(row["b_port"])}
    said = flow.said
    if flow.own_name:
        said = [one for one in said if one.what != "dns_answer" and not (web and one.what == "ip_range")]
    return [] if any(one.match.app == WIFI_CALLING for one in said) else said


def _order(one: Evidence) -> tuple[int, int, str, str, str]:
    return one.time_ns, one.frame, one.match.rule, one.value, str(one.flow)


def _first_of(evidence: list[Evidence]) -> list[Evidence]:
    """The first of each rule and value, then the earliest."""
    ordered = sorted(evidence, key=_order)
    first = {(one.match.rule, one.value): one for one in reversed(ordered)}
    rest = [one for one in ordered if first[one.match.rule, one.value] is not one]
    return sorted([*sorted(first.values(), key=_order), *rest][:MAX_EVIDENCE], key=_order)


def _key(clue: tuple[Any, ...]) -> FlowKey:
    a, b = (address(halves(clue[9], clue[10])), clue[13]), (address(halves(clue[11], clue[12])), clue[14])
    src, dst = (a, b) if clue[5] == clue[6] else (b, a)
    return FlowKey(PROTOCOLS.get(clue[7], str(clue[7])), *src, *dst)
