"""`wardwatch forward`: tells the centre what the store holds. `wardwatch sensor`: the centre's list of who may."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import setup
from sensor.commands.user import actor
from sensor.errors import ConfigError, UsageError
from sensor.ops.centre import HttpCentre, status_of
from sensor.ops.forwarding import Forwarder, RefusedError, UnreachableError
from sensor.services.desk import Desk
from sensor.services.people import Role, somebody
from sensor.store import open_store
from sensor.wording import clock

if TYPE_CHECKING:
    import argparse

FAILED = 1


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT; with --once until everything is told, or 1 where that fails."""
    made = setup.read(options.config)
    centre = made.settings.centre
    if centre is None:
        raise ConfigError(
            f"{options.config or 'no --config'}: centre: there is no such section, so there is nobody to tell"
        )
    url = options.store or made.settings.store.url
    folder = Path(url.removeprefix("sqlite:///")).parent if "://" not in url or url.startswith("sqlite:///") else Path()
    with open_store(url) as store, HttpCentre(centre) as there:
        forwarder = Forwarder(store, there, lambda: status_of(made, folder))
        if options.once:
            return _once(forwarder)
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        forwarder.run(every_s=centre.every_s, stopped=ending.wait, say=_say)
    return 0


def _once(forwarder: Forwarder) -> int:
    try:
        while forwarder.step():
            pass
    except (UnreachableError, RefusedError) as error:
        _say(f"the centre takes nothing: {error}")
        return FAILED
    counted = forwarder.counted
    print(
        f"Told: {counted.episodes} episodes, {counted.sightings} observations and hours, in {counted.batches} batches."
    )
    return 0


def sensors(options: argparse.Namespace) -> int:
    """`wardwatch sensor add|list`."""
    with Desk.open(options.config, options.store) as desk:
        if options.action == "add":
            if options.days < 1:
                raise UsageError("--days: must be 1 or more")
            print(desk.accounts.add_sensor(actor(), options.name, options.days))
            return 0
        zone = desk.setup.settings.site.timezone
        for one in desk.ingest.sensors(somebody(actor(), Role.ADMIN)):
            behind_s = (time.time_ns() - one.seen_ns) // 1_000_000_000
            print(f"{one.id}\t{one.episodes} episodes\theard {behind_s} s ago ({clock(one.seen_ns, zone)})\t"
                  f"version {one.status.get('version', '?')}, policy {str(one.status.get('policy', '?'))[:8]}")  # fmt: skip
    return 0


def _say(line: str) -> None:
    print(f"wardwatch: {line}", file=sys.stderr, flush=True)
