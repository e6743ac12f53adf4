"""The demo's morning, and a made-up fortnight before it: enough for a week to have a shape and for hours to be blind."""

from __future__ import annotations

import json
import random
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Final

from pcaps.demo import CAPTURE, CONFIG
from sensor.cli import main
from sensor.model import Outcome
from sensor.records import hour_record
from sensor.services.follow_up import Action, Order, Reason, Target
from sensor.services.people import Role, somebody
from sensor.services.query import Query
from sensor.statement import NetworkHour, Sums
from sensor.store.records import Sighting

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.model import Episode
    from sensor.services.desk import Desk
    from sensor.store import Store

DAY_NS: Final = 86_400_000_000_000
HOUR_NS: Final = 3_600_000_000_000
MIDNIGHT_NS: Final = 1_773_702_000_000_000_000  # of 2026-03-17 in Vienna
NOW_NS: Final = MIDNIGHT_NS + 11 * HOUR_NS + HOUR_NS // 2
DAYS: Final = 15


def replayed(path: Path) -> str:
    """The demo's capture in a store at this path."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        status = main(["replay", str(CAPTURE), "--config", str(CONFIG), "--store", str(path), "--quiet"])
    assert status in {0, 3}
    return str(path)


def fill(store: Store) -> None:
    """Days like the demo's, each with some of its episodes, and what was visible in their hours."""
    dice = random.Random(7)
    rows = [row.episode for row in store.violations()]
    made = []
    for back in range(1, DAYS):
        share = 0.15 if (17 - back) % 7 in {0, 1} else 0.5  # weekends are quiet
        made += [_moved(one, back, dice) for one in rows if dice.random() < share]
    store.append(made)
    store.observe(
        [_hour(network, hour, dice) for network in ("Ward 3", "Consulting rooms") for hour in range(8 * 24 + 11)]
    )


def _moved(one: Episode, back: int, dice: random.Random) -> Episode:
    by_ns = -back * DAY_NS + dice.randrange(-HOUR_NS, 4 * HOUR_NS)
    evidence = tuple(replace(item, time_ns=item.time_ns + by_ns, packet_id=f"{dice.getrandbits(64):016x}")
                     for item in one.evidence)  # fmt: skip
    profile = tuple(replace(window, start_ns=window.start_ns + by_ns) for window in one.profile)
    return replace(one, id=f"{dice.getrandbits(64):016x}", start_ns=one.start_ns + by_ns, end_ns=one.end_ns + by_ns,
                   evidence=evidence, profile=profile)  # fmt: skip


def _hour(network: str, number: int, dice: random.Random) -> Sighting:
    hour_ns = MIDNIGHT_NS - 8 * DAY_NS + number * HOUR_NS
    is_busy = 7 <= number % 24 <= 19
    flows = dice.randrange(200, 900) if is_busy else dice.randrange(10, 80)
    volume = flows * dice.randrange(20_000, 60_000)
    named, by_dns = int(volume * dice.uniform(0.55, 0.8)), int(volume * dice.uniform(0.05, 0.15))
    reasons: tuple[str, ...] = ()
    if network == "Consulting rooms" and number - 8 * 24 in {3, 4}:
        reasons = ("lost",)
    if network == "Ward 3" and number % 37 == 5:
        reasons, named = ("dark",), int(volume * 0.2)
    sums = Sums([flows, 0, 0, 0, 0], [named, by_dns, 0, 0, volume - named - by_dns], 0, 0, flows)
    one = NetworkHour(network, hour_ns, sums, reasons)
    details = json.loads(json.dumps(hour_record(one)))
    return Sighting("hour", "", network, "", hour_ns, flows, volume, details)


def follow(desk: Desk, leave: int) -> None:
    """Officers did their work on the days before; of the newest some is left."""
    otto, olga = somebody("otto", Role.OFFICER), somebody("olga", Role.OFFICER)
    older = desk.violations.page(otto, Query(until_ns=MIDNIGHT_NS), limit=200, with_facets=False).rows
    for number, row in enumerate(older):
        if number >= leave:
            reason = Reason.FALSE_POSITIVE if number % 9 == 0 else Reason.CONFIRMED
            desk.follow_up.change(olga if number % 3 else otto, [Target(row.id, row.version)],
                                  Order(Action.CLOSE, reason, note="Spoken to; the clinic's tablet is used instead"))  # fmt: skip
    query = Query(since_ns=MIDNIGHT_NS, outcomes=(Outcome.VIOLATION.value,))
    today = desk.violations.page(otto, query, limit=50, with_facets=False).rows
    grave = sorted((row for row in today if row.severity == "high"), key=lambda row: row.start_ns - row.end_ns)
    first, second = grave[:2]  # the longest
    desk.follow_up.change(olga, [Target(first.id, 0)], Order(Action.ACKNOWLEDGE))
    desk.follow_up.change(olga, [Target(first.id, 1)], Order(Action.ASSIGN, assignee="olga"))
    desk.follow_up.change(
        olga, [Target(first.id, 2)], Order(Action.NOTE, note="Asked the ward who had the tablet at that time.")
    )
    desk.follow_up.change(olga, [Target(first.id, 3)], Order(Action.INVESTIGATE))
    desk.follow_up.change(otto, [Target(second.id, 0)], Order(Action.ACKNOWLEDGE))
