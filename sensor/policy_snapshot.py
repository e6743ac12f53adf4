"""The policy in force as one document, and its hash: what every verdict cites.

It holds everything that can change a verdict and nothing else. Labels, paths, sizes and idle times are not in it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from sensor import accounts
from sensor.config_values import DAYS, clock_text, utc_text

if TYPE_CHECKING:
    from sensor.settings import PolicyException, Schedule, Settings

SCHEMA: Final = 1  # raise it whenever equal settings would give other verdicts than before


def canonical(document: dict[str, object]) -> bytes:
    """The one form of a snapshot that is hashed: JSON, keys sorted, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def digest(document: dict[str, object]) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def snapshot(settings: Settings) -> dict[str, object]:
    """Networks, lists, variants, exceptions, schedules and time zone. Lists whose order means nothing are sorted."""
    policy = settings.policy
    hosts = {
        rule.app: [host for other in policy.variants if other.app == rule.app for host in other.hosts]
        for rule in policy.variants
    }
    zones = {app: accounts.zone_of(app, own) for app, own in hosts.items()}
    visibility = {kind: outcome.value for kind, outcome in sorted(policy.visibility)}
    return {
        "schema": SCHEMA,
        "timezone": settings.site.timezone,
        "networks": [
            {
                "name": network.name,
                "cidrs": sorted(str(cidr) for cidr in network.cidrs),
                "vlans": sorted(network.vlans),
                "watch": network.watch.value,
            }
            for network in settings.networks
        ],
        "approved": sorted(policy.approved),
        "disallowed": sorted(policy.disallowed),
        "unlisted": policy.unlisted.value,
        "background": policy.background.label,
        "minimum_strength": policy.minimum_strength.label,
        "variants": [{"app": rule.app, "hosts": sorted(rule.hosts), "reason": rule.reason} for rule in policy.variants],
        "account_zones": {
            app: {"zones": list(zone.zones), "shared": zone.shared.pattern} for app, zone in zones.items()
        },
        "exceptions": [_exception_snapshot(rule) for rule in policy.exceptions],
        "schedules": [_schedule_snapshot(rule) for rule in policy.schedules],
        **({"visibility": visibility} if visibility else {}),
    }


def _exception_snapshot(rule: PolicyException) -> dict[str, object]:
    return {
        "name": rule.name,
        "apps": sorted(rule.apps),
        "devices": sorted(rule.devices),
        "where": sorted(rule.where),
        "activities": sorted(activity.label for activity in rule.activities),
        "from": None if rule.from_ns is None else utc_text(rule.from_ns),
        "until": None if rule.until_ns is None else utc_text(rule.until_ns),
        "reason": rule.reason,
        "owner": rule.owner,
    }


def _schedule_snapshot(rule: Schedule) -> dict[str, object]:
    return {
        "name": rule.name,
        "apps": sorted(rule.apps),
        "where": sorted(rule.where),
        "days": [DAYS[day] for day in rule.days],
        "from": clock_text(rule.from_minute),
        "to": clock_text(rule.to_minute),
        "outcome": rule.outcome.value,
    }
