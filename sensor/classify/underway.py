"""What is told of an episode while it lasts: a call within seconds, other use once it is more than background, or lasts.

Counters of a flow are final once it has ended; until then the windows that are over stand for them. So what is told is never
more than what flowed, and the episode as it is told in the end takes its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sensor.model import Activity, Outcome, Severity, Strength, Verdict

if TYPE_CHECKING:
    from sensor.classify.opened import Opened
    from sensor.model import Episode

NS = 1_000_000_000
WINDOW_NS = 10 * NS
CALL_AFTER_NS = 2 * NS  # what else begins with a call is there by then; it leaves time to tell it within ten seconds
CALL_EVERY_NS = 10 * NS
OTHER_AFTER_NS = OTHER_EVERY_NS = 60 * NS
LASTS_NS = 900 * NS  # background use is told once it has lasted so long; and all that lasts is told again as often


def is_due(episode: Opened, time_ns: int) -> bool:
    """Whether to look at it now; and when again."""
    if not episode.look_ns:
        first_ns = min((one.time_ns for one in episode.evidence if one.match.strength >= Strength.STRONG), default=None)
        if first_ns is None:
            first_ns = episode.first_ns
        episode.look_ns = first_ns + (CALL_AFTER_NS if episode.call else OTHER_AFTER_NS)
    if time_ns < episode.look_ns:
        return False
    episode.look_ns = time_ns + (CALL_EVERY_NS if episode.call else OTHER_EVERY_NS)
    return True


def so_far(episode: Opened, time_ns: int) -> Opened:
    """A copy in which the flows that still live count with what is known of them."""
    use = episode.use.copied()
    up, down, packets, last_ns = episode.done_up, episode.done_down, episode.done_packets, episode.last_ns
    for flow in episode.flows:
        use.add(flow)
        if flow.ended:
            up, down, packets = up + flow.bytes_up, down + flow.bytes_down, packets + flow.packets
            last_ns = max(last_ns, flow.last_ns)
            continue
        for window in flow.windows:
            up, down = up + window.bytes_up, down + window.bytes_down
            packets += window.packets_up + window.packets_down
            last_ns = max(last_ns, min(window.start_ns + WINDOW_NS, time_ns))
    last_ns = max([last_ns, *(one.time_ns for one in episode.evidence)])
    return replace(
        episode,
        use=use,
        notes=dict(episode.notes),
        done_flows=episode.done_flows + len(episode.flows),
        done_packets=packets,
        done_up=up,
        done_down=down,
        last_ns=last_ns,
    )


def is_news(episode: Opened, now: Episode, time_ns: int) -> bool:
    """Whether `now` is to be told, after what was told before."""
    told = episode.told
    if told is None:
        calls = now.activity >= Activity.CALL_ATTEMPT
        return calls or now.activity > Activity.BACKGROUND or time_ns >= now.start_ns + LASTS_NS
    return _gist(told) != _gist(now) or time_ns >= episode.told_ns + LASTS_NS


def _gist(one: Episode) -> tuple[object, ...]:
    verdict = one.verdict
    return one.id, one.activity, one.strength, verdict.outcome, verdict.severity, verdict.policy_hash


def withdrawn(told: Episode, instead: Episode | None, name: str) -> Episode:
    """The end of what was told and turned out to be something else; `name`: of what it is then."""
    reason = f"It turned out to be {name}: episode {instead.id}." if instead is not None else (
        "What it rested on turned out to be something else."
    )  # fmt: skip
    verdict = Verdict(
        Outcome.UNREVIEWED, "withdrawn", reason, told.verdict.policy_hash, Severity.INFORMATION, "withdrawn"
    )
    return replace(told, closed=True, verdict=verdict, notes=tuple(sorted({*told.notes, reason})))
