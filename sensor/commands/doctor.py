"""`wardwatch doctor`: an acceptance test for a mirror port. What is right, what is not, and how it is put right."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from sensor import setup, tables
from sensor.commands.output import standard_output
from sensor.commands.watching_health import window_of
from sensor.errors import CaptureError
from sensor.kernel import layout
from sensor.kernel.state import Scanner
from sensor.opening import Options
from sensor.ops.box import box_of
from sensor.ops.health import Finding, State, of_box, of_window
from sensor.totals import Account

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sensor.setup import Setup

DOUBTFUL_STATUS, WRONG_STATUS = 3, 4
FLOW_ROWS = 1 << 18


def run(options: argparse.Namespace) -> int:
    """Watches for `--seconds`. The exit status: 0 all is right, 3 something is doubtful, 4 something is wrong."""
    made = setup.read(options.config)
    box = box_of(options.interface, [str(app.version) for app in made.signatures.apps.values()])
    if box.up is None:
        raise CaptureError(f"{options.interface}: there is no such interface")
    found = list(of_box(box, options.interface))
    if box.up:
        if not options.json:
            print(f"wardwatch: {options.interface}: looking for {options.seconds:.0f} s", file=sys.stderr, flush=True)
        found = [*_watched(options, made), *found]
    with standard_output():
        _print(options, found)
    worst = max(one.state for one in found)
    return {State.WRONG: WRONG_STATUS, State.DOUBTFUL: DOUBTFUL_STATUS}.get(worst, 0)


def _watched(options: argparse.Namespace, made: Setup) -> list[Finding]:
    """What the frames of the next seconds tell."""
    from sensor.capture.ring import RingSource  # after the kernel, which says where compiled code is kept

    capture = made.settings.capture
    scanner = Scanner(FLOW_ROWS, time.time_ns(), drop_duplicates=True)
    source = RingSource(
        options.interface,
        Options(capture.ring_mebibytes << 20, capture.promiscuous, capture.filter),
        say=lambda _: None,
        seconds=options.seconds,
        window_s=float("inf"),
    )
    state = None
    for batch in source.batches():
        if len(batch.frames):
            scanner.read(batch)
        state = batch.state or state
    if state is None:
        raise CaptureError(f"{options.interface}: gave no account of its frames")
    account = Account(state, dict(zip(layout.COUNTERS, scanner.counters.tolist(), strict=True)))
    vlans = [vlan for network in made.settings.networks for vlan in network.vlans]
    return list(of_window(window_of(None, account), options.interface, vlans))


def _print(options: argparse.Namespace, found: Sequence[Finding]) -> None:
    if options.json:
        listed = [
            {"name": one.name, "state": one.state.label, "says": one.says, "fix": one.fix} for one in found
        ]  # fmt: skip
        print(json.dumps({"interface": options.interface, "seconds": options.seconds, "findings": listed}))
        return
    for one in sorted(found, key=lambda one: -one.state):
        print(tables.escape_plain(f"{one.state.label:9} {one.name:11} {one.says}"))
        if one.fix:
            print(tables.escape_plain(f"{'':21} {one.fix}"))
