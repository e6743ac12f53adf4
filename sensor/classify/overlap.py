"""Rules that claim the same thing: two applications at one name or range, or a rule that another always precedes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sensor.classify.index import NameIndex
from sensor.model import Strength

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sensor.classify.rules import App, Ports, Range, Rule

Said = tuple["Rule", str, str]  # the rule, "error" or "warning", the message


def between(apps: Iterable[App]) -> Iterator[Said]:
    """Everything found among applications that are in force together."""
    by_id = {app.id: app for app in apps}
    rules = [rule for app in by_id.values() for rule in sorted(app.rules, key=lambda rule: rule.id)]
    yield from _equal_names(by_id, rules)
    yield from _nested_names(by_id, rules)
    yield from _exact_under_regex(by_id, rules)
    yield from _ranges(by_id, [rule for rule in rules if rule.kind == "ranges"])
    yield from _equal_shapes(by_id, rules)


def _equal_names(by_id: dict[str, App], rules: list[Rule]) -> Iterator[Said]:
    """The same name, suffix or expression twice."""
    owners: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        for name in rule.names:
            owners[rule.kind, name].append(rule)
    for (_, name), claims in owners.items():
        first = claims[0]
        for other in claims[1:]:
            if other.match.app == first.match.app:
                yield other, "error", f"{_name(other)}: {name} never comes to this rule, {_name(first)} has it as well"
                continue
            level = "warning" if _kin(by_id, first, other) else "error"
            for one, two in ((first, other), (other, first)):
                yield (
                    one,
                    level,
                    f"{_name(one)}: {name} is claimed by {_name(two)} just so, and neither is more specific",
                )


def _nested_names(by_id: dict[str, App], rules: list[Rule]) -> Iterator[Said]:
    """A name of one application within another's zone; the vendor's context around its apps is what it is for."""
    zones: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        if rule.kind == "suffix":
            for name in rule.names:
                zones[name].append(rule)
    for rule in rules:
        if rule.kind not in {"exact", "suffix"}:
            continue
        for name in rule.names:
            at = 0 if rule.kind == "exact" else name.find(".") + 1
            for zone in _parents(name[at:]):
                for owner in zones.get(zone, ()):
                    if not _kin(by_id, rule, owner):
                        yield rule, "warning", f"{_name(rule)}: {name} lies within {zone}, which {_name(owner)} claims"


def _exact_under_regex(by_id: dict[str, App], rules: list[Rule]) -> Iterator[Said]:
    """An exact name that another application's expression fits; the exact one wins, but which is right?"""
    index = NameIndex(rule for rule in rules if rule.kind == "regex")
    for rule in rules:
        for name in rule.names if rule.kind == "exact" else ():
            for match in index.match(name):
                if match.app != rule.match.app and by_id[match.app].family != by_id[rule.match.app].family:
                    yield rule, "warning", f"{_name(rule)}: {name} also fits {match.rule}"


def _ranges(by_id: dict[str, App], rules: list[Rule]) -> Iterator[Said]:
    """Ranges of two applications, of different families, that share an address and a port."""
    spans = sorted(((one, rule) for rule in rules for one in rule.ranges), key=lambda pair: (pair[0].low, pair[0].bits))
    open_spans: list[tuple[Range, Rule]] = []
    seen: set[tuple[str, str]] = set()
    for one, rule in spans:
        open_spans = [pair for pair in open_spans if pair[0].high >= one.low]
        for other, owner in open_spans:
            pair = (rule.match.rule, owner.match.rule)
            if pair in seen or _kin(by_id, rule, owner) or not _ports_meet(rule.ports, owner.ports):
                continue
            seen.add(pair)
            yield rule, "error", f"{_name(rule)}: range {one} lies within {other}, which {_name(owner)} claims"
            yield owner, "error", f"{_name(owner)}: range {other} holds {one}, which {_name(rule)} claims"
        open_spans.append((one, rule))


def _equal_shapes(by_id: dict[str, App], rules: list[Rule]) -> Iterator[Said]:
    """The same STUN message or first bytes in two rules. Of siblings both become candidates: a dialect they share."""
    owners: dict[object, list[Rule]] = defaultdict(list)
    for rule in rules:
        if rule.stun:
            owners[rule.stun, rule.ports, rule.ranges].append(rule)
        elif rule.first_bytes:
            owners[rule.first_bytes, rule.ports, rule.ranges].append(rule)
    for claims in owners.values():
        for other in claims[1:]:
            if other.match.app == claims[0].match.app:
                yield other, "error", f"{_name(other)}: says the same as {_name(claims[0])}"
            elif not _siblings(by_id, other, claims[0]):
                for one, two in ((claims[0], other), (other, claims[0])):
                    yield one, "error", f"{_name(one)}: says the same as {_name(two)}, of another family"
            elif Strength.CONCLUSIVE in {other.match.strength, claims[0].match.strength}:
                yield other, "error", f"{_name(other)}: shared with {_name(claims[0])}, so neither is conclusive"


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        yield name
        name = name.split(".", 1)[1]


def _ports_meet(one: tuple[Ports, ...], two: tuple[Ports, ...]) -> bool:
    if not one or not two:
        return True
    return any(a.proto == b.proto and a.low <= b.high and b.low <= a.high for a in one for b in two)


def _kin(by_id: dict[str, App], one: Rule, two: Rule) -> bool:
    """The same application, or siblings, or one is only context to the other."""
    return _siblings(by_id, one, two) or one.match.context or two.match.context


def _siblings(by_id: dict[str, App], one: Rule, two: Rule) -> bool:
    return by_id[one.match.app].family == by_id[two.match.app].family


def _name(rule: Rule) -> str:
    return f"rule {rule.match.rule}"
