"""The signatures in force: ours and the clinic's own put together, hashed, and looked up. Format: docs/signatures.md."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.classify import format as signature_format
from sensor.classify import yamlfile
from sensor.classify.activity import read_limits
from sensor.classify.index import AddressIndex, NameIndex
from sensor.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.classify.activity import Limits
    from sensor.classify.rules import App, Ports, Range, Rule, Side, Stun
    from sensor.model import RuleMatch

BUILTIN: Final = Path(__file__).resolve().parents[2] / "signatures"  # installed beside this package
MAX_FILES: Final = 1000
LIMITS: Final = "activity.toml"


def load(own_folder: Path | None = None, *, builtin: Path | None = None) -> SignatureSet:
    """Our signatures, and over them the clinic's own from a folder or a single file. Raises SignatureError."""
    apps = {app.id: app for app in read_apps(builtin or BUILTIN)}
    for own in read_apps(own_folder) if own_folder is not None else ():
        apps[own.id] = extended(apps.get(own.id), own) if own.extends else own
    for app in apps.values():
        if app.extends:
            raise SignatureError(f"{app.file}:{app.line}: extends: goes with a clinic's own folder only")
    return SignatureSet(apps, read_limits(BUILTIN / LIMITS))


def files(path: Path) -> list[Path]:
    """The signature files of a folder, by name; or the one file. Raises SignatureError."""
    try:
        if not path.is_dir():
            return [path]
        found = sorted(
            one for one in path.iterdir() if one.suffix in {".yaml", ".yml"} and not one.name.startswith(".")
        )
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(found) > MAX_FILES:
        raise SignatureError(f"{path}: more than {MAX_FILES} files")
    return found


def read_apps(path: Path) -> list[App]:
    """Every application of a folder, by file name. Raises SignatureError, also where two files have the same id."""
    apps: dict[str, App] = {}
    for file in files(path):
        app = signature_format.app(yamlfile.read(file))
        if app.id in apps:
            raise SignatureError(f"{file}:{app.line}: id: {app.id!r} is taken by {apps[app.id].file}")
        apps[app.id] = app
    return list(apps.values())


def extended(base: App | None, own: App) -> App:
    """One of ours with a clinic's changes. Raises SignatureError."""
    if base is None:
        raise SignatureError(f"{own.file}:{own.line}: id: extends {own.id!r}, which is none of ours")
    rules = {rule.id: rule for rule in base.rules}
    for rule_id, line in own.disable:
        if rules.pop(rule_id, None) is None:
            raise SignatureError(
                f"{own.file}:{line}: disable: {own.id!r} has no rule {rule_id!r} that is not disabled yet"
            )
        if own.rule(rule_id):
            raise SignatureError(f"{own.file}:{line}: disable: rule {rule_id!r} is given in the same file")
    for rule in own.rules:
        rules[rule.id] = replace(rule, match=replace(rule.match, context=base.context))
    return replace(
        base,
        version=f"{base.version}+{own.version}",
        rules=tuple(rules.values()),
        examples=own.examples,  # those of the base speak of the base
        file=own.file,
        line=own.line,
    )


class SignatureSet:
    """What is in force. Every lookup is total: whatever it is given, it answers with the matches there are."""

    def __init__(self, apps: dict[str, App], limits: Limits) -> None:
        self.apps: Final = dict(sorted(apps.items()))
        rules = [rule for app in self.apps.values() for rule in sorted(app.rules, key=lambda rule: rule.id)]
        self.rules: Final = {rule.match.rule: rule for rule in rules}
        self.hash: Final = hashlib.sha256(canonical(self.apps.values(), limits).encode()).hexdigest()
        self.limits: Final = limits
        self._names = NameIndex(rules)
        self._addresses = AddressIndex(rules)
        self._stun = [(rule, rule.stun) for rule in rules if rule.stun]
        self._first_bytes = [rule for rule in rules if rule.first_bytes]
        self._first_by = _by_first_byte(self._first_bytes)

    def match_name(self, name: str) -> tuple[RuleMatch, ...]:
        """The most specific rule for a domain name: none or one; several only where two apps' rules are equally so.

        An exact name comes before an expression, that before a suffix, a longer suffix before a shorter one. Case and
        a final dot do not matter; `*.` of a certificate is taken as a label.
        """
        return self._names.match(name)

    def match_address(self, address_bytes16: bytes, proto: str, port: int) -> tuple[RuleMatch, ...]:
        """For each app its narrowest range that holds a server's address and port, narrowest first."""
        return self._addresses.match(int.from_bytes(address_bytes16, "big"), proto, port)

    def ranges(self) -> list[tuple[bytes, bytes, str | None, int, int, RuleMatch]]:
        """Every range as (first address, last address, proto or None for any, first port, last port, match)."""
        return self._addresses.rows()

    def match_stun(
        self,
        realm: str | None = None,
        software: str | None = None,
        username: str | None = None,
        method: int | None = None,
        attributes: Iterable[tuple[int, bytes]] = (),
        ends: Iterable[tuple[bytes, int]] = (),
    ) -> tuple[RuleMatch, ...]:
        """The rules that one STUN message fits. `method` is without the class bits; `attributes` are (type, value).

        `ends`: (address, port) of both sides of a UDP flow, for rules that hold at some addresses only.
        """
        carried = tuple(attributes)
        places = [(int.from_bytes(address, "big"), port) for address, port in ends]
        seen = _StunMessage((realm or "").lower(), software or "", username or "", method, carried)
        return tuple(
            rule.match
            for rule, stun in self._stun
            if seen.fits(stun) and (not rule.ranges or any(rule.holds("udp", *place) for place in places))
        )

    def stun_places(self) -> list[tuple[tuple[Range, ...], tuple[Ports, ...]]]:
        """Ranges and ports, each pair once, of the STUN rules that hold at some addresses only."""
        return list(dict.fromkeys((rule.ranges, rule.ports) for rule, _ in self._stun if rule.ranges))

    def first_bytes_rules(self) -> list[Rule]:
        """The rules that look at the first bytes of a stream or datagram."""
        return list(self._first_bytes)

    def match_first_bytes(
        self, proto: str, side: Side, payload: bytes, port: int, address_bytes16: bytes | None = None
    ) -> tuple[RuleMatch, ...]:
        """The rules that one side's first bytes fit, `port` and the address being the server's."""
        if not payload:
            return ()
        address = None if address_bytes16 is None else int.from_bytes(address_bytes16, "big")
        return tuple(
            rule.match
            for rule in self._first_by.get((proto, payload[0]), ())
            if rule.first_bytes
            and rule.first_bytes.fits(proto, side, payload)
            and rule.port_fits(proto, port)
            and (not rule.ranges or (address is not None and rule.address_fits(address)))
        )


class _StunMessage:
    __slots__ = ("attributes", "method", "realm", "software", "types", "username")

    def __init__(
        self, realm: str, software: str, username: str, method: int | None, attributes: tuple[tuple[int, bytes], ...]
    ) -> None:
        self.realm, self.software, self.username = realm, software, username
        self.method, self.attributes = method, attributes
        self.types = frozenset(number for number, _ in attributes)

    def fits(self, rule: Stun) -> bool:
        return (
            (not rule.realm or self.realm == rule.realm)
            and (not rule.username or self.username == rule.username)
            and (not rule.software or self.software == rule.software)
            and (not rule.methods or self.method in rule.methods)
            and (not rule.attributes or any(self._carries(rule, *one) for one in self.attributes))
            and self.types.issuperset(rule.carries)
            and (rule.only is None or self.types.issubset(rule.only))
        )

    @staticmethod
    def _carries(rule: Stun, number: int, value: bytes) -> bool:
        return (
            number in rule.attributes
            and (rule.length is None or len(value) == rule.length)
            and value.startswith(rule.value)
        )


def _by_first_byte(rules: Iterable[Rule]) -> dict[tuple[str, int], list[Rule]]:
    """The rules that a payload of a protocol may fit, by its first byte."""
    found: dict[tuple[str, int], list[Rule]] = {}
    for rule in rules:
        first = rule.first_bytes
        for byte in range(256 if first else 0):
            if first and (first.at or byte & first.mask[0] == first.value[0]):
                found.setdefault((first.proto, byte), []).append(rule)
    return found


def canonical(apps: Iterable[App], limits: Limits) -> str:
    """All that can change a verdict, as JSON with one spelling.

    Left out: names for people, sources, dates, notes, examples, versions, and the order in which things are written.
    """
    listed: list[Any] = [_app_facts(app) for app in sorted(apps, key=lambda app: app.id)]
    return json.dumps([*listed, {"activity": asdict(limits)}], separators=(",", ":"), sort_keys=True)


def _app_facts(app: App) -> dict[str, Any]:
    rules = sorted(app.rules, key=lambda rule: rule.id)
    return {"id": app.id, "family": app.family, "context": app.context, "rules": [_rule_facts(rule) for rule in rules]}


def _rule_facts(rule: Rule) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": rule.id,
        "kind": rule.kind,
        "strength": rule.match.strength.label,
        "service": rule.match.service,
        "activity": rule.match.activity.label,
        "media": rule.match.media,
        "names": rule.names,
        "except": rule.exceptions,
        "ranges": [str(one) for one in rule.ranges],
        "ports": [str(one) for one in rule.ports],
        **({"outside": rule.outside} if rule.outside else {}),
    }
    if stun := rule.stun:
        facts["stun"] = [
            stun.realm,
            stun.username,
            stun.software,
            stun.methods,
            stun.attributes,
            stun.length,
            stun.value.hex(),
            stun.carries,
            stun.only,
            stun.fan_out,
        ]
    if first := rule.first_bytes:
        shape = [
            first.proto,
            first.side,
            first.at,
            first.value.hex(),
            first.mask.hex(),
            first.min_bytes,
            first.max_bytes,
        ]
        facts["first_bytes"] = shape
    return facts
