"""`wardwatch violations`: what the store holds, as a table, JSON lines or CSV."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sensor import records, setup, tables, wording
from sensor.errors import UsageError
from sensor.model import Outcome
from sensor.store import Filter, open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sensor.store import Row

COLUMNS = ("id", "state", "verdict", "severity", "device_id", "device", "network", "app", "activity", "start", "end",
           "duration_s", "bytes_up", "bytes_down", "packets", "flows", "strength", "policy_rule", "reason", "policy_hash",
           "signatures_hash")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Lists; the exit status is 0 also where there is nothing to list."""
    if options.limit < 1:
        raise UsageError(f"--limit: {options.limit} is not a number of rows")
    made = setup.read(options.config)
    chosen = _filter(options, made.settings.site.timezone)
    with open_store(options.store or made.settings.store.url, create=False, read_only=True) as store:
        rows = list(itertools.islice(store.violations(chosen), options.limit))
    if options.format == "table":
        tables.episodes([row.episode for row in rows], made, {})
    elif options.format == "json":
        for row in rows:
            sys.stdout.write(records.line({"state": row.state, **records.episode_record(row.episode)}))
    else:
        _csv(rows)
    return 0


def _filter(options: argparse.Namespace, zone: str) -> Filter:
    device = options.device
    if device and not device.startswith(("mac:", "ip:")):
        device = f"mac:{device.lower()}" if device.count(":") == 5 else f"ip:{device}"
    outcomes = None if options.outcome == "all" else (Outcome(options.outcome),)
    return Filter(
        app=options.app,
        device=device,
        network=options.network,
        outcomes=outcomes,
        since_ns=_moment("--since", options.since, zone),
        until_ns=_moment("--until", options.until, zone),
        state=options.state,
    )


def _moment(option: str, text: str | None, zone: str) -> int | None:
    """A time as text, of the site's zone where it names none, in nanoseconds."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} is not a time such as 2026-03-02T08:00") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    return int((found - wording.EPOCH).total_seconds()) * wording.NS


def _csv(rows: Sequence[Row]) -> None:
    import pandas as pd

    made = [{"state": row.state, **records.episode_record(row.episode)} for row in rows]
    for one in made:
        one["app"] = one["app"] or " or ".join(one["candidates"])
        one.update({key: _harmless(one[key]) for key in ("device", "device_id", "network", "reason", "app")})
    frame = pd.DataFrame(made, columns=list(COLUMNS))
    sys.stdout.write(frame.to_csv(index=False, lineterminator="\n"))


def _harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection)."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
