"""`wardwatch capture`: the process with CAP_NET_RAW. It opens rings and passes them on; it reads no packet and no configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import opening
from sensor.ops.systemd import Systemd

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT; the exit status is 0."""
    systemd = Systemd()

    def ready() -> None:
        print(f"wardwatch: {options.interface}: rings are given out at {options.socket}", file=sys.stderr, flush=True)
        systemd.progress()

    opening.serve(options.interface, Path(options.socket), ready, systemd.progress)
    systemd.stopping()
    return 0
