"""What the app works with, kept in `app.state.wardwatch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.shield import Buckets
    from sensor.services.desk import Desk
    from sensor.settings_api import ApiSettings


@dataclass(frozen=True, slots=True)
class State:
    """`origins`: where pages may come from, beside the address that was asked."""

    desk: Desk
    settings: ApiSettings
    buckets: Buckets
    origins: frozenset[str]
