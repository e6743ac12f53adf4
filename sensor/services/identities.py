"""Unmasking: seeing whose device it is, with a reason, for some hours, and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.people import Right

if TYPE_CHECKING:
    from sensor.services.accounts import Accounts
    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.records import DeviceRef
    from sensor.settings_api import ApiSettings

HOUR_NS: Final = 3_600_000_000_000
LEAST_REASON, MOST_REASON = 10, 500  # characters


@dataclass(frozen=True, slots=True)
class Unmasked:
    """Who saw whose device it is, why, and until when."""

    device: DeviceRef
    actor: str
    reason: str
    recorded_ns: int
    expires_ns: int


class Identities:
    """Pseudonyms, and what is behind them."""

    def __init__(self, material: Material, settings: ApiSettings, accounts: Accounts) -> None:
        self._material = material
        self._settings = settings
        self._accounts = accounts

    @property
    def needs_second_person(self) -> bool:
        """Whether another person has to consent."""
        return self._settings.second_person

    def unmask(self, who: Who, pseudonym: str, reason: str, consent: tuple[str, str] | None = None) -> Unmasked:
        """From now on they see whose device it is. `consent`: another person's name and password, where the policy asks for one.

        Raises ForbiddenError, InvalidError, NotFoundError, SignInError, BlockedError.
        """
        who.require(Right.UNMASK)
        reason = reason.strip()
        if not LEAST_REASON <= len(reason) <= MOST_REASON or not reason.isprintable():
            raise InvalidError(f"must be one line of {LEAST_REASON} to {MOST_REASON} characters", "reason")
        if self._settings.second_person:
            reason = f"{reason} (with the consent of {self._consenting(who, consent)})"
        found = self._material.device_ids(who, [pseudonym])
        if not found:
            raise NotFoundError("there is no such device")
        device_id = min(found)
        now_ns = self._material.now_ns()
        expires_ns = now_ns + self._settings.unmask_hours * HOUR_NS
        self._material.store.access.unmask(who.name, device_id, reason, expires_ns)
        return Unmasked(self._material.known_device(device_id), who.name, reason, now_ns, expires_ns)

    def _consenting(self, who: Who, consent: tuple[str, str] | None) -> str:
        """The name of the other person, who has given the password of their own."""
        if consent is None:
            raise InvalidError("is missing: another person has to give name and password", "consent")
        other = self._accounts.confirm(*consent)
        if other.name == who.name or not other.may(Right.UNMASK):
            raise InvalidError("must be of another officer, auditor or admin", "consent")
        return other.name

    def mine(self, who: Who) -> tuple[Unmasked, ...]:
        """What they see now."""
        held = self._material.store.access.unmaskings(who.name, now_ns=self._material.now_ns())
        return tuple(Unmasked(self._material.known_device(one.device_id), one.actor, one.reason, one.recorded_ns,
                              one.expires_ns) for one in held)  # fmt: skip
