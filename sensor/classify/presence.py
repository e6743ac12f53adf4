"""Which apps a device has been using, for what a call alone cannot tell: whose call it is, and under which account."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Strength

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.classify.flows import Claim, Flow
    from sensor.classify.opened import Opened
    from sensor.model import Evidence

NS = 1_000_000_000
PRESENT_NS = 900 * NS  # an app that showed itself so long before a call, or within it, is in use
JOIN_NS = 300 * NS  # the page or sign-in from which a meeting is joined comes this shortly before
TELEPHONE_NS = 24 * 3600 * NS  # telephones register anew at least daily
MAX_TELEPHONES = 65536
MAX_SEEN = 64  # of one device and app


class Seen(NamedTuple):
    """One flow's evidence of an app, and the names it showed."""

    time_ns: int
    evidence: Evidence
    names: tuple[str, ...]


class Presence:
    """Use that was no call, by device and app; forgotten after PRESENT_NS."""

    def __init__(self, names: Mapping[str, str], fan_outs: Mapping[str, int]) -> None:
        """`names`: what people call the apps. `fan_outs`: by rule, how many servers its app asks from one socket."""
        self._names = names
        self._fan_outs = fan_outs
        self._telephones: dict[str, int] = {}  # by device: when it last spoke as one
        self._seen: dict[tuple[str, str], deque[Seen]] = {}

    def change(self, names: Mapping[str, str], fan_outs: Mapping[str, int]) -> None:
        """These hold from now on."""
        self._names, self._fan_outs = names, fan_outs

    def note(self, flow: Flow, found: Claim) -> None:
        if found.call or found.app is None or found.strength < Strength.STRONG:
            return
        first = found.evidence[0]
        seen = self._seen.setdefault((flow.device.id, found.app), deque(maxlen=MAX_SEEN))
        seen.append(Seen(first.time_ns, first, tuple(flow.names)))

    def telephone(self, device_id: str, time_ns: int) -> None:
        self._telephones.pop(device_id, None)
        self._telephones[device_id] = time_ns
        while len(self._telephones) > MAX_TELEPHONES:
            del self._telephones[next(iter(self._telephones))]

    def is_telephone(self, episode: Opened) -> bool:
        """Whether the device had spoken as a telephone in the day before the episode ended."""
        spoke_ns = self._telephones.get(episode.device.id)
        return spoke_ns is not None and episode.first_ns - TELEPHONE_NS <= spoke_ns

    def forget_before(self, time_ns: int) -> None:
        """No episode that began before this can ask any more."""
        for key in [key for key, seen in self._seen.items() if seen[-1].time_ns < time_ns - PRESENT_NS]:
            del self._seen[key]

    def settle(self, episode: Opened, open_apps: Sequence[str]) -> str | None:
        """The candidate that made a call: the one that asks its relays like this, or the only one this device was using.

        The reason goes into the episode's notes.
        """
        fanned = {app for app in episode.apps if self._fans_out(episode, app)}
        if len(fanned) == 1:
            (app,) = fanned
            others = " or ".join(self._name(one) for one in episode.apps if one != app)
            episode.notes[
                f"counted for {self._name(app)} and not {others}: it asks many relays from one socket, as was done here"
            ] = None
            return app
        used: dict[str, Evidence] = {}
        for app in episode.apps:
            for seen in self._seen.get((episode.device.id, app), ()):
                near = episode.first_ns - PRESENT_NS <= seen.time_ns <= episode.last_ns
                if near or (app in open_apps and seen.time_ns <= episode.last_ns):
                    used.setdefault(app, seen.evidence)
        if len(used) != 1:
            return None
        ((app, evidence),) = used.items()
        self.tell_why(episode, episode.apps, evidence, app)
        return app

    def _fans_out(self, episode: Opened, app: str) -> bool:
        servers: dict[tuple[str, tuple[str, int]], set[tuple[str, int]]] = {}
        for one in episode.evidence:
            if one.match.app == app and one.match.rule in self._fan_outs:
                source, target = (one.flow.src, one.flow.sport), (one.flow.dst, one.flow.dport)
                local, remote = (source, target) if one.flow.src in episode.addresses else (target, source)
                servers.setdefault((one.match.rule, local), set()).add(remote)
        return any(len(asked) >= self._fan_outs[rule] for (rule, _), asked in servers.items())

    def tell_why(self, episode: Opened, candidates: tuple[str, ...], reason: Evidence, app: str = "") -> None:
        """Notes why a call that several apps could have made is taken for that of one."""
        chosen = app or episode.apps[0]
        others = " or ".join(self._name(one) for one in candidates if one != chosen)
        episode.notes[
            f"relays that {others} uses as well are counted for {self._name(chosen)}: the same device showed "
            f"{reason.value} in frame {reason.frame}"
        ] = None

    def names_before(self, episode: Opened) -> dict[str, None]:
        """Names of the same app that this device met shortly before a call: the host through which it was joined."""
        if not episode.call or len(episode.apps) > 1:
            return {}
        seen = self._seen.get((episode.device.id, episode.apps[0]), ())
        near = (one for one in seen if episode.first_ns - JOIN_NS <= one.time_ns <= episode.last_ns)
        return {name: None for one in near for name in one.names}

    def named(self, apps: tuple[str, ...]) -> str:
        """What people call them."""
        return " or ".join(map(self._name, apps))

    def _name(self, app: str) -> str:
        return self._names.get(app, app)
