"""Changing what is done about violations: checked here, decided by the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.people import Right, Role
from sensor.store.follow_records import Act, Action, Change, Order, Outcome, Reason, Result, Standing, State, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.services.material import Material
    from sensor.services.people import Who

__all__ = [
    "Act",
    "Action",
    "Change",
    "FollowUp",
    "Order",
    "Outcome",
    "Reason",
    "Result",
    "Standing",
    "State",
    "Target",
]

MAX_TARGETS: Final = 1000
MAX_NOTE: Final = 4000  # characters
LEAST_DIGITS: Final = 4  # of an id's beginning
WHOLE_DIGITS: Final = 16  # of an id as the sensor makes it: such a one is not looked up


class FollowUp:
    """Who did what about which violation."""

    def __init__(self, material: Material) -> None:
        self._material = material

    def change(self, who: Who, targets: Sequence[Target], order: Order) -> Act:
        """Do it to exactly these, each as it was seen. Answers what became of each; `Act.id` goes into `undo`.

        Raises InvalidError, ForbiddenError. Who was too late is no error here: `Outcome.result` says so.
        """
        who.require(Right.CHANGE)
        if not targets:
            raise InvalidError("names no violation", "targets")
        if len(targets) > MAX_TARGETS:
            raise InvalidError(f"names more than {MAX_TARGETS} violations", "targets")
        targets = [replace(target, episode_id=self._whole(target.episode_id)) for target in targets]
        if len({target.episode_id for target in targets}) < len(targets):
            raise InvalidError("names a violation twice", "targets")
        if any(not 0 <= target.version < 1 << 31 for target in targets):
            raise InvalidError("is no version", "version")
        return self._material.store.follow_up.change(targets, self._checked(order), who.name)

    def undo(self, who: Who, act: str, note: str = "") -> Act:
        """Take an act back, of whomever: by further changes. Raises NotFoundError where there is no such act."""
        who.require(Right.CHANGE)
        undone = self._material.store.follow_up.undo(act, who.name, _line(note))
        if not undone.outcomes:
            raise NotFoundError("there is no such act that could be taken back")
        return undone

    def assignees(self, who: Who) -> tuple[str, ...]:
        """Who can be asked to look after a violation."""
        who.require(Right.READ)
        wanted = {Role.OFFICER.value, Role.ADMIN.value}
        return tuple(user.name for user in self._material.store.access.users()
                     if user.role in wanted and not user.disabled)  # fmt: skip

    def _checked(self, order: Order) -> Order:
        if order.action is Action.UNDO:
            raise InvalidError("an undo names an act", "action")
        if (order.action is Action.CLOSE) != (order.reason is not None):
            raise InvalidError("goes with closing, and closing needs it", "reason")
        if order.action is Action.NOTE and not order.note.strip():
            raise InvalidError("must not be empty", "note")
        if order.action is Action.ASSIGN and order.assignee is None:
            raise InvalidError("is missing", "assignee")
        if order.related and order.reason is not Reason.DUPLICATE:
            raise InvalidError("goes with a duplicate", "related")
        if order.assignee:
            user = self._material.store.access.user(order.assignee)
            if user is None or user.disabled or user.role not in {Role.OFFICER.value, Role.ADMIN.value}:
                raise InvalidError("is nobody who follows up", "assignee")
        related = self._whole(order.related)
        if related and related not in self._material.store.lookup.ids_beginning(related):
            raise InvalidError("is no violation", "related")
        return Order(order.action, order.reason, order.assignee, _line(order.note), related)

    def _whole(self, id_: str) -> str:
        """The id that alone begins so; else what was given, which then names none."""
        if not LEAST_DIGITS <= len(id_) < WHOLE_DIGITS:
            return id_
        found = self._material.store.lookup.ids_beginning(id_, 2)
        return found[0] if len(found) == 1 else id_


def _line(note: str) -> str:
    """A note as it is kept. Raises InvalidError."""
    if len(note) > MAX_NOTE:
        raise InvalidError(f"is longer than {MAX_NOTE} characters", "note")
    kept = note.strip()
    if any(not (character.isprintable() or character in "\n\t") for character in kept.replace("\r\n", "\n")):
        raise InvalidError("must be printable text", "note")
    return kept.replace("\r\n", "\n")
