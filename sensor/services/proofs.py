"""Evidence packs and reports for who asks over the network: the same as the commands write."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from sensor.errors import StoreError, WardwatchError
from sensor.proof import keys, making
from sensor.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from sensor.services.people import Right

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.services.material import Material
    from sensor.services.people import Who

MAX_EPISODES: Final = 20  # in one pack: each is cut from its capture while somebody waits
YEARS: Final = range(1970, 2200)
MAX_DAYS: Final = 3700
VERSION: Final = "0.1.0"
REPORT: Final = "report"


class Proofs:
    """What leaves the house as a file that can be checked or handed on. Each is recorded."""

    def __init__(self, material: Material) -> None:
        self._material = material

    def pack(self, who: Who, ids: Sequence[str]) -> making.Made:
        """Raises ForbiddenError, InvalidError, NotFoundError, ConflictError.

        A pack shows whose device it was, so who asks must see that: unmasked, with a reason, or by their role.
        """
        who.require(Right.EXPORT)
        if not 1 <= len(ids) <= MAX_EPISODES:
            raise InvalidError(f"one to {MAX_EPISODES} episodes go into a pack", "ids")
        store, setup = self._material.store, self._material.setup
        for id_ in ids:
            try:
                device = store.episode(id_).episode.device
            except StoreError as error:
                raise NotFoundError(f"no episode has the id {id_!r}") from error
            if not who.sees(device.id):
                raise ForbiddenError("a pack shows whose device it was: look that up first, with a reason")
        try:
            signer = keys.signer(keys.key_path(setup.settings, store.place))
            wanted = making.Request(store, setup, signer, setup.settings.proof.captures, who.name)
            return making.pack(wanted, ids)
        except StoreError:
            raise
        except WardwatchError as error:
            raise ConflictError(f"the pack cannot be made: {error}") from error

    def report(
        self, who: Who, first: date, last: date, *, network: str | None, language: str, form: Literal["html", "pdf"]
    ) -> bytes:
        """A period as a page or as PDF. Both days are included. Raises ForbiddenError, InvalidError."""
        from sensor.proof.report import numbers, page  # noqa: PLC0415 - pandas and what it brings come late
        from sensor.proof.report.words import words  # noqa: PLC0415 - as above

        who.require(Right.EXPORT)
        if first.year not in YEARS or last.year not in YEARS or not 0 <= (last - first).days <= MAX_DAYS:
            raise InvalidError(f"the days must follow each other, {MAX_DAYS} of them at most, from 1970 to 2199", "to")
        material = self._material
        asked = numbers.Asked(first, last, material.zone, network)
        found = numbers.collect(material.store, material.setup, asked, material.pseudonyms.of)
        material.recorder.read(who, REPORT, [], first=str(first), last=str(last), network=network, form=form)
        made = datetime.fromtimestamp(time.time(), UTC).astimezone(ZoneInfo(material.zone))
        text = page.html(found, words(language), page.About(material.setup.settings.site.name, VERSION, made))
        return page.pdf(text) if form == "pdf" else text.encode("utf-8")
