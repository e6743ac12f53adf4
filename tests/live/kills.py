"""Kills a watch under traffic, again and again: `python -m tests.live.kills --kills 100`.

Nothing that was reported as stored may be missing afterwards, nothing may be there twice, the chain holds, and each start takes
less than three seconds until frames are seen.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sensor.errors import StoreError
from sensor.store import Filter, Store, open_store
from tests.commands.running import CAPTURE, COMMAND, CONFIG
from tests.live.net import Mirror, Watch, mirror

IDLE = "\n[sensor.idle]\nbackground_s = 1\nmessaging_s = 1\nfile_transfer_s = 1\ncalls_s = 1\n"
ID = re.compile(r"\[([0-9a-f]{8})\]$")


@dataclass
class Survived:
    """What came of it."""

    kills: int = 0
    reported: set[str] = field(default_factory=set)  # beginnings of ids
    stored: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    doubled: int = 0
    slowest_start_s: float = 0.0


def killed(port: Mirror, folder: Path, kills: int, *, seed: int, longest_s: float = 12.0) -> Survived:
    """Runs it on a mirror."""
    chance, found = random.Random(seed), Survived()
    config, store = folder / "quick.toml", folder / "w.sqlite"
    config.write_text(CONFIG.read_text("utf-8") + IDLE, "utf-8")
    command = [
        "ip",
        "netns",
        "exec",
        port.sensor,
        str(COMMAND),
        "watch",
        "m1",
        "--config",
        str(config),
        "--store",
        str(store),
    ]
    traffic = subprocess.Popen(
        ["ip", "netns", "exec", port.clinic, "tcpreplay", "-q", "-i", "c0", "--pps", "1500", "--loop", "0", str(CAPTURE)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for number in range(kills + 1):
            began_s = time.monotonic()
            watch = Watch(command)
            watch.wait_for("watching", 120)
            found.slowest_start_s = max(found.slowest_start_s, time.monotonic() - began_s)
            time.sleep(chance.uniform(0.2, longest_s))
            done = watch.stop(signal.SIGTERM if number == kills else signal.SIGKILL, timeout_s=60)
            found.reported |= {ids[1] for line in done.out.splitlines() if (ids := ID.search(line))}
            found.kills += number < kills
    finally:
        traffic.kill()
        traffic.wait()
    with open_store(store, read_only=True) as opened:
        found.stored = [row.episode.id for row in opened.violations(Filter(outcomes=None))]
        found.faults = list(opened.audit().faults)
        packets = [
            (one.packet_id, one.match.rule, row.episode.device.id, row.episode.candidates)
            for row in opened.violations()
            for one in opened.episode(row.episode.id).episode.evidence
        ]
        found.doubled = len(packets) - len(set(packets)) + len(found.stored) - len(set(found.stored))
        found.missing = {one for one in found.reported if not _is_known(opened, one)}
    return found


def _is_known(opened: Store, beginning: str) -> bool:
    """Also one that became part of another: its id still leads there."""
    try:
        opened.episode(beginning)
    except StoreError as error:
        return "several episodes" in str(error)
    return True


def main() -> None:
    """Prints what came of it; fails where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with mirror() as port, tempfile.TemporaryDirectory() as folder:
        found = killed(port, Path(folder), options.kills, seed=options.seed)
    print(  # noqa: T201 - what the script is for
        f"{found.kills} kills: {len(found.reported)} violations reported, {len(found.stored)} episodes stored, "
        f"{len(found.missing)} missing, {found.doubled} doubled, {len(found.faults)} faults of the chain; "
        f"slowest start {found.slowest_start_s:.2f} s"
    )
    if found.missing or found.doubled or found.faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
