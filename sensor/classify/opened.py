"""An episode that is still open: its flows, its evidence within limits, and the sums of what can no longer change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensor.model import Activity, Strength

if TYPE_CHECKING:
    from sensor.classify.activity import Use
    from sensor.classify.flows import Claim, Flow
    from sensor.model import Device, Episode, Evidence

MAX_EVIDENCE = 64  # kept of one episode: the first of each rule and value, then the earliest
MAX_NAMES = 64

Place = tuple[str, tuple[str, ...], bool]  # device id, apps, whether a call


@dataclass(slots=True, eq=False)
class Opened:
    """An episode that is still open."""

    id: str
    device: Device
    network: str
    apps: tuple[str, ...]
    call: bool
    use: Use
    told_by: tuple[str, dict[str, str]]  # hash and versions of the signatures by which it opened
    flows: list[Flow] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    places: set[tuple[object, ...]] = field(default_factory=set)  # of `evidence`, as `_place` tells them
    kept: set[tuple[str, str]] = field(default_factory=set)
    seen: int = 0
    names: dict[str, None] = field(default_factory=dict)
    addresses: dict[str, None] = field(default_factory=dict)
    services: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    activity: Activity = Activity.BACKGROUND
    strength: Strength = Strength.SUPPORTING
    closed: bool = False
    # Sums over flows that have ended and can no longer keep the episode open.
    done_flows: int = 0
    done_packets: int = 0
    done_up: int = 0
    done_down: int = 0
    first_ns: int = 0
    last_ns: int = 0
    alive_ns: int = 0
    told: Episode | None = None  # while it is open
    told_ns: int = 0  # when that was
    look_ns: int = 0  # when to look next whether there is something to tell

    @property
    def place(self) -> Place:
        return self.device.id, self.apps, self.call

    def add(self, flow: Flow, found: Claim) -> None:
        flow.episode = self
        self.flows.append(flow)
        self.first_ns = min(self.first_ns, flow.first_ns)
        self.learn(flow, found, found.evidence)

    def learn(self, flow: Flow, found: Claim, evidence: tuple[Evidence, ...]) -> None:
        self.activity = max(self.activity, found.activity)
        self.strength = max(self.strength, found.strength)
        self.addresses[flow.device.address] = None
        for name in flow.names:
            if len(self.names) < MAX_NAMES:
                self.names[name] = None
        for one in evidence:
            self.keep(one)

    def take_hint(self, flow: Flow) -> None:
        flow.episode = self
        self.flows.append(flow)
        for one in flow.hints[:1]:
            self.keep(one)

    def keep(self, one: Evidence) -> None:
        """Keeps the first evidence of each rule and value, and others while there is room."""
        place = _place(one)
        if place in self.places:
            return
        self.seen += 1
        if one.match.service:
            self.services[one.match.service] = None
        fresh = (one.match.rule, one.value) not in self.kept
        if fresh and len(self.kept) < MAX_EVIDENCE:
            self.kept.add((one.match.rule, one.value))
            if len(self.evidence) >= MAX_EVIDENCE:
                self._make_room()
            self.evidence.append(one)
            self.places.add(place)
        elif len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(one)
            self.places.add(place)

    def _make_room(self) -> None:
        """Drops the latest evidence that only repeats an earlier one."""
        seen: set[tuple[str, str]] = set()
        repeats = []
        for index, one in enumerate(self.evidence):
            if (one.match.rule, one.value) in seen:
                repeats.append(index)
            seen.add((one.match.rule, one.value))
        if repeats:
            self.places.discard(_place(self.evidence.pop(repeats[-1])))

    def drop_evidence_of(self, flow: Flow) -> None:
        """What this flow told was wrong."""
        self.evidence = [one for one in self.evidence if one.flow != flow.key]
        self.places = set(map(_place, self.evidence))

    def settle(self) -> None:
        """Moves what can no longer change into the sums."""
        live = []
        for flow in self.flows:
            if flow.ended:
                self.done_flows += 1
                self.done_packets += flow.packets
                self.done_up += flow.bytes_up
                self.done_down += flow.bytes_down
                self.last_ns = max(self.last_ns, flow.last_ns)
                self.alive_ns = max(self.alive_ns, flow.ended_ns)
                self.use.add(flow)
            else:
                live.append(flow)
        self.flows = live

    def absorb(self, other: Opened) -> None:
        """Takes over all of another episode of the same device, which turned out to be part of this one."""
        for flow in other.flows:
            flow.episode = self
        self.flows += other.flows
        for one in sorted((*self.evidence, *other.evidence), key=lambda one: one.time_ns):
            if one not in self.evidence:
                self.keep(one)
        self.names.update(other.names)
        self.addresses.update(other.addresses)
        self.services.update(other.services)
        self.notes.update(other.notes)
        self.activity = max(self.activity, other.activity)
        self.strength = max(self.strength, other.strength)
        self.use.absorb(other.use)
        self.done_flows += other.done_flows
        self.done_packets += other.done_packets
        self.done_up += other.done_up
        self.done_down += other.done_down
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.alive_ns = max(self.alive_ns, other.alive_ns)
        other.closed = True


def _place(one: Evidence) -> tuple[object, ...]:
    """Tells apart the evidence of one episode; cheaper than to compare all of it. A flow has one key, which it keeps."""
    return one.frame, one.kind, one.match.rule, one.value, one.file, id(one.flow)
