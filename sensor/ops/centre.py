"""The centre over HTTPS, as a sensor sees it."""

from __future__ import annotations

import os
import platform
import ssl
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx

from sensor.errors import ConfigError
from sensor.ops.forwarding import RefusedError, TooLargeError, UnreachableError
from sensor.store import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sensor.ops.orders import Orders
    from sensor.settings_centre import CentreSettings
    from sensor.setup import Setup

PATH: Final = "/api/v1/ingest"
ORDER: Final = "/api/v1/order"
BATCH: Final = "application/zstd"
GAP, TOO_LARGE, TOO_MANY = 409, 413, 429
MAX_ANSWER: Final = 300  # characters of what it said, in a line of the log


class HttpCentre:
    """One connection that is kept. Raises ConfigError where key or certificates cannot be read."""

    def __init__(self, settings: CentreSettings) -> None:
        try:
            key = settings.key_file.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{settings.key_file}: centre.key_file: cannot be read: {_why(error)}") from error
        try:
            trusted = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:
            raise ConfigError(f"{settings.ca_file}: centre.ca_file: cannot be read: {_why(error)}") from error
        self._client = httpx.Client(
            base_url=settings.url,
            headers={"Authorization": f"Bearer {key}", "User-Agent": "wardwatch-forward"},
            timeout=settings.timeout_s,
            verify=trusted,
            follow_redirects=False,
            trust_env=False,
        )

    def reached(self, store_id: str) -> Place:
        """See forwarding.Centre."""
        return self._asked("GET", f"{PATH}/{quote(store_id, safe='')}")

    def send(self, batch: bytes) -> Place:
        """See forwarding.Centre."""
        return self._asked("POST", PATH, content=batch, headers={"Content-Type": BATCH})

    def order(self) -> tuple[str, str] | None:
        """What this sensor is to judge by, and the signature. Raises UnreachableError, RefusedError."""
        try:
            found = self._answer("GET", ORDER).json()
            order, signature = found["order"], found["signature"]
        except (ValueError, TypeError, KeyError) as error:
            raise UnreachableError("what answers is no centre") from error
        return (str(order), str(signature)) if order is not None else None

    def _asked(self, method: str, path: str, **more: Any) -> Place:
        return _place(self._answer(method, path, **more))

    def _answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise UnreachableError(str(error) or type(error).__name__) from error
        if answer.status_code in {200, GAP}:
            return answer
        if answer.status_code == TOO_LARGE:
            raise TooLargeError
        if answer.status_code >= 500 or answer.status_code == TOO_MANY:
            raise UnreachableError(f"it answers {answer.status_code}")
        raise RefusedError(f"it answers {answer.status_code}: {answer.text[:MAX_ANSWER]!r}")

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _place(answer: httpx.Response) -> Place:
    try:
        reached = answer.json()["reached"]
        return Place(int(reached["sequence"]), int(reached["recorded_ns"]), str(reached["sighting"]))
    except (ValueError, TypeError, KeyError) as error:
        raise UnreachableError("what answers is no centre") from error


def status_of(made: Setup, folder: Path, orders: Orders | None) -> Mapping[str, object]:
    """What a sensor says of itself. `folder`: of its store."""
    disk = os.statvfs(folder)
    return {
        "version": version("wardwatch"),
        "python": platform.python_version(),
        "policy": made.policy.hash,
        "signatures": made.signatures.hash,
        "clock_ns": time.time_ns(),
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "site": made.settings.site.name,
        "order": orders.serial if orders is not None else None,
        "order_refused": orders.refused if orders is not None else "",
    }


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
