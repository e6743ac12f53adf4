"""What is told, when, and whether again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.config_values import from_ns, to_ns
from sensor.model import Activity, Outcome, Severity
from sensor.notify.deciding import decide, next_digest_ns, wait_s
from sensor.settings_notify import EmailChannel, SyslogChannel, WebhookChannel
from sensor.store.notices import News, Notice, NoticeState

MAIL = EmailChannel("officer", ("o@clinic.example",), "w@clinic.example", "mail.clinic.example", 587, digest_minute=420)
HOOK = WebhookChannel("siem", "https://siem.clinic.example/")
LOG = SyslogChannel("log", "log.clinic.example", 6514)
NOW_NS = to_ns(datetime(2026, 3, 2, 10, 0, tzinfo=UTC))
ZONE = "Europe/Madrid"


def news(activity: Activity = Activity.MESSAGING, severity: Severity = Severity.LOW, **more: object) -> News:
    return replace(News("e", 9, Outcome.VIOLATION, activity, severity, "disallowed"), **more)  # type: ignore[arg-type]


def notice(
    activity: Activity = Activity.MESSAGING,
    severity: Severity = Severity.LOW,
    state: NoticeState = NoticeState.SENT,
    tries: int = 1,
) -> Notice:
    return Notice(1, "k", "c", "e", 3, "new", activity, severity, False, "", state, tries, 0, 0, 0, "")


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.VIOLATION])
def test_what_is_no_violation_is_not_told(outcome: Outcome) -> None:
    assert decide(HOOK, ZONE, news(outcome=outcome), (), NOW_NS) is None


def test_calls_come_at_once_and_the_rest_with_the_digest() -> None:
    for activity, severity in product(Activity, Severity):
        urgent = activity in {Activity.VOICE_CALL, Activity.VIDEO_CALL, Activity.MEETING} or severity is Severity.HIGH
        plan = decide(MAIL, ZONE, news(activity, severity), (), NOW_NS)
        assert plan is not None
        assert (plan.occasion, plan.digest, plan.instead) == ("new", not urgent, False)
        assert plan.due_ns == (NOW_NS if urgent else to_ns(datetime(2026, 3, 3, 6, 0, tzinfo=UTC)))
        for machine in (HOOK, LOG):
            plan = decide(machine, ZONE, news(activity, severity), (), NOW_NS)
            assert plan is not None
            assert (plan.digest, plan.due_ns) == (False, NOW_NS)


def test_what_is_less_grave_than_the_channel_wants_is_not_told() -> None:
    quiet = replace(HOOK, least_severity=Severity.MEDIUM)
    told = [one for one in Severity if decide(quiet, ZONE, news(severity=one), (), NOW_NS) is not None]
    assert told == [Severity.MEDIUM, Severity.HIGH]


@pytest.mark.parametrize("state", [NoticeState.SENT, NoticeState.SENDING, NoticeState.DEAD])
def test_revisions_are_told_again_only_where_it_is_graver_or_a_call(state: NoticeState) -> None:
    again = {
        (before, after)
        for before, after in product(product(Activity, Severity), repeat=2)
        if decide(HOOK, ZONE, news(*after), (notice(*before, state=state),), NOW_NS) is not None
    }
    expected = {
        (before, after)
        for before, after in product(product(Activity, Severity), repeat=2)
        if (after[1] is Severity.HIGH and before[1] is not Severity.HIGH) or (after[0] >= 5 > before[0])
    }
    assert again == expected
    plan = decide(HOOK, ZONE, news(Activity.VIDEO_CALL), (notice(state=state),), NOW_NS)
    assert plan is not None
    assert plan.occasion == "raised"


def test_a_line_of_a_digest_gives_way_to_the_call_it_became() -> None:
    waiting = notice(state=NoticeState.WAITING, tries=0)
    plan = decide(MAIL, ZONE, news(Activity.VIDEO_CALL, Severity.HIGH), (waiting,), NOW_NS)
    assert plan is not None
    assert (plan.occasion, plan.digest, plan.instead) == ("new", False, True)
    tried = notice(state=NoticeState.WAITING, tries=1)  # perhaps it arrived, and only the answer was lost
    plan = decide(MAIL, ZONE, news(Activity.VIDEO_CALL, Severity.HIGH), (tried,), NOW_NS)
    assert plan is not None
    assert plan.occasion == "raised"


def test_once_it_was_told_as_grave_and_as_a_call_nothing_is_told_again() -> None:
    told = (notice(severity=Severity.HIGH), notice(Activity.VOICE_CALL))
    assert not any(decide(HOOK, ZONE, news(*one), told, NOW_NS) for one in product(Activity, Severity))


def nothing_any_more() -> News:
    return news(severity=Severity.INFORMATION, outcome=Outcome.UNREVIEWED, kind="withdrawn")


def test_what_was_told_and_turned_out_to_be_something_else_is_withdrawn_as_urgently() -> None:
    nothing = nothing_any_more()
    told = notice(Activity.VIDEO_CALL, Severity.HIGH)
    plan = decide(MAIL, ZONE, nothing, (told,), NOW_NS)
    assert plan is not None
    assert (plan.occasion, plan.digest, plan.instead) == ("withdrawn", False, True)
    plan = decide(MAIL, ZONE, nothing, (notice(),), NOW_NS)
    assert plan is not None
    assert (plan.occasion, plan.digest) == ("withdrawn", True)
    assert decide(replace(HOOK, least_severity=Severity.HIGH), ZONE, nothing, (told,), NOW_NS) is not None


def test_nobody_is_told_that_what_they_never_heard_of_is_withdrawn_or_twice() -> None:
    nothing = nothing_any_more()
    assert decide(HOOK, ZONE, nothing, (), NOW_NS) is None
    assert decide(HOOK, ZONE, nothing, (notice(state=NoticeState.WAITING, tries=0),), NOW_NS) is None
    again = (notice(), replace(notice(), occasion="withdrawn"))
    assert decide(HOOK, ZONE, nothing, again, NOW_NS) is None
    allowed = news(outcome=Outcome.ALLOWED, kind="exception")
    assert decide(HOOK, ZONE, allowed, (notice(),), NOW_NS) is None


def test_the_digest_comes_at_its_hour_of_the_sites_clock() -> None:
    at_seven = to_ns(datetime(2026, 3, 3, 6, 0, tzinfo=UTC))
    assert next_digest_ns(420, ZONE, NOW_NS) == at_seven
    assert next_digest_ns(420, ZONE, at_seven - 1) == at_seven
    assert next_digest_ns(420, ZONE, at_seven) == at_seven + 86_400 * 10**9
    spring = to_ns(datetime(2026, 3, 28, 12, 0, tzinfo=UTC))  # the night in which 02:30 is left out
    assert from_ns(next_digest_ns(150, ZONE, spring), ZONE).isoformat() == "2026-03-29T03:30:00+02:00"
    autumn = to_ns(datetime(2026, 10, 24, 12, 0, tzinfo=UTC))  # the night in which 02:30 comes twice
    first = next_digest_ns(150, ZONE, autumn)
    assert from_ns(first, ZONE).isoformat() == "2026-10-25T02:30:00+02:00"
    assert from_ns(next_digest_ns(150, ZONE, first), ZONE).isoformat() == "2026-10-26T02:30:00+01:00"


@given(
    st.integers(0, 1439), st.integers(0, 4_000_000_000_000_000_000), st.sampled_from([ZONE, "UTC", "Asia/Kathmandu"])
)
def test_the_next_digest_is_later_and_at_most_a_day_and_an_hour_away(minute: int, now_ns: int, zone: str) -> None:
    found = next_digest_ns(minute, zone, now_ns)
    assert 0 < found - now_ns <= 25 * 3600 * 10**9


@given(st.integers(1, 1000), st.integers(1, 3600), st.integers(1, 86_400), st.floats(0, 1))
def test_waits_grow_to_the_longest_and_never_below_half(tries: int, first: int, longest: int, chance: float) -> None:
    longest = max(first, longest)
    full = min(longest, first * 2 ** min(tries - 1, 60))
    assert full / 2 <= wait_s(tries, first, longest, chance) <= full
