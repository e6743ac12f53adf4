"""`wardwatch retention`: takes away what may no longer be kept, and holds what must be."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from sensor import setup, tables, wording
from sensor.commands.output import standard_output
from sensor.store import open_store
from sensor.store.retention import Rules

if TYPE_CHECKING:
    import argparse

    from sensor.store.retention import Taken


def run(options: argparse.Namespace) -> int:
    """Does it and says what it did; the exit status is 0."""
    made = setup.read(options.config)
    with open_store(options.store or made.settings.store.url, create=False) as store, standard_output():
        if options.action == "run":
            kept = made.settings.retention
            rules = Rules(kept.evidence_days, kept.violation_days, kept.max_mebibytes << 20)
            _say(store.retain(rules, dry_run=options.dry_run), dry_run=options.dry_run)
        elif options.action == "list":
            zone = made.settings.site.timezone
            for one in store.holds():
                when = wording.clock(one.recorded_ns, zone)
                print(tables.escape_plain(f"{one.episode}  {when}  {one.actor}: {one.reason}"))
        else:
            episode = store.episode(options.id).episode.id
            release = options.action == "release"
            store.hold(episode, getpass.getuser(), options.reason, release=release)
            print(f"{episode} {'is held no more' if release else 'is held'}")
    return 0


def _say(taken: Taken, *, dry_run: bool) -> None:
    verb = "Would be taken" if dry_run else "Taken"
    held = f"; {taken.held} are held and stay" if taken.held else ""
    print(
        f"{verb}: {taken.episodes} episodes ({taken.violations} of violations), {taken.sightings} records of hours{held}."
    )
    if taken.receipts:
        print(f"Receipts: links {', '.join(map(str, taken.receipts))} of the chain.")
    if taken.bytes_after is not None:
        print(f"The store holds {wording.size(taken.bytes_after)}.")
