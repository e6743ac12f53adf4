"""Reads [api]: how `wardwatch serve` is reached, and who sees what how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sensor import config_values as values
from sensor.settings_api import ApiSettings
from sensor.toml_table import WrongValueError

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.toml_table import Table

KEYS: Final = (
    "address", "port", "certificate", "key", "public_url", "hosts", "proxies", "session_hours", "idle_minutes",
    "unmask_hours", "second_person", "identities", "pseudonym_days", "requests_per_minute", "body_kibibytes",
)  # fmt: skip
ROLES: Final = ("viewer", "officer", "auditor", "admin")


def read(table: Table, folder: Path) -> ApiSettings:
    """The section. Raises ConfigError."""
    default = ApiSettings()
    certificate, key = (_file(table, name, folder) for name in ("certificate", "key"))
    if (certificate is None) != (key is None):
        raise table.wrong("certificate" if certificate is None else "key", "goes with the other of the two")
    return ApiSettings(
        address=table.one("address", values.address, default.address),
        port=table.one("port", values.whole(1, 65535), default.port),
        certificate=certificate,
        key=key,
        public_url=table.one("public_url", web_address, ""),
        hosts=table.each("hosts", values.host_or_address),
        proxies=table.each("proxies", values.address),
        session_hours=table.one("session_hours", values.whole(1, 168), default.session_hours),
        idle_minutes=table.one("idle_minutes", values.whole(1, 1440), default.idle_minutes),
        unmask_hours=table.one("unmask_hours", values.whole(1, 168), default.unmask_hours),
        second_person=table.one("second_person", values.switch, default.second_person),
        identities=table.each("identities", values.member("role", ROLES)),
        pseudonym_days=table.one("pseudonym_days", values.whole(0, 3660), default.pseudonym_days),
        requests_per_minute=table.one("requests_per_minute", values.whole(10, 1_000_000), default.requests_per_minute),
        body_kibibytes=table.one("body_kibibytes", values.whole(16, 65536), default.body_kibibytes),
    )


def _file(table: Table, key: str, folder: Path) -> Path | None:
    text = table.one(key, values.text, "")
    if not text:
        return None
    if not (folder / text).is_file():
        raise table.wrong(key, f"{text!r} is not a file")
    return folder / text


def web_address(value: object) -> str:
    """The https:// or http:// URL of a site, without a path's final slash."""
    word = values.text(value)
    parts = urlsplit(word)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise WrongValueError(f"{word!r} is not the address of a site, such as 'https://wardwatch.example.org'")
    return word.rstrip("/")
