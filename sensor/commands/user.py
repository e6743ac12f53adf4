"""`wardwatch user`: who may sign in."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from sensor.errors import UsageError
from sensor.services.desk import Desk
from sensor.services.people import Role

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """`wardwatch user add|list|disable|enable|password|role`."""
    with Desk.open(options.config, options.store) as desk:
        accounts = desk.accounts
        if options.action == "list":
            for one in accounts.all():
                print(f"{one.name}\t{one.role}{'	disabled' if one.disabled else ''}")
        elif options.action == "add":
            accounts.add(actor(), options.name, Role(options.role), _password(options))
        elif options.action == "password":
            accounts.set_password(actor(), options.name, _password(options))
        elif options.action == "role":
            accounts.set_role(actor(), options.name, Role(options.role))
        else:
            accounts.disable(actor(), options.name, disabled=options.action == "disable")
    return 0


def actor() -> str:
    """Who does it: the account that the command runs under."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (KeyError, OSError):
        return "somebody at the command line"


def _password(options: argparse.Namespace) -> str:
    """From standard input with --stdin, else asked for twice. Raises UsageError."""
    if options.stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"Password of {options.name} (at least 12 characters): ")
    if getpass.getpass("Again: ") != first:
        raise UsageError("the two passwords differ")
    return first
