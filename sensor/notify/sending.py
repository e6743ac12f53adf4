"""What every channel's sender is given, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sensor.notify.model import Violation


class SendError(Exception):
    """It has not arrived, or nobody said that it has. `wait_s`: how long the receiver wants to be left alone."""

    def __init__(self, reason: str, wait_s: int | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` and `made_ns` are the same in every try; a digest has any number of violations."""

    key: str
    made_ns: int
    violations: tuple[Violation, ...]
    digest: bool = False


class Sender(Protocol):
    """One channel's way out."""

    def send(self, message: Message) -> None:
        """Returns once the receiver has it. Raises SendError."""
        ...
