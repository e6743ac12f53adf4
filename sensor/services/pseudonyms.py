"""Names for devices that tell two apart and do not say whose they are: HMAC-SHA256 of the device's id, keyed by the store's own secret.

Stable; with a period, all of them change when it ends, so that what was written down before can no longer be joined with what is shown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECRET: Final = "pseudonym_key"  # noqa: S105 - the name under which the store keeps it
DAY_NS: Final = 86_400_000_000_000
LENGTH: Final = 8  # 40 bits: among 10,000 devices two are alike with a chance of 1 in 20,000
FORM: Final = re.compile(r"D-[A-Z2-7]{4}-[A-Z2-7]{4}")


@dataclass(slots=True)
class Pseudonyms:
    """`period_days` 0: they never change."""

    secret: bytes
    period_days: int = 0
    now_ns: Callable[[], int] = time.time_ns

    def of(self, device_id: str) -> str:
        """The device's pseudonym, such as D-7KQ3-X2FA."""
        period = self.now_ns() // (self.period_days * DAY_NS) if self.period_days else 0
        digest = hmac.digest(self.secret, f"{period}\0{device_id}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        text = base64.b32encode(digest)[:LENGTH].decode("ascii")
        return f"D-{text[:4]}-{text[4:]}"

    def among(self, pseudonym: str, device_ids: Iterable[str]) -> list[str]:
        """The devices that are called so now."""
        if not FORM.fullmatch(pseudonym):
            return []
        return [id_ for id_ in device_ids if self.of(id_) == pseudonym]


def hider(addresses: Iterable[str], pseudonym: str) -> Callable[[str], str]:
    """Replaces these addresses by the pseudonym wherever they stand in a text, and no longer ones that begin like them."""
    wanted = sorted({address for address in addresses if address}, key=len, reverse=True)
    if not wanted:
        return lambda text: text
    pattern = re.compile("|".join(_whole(address) for address in wanted), re.IGNORECASE)
    return lambda text: pattern.sub(pseudonym, text)


def _whole(address: str) -> str:
    """Matches an address that is not the beginning or the end of a longer one."""
    if ":" in address:
        return rf"(?<![0-9a-f:]){re.escape(address)}(?![0-9a-f]|:[0-9a-f:])"
    return rf"(?<![0-9])(?<![0-9]\.){re.escape(address)}(?![0-9]|\.[0-9])"
