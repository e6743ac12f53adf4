"""What the outbox holds and gives: news of an episode, what is to be told of it, and the messages. Nothing here touches a database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sensor.model import Activity, Outcome, Severity


class NoticeState(StrEnum):
    """Where a message is. `dropped`: something else tells it, or there is nothing to tell any more."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    DROPPED = "dropped"


OPEN: Final = (NoticeState.WAITING.value, NoticeState.SENDING.value)


@dataclass(frozen=True, slots=True)
class News:
    """An episode that was written since the channel looked last, as it stands under one pair of hashes."""

    episode_id: str
    sequence: int
    outcome: Outcome
    activity: Activity
    severity: Severity
    kind: str  # of the verdict


@dataclass(frozen=True, slots=True)
class Notice:
    """One message, or one line of a digest."""

    id: int
    key: str
    channel: str
    episode_id: str
    sequence: int
    occasion: str
    activity: Activity
    severity: Severity
    digest: bool
    batch: str
    state: NoticeState
    tries: int
    next_ns: int
    recorded_ns: int
    changed_ns: int
    error: str

    @property
    def message_key(self) -> str:
        """The key of the message it goes in."""
        return self.batch or self.key

    @property
    def untouched(self) -> bool:
        """Nobody can have got it yet."""
        return self.state is NoticeState.WAITING and self.tries == 0 and not self.batch


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be told of news. `instead`: it takes the place of what is still waiting to be told of that episode."""

    occasion: str
    digest: bool
    due_ns: int
    instead: bool = False
