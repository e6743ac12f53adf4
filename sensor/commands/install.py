"""`wardwatch install` and `wardwatch uninstall`: the service on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sensor.commands.output import standard_output
from sensor.ops import install

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Says each step; the exit status is 0."""
    root = Path(options.root)
    steps = (
        install.install(options.interface, root=root, dry_run=options.dry_run, program=options.program)
        if options.command == "install"
        else install.uninstall(root=root, dry_run=options.dry_run, purge=options.purge)
    )
    for step in steps:
        with standard_output():
            print(step)
    return 0
