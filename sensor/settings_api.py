"""The settings of `wardwatch serve`: the section [api] of the TOML file. `config_api` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`hosts`: names by which it may be asked, beside those of the loopback; `proxies`: addresses whose X-Forwarded-* counts."""

    address: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    public_url: str = ""
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    session_hours: int = 12
    idle_minutes: int = 60
    unmask_hours: int = 8
    second_person: bool = False
    identities: tuple[str, ...] = ()  # roles that need no unmasking
    pseudonym_days: int = 0  # 0: pseudonyms never change
    requests_per_minute: int = 600
    body_kibibytes: int = 256

    @property
    def all_hosts(self) -> frozenset[str]:
        """Every name that a request may have in its Host header, without port."""
        named = urlsplit(self.public_url).hostname if self.public_url else None
        return frozenset({"localhost", "127.0.0.1", "::1", self.address, *self.hosts, *([named] if named else [])})
