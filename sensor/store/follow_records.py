"""What follow-up takes and gives. Nothing here touches a database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """Where the follow-up of an episode stands."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    INVESTIGATING = "investigating"
    CLOSED = "closed"


class Reason(StrEnum):
    """Why it is closed."""

    CONFIRMED = "confirmed"  # and addressed
    FALSE_POSITIVE = "false_positive"
    AUTHORISED_EXCEPTION = "authorised_exception"
    DUPLICATE = "duplicate"


class Action(StrEnum):
    """What people do about an episode."""

    ACKNOWLEDGE = "acknowledge"
    INVESTIGATE = "investigate"
    CLOSE = "close"
    REOPEN = "reopen"
    ASSIGN = "assign"
    NOTE = "note"
    UNDO = "undo"


EVERY: Final = tuple(State)
# From which states an action may be taken, and to which it leads; None: it stays.
STEPS: Final[Mapping[Action, tuple[tuple[State, ...], State | None]]] = {
    Action.ACKNOWLEDGE: ((State.NEW,), State.ACKNOWLEDGED),
    Action.INVESTIGATE: ((State.NEW, State.ACKNOWLEDGED), State.INVESTIGATING),
    Action.CLOSE: ((State.NEW, State.ACKNOWLEDGED, State.INVESTIGATING), State.CLOSED),
    Action.REOPEN: ((State.CLOSED,), State.INVESTIGATING),
    Action.ASSIGN: (EVERY, None),
    Action.NOTE: (EVERY, None),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. `reason` goes with closing, `related` with a duplicate; `assignee` None leaves it, "" is nobody."""

    action: Action
    reason: Reason | None = None
    assignee: str | None = None
    note: str = ""
    related: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the history. `version` counts the changes of its episode from 1."""

    sequence: int
    episode_id: str
    version: int
    recorded_ns: int
    actor: str
    action: str
    from_state: str
    to_state: str
    reason: str
    assignee: str
    note: str
    related: str
    act: str
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the follow-up of an episode stands now; version 0: nobody has done anything yet."""

    version: int = 0
    state: str = State.NEW.value
    reason: str = ""
    assignee: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One episode as somebody saw it."""

    episode_id: str
    version: int


class Result(StrEnum):
    """What became of one target."""

    DONE = "done"
    CHANGED_MEANWHILE = "changed_meanwhile"  # somebody else was first
    NOT_FOUND = "not_found"
    NOT_POSSIBLE = "not_possible"  # not from the state that it is in


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target, and where it stands now."""

    episode_id: str
    result: Result
    standing: Standing
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What one order did to each of its targets; `id` is what `undo` takes."""

    id: str
    outcomes: tuple[Outcome, ...]

    @property
    def done(self) -> int:
        return sum(one.result is Result.DONE for one in self.outcomes)
