"""`wardwatch violations`: what the store holds, as a table, JSON lines or CSV."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sensor import config_values as values
from sensor import records, setup, tables, wording
from sensor.commands.output import standard_output
from sensor.errors import UsageError
from sensor.formulas import harmless
from sensor.model import Outcome
from sensor.store import Filter, open_store
from sensor.toml_table import WrongValueError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sensor.store import Row

COLUMNS = ("id", "state", "verdict", "severity", "device_id", "device", "network", "app", "activity", "start", "end",
           "duration_s", "bytes_up", "bytes_down", "packets", "flows", "strength", "policy_rule", "reason", "policy_hash",
           "signatures_hash")  # fmt: skip
MAX_NS = (1 << 63) - 1


def run(options: argparse.Namespace) -> int:
    """Lists; the exit status is 0 also where there is nothing to list."""
    if options.limit < 1:
        raise UsageError(f"--limit: {options.limit} is not a number of rows")
    made = setup.read(options.config)
    chosen, ids = _filter(options, made)
    with open_store(options.store or made.settings.store.url, create=False, read_only=True) as store:
        found = (row for row in store.violations(chosen) if _is_of(row, ids))
        rows = list(itertools.islice(found, options.limit + 1))
    left_out, rows = len(rows) > options.limit, rows[: options.limit]
    with standard_output():
        _show(rows, options.format, made)
    if left_out:
        print(f"wardwatch: the newest {options.limit} are shown, and there are more: see --limit", file=sys.stderr)
    return 0


def _show(rows: Sequence[Row], form: str, made: setup.Setup) -> None:
    if form == "table":
        nothing = "Nothing in the store is what was asked for."
        tables.episodes([row.episode for row in rows], made, {}, most=None, nothing=nothing)
    elif form == "json":
        for row in rows:
            print(records.line({"state": row.state, **records.episode_record(row.episode)}), end="")
    else:
        _csv(rows)


def _filter(options: argparse.Namespace, made: setup.Setup) -> tuple[Filter, frozenset[str] | None]:
    """What to ask of the store, and the ids of the devices meant, to look for among the addresses in its answer."""
    zone = made.settings.site.timezone
    ids = None if options.device is None else _device_ids(options.device, made.settings.devices.names)
    only = next(iter(ids)) if ids is not None and len(ids) == 1 else ""
    chosen = Filter(
        app=options.app,
        device=only if only.startswith("mac:") else None,  # a device with a MAC has IP addresses too
        network=options.network,
        outcomes=None if options.outcome == "all" else (Outcome(options.outcome),),
        since_ns=moment("--since", options.since, zone),
        until_ns=moment("--until", options.until, zone),
        state=options.state,
    )
    return chosen, ids


def _device_ids(text: str, names: Sequence[tuple[str, str]]) -> frozenset[str]:
    """The ids that an address or a label of the configuration stands for. Raises UsageError."""
    try:
        return frozenset(values.device(names)(text.removeprefix("mac:").removeprefix("ip:")))
    except WrongValueError as error:
        raise UsageError(f"--device: {error}") from error


def _is_of(row: Row, ids: frozenset[str] | None) -> bool:
    device = row.episode.device
    return ids is None or not ids.isdisjoint((device.id, *(f"ip:{address}" for address in device.addresses)))


def moment(option: str, text: str | None, zone: str) -> int | None:
    """A time as text, of the site's zone where it names none, in nanoseconds."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} is not a time such as 2026-03-02T08:00") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    time_ns = (found - wording.EPOCH) // timedelta(microseconds=1) * 1000
    if not -MAX_NS <= time_ns <= MAX_NS:
        raise UsageError(f"{option}: {text!r} is beyond the times that captures can hold (1678 to 2262)")
    return time_ns


def _csv(rows: Sequence[Row]) -> None:
    import pandas as pd

    made = [{"state": row.state, **records.episode_record(row.episode)} for row in rows]
    for one in made:
        one["app"] = one["app"] or " or ".join(one["candidates"])
        one.update({key: harmless(one[key]) for key in ("device", "device_id", "network", "reason", "app")})
    frame = pd.DataFrame(made, columns=list(COLUMNS))
    print(frame.to_csv(index=False, lineterminator="\n"), end="")
