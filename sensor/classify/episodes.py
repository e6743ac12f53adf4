"""Puts flows together to episodes: one device, one app, one stretch of use; calls apart from all other use.

A flow counts for the app that its own name tells (conclusive), or that DNS told of its server (strong). What DNS told waits
SETTLE_NS for the flow's own name, which overrules it. An episode opens with its first flow so told, and takes in further
flows while any of its flows lives or ended less than the idle time of its activity ago. Only packet times decide, so the
same packets give the same episodes however they are read.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sensor.classify.activity import Use
from sensor.classify.flows import UNKNOWN_CALL, Claim, Flow, claim
from sensor.classify.opened import Opened
from sensor.classify.underway import is_due, is_news, so_far, withdrawn
from sensor.model import Activity, Device, Episode, Evidence, Outcome, RuleMatch, Strength, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.classify.activity import Limits
    from sensor.classify.opened import Place
    from sensor.classify.presence import Presence

__all__ = ["Claim", "EpisodeBook", "Flow", "claim", "stamped", "weakened"]

SETTLE_NS = 5_000_000_000
MAX_HINTED = 32  # flows to an app's range that wait for an episode of it, for each device


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
        limits: Limits,
        presence: Presence,
        emit_open: Callable[[Episode], None] | None = None,
    ) -> None:
        """`emit_open` takes what is told of episodes that are open still, when `tell_open` is called."""
        self._emit_open = emit_open
        self._limits = limits
        self._presence = presence
        self._judge = judge
        self._idle_ns = idle_ns
        self._emit = emit
        self._signatures_hash = signatures_hash
        self._versions = versions
        self._open: dict[Place, Opened] = {}
        self._undecided: dict[str, dict[Place, None]] = {}  # open calls that several apps could have made, by device
        self._devices: dict[str, int] = {}  # how many episodes of each device are open, or flows wait
        self._hinted: dict[tuple[str, str], deque[Flow]] = {}
        self._waiting: deque[tuple[int, Flow]] = deque()
        self.closed = 0

    def change(
        self,
        *,
        idle_ns: Callable[[Activity], int],
        signatures_hash: str,
        versions: dict[str, str],
        limits: Limits,
        names: dict[str, str],
        fan_outs: dict[str, int],
    ) -> None:
        """These hold for what opens from now on; what is open stays what it was told to be, by the signatures of then."""
        self._idle_ns, self._limits = idle_ns, limits
        self._signatures_hash, self._versions = signatures_hash, versions
        self._presence.change(names, fan_outs)

    def note(self, flow: Flow, *, own_name: bool) -> None:
        """Something was learned of a flow. `own_name`: its own name is known now, so there is nothing to wait for."""
        if flow.episode is not None:
            found = claim(flow)
            if found is not None and (found.apps, found.call) == (flow.episode.apps, flow.episode.call):
                flow.episode.learn(flow, found, found.evidence[-1:])
                return
            if found is not None and set(flow.episode.apps) < set(found.apps) and found.call == flow.episode.call:
                return  # settled already
            self._detach(flow)
        if own_name:
            self._attach(flow)
        elif not flow.waits:
            flow.waits = True
            self._count_device(flow.device.id, 1)
            self._waiting.append((flow.first_ns + SETTLE_NS, flow))

    def telephone(self, device_id: str, time_ns: int) -> None:
        """The device speaks as a telephone does: real-time media of no known app are its own."""
        self._presence.telephone(device_id, time_ns)

    def hint(self, flow: Flow) -> bool:
        """Takes a flow into an open episode of its device on supporting evidence, or remembers it for one about to open.

        Whether it is worth following at all.
        """
        for one in flow.hints:
            for call in (True, False):
                episode = self._open.get((flow.device.id, (one.match.app,), call))
                if episode is not None and self._is_open_at(episode, flow.first_ns):
                    episode.take_hint(flow)
                    return True
        for one in flow.hints:
            self._hinted.setdefault((flow.device.id, one.match.app), deque(maxlen=MAX_HINTED)).append(flow)
        return True

    def _take_hinted(self, episode: Opened, opener: Flow) -> None:
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
        episode.drop_evidence_of(flow)
        if not any(one.match.strength >= Strength.STRONG for one in episode.evidence):
            for other in episode.flows:
                other.episode = None
            episode.closed = True
            self._forget(episode.place)
            self._withdraw(episode, None)

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
        self._presence.note(flow, found)
        apps = found.apps
        if len(apps) > 1 and found.call:
            apps = self._settled_by_a_call(flow, apps) or apps
        place = (flow.device.id, apps, found.call)
        episode = self._open.get(place)
        if episode is not None and not self._is_open_at(episode, flow.first_ns):
            self._close(place, episode)
            episode = None
        opens = episode is None
        if episode is None:
            self._count_device(flow.device.id, 1)
            episode = self._open[place] = Opened(
                episode_id(flow.device, apps, found.evidence[0]),
                flow.device,
                flow.network,
                apps,
                found.call,
                Use(self._limits),
                (self._signatures_hash, self._versions),
                first_ns=flow.first_ns,
            )
            if found.call and len(apps) > 1:
                self._undecided.setdefault(flow.device.id, {})[place] = None
        episode.add(flow, found)
        if opens:
            self._take_hinted(episode, flow)
            if found.call and len(apps) == 1:
                self._settle_others(episode, found.evidence[0])

    def _settled_by_a_call(self, flow: Flow, apps: tuple[str, ...]) -> tuple[str, ...] | None:
        """The one of the candidates of which this device has a call open."""
        open_calls = []
        for app in apps:
            episode = self._open.get((flow.device.id, (app,), True))
            if episode is not None and self._is_open_at(episode, flow.first_ns):
                open_calls.append(episode)
        if len(open_calls) != 1:
            return None
        self._presence.tell_why(open_calls[0], apps, open_calls[0].evidence[0])
        return open_calls[0].apps

    def _settle_others(self, episode: Opened, reason: Evidence) -> None:
        """A call of one app has begun: flows of this device that could have been of it or of another are of it."""
        for place in list(self._undecided.get(episode.device.id, ())):
            other = self._open[place]
            if episode.apps[0] in place[1] and self._is_open_at(other, episode.first_ns):
                self._presence.tell_why(episode, other.apps, reason)
                episode.absorb(other)
                self._forget(place)
                if other.told is not None:
                    self._withdraw(other, self._finished(so_far(episode, episode.last_ns)))

    def _is_open_at(self, episode: Opened, time_ns: int) -> bool:
        if time_ns <= episode.alive_ns or not all(flow.ended for flow in reversed(episode.flows)):
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
        self._presence.forget_before(min((one.first_ns for one in self._open.values()), default=time_ns))
        for key in [key for key, flows in self._hinted.items() if flows[-1].first_ns < time_ns - 2 * SETTLE_NS]:
            del self._hinted[key]
        for place, episode in list(self._open.items()):
            if not self._is_open_at(episode, time_ns - SETTLE_NS):
                self._close(place, episode)

    def tell_open(self, time_ns: int) -> None:
        """Tells of episodes that are open what is new, as far as it is known at this time."""
        if self._emit_open is None:
            return
        for episode in list(self._open.values()):
            if not is_due(episode, time_ns):
                continue
            copy = so_far(episode, time_ns)
            if len(copy.apps) > 1:
                self._settle_by_presence(copy)
            now = self._finished(copy)
            if now is not None and is_news(episode, now, time_ns):
                self._withdraw(episode, now)
                episode.told, episode.told_ns = replace(now, closed=False), time_ns
                self._emit_open(episode.told)

    def _withdraw(self, episode: Opened, now: Episode | None) -> None:
        """What was told of an episode under another id is so no more."""
        told = episode.told
        if told is not None and self._emit_open is not None and (now is None or now.id != told.id):
            named = self._presence.named(now.candidates) if now is not None else ""
            self._emit_open(withdrawn(told, now, named))
            episode.told = None

    def finish(self) -> None:
        """No more packets: settles what waits and closes what is open, in order of time. All flows must have ended."""
        self.advance(1 << 63)
        self._hinted.clear()
        for place, episode in sorted(self._open.items(), key=lambda item: (item[1].first_ns, item[0])):
            self._close(place, episode)

    def _close(self, place: Place, episode: Opened) -> None:
        episode.settle()
        self._forget(place)
        episode.closed = True
        if len(episode.apps) > 1:
            self._settle_by_presence(episode)
        finished = self._finished(episode)
        self._withdraw(episode, finished)
        if finished is not None:
            self.closed += 1
            self._emit(finished)

    def _settle_by_presence(self, episode: Opened) -> None:
        """Of the candidates of a call only one is in use on this device: it is that one."""
        open_apps = [app for app in episode.apps if (episode.device.id, (app,), False) in self._open]
        app = self._presence.settle(episode, open_apps)
        if app is not None:
            episode.apps = (app,)
            episode.id = episode_id(episode.device, episode.apps, min(episode.evidence, key=_in_order))

    def _forget(self, place: Place) -> None:
        del self._open[place]
        self._count_device(place[0], -1)
        calls = self._undecided.get(place[0])
        if calls is not None:
            calls.pop(place, None)
            if not calls:
                del self._undecided[place[0]]

    def _finished(self, episode: Opened) -> Episode | None:
        """The episode as it is told; None where it was no call of a known app and none was held."""
        apps = episode.apps
        meeting = "meeting" in episode.services
        use = episode.use
        judged = use.call(episode.activity, meeting=meeting) if episode.call else use.other()
        if apps == (UNKNOWN_CALL,) and (judged.start_ns is None or self._presence.is_telephone(episode)):
            return None
        ordered = sorted((one for one in episode.evidence if one.match.app in {*apps, UNKNOWN_CALL}), key=_in_order)
        device = episode.device
        start_ns = episode.first_ns if judged.start_ns is None else judged.start_ns
        end_ns = max(episode.last_ns, start_ns) if judged.end_ns is None else judged.end_ns
        signatures_hash, versions = episode.told_by
        names = {**episode.names, **self._presence.names_before(episode)}
        pending = Episode(
            id=episode.id,
            device=Device(device.id, device.mac, device.address, tuple(sorted(episode.addresses)), device.notes),
            network=episode.network,
            app=apps[0] if len(apps) == 1 else None,
            candidates=apps,
            services=tuple(sorted(episode.services)),
            activity=judged.activity,
            strength=episode.strength,
            start_ns=start_ns,
            end_ns=end_ns,
            bytes_up=episode.done_up,
            bytes_down=episode.done_down,
            packets=episode.done_packets,
            flows=episode.done_flows,
            evidence=tuple(ordered),
            evidence_total=episode.seen - (len(episode.evidence) - len(ordered)),
            names=tuple(sorted(names)),
            verdict=PENDING,
            signatures_hash=signatures_hash,
            signature_version=", ".join(f"{app} {versions[app]}" for app in apps if app in versions),
            notes=tuple(sorted(episode.notes)),
            profile=tuple(Window(start, *use.profile[start]) for start in sorted(use.profile)),
        )
        return replace(pending, verdict=self._judge(pending))


def _in_order(one: Evidence) -> tuple[int, int, str, str]:
    return one.time_ns, one.frame, one.match.rule, str(one.flow)


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


@lru_cache(maxsize=4096)  # there are some hundred rules
def weakened(match: RuleMatch, strength: Strength) -> RuleMatch:
    """The match at most as strong as its kind of evidence allows."""
    if match.strength <= strength:
        return match
    return replace(match, strength=strength)
