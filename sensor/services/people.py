"""Who asks: roles, and what each may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sensor.services.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What a user is for."""

    VIEWER = "viewer"
    OFFICER = "officer"
    AUDITOR = "auditor"
    ADMIN = "admin"
    SENSOR = "sensor"  # another wardwatch, which tells what it holds; nobody signs in as one


class Right(StrEnum):
    """One thing that may be done; also the scopes of API keys."""

    READ = "read"  # violations, statistics, visibility
    CHANGE = "change"  # follow-up
    EXCEPT = "except"  # make and end exceptions
    UNMASK = "unmask"  # see whose device it is, with a reason
    EXPORT = "export"
    AUDIT = "audit"  # the log of who did and read what
    ADMIN = "admin"  # users, keys
    TELL = "tell"  # bring what a sensor holds


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OFFICER: frozenset({Right.READ, Right.CHANGE, Right.EXCEPT, Right.UNMASK, Right.EXPORT}),
    Role.AUDITOR: frozenset({Right.READ, Right.UNMASK, Right.EXPORT, Right.AUDIT}),
    Role.ADMIN: frozenset(Right) - {Right.TELL},
    Role.SENSOR: frozenset({Right.TELL}),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks. `rights` are those of the role, or fewer: of an API key. `unmasked`: devices whose identity they may see now."""

    name: str
    role: Role
    rights: frozenset[Right] = frozenset()
    unmasked: frozenset[str] = field(default=frozenset())
    sees_all: bool = False  # identities need no unmasking: the policy says so of the role

    def may(self, right: Right) -> bool:
        return right in self.rights

    def require(self, right: Right) -> None:
        """Raises ForbiddenError."""
        if right not in self.rights:
            raise ForbiddenError(f"the role {self.role.value} may not do this (it needs the right {right.value!r})")

    def sees(self, device_id: str) -> bool:
        """Whether they see whose device it is."""
        return self.sees_all or device_id in self.unmasked


def somebody(name: str, role: Role, *, unmasked: frozenset[str] = frozenset(), sees_all: bool = False) -> Who:
    """A user with all the rights of a role."""
    return Who(name, role, RIGHTS[role], unmasked, sees_all)
