"""From the fields of a signature file to an application with its rules and examples, everything validated.

Every function here raises SignatureError("file:line: key: reason") and nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sensor.classify.examples import examples
from sensor.classify.rules import App, FirstBytes, Kind, Range, Rule, Stun
from sensor.classify.values import domain, expression, network, octets, ports, side
from sensor.model import Activity, RuleMatch, Strength

if TYPE_CHECKING:
    from sensor.classify.yamlfile import Field

STRENGTHS: Final = {"supporting": Strength.SUPPORTING, "strong": Strength.STRONG, "conclusive": Strength.CONCLUSIVE}
ACTIVITIES: Final = {activity.label: activity for activity in Activity}
CONFIDENCES: Final = ("high", "medium", "low")
# What part of an application a rule is about. A small vocabulary, so that a report can count by it.
SERVICES: Final = (
    "zone",
    "web",
    "sign_in",
    "chat",
    "files",
    "call",
    "meeting",
    "push",
    "background",
    "vendor",
    "telephony",
)
# The same of what hides the use of an app; `question` is the one that counts when a name is asked for.
VISIBILITY_SERVICES: Final = (
    "resolver",
    "oblivious",
    "question",
    "hello",
    "relay",
    "tunnel",
    "proxy",
    "website",
    "protocol",
)

_RULE_KEYS: Final = (
    *("id", "exact", "regex", "suffix", "except", "ranges", "ports", "media", "stun", "first_bytes"),
    *("strength", "service", "activity", "source", "seen", "confidence", "note", "proven"),
)
_FIRST_BYTES_KEYS: Final = ("proto", "from", "at", "hex", "mask", "min_bytes", "max_bytes")
_STUN_KEYS: Final = (
    *("realm", "username", "software", "methods", "attributes", "length", "value", "carries", "only", "fan_out"),
)

ONION: Final = "onion"  # RFC 7686: the one zone of a single label that means something by itself
_RULE_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SEEN: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?\Z")
_APP_KEYS: Final = ("id", "name", "vendor", "family", "context", "version", "rules", "examples")
_EXTENSION_KEYS: Final = ("id", "extends", "version", "disable", "rules", "examples")
_WORD_ID: Final = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*\Z")
_VERSION: Final = re.compile(r"[A-Za-z0-9.+_-]{1,40}\Z")
_CAPTURE: Final = re.compile(r"[\w.-]+/[\w.-]+ [\w.+-]+\Z")


def rule(app: str, top: Field, *, context: bool, visibility: bool = False) -> Rule:
    """One item of `rules`; `visibility`: of a file that tells what hides the use of an app."""
    keys = top.mapping((*_RULE_KEYS, "outside") if visibility else _RULE_KEYS, ("id", "strength", "service"))
    rule_id = keys["id"].text(longest=40)
    if not _RULE_ID.match(rule_id):
        keys["id"].fail(f"{rule_id!r} is not of small letters, digits and single hyphens")
    kind = _kind(top, keys, visibility=visibility)
    strength = STRENGTHS[keys["strength"].one_of(STRENGTHS)]
    media = "media" in keys and keys["media"].flag()
    if kind == "ranges" and strength > (Strength.STRONG if media else Strength.SUPPORTING):
        keys["strength"].fail(f"an address range is {'strong' if media else 'supporting'} at most")
    activity = ACTIVITIES[keys["activity"].one_of(ACTIVITIES)] if "activity" in keys else Activity.BACKGROUND
    service = keys["service"].one_of(VISIBILITY_SERVICES if visibility else SERVICES)
    return Rule(
        id=rule_id,
        kind=kind,
        match=RuleMatch(app, f"{app}/{rule_id}", strength, service, activity, context, media),
        names=_names(kind, keys[kind], visibility=visibility),
        exceptions=_exceptions(keys),
        ranges=_ranges(keys["ranges"]) if "ranges" in keys else (),
        ports=tuple(sorted({ports(item) for item in keys["ports"].items()})) if "ports" in keys else (),
        outside=tuple(item.text() for item in keys["outside"].items()) if "outside" in keys else (),
        stun=_stun(keys["stun"]) if kind == "stun" else None,
        first_bytes=_first_bytes(keys["first_bytes"]) if kind == "first_bytes" else None,
        source=keys["source"].text() if "source" in keys else "",
        seen=_seen(keys),
        confidence=keys["confidence"].one_of(CONFIDENCES) if "confidence" in keys else "",
        note=keys["note"].text(longest=1000) if "note" in keys else "",
        proven=_proven(keys["proven"]) if "proven" in keys else (),
        file=top.file,
        line=top.line,
    )


def _kind(top: Field, keys: dict[str, Field], *, visibility: bool) -> Kind:
    """The one thing a rule looks at. `ranges` beside `first_bytes` or `stun` only narrows it."""
    kinds: tuple[Kind, ...] = ("exact", "regex", "suffix", "stun", "first_bytes", "ranges")
    narrowed = "first_bytes" in keys or "stun" in keys
    given = [kind for kind in kinds if kind in keys and not (kind == "ranges" and narrowed)]
    if len(given) != 1:
        top.fail(f"a rule has exactly one of {', '.join(kinds)}, this one has {', '.join(given) or 'none'}")
    kind = given[0]
    if "ports" in keys and kind not in {"ranges", "first_bytes", "stun"} and not visibility:
        keys["ports"].fail("goes with ranges, first_bytes or stun only")
    if kind == "stun" and "ports" in keys and "ranges" not in keys:
        keys["ports"].fail("goes with ranges here, for a STUN server may be at any port")
    if "media" in keys and kind != "ranges":
        keys["media"].fail("goes with ranges only")
    if "except" in keys and kind != "suffix":
        keys["except"].fail("goes with suffix only")
    return kind


def _names(kind: Kind, given: Field, *, visibility: bool) -> tuple[str, ...]:
    if kind not in {"exact", "suffix", "regex"}:
        return ()
    if visibility and kind == "suffix" and [item.text() for item in given.items()] == [ONION]:
        return (ONION,)
    read = expression if kind == "regex" else domain
    return _distinct([(item, read(item)) for item in given.items()])


def _exceptions(keys: dict[str, Field]) -> tuple[str, ...]:
    if "except" not in keys:
        return ()
    found = _distinct([(item, domain(item)) for item in keys["except"].items()])
    for item, name in zip(keys["except"].items(), keys["except"].items(), strict=True):
        zones = [zone.text() for zone in keys["suffix"].items()]
        if not any(name.text().endswith(f".{zone}") for zone in zones):
            item.fail(f"{item.text()!r} is below none of the rule's names")
    return found


def _distinct(read: list[tuple[Field, str]]) -> tuple[str, ...]:
    seen: set[str] = set()
    for item, name in read:
        if name in seen:
            item.fail(f"{name!r} is given twice")
        seen.add(name)
    return tuple(sorted(seen))


def _ranges(given: Field) -> tuple[Range, ...]:
    seen: set[Range] = set()
    for item in given.words():
        one = network(item)
        if one in seen:
            item.fail(f"{item.text()!r} is given twice")
        seen.add(one)
    return tuple(sorted(seen))


def _seen(keys: dict[str, Field]) -> str:
    if "seen" not in keys:
        return ""
    text = keys["seen"].text()
    if not _SEEN.match(text):
        keys["seen"].fail(f"{text!r} is not a year, a month or a date such as 2024-10-01")
    return text


def _proven(given: Field) -> tuple[str, ...]:
    """Real captures by their public repository and file name."""
    for item in given.items():
        if not _CAPTURE.match(item.text()):
            item.fail(f"{item.text()!r} is not of the form 'owner/repository file.pcap'")
    return _distinct([(item, item.text()) for item in given.items()])


def _stun(top: Field) -> Stun:
    keys = top.mapping(_STUN_KEYS)
    if not keys:
        top.fail("is empty")
    for name in ("length", "value"):
        if name in keys and "attributes" not in keys:
            keys[name].fail("goes with attributes only")
    return Stun(
        realm=keys["realm"].text().lower() if "realm" in keys else "",
        username=keys["username"].text() if "username" in keys else "",
        software=keys["software"].text() if "software" in keys else "",
        methods=_numbers(keys["methods"], 0xFFF) if "methods" in keys else (),
        attributes=_numbers(keys["attributes"], 0xFFFF) if "attributes" in keys else (),
        length=keys["length"].integer(0, 0xFFFF) if "length" in keys else None,
        value=octets(keys["value"]) if "value" in keys else b"",
        carries=_numbers(keys["carries"], 0xFFFF) if "carries" in keys else (),
        only=_only(keys["only"]) if "only" in keys else None,
        fan_out=keys["fan_out"].integer(2, 64) if "fan_out" in keys else None,
    )


def _only(given: Field) -> tuple[int, ...]:
    """The attributes beside which there may be none; an empty list is a message without any."""
    return () if given.value == [] else _numbers(given, 0xFFFF)


def _numbers(given: Field, high: int) -> tuple[int, ...]:
    return tuple(sorted({item.integer(0, high) for item in given.items()}))


def _first_bytes(top: Field) -> FirstBytes:
    keys = top.mapping(_FIRST_BYTES_KEYS, ("proto", "from", "hex"))
    value = octets(keys["hex"])
    mask = octets(keys["mask"]) if "mask" in keys else b"\xff" * len(value)
    if len(mask) != len(value):
        keys["mask"].fail(f"has {len(mask)} bytes, hex has {len(value)}")
    if any(v & ~m for v, m in zip(value, mask, strict=True)):
        keys["hex"].fail("has bits set that the mask takes away")
    if sum(byte.bit_count() for byte in mask) < 8:
        keys["mask" if "mask" in keys else "hex"].fail("fewer than 8 bits fit by chance too often")
    at = keys["at"].integer(0, 1400) if "at" in keys else 0
    end = at + len(value)
    return FirstBytes(
        proto=keys["proto"].one_of(("tcp", "udp")),
        side=side(keys["from"]),
        at=at,
        value=value,
        mask=mask,
        min_bytes=keys["min_bytes"].integer(end, 65535) if "min_bytes" in keys else end,
        max_bytes=keys["max_bytes"].integer(end, 65535) if "max_bytes" in keys else None,
    )


def app(top: Field, *, visibility: bool = False) -> App:
    """A whole file: an application, or, with `extends`, what a clinic changes of one of ours.

    `visibility`: it tells what hides the use of an app; docs/visibility.md has what differs.
    """
    extends = isinstance(top.value, dict) and "extends" in top.value
    keys = top.mapping(
        _EXTENSION_KEYS if extends else _APP_KEYS, ("id",) if extends else (*_APP_KEYS[:4], "version", "rules")
    )
    app_id = keys["id"].text(longest=40)
    if not _WORD_ID.match(app_id):
        keys["id"].fail(f"{app_id!r} is not of small letters, digits and single underscores")
    if extends:
        keys["extends"].one_of(("builtin",))
    context = keys["context"].flag() if "context" in keys else False
    listed = keys["rules"].items() if "rules" in keys else ()
    rules = [rule(app_id, item, context=context, visibility=visibility) for item in listed]
    _no_twins(keys, rules)
    positive, negative = examples(app_id, keys, visibility=visibility)
    return App(
        id=app_id,
        name=keys["name"].text() if "name" in keys else "",
        vendor=keys["vendor"].text() if "vendor" in keys else "",
        family=_family(keys["family"]) if "family" in keys else "",
        context=context,
        version=_version(keys["version"]) if "version" in keys else "own",
        rules=tuple(rules),
        examples=(*positive, *negative),
        extends=extends,
        disable=tuple((item.text(), item.line) for item in keys["disable"].items()) if "disable" in keys else (),
        file=top.file,
        line=keys["id"].line,
    )


def _no_twins(keys: dict[str, Field], rules: list[Rule]) -> None:
    seen: set[str] = set()
    for item, one in zip(keys["rules"].items() if rules else [], rules, strict=True):
        if one.id in seen:
            item.fail(f"a second rule with the id {one.id!r}")
        seen.add(one.id)


def _family(item: Field) -> str:
    if not _WORD_ID.match(item.text()):
        item.fail(f"{item.text()!r} is not of small letters, digits and single underscores")
    return item.text()


def _version(item: Field) -> str:
    if not _VERSION.match(item.text()):
        item.fail(f"{item.text()!r} is not a version such as 2026.11.23")
    return item.text()
