"""Verdicts: the order of the rules pair by pair, borders in time, candidates, strength, severity, reasons."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import config
from sensor.model import Activity, Device, Outcome, Severity, Strength
from sensor.policy import Facts, Policy, hours, in_hours
from sensor.settings import Schedule, ScheduleOutcome, Settings

MADRID = "Europe/Madrid"
NAMES = {"zoom": "Zoom", "whatsapp": "WhatsApp", "messenger": "Messenger"}
HEAD = f"""
[site]
timezone = "{MADRID}"
[[network]]
name = "Ward"
cidrs = ["10.20.0.0/16"]
[[network]]
name = "Guests"
cidrs = ["10.40.0.0/16"]
watch = "excluded"
"""


def ns(text: str, zone: str = MADRID) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000_000


DEVICE = Device("mac:02:00:5e:00:53:01", "02:00:5e:00:53:01", "10.20.0.7", ("10.20.0.7", "2001:db8::7"))
START = ns("2026-05-06T10:00")  # a Wednesday
FACTS = Facts(
    app="zoom",
    candidates=("zoom",),
    contexts=("facebook", "imessage"),
    device=DEVICE,
    network="Ward",
    start_ns=START,
    end_ns=START + 60_000_000_000,
    activity=Activity.MEETING,
    strength=Strength.CONCLUSIVE,
    names=("us02web.zoom.us", "clinic.zoom.us"),
)


def policy(text: str = "", head: str = HEAD) -> Policy:
    return Policy(config.loads(head + text), app_names=NAMES)


def exception(extra: str = "", name: str = "e", apps: str = '["zoom"]') -> str:
    return f'[[policy.exception]]\nname = "{name}"\napps = {apps}\nreason = "trial"\nowner = "Ana"\n{extra}\n'


def schedule(outcome: str = "violation", extra: str = "", name: str = "s") -> str:
    return f'[[policy.schedule]]\nname = "{name}"\napps = ["zoom"]\nfrom = "09:00"\nto = "20:00"\noutcome = "{outcome}"\n{extra}\n'


VARIANT = '[[policy.variant]]\napp = "zoom"\nhosts = ["clinic.zoom.us"]\nreason = "contract"\n'

# Each rule with its outcome, in the order of precedence. Any two of them together: the earlier one decides.
RULES = {
    "excluded": (Outcome.ALLOWED, "network[1]"),
    "context": (Outcome.ALLOWED, "context"),
    "exception": (Outcome.ALLOWED, "policy.exception[0]"),
    "schedule": (Outcome.VIOLATION, "policy.schedule[0]"),
    "approved_variant": (Outcome.ALLOWED, "policy.variant[0]"),
    "approved_app": (Outcome.ALLOWED, "policy.approved"),
    "disallowed": (Outcome.VIOLATION, "policy.disallowed"),
    "unlisted": (Outcome.UNREVIEWED, "policy.unlisted"),
}


def with_rules(kinds: set[str]) -> tuple[Policy, Facts]:
    """A policy in which exactly these rules have an answer for the facts."""
    lists = f"[policy]\napproved = {['zoom'] if 'approved_app' in kinds else []}\n"
    lists += f"disallowed = {['zoom'] if 'disallowed' in kinds and 'approved_app' not in kinds else []}\n"
    text = (VARIANT if "approved_variant" in kinds else "") + (exception() if "exception" in kinds else "")
    text += schedule() if "schedule" in kinds else ""
    facts = replace(FACTS, network="Guests" if "excluded" in kinds else "Ward")
    return policy(lists + text), replace(facts, contexts=("zoom",) if "context" in kinds else ())


@pytest.mark.parametrize("kind", RULES)
def test_each_rule_alone(kind):
    rules, facts = with_rules({kind})
    verdict = rules.judge(facts)
    assert (verdict.kind, verdict.outcome, verdict.rule) == (kind, *RULES[kind])
    assert verdict.policy_hash == rules.hash


@pytest.mark.parametrize(("first", "second"), list(combinations(RULES, 2)))
def test_of_two_rules_the_earlier_decides(first, second):
    rules, facts = with_rules({first, second})
    verdict = rules.judge(facts)
    assert (verdict.kind, verdict.outcome, verdict.rule) == (first, *RULES[first])


def test_no_configuration_disallows_the_four_and_leaves_the_others_unreviewed():
    rules = Policy(Settings())
    for app in ("whatsapp", "facetime", "messenger", "zoom"):
        verdict = rules.judge(replace(FACTS, app=app, network="(all)"))
        assert (verdict.outcome, verdict.rule) == (Outcome.VIOLATION, "policy.disallowed")
        assert verdict.reason == f"{app} is on the list of disallowed apps (policy.disallowed)"
    assert rules.judge(replace(FACTS, app="signal")).outcome is Outcome.UNREVIEWED


@pytest.mark.parametrize("unlisted", ["allowed", "unreviewed", "violation"])
def test_what_unlisted_means(unlisted):
    rules = policy(f'[policy]\nunlisted = "{unlisted}"')
    verdict = rules.judge(replace(FACTS, app="signal"))
    assert verdict.outcome == unlisted
    assert (
        verdict.reason
        == f"signal is neither approved nor disallowed, which the policy takes as {unlisted} (policy.unlisted)"
    )
    assert rules.judge(replace(FACTS, app="unknown_call")).outcome is Outcome.UNREVIEWED


def test_an_unknown_call_may_be_listed():
    rules = policy('[policy]\ndisallowed = ["unknown_call"]')
    assert rules.judge(replace(FACTS, app="unknown_call")).outcome is Outcome.VIOLATION


# Exceptions: who, where, what, when.


def is_excepted(extra: str, **changes) -> bool:
    verdict = policy(exception(extra)).judge(replace(FACTS, names=(), **changes))
    return verdict.kind == "exception"


@pytest.mark.parametrize(
    ("who", "covered"),
    [
        ("02:00:5e:00:53:01", True),
        ("0200.5E00.5301", True),
        ("10.20.0.7", True),
        ("2001:db8::7", True),
        ("02:00:5e:00:53:02", False),
        ("10.20.0.8", False),
    ],
)
def test_exceptions_are_for_somebody(who, covered):
    assert is_excepted(f'devices = ["{who}"]') is covered
    assert is_excepted(f'devices = ["10.99.0.1", "{who}"]') is covered


def test_a_device_told_by_its_address():
    told = Device("ip:10.20.0.9", address="10.20.0.9")
    assert is_excepted('devices = ["10.20.0.9"]', device=told)
    assert not is_excepted('devices = ["02:00:5e:00:53:01"]', device=told)


def test_exceptions_are_for_a_place_and_a_use():
    assert is_excepted('where = ["Ward"]')
    assert not is_excepted('where = ["Ward"]', network="")
    assert is_excepted('activities = ["messaging", "meeting"]')
    assert not is_excepted('activities = ["messaging"]')
    assert not is_excepted("", app="whatsapp")
    assert is_excepted('where = ["Ward"]\nactivities = ["meeting"]\ndevices = ["10.20.0.7"]')
    assert not is_excepted('where = ["Ward"]\nactivities = ["meeting"]\ndevices = ["10.20.0.8"]')


def test_the_first_moment_counts_and_the_last_does_not():
    times = "from = 2026-05-06T10:00:00\nuntil = 2026-05-06T11:00:00"
    begin, end = ns("2026-05-06T10:00"), ns("2026-05-06T11:00")
    assert is_excepted(times, start_ns=begin)
    assert not is_excepted(times, start_ns=begin - 1)
    assert is_excepted(times, start_ns=end - 1)
    assert not is_excepted(times, start_ns=end)


def test_an_episode_that_outlives_its_exception_is_judged_at_its_start():
    rules = policy(exception("until = 2026-05-06T11:00:00"))
    end = ns("2026-05-06T11:00")
    inside, beyond = (rules.judge(replace(FACTS, end_ns=at)) for at in (end - 1, end))
    assert inside.outcome == beyond.outcome == Outcome.ALLOWED
    assert inside.reason == "Zoom is covered by the exception 'e' (policy.exception[0]) of Ana: trial"
    assert (
        beyond.reason
        == f"{inside.reason}; it began in time, and lasted beyond the exception's end at 2026-05-06 11:00+02:00"
    )


def test_the_first_exception_in_the_file_that_covers_it_is_named():
    text = exception('devices = ["10.20.0.8"]', "a") + exception("", "b") + exception("", "c")
    assert policy(text).judge(FACTS).rule == "policy.exception[1]"


# Schedules.


def test_the_first_schedule_in_the_file_whose_hours_it_is_decides():
    text = schedule("violation", 'days = ["tue"]', "a") + schedule("allowed", "", "b") + schedule("violation", "", "c")
    verdict = policy(text).judge(FACTS)
    assert (verdict.rule, verdict.outcome) == ("policy.schedule[1]", Outcome.ALLOWED)
    assert verdict.reason == "Zoom is allowed in the hours of 'b' (policy.schedule[1], mon-sun 09:00-20:00)"


def test_a_schedule_is_for_a_place():
    rules = policy(schedule("allowed", 'where = ["Ward"]'))
    assert rules.judge(FACTS).kind == "schedule"
    assert rules.judge(replace(FACTS, network="")).kind == "disallowed"


def test_an_episode_that_outlives_the_hours_is_judged_at_its_start():
    rules = policy(schedule("allowed"))
    late = replace(FACTS, end_ns=ns("2026-05-06T20:00"))
    assert rules.judge(late).reason.endswith("; it began in these hours, and lasted beyond them")
    assert "beyond" not in rules.judge(replace(late, end_ns=late.end_ns - 1)).reason
    assert rules.judge(replace(FACTS, start_ns=ns("2026-05-06T08:59"))).kind == "disallowed"


def rule(start: str, end: str, days: tuple[int, ...] = tuple(range(7))) -> Schedule:
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (start, end))
    return Schedule("s", ("zoom",), first, last, ScheduleOutcome.ALLOWED, days)


@pytest.mark.parametrize(
    ("hours_", "days", "when", "inside"),
    [
        (("08:00", "20:00"), (2,), "2026-05-06T08:00:00", True),
        (("08:00", "20:00"), (2,), "2026-05-06T07:59:59", False),
        (("08:00", "20:00"), (2,), "2026-05-06T19:59:59", True),
        (("08:00", "20:00"), (2,), "2026-05-06T20:00:00", False),
        (("08:00", "20:00"), (0, 1, 3), "2026-05-06T12:00:00", False),
        (("00:00", "24:00"), (2,), "2026-05-06T23:59:59", True),
        (("00:00", "24:00"), (2,), "2026-05-07T00:00:00", False),
        # Across midnight: the night that begins on Wednesday ends on Thursday.
        (("22:00", "06:00"), (2,), "2026-05-06T22:00:00", True),
        (("22:00", "06:00"), (2,), "2026-05-07T05:59:59", True),
        (("22:00", "06:00"), (2,), "2026-05-07T06:00:00", False),
        (("22:00", "06:00"), (2,), "2026-05-06T05:00:00", False),
        (("22:00", "06:00"), (2,), "2026-05-07T22:00:00", False),
        (("22:00", "06:00"), (6,), "2026-05-11T01:00:00", True),  # Sunday's night, on Monday
        (("22:00", "00:00"), (2,), "2026-05-06T23:00:00", True),
        (("22:00", "00:00"), (2,), "2026-05-07T00:00:00", False),
    ],
)
def test_hours(hours_, days, when, inside):
    assert in_hours(rule(hours_[0], hours_[1], days), ns(when), MADRID) is inside


@pytest.mark.parametrize(
    ("when_utc", "inside"),
    [
        # 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC. Hours of 02:00 to 03:00 do not happen.
        ("2026-03-29T00:59:59", False),
        ("2026-03-29T01:00:00", False),
        # 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC. They happen twice.
        ("2026-10-24T23:59:59", False),
        ("2026-10-25T00:00:00", True),
        ("2026-10-25T00:59:59", True),
        ("2026-10-25T01:00:00", True),
        ("2026-10-25T01:59:59", True),
        ("2026-10-25T02:00:00", False),
    ],
)
def test_hours_on_days_when_clocks_change(when_utc, inside):
    assert in_hours(rule("02:00", "03:00"), ns(when_utc, "UTC"), MADRID) is inside


def test_consulting_hours_follow_the_clock_on_the_wall():
    consulting = rule("08:00", "20:00")
    for day, first_utc in (
        ("2026-03-28", "07:00"),
        ("2026-03-29", "06:00"),
        ("2026-10-24", "06:00"),
        ("2026-10-25", "07:00"),
    ):
        start = ns(f"{day}T{first_utc}", "UTC")
        assert in_hours(consulting, start, MADRID)
        assert not in_hours(consulting, start - 1, MADRID)


def test_days_for_people():
    assert hours(rule("08:00", "20:00", (0, 1, 2, 3, 4))) == "mon-fri 08:00-20:00"
    assert hours(rule("22:00", "06:00", (0, 2))) == "mon, wed 22:00-06:00"
    assert hours(rule("00:00", "24:00", (5, 6))) == "sat, sun 00:00-24:00"


# Variants.


@pytest.mark.parametrize(
    ("names", "approved"),
    [
        (("clinic.zoom.us",), True),
        (("CLINIC.zoom.us.",), True),
        (("zoom.us", "www.zoom.us", "us02web.zoom.us", "zoomfr85zc.zoom.us", "clinic.zoom.us"), True),
        (("clinic.zoom.us", "clinic-it.zoom.us"), False),
        (("clinic.zoom.us", "other.zoom.us"), False),
        (("clinic.zoom.us", "other.zoom.com"), False),
        (("us02web.zoom.us",), False),
        (("clinic.zoom.us.evil.example",), False),
        (("badclinic.zoom.us",), False),
        ((), False),
    ],
)
def test_only_the_clinics_own_account_is_a_variant(names, approved):
    verdict = policy(VARIANT).judge(replace(FACTS, names=names))
    assert (verdict.kind, verdict.outcome) == (
        ("approved_variant", "allowed") if approved else ("disallowed", "violation")
    )


def test_several_own_accounts_do_not_undo_each_other():
    text = VARIANT + VARIANT.replace("clinic", "pharmacy")
    assert policy(text).judge(replace(FACTS, names=("clinic.zoom.us", "pharmacy.zoom.us"))).rule == "policy.variant[0]"
    assert policy(text).judge(replace(FACTS, names=("pharmacy.zoom.us",))).rule == "policy.variant[1]"


def test_why_a_variant_does_not_hold_is_said():
    rules = policy(VARIANT)
    start = "Zoom is on the list of disallowed apps (policy.disallowed); "
    expected = {
        (): "no host that tells whose account it is was seen",
        ("other.zoom.us",): "other.zoom.us, an account that is not the clinic's, was seen",
        ("clinic.zoom.us", "other.zoom.us"): "other.zoom.us, an account that is not the clinic's, was seen beside the clinic's own clinic.zoom.us",
    }  # fmt: skip
    assert {names: rules.judge(replace(FACTS, names=names)).reason for names in expected} == {
        names: start + reason for names, reason in expected.items()
    }
    assert (
        rules.judge(FACTS).reason
        == "Zoom was used through clinic.zoom.us, an approved variant (policy.variant[0]): contract"
    )


# Candidates, strength, severity.

CANDIDATES = replace(FACTS, app=None, candidates=("whatsapp", "messenger"), names=())


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('disallowed = ["whatsapp", "messenger"]', "violation"),
        ('disallowed = ["whatsapp"]\nunlisted = "violation"', "violation"),
        ('disallowed = ["whatsapp"]', "review"),
        ('disallowed = ["whatsapp"]\napproved = ["messenger"]', "review"),
        ("disallowed = []", "review"),
        ('approved = ["messenger"]\ndisallowed = []', "review"),
        ('approved = ["whatsapp", "messenger"]\ndisallowed = []', "allowed"),
        (exception(apps='["whatsapp"]'), "review"),
        (exception(apps='["whatsapp", "messenger"]'), "allowed"),
    ],
)
def test_candidates(text, outcome):
    head = "" if text.startswith("[[") else "[policy]\n"
    verdict = policy(head + text).judge(CANDIDATES)
    assert (verdict.outcome, verdict.kind) == (outcome, "candidates")


def test_candidates_name_every_rule_and_reason():
    verdict = policy(exception(apps='["whatsapp"]')).judge(CANDIDATES)
    assert verdict.rule == "policy.exception[0], policy.disallowed"
    assert verdict.reason == (
        "It is WhatsApp or Messenger, and which one cannot be told: "
        "WhatsApp is covered by the exception 'e' (policy.exception[0]) of Ana: trial; "
        "Messenger is on the list of disallowed apps (policy.disallowed)"
    )
    assert policy().judge(CANDIDATES).rule == "policy.disallowed"


def test_candidates_that_are_context():
    both = policy().judge(replace(CANDIDATES, candidates=("facebook", "imessage")))
    assert (both.outcome, both.kind, both.rule) == (Outcome.ALLOWED, "context", "context")
    one = policy().judge(replace(CANDIDATES, candidates=("facebook", "messenger")))
    assert (one.outcome, one.kind) == (Outcome.REVIEW, "candidates")


def test_one_candidate_is_the_app_and_none_is_nothing():
    assert policy().judge(replace(CANDIDATES, candidates=("whatsapp",))).rule == "policy.disallowed"
    nothing = policy().judge(replace(CANDIDATES, candidates=()))
    assert (nothing.outcome, nothing.kind) == (Outcome.UNREVIEWED, "unlisted")


@pytest.mark.parametrize(
    ("least", "strength", "outcome"),
    [
        ("strong", Strength.SUPPORTING, "review"),
        ("strong", Strength.STRONG, "violation"),
        ("strong", Strength.CONCLUSIVE, "violation"),
        ("conclusive", Strength.STRONG, "review"),
        ("conclusive", Strength.CONCLUSIVE, "violation"),
    ],
)
def test_weak_evidence_never_accuses(least, strength, outcome):
    for facts in (FACTS, CANDIDATES):
        verdict = policy(f'[policy]\nminimum_strength = "{least}"').judge(replace(facts, strength=strength))
        assert verdict.outcome == outcome
        note = f", but the evidence is only {strength.label} (a violation needs {least})"
        assert verdict.reason.endswith(note) is (outcome == "review")


def test_weak_evidence_is_enough_to_allow():
    assert policy(VARIANT).judge(replace(FACTS, strength=Strength.SUPPORTING)).outcome is Outcome.ALLOWED


SEVERITIES = {
    Activity.BACKGROUND: (Severity.INFORMATION, Severity.INFORMATION, Severity.INFORMATION),
    Activity.MESSAGING: (Severity.LOW, Severity.LOW, Severity.LOW),
    Activity.FILE_TRANSFER: (Severity.MEDIUM, Severity.MEDIUM, Severity.LOW),
    Activity.CALL_ATTEMPT: (Severity.MEDIUM, Severity.MEDIUM, Severity.LOW),
    Activity.VOICE_CALL: (Severity.HIGH, Severity.MEDIUM, Severity.LOW),
    Activity.VIDEO_CALL: (Severity.HIGH, Severity.MEDIUM, Severity.LOW),
    Activity.MEETING: (Severity.HIGH, Severity.MEDIUM, Severity.LOW),
}


@pytest.mark.parametrize("activity", Activity)
def test_severity(activity):
    rules = policy()
    outcomes = (Outcome.VIOLATION, Outcome.REVIEW, Outcome.UNREVIEWED)
    assert tuple(rules.severity(activity, outcome) for outcome in outcomes) == SEVERITIES[activity]
    assert rules.severity(activity, Outcome.ALLOWED) is Severity.INFORMATION
    assert rules.judge(replace(FACTS, activity=activity)).severity is SEVERITIES[activity][0]


def test_the_policy_may_make_background_loud():
    rules = policy('[policy]\nbackground = "high"')
    background = replace(FACTS, activity=Activity.BACKGROUND)
    assert rules.judge(background).severity is Severity.HIGH
    assert rules.judge(replace(background, strength=Strength.SUPPORTING)).severity is Severity.MEDIUM
    assert rules.judge(replace(background, app="signal")).severity is Severity.LOW


TIMES = st.integers(-(1 << 63), (1 << 64))
WORDS = st.sampled_from(["zoom", "whatsapp", "facebook", "signal", "", "\n"])


@given(
    app=st.none() | WORDS,
    candidates=st.lists(WORDS, max_size=3).map(tuple),
    network=st.sampled_from(["Ward", "Guests", "", "?"]),
    start_ns=TIMES,
    end_ns=TIMES,
    activity=st.sampled_from(Activity),
    strength=st.sampled_from(Strength),
    names=st.lists(st.text(max_size=12) | st.sampled_from(["clinic.zoom.us", "other.zoom.us", "."]), max_size=3).map(
        tuple
    ),
)
def test_any_facts_have_a_verdict(**changes):
    rules = policy(VARIANT + exception("until = 2026-05-06") + schedule())
    facts = replace(FACTS, **changes)
    verdict = rules.judge(facts)
    assert verdict == rules.judge(facts)
    assert verdict.rule
    assert verdict.reason
    if verdict.outcome is Outcome.VIOLATION:
        assert facts.strength >= Strength.STRONG
        assert facts.network != "Guests"


def test_the_documented_order_is_the_order():
    text = (Path(__file__).parents[1] / "docs" / "policy.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| `(.+?)` \|", text, re.MULTILINE)
    order = [(kind, re.sub(r"\[\d\]", "", rule)) for kind, (_, rule) in RULES.items()]
    # What hides traffic is no app, so it never meets the rules for apps below it.
    order.insert(order.index(("schedule", "policy.schedule")) + 1, ("visibility", "policy.visibility.KIND"))
    assert [(kind, rule.replace("[i]", "")) for _, kind, rule in rows] == order
