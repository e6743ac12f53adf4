"""Signatures and policy from the texts that verdicts cite by their hashes: what was in force, with no other file at hand."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime, timedelta
from typing import Any, Final

from sensor.classify.activity import Limits
from sensor.classify.rules import App, FirstBytes, Ports, Range, Rule, Stun
from sensor.classify.signatures import SignatureSet
from sensor.config_values import DAYS
from sensor.errors import WardwatchError
from sensor.model import Activity, RuleMatch, Severity, Strength
from sensor.settings import (
    DeviceSettings,
    HiddenOutcome,
    NetworkSettings,
    PolicyException,
    PolicySettings,
    Schedule,
    ScheduleOutcome,
    SensorSettings,
    Settings,
    SiteSettings,
    Unlisted,
    Variant,
    Watch,
)
from sensor.wording import EPOCH

SMALL: Final = SensorSettings(flow_table_rows=1 << 12, dns_memory_rows=1 << 12)  # of a few frames


class SnapshotError(WardwatchError):
    """A snapshot that this wardwatch does not understand, or that is not what its hash says."""


def signatures(text: str, hash_: str, versions: dict[str, str] | None = None) -> SignatureSet:
    """A set of signatures from its canonical text. Raises SnapshotError."""
    try:
        *apps, last = json.loads(text)
        made = SignatureSet(
            {one["id"]: _app(one, (versions or {}).get(one["id"], "")) for one in apps}, Limits(**last["activity"])
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise SnapshotError(f"signatures {hash_[:16]}: the snapshot cannot be read: {error}") from error
    if made.hash != hash_:
        raise SnapshotError(f"signatures {hash_[:16]}: the snapshot is another one, or of another wardwatch")
    return made


def _app(facts: dict[str, Any], version: str) -> App:
    rules = tuple(_rule(facts["id"], one, context=facts["context"]) for one in facts["rules"])
    return App(facts["id"], facts["id"], "", facts["family"], facts["context"], version, rules)


def _rule(app: str, facts: dict[str, Any], *, context: bool) -> Rule:
    match = RuleMatch(
        app,
        f"{app}/{facts['id']}",
        Strength[facts["strength"].upper()],
        facts["service"],
        Activity[facts["activity"].upper()],
        context,
        facts["media"],
    )
    return Rule(
        facts["id"],
        facts["kind"],
        match,
        names=tuple(facts["names"]),
        exceptions=tuple(facts["except"]),
        ranges=tuple(map(_range, facts["ranges"])),
        ports=tuple(map(_ports, facts["ports"])),
        outside=tuple(facts.get("outside", ())),
        stun=_stun(*facts["stun"]) if "stun" in facts else None,
        first_bytes=_first_bytes(*facts["first_bytes"]) if "first_bytes" in facts else None,
    )


def _range(text: str) -> Range:
    network = ipaddress.ip_network(text)
    if network.version == 6:
        return Range(network.prefixlen, int(network.network_address))
    return Range(network.prefixlen + 96, int(network.network_address) | 0xFFFF << 32)


def _ports(text: str) -> Ports:
    proto, _, numbers = text.partition(" ")
    low, _, high = numbers.partition("-")
    return Ports(proto, int(low), int(high))


def _stun(
    realm: str,
    username: str,
    software: str,
    methods: list[int],
    attributes: list[int],
    length: int | None,
    value: str,
    carries: list[int],
    only: list[int] | None,
    fan_out: int | None,
) -> Stun:
    return Stun(
        realm,
        username,
        software,
        tuple(methods),
        tuple(attributes),
        length,
        bytes.fromhex(value),
        tuple(carries),
        None if only is None else tuple(only),
        fan_out,
    )


def _first_bytes(proto: str, side: Any, at: int, value: str, mask: str, least: int, most: int | None) -> FirstBytes:
    return FirstBytes(proto, side, at, bytes.fromhex(value), bytes.fromhex(mask), least, most)


def settings(text: str, hash_: str, routers: tuple[str, ...] = ()) -> Settings:
    """Settings under which the policy's snapshot is this one. Raises SnapshotError."""
    from sensor.policy import Policy  # noqa: PLC0415 - of use here only

    try:
        said = json.loads(text)
        made = Settings(
            site=SiteSettings(timezone=said["timezone"]),
            networks=tuple(map(_network, said["networks"])),
            devices=DeviceSettings(routers=routers),
            sensor=SMALL,
            policy=_policy(said),
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise SnapshotError(f"policy {hash_[:16]}: the snapshot cannot be read: {error}") from error
    if Policy(made).hash != hash_:
        raise SnapshotError(f"policy {hash_[:16]}: the snapshot is another one, or of another wardwatch")
    return made


def _network(said: dict[str, Any]) -> NetworkSettings:
    cidrs = tuple(ipaddress.ip_network(one) for one in said["cidrs"])
    return NetworkSettings(said["name"], "", cidrs, tuple(said["vlans"]), Watch(said["watch"]))


def _policy(said: dict[str, Any]) -> PolicySettings:
    return PolicySettings(
        approved=tuple(said["approved"]),
        disallowed=tuple(said["disallowed"]),
        unlisted=Unlisted(said["unlisted"]),
        background=Severity[said["background"].upper()],
        minimum_strength=Strength[said["minimum_strength"].upper()],
        variants=tuple(Variant(one["app"], tuple(one["hosts"]), one["reason"]) for one in said["variants"]),
        exceptions=tuple(map(_exception, said["exceptions"])),
        schedules=tuple(map(_schedule, said["schedules"])),
        visibility=tuple(sorted((kind, HiddenOutcome(one)) for kind, one in said.get("visibility", {}).items())),
    )


def _exception(said: dict[str, Any]) -> PolicyException:
    return PolicyException(
        name=said["name"],
        apps=tuple(said["apps"]),
        reason=said["reason"],
        owner=said["owner"],
        devices=tuple(said["devices"]),
        where=tuple(said["where"]),
        activities=tuple(Activity[one.upper()] for one in said["activities"]),
        from_ns=moment(said["from"]),
        until_ns=moment(said["until"]),
    )


def moment(text: str | None) -> int | None:
    return None if text is None else (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * 1000


def _schedule(said: dict[str, Any]) -> Schedule:
    return Schedule(
        name=said["name"],
        apps=tuple(said["apps"]),
        from_minute=_minute(said["from"]),
        to_minute=_minute(said["to"]),
        outcome=ScheduleOutcome(said["outcome"]),
        days=tuple(DAYS.index(day) for day in said["days"]),
        where=tuple(said["where"]),
    )


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
