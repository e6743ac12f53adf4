"""What is new or was changed, in the order in which it was stored: for pages that stay open, and for a SIEM that asks."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.notify import formats, shown
from sensor.notify.model import Occasion
from sensor.services.people import Right
from sensor.services.query import cursor_of, read_cursor
from sensor.settings_notify import ShownAs

if TYPE_CHECKING:
    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.records import Violation
    from sensor.services.violations import Violations

MAX_ROWS: Final = 500


class Told(NamedTuple):
    """Violations in the order of storing, and the cursor behind the last."""

    rows: tuple[Violation, ...]
    next: str


class Messages(NamedTuple):
    """Texts of one format, and the cursor behind the last."""

    texts: tuple[str, ...]
    content_type: str
    next: str


class Feed:
    """By `heads.changed_ns`, which is larger the later it was committed."""

    def __init__(self, material: Material, violations: Violations) -> None:
        self._material = material
        self._violations = violations

    def now(self) -> str:
        """The cursor behind all that is stored."""
        return cursor_of(self._material.store.columns.current().changed_ns, "~")

    def after(self, who: Who, after: str, limit: int = 100) -> Told:
        """What was stored of violations after a cursor; "" is the beginning. Raises InvalidError, ForbiddenError."""
        who.require(Right.READ)
        changed_ns, id_ = read_cursor(after, int, str) if after else (-1, "")
        found = self._material.store.lookup.changed(changed_ns, id_, min(limit, MAX_ROWS))
        rows = self._violations.of_rows(who, [row for _, row in found])
        return Told(rows, cursor_of(found[-1][0], found[-1][1].episode.id) if found else after)

    def messages(self, who: Who, form: str, after: str, limit: int = 100) -> Messages:
        """The same as a SIEM takes it: wardwatch, ecs, ocsf, cef or eve. The reading is recorded."""
        who.require(Right.EXPORT)
        changed_ns, id_ = read_cursor(after, int, str) if after else (-1, "")
        store = self._material.store
        found = store.lookup.changed(changed_ns, id_, min(limit, MAX_ROWS))
        texts = []
        for _, row in found:
            episode = store.episode(row.episode.id).episode
            device = self._material.device(who, episode.device)
            told = shown.violation(
                episode,
                sequence=row.sequence,
                recorded_ns=row.recorded_ns,
                occasion=Occasion.NEW,
                label=device.label or device.pseudonym,
                names=self._material.setup.app_names,
                site=self._material.setup.settings.site.name,
                version=version("wardwatch"),
                devices=ShownAs.LABEL if device.is_masked else ShownAs.ID,
            )
            texts.append(formats.text(told, form))
        following = cursor_of(found[-1][0], found[-1][1].episode.id) if found else after
        if found:
            ids = [row.episode.id for _, row in found]
            seen = any(who.sees(row.episode.device.id) for _, row in found)
            self._material.recorder.read(who, "siem", ids, identities=seen, form=form)
        return Messages(tuple(texts), formats.content_type(form), following)
