"""What every service works with: the store, the configuration, how devices are called, and what is recorded of readings."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sensor import wording
from sensor.config_values import from_ns
from sensor.services.pseudonyms import SECRET, Pseudonyms
from sensor.services.query import Narrowed, Query, Terms, checked, narrowed
from sensor.services.recorder import Recorder
from sensor.services.records import DeviceRef
from sensor.wording import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from sensor.model import Device
    from sensor.services.people import Who
    from sensor.setup import Setup
    from sensor.store import Store
    from sensor.store.records import Row


@dataclass(slots=True)
class Material:
    """Made once for a store and a configuration."""

    store: Store
    setup: Setup
    pseudonyms: Pseudonyms
    recorder: Recorder
    now_ns: Callable[[], int] = time.time_ns
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, store: Store, setup: Setup, *, period_days: int = 0, now_ns: Callable[[], int] = time.time_ns
    ) -> Material:
        """Reads the store's own secret, and makes it where there is none yet."""
        pseudonyms = Pseudonyms(store.lookup.secret(SECRET), period_days, now_ns)
        return cls(store, setup, pseudonyms, Recorder(store), now_ns, dict(setup.settings.devices.names))

    @property
    def zone(self) -> str:
        return self.setup.settings.site.timezone

    def day(self, time_ns: int) -> date:
        """The day of the site's clock."""
        return from_ns(time_ns, self.zone).date()

    def app_text(self, app: str) -> str:
        """The app's name for people."""
        return self.setup.app_names.get(app, UNNAMED.get(app, app))

    def device(self, who: Who, device: Device) -> DeviceRef:
        """A device as who asks may see it."""
        pseudonym = self.pseudonyms.of(device.id)
        if not who.sees(device.id):
            return DeviceRef(pseudonym, notes=device.notes)
        label = next((self.labels[key] for key in (device.id, *(f"ip:{one}" for one in device.addresses))
                      if key in self.labels), "")  # fmt: skip
        return DeviceRef(pseudonym, device.id, label, device.addresses, device.notes)

    def device_of_id(self, who: Who, device_id: str) -> DeviceRef:
        """As `device`, of the id alone."""
        return self.known_device(device_id) if who.sees(device_id) else DeviceRef(self.pseudonyms.of(device_id))

    def known_device(self, device_id: str) -> DeviceRef:
        """A device as who sees whose it is sees it."""
        return DeviceRef(self.pseudonyms.of(device_id), device_id, self.labels.get(device_id, ""))

    def device_ids(self, who: Who, texts: Iterable[str]) -> set[str]:
        """The devices meant by pseudonyms; by an id only where who asks sees whose it is: else the answer would tell."""
        known = self.store.columns.current().words["device"].texts
        found: set[str] = set()
        for text in texts:
            found |= set(self.pseudonyms.among(text, known))
            if who.sees(text) and text in known:
                found.add(text)
        return found

    def narrowed(self, who: Who, query: Query) -> Narrowed:
        """The rows a query is about. Raises InvalidError."""
        checked(query)
        columns = self.store.columns.current()
        text = query.text.strip().lower()
        terms = Terms(
            devices=self.device_ids(who, query.devices) if query.devices else (),
            text_devices=self._devices_with(who, text, columns.words["device"].texts) if text else (),
            text_apps=[app for app in self._apps(columns.words["app_key"].texts)
                       if text in app or text in self.app_text(app).lower()] if text else (),
            text_networks=[name for name in columns.words["network"].texts if text in name.lower()] if text else (),
            text_ids=self.store.lookup.ids_beginning(text) if len(text) >= 4 else (),
            assigned=self.store.follow_up.assigned(query.assignee) if query.assignee else None,
        )  # fmt: skip
        return narrowed(columns, query, terms, self.zone)

    def _devices_with(self, who: Who, text: str, known: Sequence[str]) -> list[str]:
        found = []
        for id_ in known:
            seen = who.sees(id_) and (text in id_.lower() or text in self.labels.get(id_, "").lower())
            if seen or text in self.pseudonyms.of(id_).lower():
                found.append(id_)
        return found

    @staticmethod
    def _apps(keys: Sequence[str]) -> set[str]:
        from sensor.services.violations import apps_of  # noqa: PLC0415 - that module works with this one

        return {app for key in keys for app in apps_of(key)}

    def rows(self, rows: Narrowed, places: Any) -> list[Row]:
        """What stands at these places of the columns."""
        ids, lineages = rows.column("id"), rows.column("lineage")
        return self.store.lookup.rows([(ids[place].decode(), int(lineages[place])) for place in places])

    def clock(self, time_ns: int) -> str:
        """The site's wall clock."""
        return wording.clock(time_ns, self.zone)
