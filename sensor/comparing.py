"""Two runs over the same captures: which verdicts the later one gained, lost and changed, and why.

Two episodes are the same where one device shares a packet of evidence in both; else where they are of one app and overlap
in time, for evidence is capped. Pure: no files, no store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sensor.model import Outcome
from sensor.records import episode_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sensor.model import Episode

SAME_EVERYTHING: Final = "signatures and policy are the same: other captures, or another version of wardwatch"


class Change(StrEnum):
    """What became of a verdict; only a violation is gained or lost."""

    GAINED = "gained"
    LOST = "lost"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Told:
    """One episode of one run, as far as it is compared. Made of a line of `--episodes`."""

    record: dict[str, Any]
    packets: frozenset[str]
    rules: frozenset[str]

    @classmethod
    def of(cls, record: dict[str, Any]) -> Told:
        """Raises KeyError, TypeError where it is no such line."""
        evidence = record["evidence"]
        for key in ("id", "device_id", "start", "end", "verdict", "policy_rule", "activity", "strength", "reason"):
            if not isinstance(record[key], str):
                raise TypeError(key)
        return cls(record, frozenset(one["packet_id"] for one in evidence), frozenset(one["rule"] for one in evidence))

    @property
    def apps(self) -> tuple[str, ...]:
        app = self.record["app"]
        return (app,) if app else tuple(self.record["candidates"])

    @property
    def violation(self) -> bool:
        return bool(self.record["verdict"] == Outcome.VIOLATION.value)

    def said(self) -> tuple[Any, ...]:
        """What is a change where it differs."""
        return self.apps, *(self.record[key] for key in ("verdict", "policy_rule", "activity", "strength"))


@dataclass(frozen=True, slots=True)
class Difference:
    """One verdict that is not what it was; `old` or `new` None: there is none."""

    change: Change
    old: Told | None
    new: Told | None
    why: tuple[str, ...]


@dataclass(slots=True)
class Comparison:
    """All of them, and how many verdicts are the same."""

    differences: list[Difference] = field(default_factory=list)
    same: int = 0

    def counts(self) -> dict[str, int]:
        found = Counter(one.change.value for one in self.differences)
        return {change.value: found[change.value] for change in Change} | {"same": self.same}


def of_episodes(episodes: Iterable[Episode]) -> list[Told]:
    return [Told.of(episode_record(one)) for one in episodes]


def compared(old: Sequence[Told], new: Sequence[Told]) -> Comparison:
    """What the new run makes of the old one's captures."""
    found = Comparison()
    pairs, left = _paired(old, new)
    for one, other in pairs:
        if one is not None and one.said() == other.said():
            found.same += 1
        elif one is not None or other.violation:
            found.differences.append(Difference(_change(one, other), one, other, _why(one, other)))
        else:
            found.differences.append(Difference(Change.CHANGED, None, other, _why(None, other)))
    for one in left:
        change = Change.LOST if one.violation else Change.CHANGED
        found.differences.append(Difference(change, one, None, _why(one, None)))
    found.differences.sort(key=_order)
    return found


def _order(one: Difference) -> tuple[int, str, str]:
    known = one.new or one.old
    record: dict[str, Any] = known.record if known else {}
    return list(Change).index(one.change), record.get("start", ""), record.get("id", "")


def _change(old: Told | None, new: Told) -> Change:
    was = old is not None and old.violation
    if was == new.violation:
        return Change.CHANGED
    return Change.GAINED if new.violation else Change.LOST


def _paired(old: Sequence[Told], new: Sequence[Told]) -> tuple[list[tuple[Told | None, Told]], list[Told]]:
    """Each new one with its old one; and the old ones that none is like."""
    by_packet: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at, one in enumerate(old):
        for packet in one.packets:
            by_packet[one.record["device_id"], packet].append(at)
    of_app: defaultdict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for at, one in enumerate(old):
        of_app[one.record["device_id"], one.apps].append(at)
    taken: set[int] = set()
    pairs: list[tuple[Told | None, Told]] = []
    for other in new:
        shared = Counter(
            at
            for packet in other.packets
            for at in by_packet.get((other.record["device_id"], packet), ())
            if at not in taken
        )
        best = max(shared, key=lambda at: (shared[at], -at), default=None)
        if best is None:
            beside = of_app.get((other.record["device_id"], other.apps), ())
            best = next((at for at in beside if at not in taken and _overlap(old[at], other)), None)
        if best is not None:
            taken.add(best)
        pairs.append((None if best is None else old[best], other))
    return pairs, [one for at, one in enumerate(old) if at not in taken]


def _overlap(one: Told, other: Told) -> bool:
    """At one time. Times of one form are in the order of their texts."""
    a, b = one.record, other.record
    return bool(a["start"] <= b["end"] and b["start"] <= a["end"])


def _why(old: Told | None, new: Told | None) -> tuple[str, ...]:
    """The rules of signatures that came or went, and what the policy says instead."""
    before: dict[str, Any] = old.record if old else {}
    after: dict[str, Any] = new.record if new else {}
    why: list[str] = []
    gone = sorted((old.rules if old else frozenset()) - (new.rules if new else frozenset()))
    come = sorted((new.rules if new else frozenset()) - (old.rules if old else frozenset()))
    if before.get("signatures_hash") != after.get("signatures_hash") or not (old and new):
        if gone:
            why.append(f"no longer met: {', '.join(gone)}")
        if come:
            why.append(f"met now: {', '.join(come)}")
    if old and new and before["policy_hash"] != after["policy_hash"] and before["policy_rule"] != after["policy_rule"]:
        why.append(f"policy: {before['policy_rule']} before, {after['policy_rule']} now: {after['reason']}")
    elif old and new and before["verdict"] != after["verdict"]:
        why.append(f"{after['policy_rule']}: {after['reason']}")
    if old and new:
        for key, name in (("strength", "evidence"), ("activity", "activity")):
            if before[key] != after[key]:
                why.append(f"{name}: {before[key]} before, {after[key]} now")
        if old.apps != new.apps:
            why.append(f"app: {' or '.join(old.apps)} before, {' or '.join(new.apps)} now")
    if (
        old
        and new
        and before["signatures_hash"] == after["signatures_hash"]
        and before["policy_hash"] == after["policy_hash"]
    ):
        why.append(SAME_EVERYTHING)
    return tuple(why)
