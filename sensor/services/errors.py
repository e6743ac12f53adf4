"""Why a service does not do what it was asked. The API makes problem documents of these (RFC 9457)."""

from __future__ import annotations

from sensor.errors import WardwatchError


class ServiceError(WardwatchError):
    """Anything that who asked can act on."""


class NotFoundError(ServiceError):
    """There is no such thing, or not for who asks."""


class ForbiddenError(ServiceError):
    """The role does not allow it."""


class InvalidError(ServiceError):
    """What was asked makes no sense; `field` is which part of it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ConflictError(ServiceError):
    """It was changed meanwhile, or is in a state that does not allow it."""
