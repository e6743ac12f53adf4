"""Writes into the chain who read personal data, and what was done by those who administer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.services.people import Who
    from sensor.store import Store

READ: Final = "read"
ADMIN: Final = "admin"
MAX_IDS: Final = 1000


class Recorder:
    """Nothing that is recorded here is answered before it is on disk."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, who: Who, what: str, ids: Sequence[str], *, identities: bool = False, **more: object) -> None:
        """Somebody read this; `identities`: they saw whose device it is."""
        self._store.link(
            READ,
            {
                "actor": who.name,
                "role": who.role.value,
                "what": what,
                "ids": list(ids[:MAX_IDS]),
                "count": len(ids),
                "identities": identities,
                **more,
            },
        )

    def admin(self, actor: str, what: str, **more: object) -> None:
        """Somebody did this to users, keys, or what else an admin does."""
        self._store.link(ADMIN, {"actor": actor, "what": what, **more})
