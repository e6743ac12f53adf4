"""`wardwatch visibility`: what the store holds of what could not be read, by hour and network."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sensor import records, setup, tables, wording
from sensor.commands.output import standard_output
from sensor.commands.violations import moment
from sensor.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def run(options: argparse.Namespace) -> int:
    """Lists; the exit status is 0 also where there is nothing to list."""
    made = setup.read(options.config)
    zone = made.settings.site.timezone
    since_ns, until_ns = moment("--since", options.since, zone), moment("--until", options.until, zone)
    with open_store(options.store or made.settings.store.url, create=False, read_only=True) as store:
        found = store.sightings(network=options.network, kind=options.kind, since_ns=since_ns, until_ns=until_ns)
    with standard_output():
        if options.format == "json":
            for one in found:
                print(records.line(one), end="")
        else:
            _table(found, made)
    return 0


def _table(found: Sequence[dict[str, Any]], made: setup.Setup) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    out = tables.console()
    if not found:
        out.print("Nothing in the store is what was asked for.")
        return
    zone = made.settings.site.timezone
    table = Table(
        title=f"What could not be read (times are {zone})", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("Hour", "Network", "What", "Device"):
        table.add_column(heading, overflow="fold")
    for heading in ("Flows", "Size"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Outcome")
    labels = dict(made.settings.devices.names)
    for one in found:
        what, outcome = _what(one, made)
        device = labels.get(one.get("device_id") or "", one.get("device") or "")
        cells = (_hour(one["hour"], zone), one["network"], what, device)
        size = wording.size(one["bytes"])
        table.add_row(*map(tables.escape, cells), str(one["flows"]), size, outcome)
    out.print(table)


def _what(one: dict[str, Any], made: setup.Setup) -> tuple[str, str]:
    """What was seen, or what share of an hour had a name; and what is made of it."""
    if one["record"] == "observation":
        return f"{made.app_names.get(one['kind'], one['kind'])} ({one['strength']})", one["outcome"]
    named = one["bytes_named"] + one["bytes_named_by_dns"]
    what = f"{tables.share(named, one['bytes'])} of bytes named" if one["bytes"] else "no flows"
    why = ", ".join(tables.REASONS[reason] for reason in one["reasons"])
    return what, f"could not see: {why}" if why else "seen"


def _hour(text: str, zone: str) -> str:
    time_ns = (datetime.fromisoformat(text) - wording.EPOCH) // timedelta(microseconds=1) * 1000
    return wording.clock(time_ns, zone, "%Y-%m-%d %H:%M")
