"""What is told, when, and whether again. Pure: no clock, no store."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sensor.config_values import from_ns, to_ns
from sensor.model import Activity, Outcome, Severity
from sensor.notify.model import Occasion
from sensor.settings_notify import EmailChannel
from sensor.store.notices import News, Notice, Plan

if TYPE_CHECKING:
    from sensor.settings_notify import Channel

WITHDRAWN: Final = "withdrawn"  # the kind of verdict of what turned out to be something else


def decide(channel: Channel, zone: str, news: News, told: tuple[Notice, ...], now_ns: int) -> Plan | None:
    """One episode, one message; another one where its severity rises to high or it becomes a call.

    Where the first is still waiting, as a line of a digest, the second takes its place.
    """
    if news.outcome is not Outcome.VIOLATION:
        return _withdraw(channel, zone, news, told, now_ns)
    if news.severity < channel.least_severity:
        return None
    if told and not _is_raised(news, told):
        return None
    got = [one for one in told if not one.untouched]
    return _plan(channel, zone, Occasion.RAISED if got else Occasion.NEW, is_urgent(news.activity, news.severity), now_ns,
                 instead=bool(told))  # fmt: skip


def _withdraw(channel: Channel, zone: str, news: News, told: tuple[Notice, ...], now_ns: int) -> Plan | None:
    """Whoever was told of what turned out to be something else is told that too, as urgently; an exception made later is no reason."""
    got = [one for one in told if not one.untouched]
    if news.kind != WITHDRAWN or not got or any(one.occasion == Occasion.WITHDRAWN for one in got):
        return None
    urgent = any(is_urgent(one.activity, one.severity) for one in got)
    return _plan(channel, zone, Occasion.WITHDRAWN, urgent, now_ns, instead=True)


def _plan(channel: Channel, zone: str, occasion: Occasion, urgent: bool, now_ns: int, *, instead: bool) -> Plan:
    if isinstance(channel, EmailChannel) and not urgent:
        due_ns = next_digest_ns(channel.digest_minute, zone, now_ns)
        return Plan(occasion.value, digest=True, due_ns=due_ns, instead=instead)
    return Plan(occasion.value, digest=False, due_ns=now_ns, instead=instead)


def is_urgent(activity: Activity, severity: Severity) -> bool:
    """Told at once also where the rest waits for the digest: calls, and whatever the policy finds as grave."""
    return activity >= Activity.VOICE_CALL or severity >= Severity.HIGH


def _is_raised(news: News, told: tuple[Notice, ...]) -> bool:
    call = news.activity >= Activity.VOICE_CALL > max(one.activity for one in told)
    return call or news.severity >= Severity.HIGH > max(one.severity for one in told)


def next_digest_ns(minute: int, zone: str, now_ns: int) -> int:
    """The next time at which the site's clock shows this minute of the day.

    A time that the change of clocks leaves out comes as much later; of one that comes twice it is the first.
    """
    now = from_ns(now_ns, zone)
    for days in range(3):
        day = now.date() + timedelta(days=days)
        wall = datetime.combine(day, time(minute // 60, minute % 60), ZoneInfo(zone))
        found_ns = to_ns(wall)
        if found_ns > now_ns:
            return found_ns
    raise AssertionError("unreachable")


def wait_s(tries: int, first_s: int, longest_s: int, chance: float) -> float:
    """Seconds until the next try: twice as long after each, up to the longest, less up to half of it by `chance` (0 to 1).

    So of many messages that failed together not all come back together.
    """
    full = min(longest_s, first_s << min(tries - 1, 40))
    return full * (1 - chance / 2)
