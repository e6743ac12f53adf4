"""All services over one store and one configuration: what the API and the commands work with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from sensor import setup as setting_up
from sensor.services.accounts import Accounts
from sensor.services.audit import Audit
from sensor.services.exceptions import Exceptions
from sensor.services.exports import Exports
from sensor.services.feed import Feed
from sensor.services.follow_up import FollowUp
from sensor.services.identities import Identities
from sensor.services.ingest import Ingest
from sensor.services.material import Material
from sensor.services.overview import Overview
from sensor.services.proofs import Proofs
from sensor.services.status import Status
from sensor.services.violations import Violations
from sensor.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from argon2 import PasswordHasher

    from sensor.setup import Setup
    from sensor.store import Store


class Desk:
    """`violations`, `follow_up`, `exceptions`, `overview`, `status`, `accounts` and `identities` are what can be asked and done."""

    def __init__(
        self,
        store: Store,
        setup: Setup,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        hasher: PasswordHasher | None = None,
    ) -> None:
        """`hasher`: of passwords, other than argon2's own choice."""
        settings = setup.settings.api
        self.store = store
        self.setup = setup
        self.material = Material.of(store, setup, period_days=settings.pseudonym_days, now_ns=now_ns)
        self.violations = Violations(self.material)
        self.follow_up = FollowUp(self.material)
        self.overview = Overview(self.material, self.violations)
        self.exceptions = Exceptions(self.material, self.violations)
        self.status = Status(self.material)
        self.ingest = Ingest(store)
        self.audit = Audit(self.material)
        self.exports = Exports(self.material, self.violations)
        self.proofs = Proofs(self.material)
        self.feed = Feed(self.material, self.violations)
        self.accounts = Accounts(self.material, settings, hasher)
        self.identities = Identities(self.material, settings, self.accounts)

    @classmethod
    def open(cls, config_file: str | None, store_url: str | None = None) -> Self:
        """The store must be there already or is made. Raises ConfigError, SignatureError, StoreError."""
        made = setting_up.read(config_file)
        return cls(open_store(store_url or made.settings.store.url), made)

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
