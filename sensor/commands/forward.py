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
from sensor.ops.orders import OrderError, Orders, read_order
from sensor.proof.keys import key_path, public_key, signer
from sensor.services.desk import Desk
from sensor.services.people import Role, somebody
from sensor.store import open_store
from sensor.wording import clock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sensor.settings_centre import CentreSettings

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
    orders = _orders(centre, options.config)
    with open_store(url) as store, HttpCentre(centre) as there:
        forwarder = Forwarder(store, there, lambda: status_of(made, folder, orders))

        def listen() -> None:
            nonlocal made
            found = there.order() if orders is not None else None
            if found is not None and orders is not None and _take(orders, *found):
                made = setup.read(options.config)

        if options.once:
            return _once(forwarder, listen)
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        forwarder.run(every_s=centre.every_s, stopped=ending.wait, say=_say, listen=listen)
    return 0


def _orders(centre: CentreSettings, config: str | None) -> Orders | None:
    if centre.orders is None or centre.public_key is None:
        return None
    return Orders(centre.orders, public_key(centre.public_key), lambda folder: _hold(config, folder))


def _hold(config: str | None, folder: Path) -> None:
    """Raises WardwatchError where the configuration does not hold with what a folder has."""
    setup.read(config, folder)


def _take(orders: Orders, text: str, signature: str) -> bool:
    """Puts what the centre orders into force, or says once why not. Whether something else is in force now."""
    try:
        taken = orders.take(text, signature)
        if taken:
            _say(f"the centre's order {orders.serial} is in force")
        orders.refused = ""
    except OrderError as error:
        taken = False
        if orders.refused != str(error):
            _say(f"an order of the centre was not taken: {error}")
        orders.refused = str(error)
    return taken


def _once(forwarder: Forwarder, listen: Callable[[], None]) -> int:
    try:
        while forwarder.step():
            pass
        listen()
    except (UnreachableError, RefusedError) as error:
        _say(f"the centre takes nothing: {error}")
        return FAILED
    counted = forwarder.counted
    print(
        f"Told: {counted.episodes} episodes, {counted.sightings} observations and hours, in {counted.batches} batches."
    )
    return 0


def sensors(options: argparse.Namespace) -> int:
    """`wardwatch sensor add|order|list`."""
    with Desk.open(options.config, options.store) as desk:
        if options.action == "order":
            _order(desk, options)
            return 0
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


def _order(desk: Desk, options: argparse.Namespace) -> None:
    """Signs an order and keeps it for the sensors to fetch. Raises OrderError, UsageError."""
    if not options.policy and not options.signatures:
        raise UsageError("order: give --policy, --signatures, or both")
    policy, signatures = (Path(one) if one else None for one in (options.policy, options.signatures))
    now_ns = time.time_ns()
    order = read_order(now_ns, policy, signatures)
    signed = signer(key_path(desk.setup.settings, options.store))
    desk.store.fleet.order(
        actor(), order.serial, options.sensor or "", order.text(), signed.sign(order.text().encode()), now_ns
    )
    print(f"Order {order.serial} for {options.sensor or 'all sensors'}, signed by the key {signed.public}")


def _say(line: str) -> None:
    print(f"wardwatch: {line}", file=sys.stderr, flush=True)
