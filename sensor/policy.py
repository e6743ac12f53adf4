"""Verdicts: what the clinic's policy says of an episode, by which of its rules, under which snapshot.

The rules are asked in the order of `Policy._rules`; the first that has an answer decides. docs/policy.md tells the same in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor import accounts
from sensor.config_values import DAYS, clock_text, from_ns
from sensor.model import Activity, Outcome, Severity, Strength, Verdict
from sensor.networks import Networks
from sensor.policy_snapshot import digest, snapshot
from sensor.settings import HiddenOutcome, ScheduleOutcome, Unlisted, unasked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sensor.model import Device
    from sensor.settings import PolicyException, Schedule, Settings, Variant

UNKNOWN_CALL: Final = "unknown_call"  # real-time media of no known app

# How loudly each activity is told, before the outcome puts a ceiling to it; [policy] background replaces the first.
_BY_ACTIVITY: Final[Mapping[Activity, Severity]] = MappingProxyType(
    {
        Activity.BACKGROUND: Severity.INFORMATION,
        Activity.MESSAGING: Severity.LOW,
        Activity.FILE_TRANSFER: Severity.MEDIUM,
        Activity.CALL_ATTEMPT: Severity.MEDIUM,
        Activity.VOICE_CALL: Severity.HIGH,
        Activity.VIDEO_CALL: Severity.HIGH,
        Activity.MEETING: Severity.HIGH,
    }
)
_CEILING: Final[Mapping[Outcome, Severity]] = MappingProxyType(
    {
        Outcome.ALLOWED: Severity.INFORMATION,
        Outcome.UNREVIEWED: Severity.LOW,
        Outcome.REVIEW: Severity.MEDIUM,
        Outcome.VIOLATION: Severity.HIGH,
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on. `app` is None where `candidates` remain; `contexts` are those ids that accuse nobody."""

    app: str | None
    candidates: tuple[str, ...]
    contexts: Collection[str]
    device: Device
    network: str  # the name of the device's network
    start_ns: int
    end_ns: int
    activity: Activity
    strength: Strength
    names: tuple[str, ...] = ()  # every host name seen in the episode


class _Decision(NamedTuple):
    outcome: Outcome
    kind: str
    rule: str
    reason: str  # a sentence without its full stop


class Policy:
    """The policy in force. `hash` names its snapshot; `judge` is a pure function of the snapshot and the facts."""

    def __init__(
        self,
        settings: Settings,
        networks: Networks | None = None,
        app_names: Mapping[str, str] | None = None,
    ) -> None:
        """`app_names`: id -> name for people, for the reasons only; an app that is not in it is called by its id."""
        self._settings = settings
        self._policy = settings.policy
        self._zone = settings.site.timezone
        self._networks = Networks(settings) if networks is None else networks
        self._app_names = dict(app_names or {})
        self._rules: tuple[Callable[[str, Facts], _Decision | None], ...] = (
            self._context,
            self._exception,
            self._schedule,
            self._hidden,
            self._variant,
            self._approved,
            self._disallowed,
        )
        self.hash: str = digest(self.snapshot())

    def snapshot(self) -> dict[str, object]:
        """Everything that can change a verdict, and nothing else, as JSON can hold it; versioned by `schema`."""
        return snapshot(self._settings)

    def judge(self, facts: Facts) -> Verdict:
        """The verdict on an episode; it never raises. Of an excluded network nothing should come here: `excluded` says so."""
        decision = self._weigh(self._decide(facts), facts)
        return Verdict(
            outcome=decision.outcome,
            rule=decision.rule,
            reason=decision.reason,
            policy_hash=self.hash,
            severity=_CEILING[min(decision.outcome, Outcome.REVIEW, key=_CEILING.__getitem__)]
            if decision.kind == "visibility"  # it did nothing that has a loudness of its own
            else self.severity(facts.activity, decision.outcome),
            kind=decision.kind,
        )

    def hidden_outcome(self, kind: str) -> HiddenOutcome:
        """What is made of something that hides the use of apps, before exceptions and schedules."""
        return dict(self._policy.visibility).get(kind, unasked(kind))

    def severity(self, activity: Activity, outcome: Outcome) -> Severity:
        """How loudly to tell an activity with that outcome."""
        by_activity = self._policy.background if activity is Activity.BACKGROUND else _BY_ACTIVITY[activity]
        return min(by_activity, _CEILING[outcome])

    def _decide(self, facts: Facts) -> _Decision:
        network = self._networks.named(facts.network)
        if network is not None and network.excluded:
            reason = f"Network {network.name!r} is excluded: nothing about its devices may be stored"
            return _Decision(Outcome.ALLOWED, "excluded", f"network[{network.index}]", reason)
        apps = facts.candidates if facts.app is None else (facts.app,)
        if not apps:
            return _Decision(Outcome.UNREVIEWED, "unlisted", "policy.unlisted", "No app could be told")
        return self._combine(apps, [self._decide_app(app, facts) for app in apps])

    def _decide_app(self, app: str, facts: Facts) -> _Decision:
        for rule in self._rules:
            decision = rule(app, facts)
            if decision is not None:
                return decision
        return self._unlisted(app, facts)

    def _combine(self, apps: tuple[str, ...], decisions: list[_Decision]) -> _Decision:
        """One decision for all candidates: they must agree to accuse, and to acquit; else somebody has to look."""
        if len(decisions) == 1:
            return decisions[0]
        outcomes = {decision.outcome for decision in decisions}
        outcome = Outcome.REVIEW
        if outcomes in ({Outcome.VIOLATION}, {Outcome.ALLOWED}):
            outcome = decisions[0].outcome
        kinds = {decision.kind for decision in decisions}
        rules = dict.fromkeys(decision.rule for decision in decisions)
        listed = " or ".join(self._name(app) for app in apps)
        reasons = "; ".join(decision.reason for decision in decisions)
        kind = "context" if kinds == {"context"} else "candidates"
        return _Decision(outcome, kind, ", ".join(rules), f"It is {listed}, and which one cannot be told: {reasons}")

    def _weigh(self, decision: _Decision, facts: Facts) -> _Decision:
        """Evidence that is too weak to accuse makes a violation a matter for review."""
        least = max(self._policy.minimum_strength, Strength.STRONG)
        if decision.outcome is not Outcome.VIOLATION or facts.strength >= least:
            return decision
        note = f"{decision.reason}, but the evidence is only {facts.strength.label} (a violation needs {least.label})"
        return decision._replace(outcome=Outcome.REVIEW, reason=note)

    def _context(self, app: str, facts: Facts) -> _Decision | None:
        if app not in facts.contexts:
            return None
        reason = f"{self._name(app)} says only whose service was used, and accuses nobody"
        return _Decision(Outcome.ALLOWED, "context", "context", reason)

    def _exception(self, app: str, facts: Facts) -> _Decision | None:
        for index, rule in enumerate(self._policy.exceptions):
            if app in rule.apps and _covers(rule, facts):
                key = f"policy.exception[{index}]"
                reason = f"{self._name(app)} is covered by the exception {rule.name!r} ({key}) of {rule.owner}: {rule.reason}"
                if rule.until_ns is not None and facts.end_ns >= rule.until_ns:
                    end = from_ns(rule.until_ns, self._zone).isoformat(sep=" ", timespec="minutes")
                    reason += f"; it began in time, and lasted beyond the exception's end at {end}"
                return _Decision(Outcome.ALLOWED, "exception", key, reason)
        return None

    def _schedule(self, app: str, facts: Facts) -> _Decision | None:
        for index, rule in enumerate(self._policy.schedules):
            if app in rule.apps and _is_where(rule.where, facts) and in_hours(rule, facts.start_ns, self._zone):
                key = f"policy.schedule[{index}]"
                word = "allowed" if rule.outcome is ScheduleOutcome.ALLOWED else "not allowed"
                reason = f"{self._name(app)} is {word} in the hours of {rule.name!r} ({key}, {hours(rule)})"
                if not in_hours(rule, facts.end_ns, self._zone):
                    reason += "; it began in these hours, and lasted beyond them"
                return _Decision(Outcome(rule.outcome.value), "schedule", key, reason)
        return None

    def _hidden(self, app: str, _facts: Facts) -> _Decision | None:
        """A VPN and the like: judged only where the policy says so."""
        outcome = self.hidden_outcome(app)
        if outcome not in {HiddenOutcome.REVIEW, HiddenOutcome.VIOLATION}:
            return None
        key = f"policy.visibility.{app}"
        what = "is out of its maker's support" if app == "outdated" else "hides which apps are used"
        reason = f"{self._name(app)} {what}, which the policy takes as {outcome.value} ({key})"
        return _Decision(Outcome(outcome.value), "visibility", key, reason)

    def _variant(self, app: str, facts: Facts) -> _Decision | None:
        own, foreign = self._accounts(app, facts)
        if not own or foreign:
            return None
        index, rule, host = own[0]
        key = f"policy.variant[{index}]"
        reason = f"{self._name(app)} was used through {host}, an approved variant ({key}): {rule.reason}"
        return _Decision(Outcome.ALLOWED, "approved_variant", key, reason)

    def _approved(self, app: str, _facts: Facts) -> _Decision | None:
        if app not in self._policy.approved:
            return None
        reason = f"{self._name(app)} is on the list of approved apps (policy.approved)"
        return _Decision(Outcome.ALLOWED, "approved_app", "policy.approved", reason)

    def _disallowed(self, app: str, facts: Facts) -> _Decision | None:
        if app not in self._policy.disallowed:
            return None
        reason = (
            f"{self._name(app)} is on the list of disallowed apps (policy.disallowed){self._account_note(app, facts)}"
        )
        return _Decision(Outcome.VIOLATION, "disallowed", "policy.disallowed", reason)

    def _unlisted(self, app: str, facts: Facts) -> _Decision:
        if app == UNKNOWN_CALL:  # `unlisted` speaks of known apps; nobody is accused of an app that was not recognised
            reason = "A call over no app that is known"
            return _Decision(Outcome.UNREVIEWED, "unlisted", "policy.unlisted", reason)
        outcome = {
            Unlisted.UNREVIEWED: Outcome.UNREVIEWED,
            Unlisted.ALLOWED: Outcome.ALLOWED,
            Unlisted.VIOLATION: Outcome.VIOLATION,
        }[self._policy.unlisted]
        says = f"which the policy takes as {outcome.value} (policy.unlisted)"
        reason = f"{self._name(app)} is neither approved nor disallowed, {says}{self._account_note(app, facts)}"
        return _Decision(outcome, "unlisted", "policy.unlisted", reason)

    def _accounts(self, app: str, facts: Facts) -> tuple[list[tuple[int, Variant, str]], list[str]]:
        """Hosts of the clinic's own accounts that were seen, in the rules' order, and hosts of other people's accounts."""
        rules = [(index, rule) for index, rule in enumerate(self._policy.variants) if rule.app == app]
        if not rules:
            return [], []
        own_hosts = [host for _, rule in rules for host in rule.hosts]
        zone = accounts.zone_of(app, own_hosts)
        seen = sorted({name.lower().removesuffix(".") for name in facts.names})
        own = [
            (index, rule, name)
            for index, rule in rules
            for name in seen
            if any(accounts.is_below(name, host) for host in rule.hosts)
        ]
        ours = {name for _, _, name in own}
        return own, [name for name in seen if name not in ours and zone.is_account(name)]

    def _account_note(self, app: str, facts: Facts) -> str:
        """Why an approved variant of the app does not hold; "" where it has none."""
        if all(rule.app != app for rule in self._policy.variants):
            return ""
        own, foreign = self._accounts(app, facts)
        if foreign:
            beside = f" beside the clinic's own {own[0][2]}" if own else ""
            return f"; {foreign[0]}, an account that is not the clinic's, was seen{beside}"
        return "; no host that tells whose account it is was seen"

    def _name(self, app: str) -> str:
        return self._app_names.get(app, app)


def _covers(rule: PolicyException, facts: Facts) -> bool:
    """Who, where, what, and when: the moment at which the episode began decides, so that growing changes no verdict."""
    return (
        (not rule.devices or not _device_ids(facts.device).isdisjoint(rule.devices))
        and _is_where(rule.where, facts)
        and (not rule.activities or facts.activity in rule.activities)
        and (rule.from_ns is None or rule.from_ns <= facts.start_ns)
        and (rule.until_ns is None or facts.start_ns < rule.until_ns)
    )


def _device_ids(device: Device) -> set[str]:
    """Every id a rule may name a device by: its own, its MAC, its addresses."""
    ids = {device.id, *(f"ip:{address}" for address in (device.address, *device.addresses) if address)}
    return ids | {f"mac:{device.mac.lower()}"} if device.mac else ids


def _is_where(where: tuple[str, ...], facts: Facts) -> bool:
    return not where or facts.network in where


def in_hours(rule: Schedule, time_ns: int, zone: str) -> bool:
    """Whether the wall clock in `zone` stands within the rule's hours: the first minute counts, the last does not.

    An hour that a change of clocks repeats counts both times; hours across midnight belong to the day they begin on.
    """
    local = from_ns(time_ns, zone)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    if rule.from_minute < rule.to_minute:
        return today in rule.days and rule.from_minute <= minute < rule.to_minute
    if minute >= rule.from_minute:
        return today in rule.days
    return minute < rule.to_minute and (today - 1) % 7 in rule.days


def hours(rule: Schedule) -> str:
    """The hours of a schedule for people: "mon-fri 08:00-20:00"."""
    consecutive = len(rule.days) > 2 and all(later - earlier == 1 for earlier, later in pairwise(rule.days))
    names = [DAYS[day] for day in rule.days]
    days = f"{names[0]}-{names[-1]}" if consecutive else ", ".join(names)
    return f"{days} {clock_text(rule.from_minute)}-{clock_text(rule.to_minute)}"
