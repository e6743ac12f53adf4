"""Which rules fit a name or an address: dictionaries built once, lookups linear in labels and in prefix lengths."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from sensor.classify import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.classify.rules import Rule
    from sensor.model import RuleMatch

_ANY_PORT: Final[tuple[str | None, int, int]] = (None, 0, 65535)


class NameIndex:
    """Rules by domain name. Of one app, and between apps, the most specific rule wins; equals are all told."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact: dict[str, list[Rule]] = defaultdict(list)
        self._suffix: dict[str, list[Rule]] = defaultdict(list)
        self._regex: dict[str, list[tuple[re.Pattern[str], Rule]]] = defaultdict(list)
        for rule in rules:
            for name in rule.names:
                if rule.kind == "exact":
                    self._exact[name].append(rule)
                elif rule.kind == "suffix":
                    self._suffix[name].append(rule)
                else:
                    self._regex[pattern.literal_suffix(name)].append((re.compile(name), rule))

    def match(self, name: str) -> tuple[RuleMatch, ...]:
        name = name.lower().removesuffix(".")
        if len(name) > pattern.MAX_NAME:
            return ()
        if found := self._exact.get(name):
            return _one_per_app(found)
        tails = list(_tails(name))
        for tail in tails:
            if found := [rule for shape, rule in self._regex.get(tail, ()) if shape.fullmatch(name)]:
                return _one_per_app(found)
        for tail in tails:
            if found := [rule for rule in self._suffix.get(tail, ()) if not _is_excepted(name, rule)]:
                return _one_per_app(found)
        return ()


def _tails(name: str) -> Iterable[str]:
    """The name and what is left of it from each label on, longest first; empty labels make no border."""
    yield name
    at = name.find(".") + 1
    while at:
        yield name[at:]
        at = name.find(".", at) + 1


def _is_excepted(name: str, rule: Rule) -> bool:
    return any(name == one or name.endswith(f".{one}") for one in rule.exceptions)


def _one_per_app(rules: list[Rule]) -> tuple[RuleMatch, ...]:
    """The rules come by app and id, so the first of an app is the same each time."""
    if len(rules) == 1:
        return (rules[0].match,)
    first: dict[str, RuleMatch] = {}
    for rule in rules:
        first.setdefault(rule.match.app, rule.match)
    return tuple(first.values())


class AddressIndex:
    """Rules by server address and port: one dictionary of prefixes for each prefix length in use."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [rule for rule in rules if rule.kind == "ranges"]
        by_bits: dict[int, dict[int, list[Rule]]] = defaultdict(lambda: defaultdict(list))
        # A rule with ports says more than one without, so it is asked first.
        for rule in sorted(self._rules, key=lambda rule: not rule.ports):
            for one in rule.ranges:
                by_bits[one.bits][one.low >> (128 - one.bits)].append(rule)
        self._by_bits = [(128 - bits, dict(by_bits[bits])) for bits in sorted(by_bits, reverse=True)]

    def match(self, address: int, proto: str, port: int) -> tuple[RuleMatch, ...]:
        found: dict[str, RuleMatch] = {}
        for shift, prefixes in self._by_bits:
            for rule in prefixes.get(address >> shift, ()):
                if rule.port_fits(proto, port):
                    found.setdefault(rule.match.app, rule.match)
        return tuple(found.values())

    def rows(self) -> list[tuple[bytes, bytes, str | None, int, int, RuleMatch]]:
        found: list[tuple[bytes, bytes, str | None, int, int, RuleMatch]] = []
        for rule in self._rules:
            ports: list[tuple[str | None, int, int]] = [(one.proto, one.low, one.high) for one in rule.ports]
            for one in rule.ranges:
                low, high = one.low.to_bytes(16, "big"), one.high.to_bytes(16, "big")
                found += [(low, high, *port, rule.match) for port in ports or [_ANY_PORT]]
        return found
