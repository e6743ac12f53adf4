"""The settings of `wardwatch forward`: the section [centre] of the TOML file. `config_centre` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CentreSettings:
    """Where a sensor tells what it holds. `key_file` holds the API key; `every_s`: how often without news.

    `orders`: the folder for what the centre orders, signed by `public_key`; None: nothing is taken.
    """

    url: str
    key_file: Path
    ca_file: Path | None = None
    orders: Path | None = None
    public_key: Path | None = None
    every_s: int = 60
    timeout_s: int = 60
