"""The exceptions of the policies that verdicts cite: in force, expired, not yet begun, and how often each was made use of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from sensor.proof.snapshots import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.proof.report.numbers import Asked
    from sensor.store import Store

COLUMNS: Final = ("policy", "name", "apps", "owner", "from", "until", "status", "used")


def exceptions(store: Store, episodes: pd.DataFrame, asked: Asked, app_names: Mapping[str, str]) -> pd.DataFrame:
    """`episodes`: with their policy, rule and kind. Where several policies were in force, an exception that all of them have comes once."""
    found: dict[str, dict[str, Any]] = {}
    since_ns, until_ns = asked.bounds_ns()
    for policy in sorted(set(episodes["policy"])):
        said = json.loads(store.proofs.policy(policy) or "{}")
        for index, one in enumerate(said.get("exceptions", ())):
            rule = f"policy.exception[{index}]"
            used = int(((episodes["policy"] == policy) & (episodes["rule"] == rule)).sum())
            key = json.dumps(one, sort_keys=True)
            if key in found:
                found[key]["used"] += used
                continue
            found[key] = {
                "policy": policy,
                "name": one["name"],
                "apps": ", ".join(app_names.get(app, app) for app in one["apps"]),
                "owner": one["owner"],
                "from": _day(moment(one["from"]), asked.zone),
                "until": _day(moment(one["until"]), asked.zone, before=1),
                "status": _status(one, since_ns, until_ns),
                "used": used,
            }
    return pd.DataFrame(list(found.values()), columns=list(COLUMNS))


def _day(time_ns: int | None, zone: str, before: int = 0) -> str:
    """The site's day of a moment, or of the one just before it: an exception holds up to its end, and not at it."""
    if time_ns is None:
        return ""
    return (
        datetime.fromtimestamp((time_ns - before) // 1_000_000_000, UTC).astimezone(ZoneInfo(zone)).date().isoformat()
    )


def _status(one: dict[str, Any], since_ns: int, until_ns: int) -> str:
    """As it was at the end of the period."""
    begins, ends = moment(one["from"]), moment(one["until"])
    if ends is not None and ends <= since_ns:
        return "expired_before"
    if ends is not None and ends <= until_ns:
        return "expired"
    if begins is not None and begins >= until_ns:
        return "not_yet"
    return "in_force" if ends is not None else "endless"
