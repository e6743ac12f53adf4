"""Systems out of support: the data of `signatures/systems.toml`, and what of it a request or a hello tells."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sensor.classify.signatures import BUILTIN
from sensor.errors import SignatureError
from sensor.model import RuleMatch, Strength

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = BUILTIN / "systems.toml"
OUTDATED: Final = "outdated"  # the kind of observation
KEYS: Final = {"system": {"id", "name", "token", "end", "source"}, "protocol": {"id", "name", "end", "source"}}
AGENT, VERSION = "user_agent", "tls_version"  # kinds of evidence
TLS_NAMES: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1"}


@dataclass(frozen=True, slots=True)
class System:
    """One system, or the protocol of many. `end_ns`: from then on it is out of support."""

    id: str
    name: str
    token: bytes  # empty: told by the version that a hello offers
    end_ns: int
    source: str
    match: RuleMatch


@lru_cache(maxsize=1)
def load(path: Path = FILE) -> tuple[System, ...]:
    """Raises SignatureError, one line naming the file."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        return tuple(_system(one, keys) for kind, keys in KEYS.items() for one in tables.get(kind, ()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _system(one: dict[str, Any], keys: set[str]) -> System:
    if one.keys() != keys:
        raise ValueError(f"{one.get('id')}: has not just the keys {', '.join(sorted(keys))}")
    if type(one["end"]) is not date or not str(one["source"]).startswith("https://"):
        raise ValueError(f"{one['id']}: end is no day, or source no page")
    end = datetime(one["end"].year, one["end"].month, one["end"].day, tzinfo=UTC)
    match = RuleMatch(OUTDATED, f"{OUTDATED}/{one['id']}", Strength.STRONG, one["id"])
    return System(
        one["id"], one["name"], one.get("token", "").encode(), int(end.timestamp()) * 10**9, one["source"], match
    )
