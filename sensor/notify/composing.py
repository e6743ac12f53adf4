"""From what the outbox holds to the message that is sent: the episode as it stands now."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

from sensor.model import Outcome
from sensor.notify.model import Occasion
from sensor.notify.sending import Message
from sensor.notify.shown import violation
from sensor.services.pseudonyms import SECRET, Pseudonyms
from sensor.settings_notify import ShownAs

if TYPE_CHECKING:
    from sensor.model import Device, Episode
    from sensor.notify.model import Violation
    from sensor.setup import Setup
    from sensor.store import Store
    from sensor.store.notices import Notice

NOT_STORED = "the episode is not stored any more"
NO_VIOLATION = "it is no violation any more"
STILL_VIOLATION = "it is a violation again"


@dataclass(slots=True)
class Composer:
    """Made once for a store and a configuration."""

    store: Store
    setup: Setup
    pseudonyms: Pseudonyms
    labels: dict[str, str] = field(default_factory=dict)
    version: str = ""

    @classmethod
    def of(cls, store: Store, setup: Setup) -> Composer:
        """Pseudonyms are those of the page, so whoever reads a message finds the device there."""
        pseudonyms = Pseudonyms(store.lookup.secret(SECRET), setup.settings.api.pseudonym_days)
        return cls(store, setup, pseudonyms, dict(setup.settings.devices.names), metadata.version("wardwatch"))

    def message(self, notices: tuple[Notice, ...]) -> tuple[Message | None, dict[str, list[Notice]]]:
        """The message that tells of these, None where nothing is left to tell; and by reason, what it leaves out."""
        told: list[Violation] = []
        gone: dict[str, list[Notice]] = {}
        for one in notices:
            found = self._violation(one)
            if isinstance(found, str):
                gone.setdefault(found, []).append(one)
            else:
                told.append(found)
        if not told:
            return None, gone
        made_ns = min(one.recorded_ns for one in notices)
        return Message(
            notices[0].message_key, made_ns, tuple(told), digest=notices[0].digest or bool(notices[0].batch)
        ), gone

    def _violation(self, notice: Notice) -> Violation | str:
        found = self.store.outbox.episode(notice.episode_id)
        if found is None:
            return NOT_STORED
        stored, sequence, recorded_ns = found
        is_violation = stored.episode.verdict.outcome is Outcome.VIOLATION
        if notice.occasion == Occasion.WITHDRAWN and is_violation:
            return STILL_VIOLATION
        if notice.occasion != Occasion.WITHDRAWN and not is_violation:
            return NO_VIOLATION
        return self.shown(stored.episode, sequence, recorded_ns, Occasion(notice.occasion))

    def shown(self, episode: Episode, sequence: int, recorded_ns: int, occasion: Occasion) -> Violation:
        """The episode as it may be told."""
        settings = self.setup.settings
        return violation(
            episode,
            sequence=sequence,
            recorded_ns=recorded_ns,
            occasion=occasion,
            label=self._label(episode.device),
            names=self.setup.app_names,
            site=settings.site.name,
            version=self.version,
            devices=settings.notify.devices,
        )

    def _label(self, device: Device) -> str:
        """What the device is called where it is told: a label that nobody gave is a pseudonym, or with `id` the address."""
        shown_as = self.setup.settings.notify.devices
        if shown_as is ShownAs.ID:
            return self.setup.label(device)
        if shown_as is ShownAs.LABEL:
            for key in (device.id, *(f"ip:{address}" for address in device.addresses)):
                if key in self.labels:
                    return self.labels[key]
        return self.pseudonyms.of(device.id)
