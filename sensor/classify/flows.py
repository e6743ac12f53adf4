"""One flow that some evidence speaks of, and what its evidence amounts to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sensor.classify.candidates import candidates, decisive
from sensor.model import Activity, Strength

if TYPE_CHECKING:
    from sensor.classify.opened import Opened
    from sensor.model import Device, Evidence, FlowKey

CALL_SERVICES = frozenset({"call", "meeting"})
UNKNOWN_CALL = "unknown_call"  # real-time media of no known app


class Carried(NamedTuple):
    """What a flow carried in one window of packet time (`kernel.layout.WINDOW_NS`), seen from the device."""

    start_ns: int
    bytes_up: int
    bytes_down: int
    packets_up: int
    packets_down: int


NOTHING = Carried(0, 0, 0, 0, 0)


@dataclass(slots=True, eq=False)
class Flow:
    """One flow that some evidence speaks of. Counters are final once `ended`."""

    flow_id: int
    key: FlowKey
    device: Device
    network: str
    device_is_src: bool  # whether the device sent what `key.src` sends
    device_side: int  # of the row in the flow table
    first_ns: int
    own: list[Evidence] = field(default_factory=list)  # from the flow itself
    tied: list[Evidence] = field(default_factory=list)  # from other flows of the same socket, or that named its peer
    told: list[Evidence] = field(default_factory=list)  # from DNS
    hints: list[Evidence] = field(default_factory=list)  # from address ranges: supporting
    media: list[Evidence] = field(default_factory=list)  # packets that go on like RTP, whatever app they are of
    overruled: bool = False  # its own name belongs to no app
    names: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)  # numbers of names already noted
    followed_ns: int = 0  # since when; windows that were over before are not known
    windows: list[Carried] = field(default_factory=list)
    last_window: Carried = NOTHING  # the one in which it ended
    media_up: int = 0  # packets that continue a stream of media
    media_down: int = 0
    media_first_ns: int = 0
    media_last_ns: int = 0
    last_ns: int = 0
    ended_ns: int = 0  # packet time at which the flow table found that it had ended; it counts as alive until then
    packets: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    ended: bool = False
    waits: bool = False  # for its own name
    episode: Opened | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a flow is taken for: one app, or candidates. `call`: it is part of a call rather than of other use."""

    apps: tuple[str, ...]
    strength: Strength
    activity: Activity
    context: bool
    evidence: tuple[Evidence, ...]
    call: bool = False

    @property
    def app(self) -> str | None:
        return self.apps[0] if len(self.apps) == 1 else None


def claim(flow: Flow) -> Claim | None:
    """What a flow's evidence amounts to; None where it claims no app.

    Its own evidence comes first, then what other flows of its socket tell, then what DNS told of its server.
    """
    for evidence in (flow.own, flow.tied, flow.told if not flow.overruled else []):
        found = _claim(evidence)
        if found is not None:
            return found
    if flow.media and not flow.overruled:
        return _media_claim(flow)
    return None


def _claim(evidence: list[Evidence]) -> Claim | None:
    if not evidence:
        return None
    if len(evidence) == 1:
        return _single(evidence[0])
    strength = max(one.match.strength for one in evidence)
    if strength < Strength.STRONG:
        return None
    near = decisive(evidence)
    apps = candidates(near)
    if not apps:  # a shared name: it says whose service it is, and accuses nobody
        apps = tuple(dict.fromkeys(one.match.app for one in near))
        return Claim(apps, strength, Activity.BACKGROUND, True, tuple(near))
    counted = tuple(one for one in near if one.match.app in apps)
    activity = max(one.match.activity for one in counted)
    call = any(one.match.service in CALL_SERVICES for one in counted)
    return Claim(tuple(sorted(apps)), strength, activity, False, counted, call)


def _single(one: Evidence) -> Claim | None:
    """What one piece of evidence amounts to: nearly always there is no more."""
    match = one.match
    if match.strength < Strength.STRONG:
        return None
    if match.context:
        return Claim((match.app,), match.strength, Activity.BACKGROUND, True, (one,))
    return Claim((match.app,), match.strength, match.activity, False, (one,), match.service in CALL_SERVICES)


def _media_claim(flow: Flow) -> Claim:
    """Real-time media that nothing names: strong where signatures say whose media that range and port carry."""
    meant = [one for one in flow.hints if one.match.media and not one.match.context]
    if meant:
        apps = tuple(sorted(dict.fromkeys(one.match.app for one in meant)))
        return Claim(apps, Strength.STRONG, Activity.CALL_ATTEMPT, False, (*flow.media, *meant), True)
    return Claim((UNKNOWN_CALL,), Strength.SUPPORTING, Activity.CALL_ATTEMPT, False, tuple(flow.media), True)
