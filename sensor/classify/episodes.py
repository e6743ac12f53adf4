"""Puts flows together to episodes: one device, one app, one stretch of use.

A flow counts for the app that its own name tells (conclusive), or that DNS told of its server (strong). What DNS told waits
SETTLE_NS for the flow's own name, which overrules it. An episode opens with its first flow so told, and takes in further
flows while any of its flows lives or ended less than the idle time of its activity ago. Only packet times decide, so the
same packets give the same episodes however they are read.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sensor.classify.candidates import candidates, decisive
from sensor.model import Activity, Device, Episode, Evidence, FlowKey, Outcome, RuleMatch, Strength, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

SETTLE_NS = 5_000_000_000
MAX_EVIDENCE = 64  # kept of one episode: the first of each rule and value, then the earliest
MAX_NAMES = 64
MAX_HINTED = 32  # flows to an app's range that wait for an episode of it, for each device


@dataclass(slots=True, eq=False)
class Flow:
    """One flow that some evidence speaks of. Counters are final once `ended`."""

    flow_id: int
    key: FlowKey
    device: Device
    network: str
    device_is_src: bool  # whether the device sent what `key.src` sends
    first_ns: int
    own: list[Evidence] = field(default_factory=list)  # from the flow itself
    told: list[Evidence] = field(default_factory=list)  # from DNS
    hints: list[Evidence] = field(default_factory=list)  # from address ranges: supporting
    overruled: bool = False  # its own name belongs to no app
    names: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)  # numbers of names already noted
    last_ns: int = 0
    ended_ns: int = 0  # packet time at which the flow table found that it had ended; it counts as alive until then
    packets: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    ended: bool = False
    waits: bool = False  # for its own name
    episode: _Open | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a flow is taken for: one app, or candidates."""

    apps: tuple[str, ...]
    strength: Strength
    activity: Activity
    context: bool
    evidence: tuple[Evidence, ...]

    @property
    def app(self) -> str | None:
        return self.apps[0] if len(self.apps) == 1 else None


def claim(flow: Flow) -> Claim | None:
    """What a flow's evidence amounts to; None where it claims no app."""
    evidence = flow.own
    if not evidence and not flow.overruled:
        evidence = flow.told
    if not evidence:
        return None
    strength = max(one.match.strength for one in evidence)
    if strength < Strength.STRONG:
        return None
    near = decisive(evidence)
    apps = candidates(near)
    if not apps:  # a shared name: it says whose service it is, and accuses nobody
        apps = tuple(dict.fromkeys(one.match.app for one in near))
        return Claim(apps, strength, Activity.BACKGROUND, True, tuple(near))
    counted = tuple(one for one in near if one.match.app in apps)
    return Claim(apps, strength, max(one.match.activity for one in counted), False, counted)


@dataclass(slots=True, eq=False)
class _Open:
    """An episode that is still open."""

    id: str
    device: Device
    network: str
    apps: tuple[str, ...]
    flows: list[Flow] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    kept: set[tuple[str, str]] = field(default_factory=set)
    seen: int = 0
    names: dict[str, None] = field(default_factory=dict)
    addresses: dict[str, None] = field(default_factory=dict)
    services: dict[str, None] = field(default_factory=dict)
    activity: Activity = Activity.BACKGROUND
    strength: Strength = Strength.SUPPORTING
    # Sums over flows that have ended and can no longer keep the episode open.
    done_flows: int = 0
    done_packets: int = 0
    done_up: int = 0
    done_down: int = 0
    first_ns: int = 0
    last_ns: int = 0
    alive_ns: int = 0

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
        self.seen += 1
        if one.match.service:
            self.services[one.match.service] = None
        fresh = (one.match.rule, one.value) not in self.kept
        if fresh and len(self.kept) < MAX_EVIDENCE:
            self.kept.add((one.match.rule, one.value))
            if len(self.evidence) >= MAX_EVIDENCE:
                self._make_room()
            self.evidence.append(one)
        elif len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(one)

    def _make_room(self) -> None:
        """Drops the latest evidence that only repeats an earlier one."""
        seen: set[tuple[str, str]] = set()
        repeats = []
        for index, one in enumerate(self.evidence):
            if (one.match.rule, one.value) in seen:
                repeats.append(index)
            seen.add((one.match.rule, one.value))
        if repeats:
            del self.evidence[repeats[-1]]

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
            else:
                live.append(flow)
        self.flows = live


class EpisodeBook:
    """Open episodes by device and app.

    `judge` gives the verdict; `idle_ns` the idle time of an activity; `emit` takes each episode that has closed.
    """

    def __init__(
        self,
        *,
        judge: Callable[[Episode], Verdict],
        idle_ns: Callable[[Activity], int],
        emit: Callable[[Episode], None],
        signatures_hash: str,
        versions: dict[str, str],
    ) -> None:
        self._judge = judge
        self._idle_ns = idle_ns
        self._emit = emit
        self._signatures_hash = signatures_hash
        self._versions = versions
        self._open: dict[tuple[str, tuple[str, ...]], _Open] = {}
        self._devices: dict[str, int] = {}  # how many episodes of each device are open, or flows wait
        self._hinted: dict[tuple[str, str], deque[Flow]] = {}
        self._waiting: deque[tuple[int, Flow]] = deque()
        self.closed = 0

    def note(self, flow: Flow, *, own_name: bool) -> None:
        """Something was learned of a flow. `own_name`: its own name is known now, so there is nothing to wait for."""
        if flow.episode is not None:
            found = claim(flow)
            if found is not None and found.apps == flow.episode.apps:
                flow.episode.learn(flow, found, found.evidence[-1:])
                return
            self._detach(flow)
        if own_name:
            self._attach(flow)
        elif not flow.waits:
            flow.waits = True
            self._count_device(flow.device.id, 1)
            self._waiting.append((flow.first_ns + SETTLE_NS, flow))

    def hint(self, flow: Flow) -> bool:
        """Takes a flow into an open episode of its device on supporting evidence, or remembers it for one about to open.

        Whether it is worth following at all.
        """
        for one in flow.hints:
            episode = self._open.get((flow.device.id, (one.match.app,)))
            if episode is not None and self._is_open_at(episode, flow.first_ns):
                episode.take_hint(flow)
                return True
        for one in flow.hints:
            self._hinted.setdefault((flow.device.id, one.match.app), deque(maxlen=MAX_HINTED)).append(flow)
        return True

    def _take_hinted(self, episode: _Open, opener: Flow) -> None:
        """A call's media may have begun while DNS's word for its flow still waited."""
        for app in episode.apps:
            for flow in self._hinted.pop((episode.device.id, app), ()):
                if flow.episode is None and flow.first_ns >= opener.first_ns - SETTLE_NS:
                    episode.take_hint(flow)

    def _detach(self, flow: Flow) -> None:
        """The flow is not what it was taken for. An episode that rested on it alone was none."""
        episode = flow.episode
        flow.episode = None
        if episode is None or flow not in episode.flows:
            return
        episode.flows.remove(flow)
        episode.evidence = [one for one in episode.evidence if one.flow != flow.key]
        if not any(one.match.strength >= Strength.STRONG for one in episode.evidence):
            for other in episode.flows:
                other.episode = None
            self._forget((episode.device.id, episode.apps))

    def advance(self, time_ns: int) -> None:
        """Packet time has come this far: what DNS told counts for flows that named nothing themselves in time."""
        while self._waiting and self._waiting[0][0] <= time_ns:
            flow = self._waiting.popleft()[1]
            self._count_device(flow.device.id, -1)
            if flow.episode is None:
                self._attach(flow)

    def _attach(self, flow: Flow) -> None:
        found = claim(flow)
        if found is None or found.context:
            return
        place = (flow.device.id, found.apps)
        episode = self._open.get(place)
        if episode is not None and not self._is_open_at(episode, flow.first_ns):
            self._close(place, episode)
            episode = None
        opens = episode is None
        if episode is None:
            self._count_device(flow.device.id, 1)
            episode = self._open[place] = _Open(
                episode_id(flow.device, found.apps, found.evidence[0]),
                flow.device,
                flow.network,
                found.apps,
                first_ns=flow.first_ns,
            )
        episode.add(flow, found)
        if opens:
            self._take_hinted(episode, flow)

    def _is_open_at(self, episode: _Open, time_ns: int) -> bool:
        if time_ns <= episode.alive_ns:
            return True
        episode.settle()
        return bool(episode.flows) or time_ns <= max(
            episode.alive_ns, episode.last_ns + self._idle_ns(episode.activity)
        )

    def expects(self, device_id: str) -> bool:
        """Whether any episode of this device is open, or may be about to open."""
        return device_id in self._devices

    def _count_device(self, device_id: str, step: int) -> None:
        count = self._devices.get(device_id, 0) + step
        if count:
            self._devices[device_id] = count
        else:
            del self._devices[device_id]

    def close_idle(self, time_ns: int) -> None:
        """Closes the episodes that no flow beginning at `time_ns` or later could join."""
        self.advance(time_ns)
        for key in [key for key, flows in self._hinted.items() if flows[-1].first_ns < time_ns - 2 * SETTLE_NS]:
            del self._hinted[key]
        for place, episode in list(self._open.items()):
            if not self._is_open_at(episode, time_ns - SETTLE_NS):
                self._close(place, episode)

    def finish(self) -> None:
        """No more packets: settles what waits and closes what is open, in order of time. All flows must have ended."""
        self.advance(1 << 63)
        self._hinted.clear()
        for place, episode in sorted(self._open.items(), key=lambda item: (item[1].first_ns, item[0])):
            self._close(place, episode)

    def _close(self, place: tuple[str, tuple[str, ...]], episode: _Open) -> None:
        episode.settle()
        self._forget(place)
        self.closed += 1
        self._emit(self._finished(episode))

    def _forget(self, place: tuple[str, tuple[str, ...]]) -> None:
        del self._open[place]
        self._count_device(place[0], -1)

    def _finished(self, episode: _Open) -> Episode:
        apps = episode.apps
        ordered = sorted(episode.evidence, key=lambda one: (one.time_ns, one.frame, one.match.rule, str(one.flow)))
        evidence = tuple(ordered)
        device = episode.device
        pending = Episode(
            id=episode.id,
            device=Device(device.id, device.mac, device.address, tuple(sorted(episode.addresses)), device.notes),
            network=episode.network,
            app=apps[0] if len(apps) == 1 else None,
            candidates=apps,
            services=tuple(sorted(episode.services)),
            activity=episode.activity,
            strength=episode.strength,
            start_ns=episode.first_ns,
            end_ns=max(episode.last_ns, episode.first_ns),
            bytes_up=episode.done_up,
            bytes_down=episode.done_down,
            packets=episode.done_packets,
            flows=episode.done_flows,
            evidence=evidence,
            evidence_total=episode.seen,
            names=tuple(sorted(episode.names)),
            verdict=PENDING,
            signatures_hash=self._signatures_hash,
            signature_version=", ".join(f"{app} {self._versions[app]}" for app in apps if app in self._versions),
        )
        return replace(pending, verdict=self._judge(pending))


PENDING = Verdict(Outcome.UNREVIEWED, "", "", "")  # replaced before an episode is told


def digest(*parts: object) -> str:
    """16 hex digits (64 bits) that name what the parts say."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def packet_id(one: Evidence) -> str:
    """Names one piece of evidence by what is in the packet, so that copies and slices of a capture agree."""
    return digest(one.time_ns, one.flow, one.kind, one.value)


def stamped(episode: Episode) -> Episode:
    """The episode with the packet ids of its evidence filled in, as the store wants it."""
    return replace(episode, evidence=tuple(replace(one, packet_id=packet_id(one)) for one in episode.evidence))


def episode_id(device: Device, apps: tuple[str, ...], first: Evidence) -> str:
    """An episode is named by device, app and its first evidence packet."""
    return digest("episode", device.id, "+".join(apps), packet_id(first))


def weakened(match: RuleMatch, strength: Strength) -> RuleMatch:
    """The match at most as strong as its kind of evidence allows."""
    if match.strength <= strength:
        return match
    return RuleMatch(match.app, match.rule, strength, match.service, match.activity, match.context)
