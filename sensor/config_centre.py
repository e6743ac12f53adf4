"""Reads [centre]: where this sensor tells what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sensor import config_values as values
from sensor.settings_centre import CentreSettings
from sensor.toml_table import WrongValueError
from sensor.toml_table import read as read_toml

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.toml_table import Table

KEYS: Final = ("url", "key_file", "ca_file", "orders", "public_key", "every_s", "timeout_s")
CURRENT, POLICY, SIGNATURES = "current", "policy.toml", "signatures"  # in the folder of orders
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def read(table: Table, folder: Path) -> CentreSettings:
    """The section. Raises ConfigError."""
    ca_file, orders, public_key = (table.one(name, values.text, "") for name in ("ca_file", "orders", "public_key"))
    if bool(orders) != bool(public_key):
        raise table.wrong("public_key" if orders else "orders", "goes with the other of the two")
    return CentreSettings(
        url=table.one("url", web_address),
        key_file=folder / table.one("key_file", values.text),
        ca_file=folder / ca_file if ca_file else None,
        orders=folder / orders if orders else None,
        public_key=folder / public_key if public_key else None,
        every_s=table.one("every_s", values.whole(1, 86_400), 60),
        timeout_s=table.one("timeout_s", values.whole(1, 600), 60),
    )


def web_address(value: object) -> str:
    """An https address, or an http one on this machine: what is told is of people."""
    text = values.text(value)
    parts = urlsplit(text)
    if parts.hostname is None or parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
        raise WrongValueError("is no address like https://centre.example.org")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise WrongValueError("must begin with https://")
    return text.rstrip("/")


def ordered_policy(folder: Path | None) -> Table | None:
    """The table that holds [policy] as a centre ordered it; None where it ordered none. Raises ConfigError."""
    if folder is None or not (folder / POLICY).is_file():
        return None
    return read_toml(folder / POLICY, ("policy",))
