"""What a centre orders its sensors to judge by: a policy, signatures of its own, or both, in one signed text.

A sensor takes an order only if the signature is that of the key it was given by hand, if it is newer than the one it has, and if its own
configuration holds with it. Each order has a folder; `current` leads to the one in force, and is changed at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sensor.config_centre import CURRENT, POLICY, SIGNATURES
from sensor.errors import WardwatchError
from sensor.proof.keys import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FORMAT: Final = 1
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.yaml")
MAX_BYTES: Final = 4 << 20
MAX_FILES: Final = 200


class OrderError(WardwatchError):
    """An order that is not taken, and why."""


@dataclass(frozen=True, slots=True)
class Order:
    """`policy`: TOML text with nothing but [policy], empty where the sensor's own stays. `signatures`: YAML texts by file name."""

    serial: int
    policy: str = ""
    signatures: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """What is signed."""
        body = {"format": FORMAT, "serial": self.serial, "policy": self.policy, "signatures": dict(self.signatures)}
        return json.dumps(body, sort_keys=True, ensure_ascii=True)


def order_of(text: str) -> Order:
    """What `Order.text` gave. Raises OrderError."""
    if len(text) > MAX_BYTES:
        raise OrderError("the order is too large")
    try:
        body = json.loads(text)
        serial, policy, signatures = body["serial"], body["policy"], body["signatures"]
        right = (
            body["format"] == FORMAT
            and type(serial) is int
            and isinstance(policy, str)
            and len(signatures) <= MAX_FILES
        )
        right = right and all(isinstance(one, str) for one in signatures.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OrderError("that is no order") from error
    if not right:
        raise OrderError(f"that is no order of format {FORMAT}")
    if wrong := [name for name in signatures if not NAME.fullmatch(name)]:
        raise OrderError(f"{wrong[0]!r} is no name of a signature's file")
    return Order(serial, policy, dict(signatures))


def read_order(serial: int, policy: Path | None, signatures: Path | None) -> Order:
    """An order of files. Raises OrderError."""
    try:
        texts = {path.name: path.read_text("utf-8") for path in sorted(signatures.glob("*.yaml"))} if signatures else {}
        made = Order(serial, policy.read_text("utf-8") if policy else "", texts)
    except (OSError, ValueError) as error:
        raise OrderError(f"{getattr(error, 'filename', None) or policy}: cannot be read: {_why(error)}") from error
    return order_of(made.text())


class Orders:
    """A sensor's folder of orders. `proven` is told a folder and raises WardwatchError where the configuration does not hold with it."""

    def __init__(self, folder: Path, public: str, proven: Callable[[Path], None]) -> None:
        """`public`: the centre's key, 64 hex digits."""
        self._folder = folder
        self._public = public
        self._proven = proven
        self.refused = ""  # why the last one was not taken

    @property
    def serial(self) -> int:
        """Of the order in force; 0: none is."""
        try:
            name = (self._folder / CURRENT).readlink().name
        except OSError:
            return 0
        return int(name) if name.isascii() and name.isdigit() else 0

    def take(self, text: str, signature: str) -> bool:
        """Puts an order into force; False where it is in force already. Raises OrderError, and then nothing has changed."""
        if not is_signed(text.encode(), signature, self._public):
            raise OrderError("the order is not signed by the centre's key")
        order = order_of(text)
        if order.serial == self.serial:
            return False
        if order.serial < self.serial:
            raise OrderError(f"the order {order.serial} is older than {self.serial}, which is in force")
        try:
            self._put(order)
        except OSError as error:
            raise OrderError(f"{self._folder}: the order cannot be kept: {error.strerror}") from error
        return True

    def _put(self, order: Order) -> None:
        place, part = self._folder / str(order.serial), self._folder / f".{order.serial}.part"
        for one in (part, place):
            shutil.rmtree(one, ignore_errors=True)  # what a kill left of an earlier try
        (part / SIGNATURES).mkdir(parents=True, mode=0o700)
        if order.policy:
            _write(part / POLICY, order.policy)
        for name, text in order.signatures.items():
            _write(part / SIGNATURES / name, text)
        try:
            self._proven(part)
        except WardwatchError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OrderError(f"the configuration does not hold with the order {order.serial}: {error}") from error
        before = self.serial
        part.rename(place)
        link = self._folder / f".{CURRENT}.{order.serial}"
        link.unlink(missing_ok=True)
        link.symlink_to(str(order.serial))
        link.replace(self._folder / CURRENT)
        self._forget(keep={order.serial, before})

    def _forget(self, keep: set[int]) -> None:
        """The one before stays, to be looked at."""
        for one in self._folder.iterdir():
            if one.name.isascii() and one.name.isdigit() and int(one.name) not in keep:
                shutil.rmtree(one, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
