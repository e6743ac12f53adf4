"""Exceptions made from violations: what one would silence, making it, ending it. A running sensor takes them up by itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sensor.errors import StoreError
from sensor.model import Outcome
from sensor.services.errors import ConflictError, InvalidError, NotFoundError
from sensor.services.people import Right
from sensor.services.query import Query
from sensor.store.exceptions import StoredException

if TYPE_CHECKING:
    from sensor.model import Episode
    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.records import DeviceRef, Violation
    from sensor.services.violations import Violations
    from sensor.settings import PolicyException

DAY_NS: Final = 86_400_000_000_000
MAX_DAYS: Final = 366
LEAST_REASON, MOST_TEXT = 10, 500  # characters
EXAMPLES: Final = 20
PERIOD_NS: Final = 30 * DAY_NS


@dataclass(frozen=True, slots=True)
class Wanted:
    """An exception that covers a violation and what is like it. `same_...` False: any. Times: `from_ns` None is now."""

    episode_id: str
    reason: str
    until_ns: int
    from_ns: int | None = None
    name: str = ""
    owner: str = ""
    same_device: bool = True
    same_network: bool = True
    same_activity: bool = False


@dataclass(frozen=True, slots=True)
class ExceptionInfo:
    """One exception. `origin`: configuration, or page where it was made from a violation; `status`: coming, in_force, over, ended."""

    id: str
    origin: str
    status: str
    name: str
    apps: tuple[str, ...]
    devices: tuple[DeviceRef, ...]
    where: tuple[str, ...]
    activities: tuple[str, ...]
    from_ns: int | None
    until_ns: int | None
    reason: str
    owner: str
    episode_id: str
    made_by: str
    recorded_ns: int | None
    ended_by: str
    ended_ns: int | None
    ended_why: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an exception would have silenced of what is stored: in all, in the last thirty days, still open; and the newest of it."""

    exception: ExceptionInfo
    matches: int
    last_thirty_days: int
    open: int
    devices: int
    examples: tuple[Violation, ...]


class Exceptions:
    """What is allowed in spite of the lists."""

    def __init__(self, material: Material, violations: Violations) -> None:
        self._material = material
        self._violations = violations

    def listed(self, who: Who) -> tuple[ExceptionInfo, ...]:
        """Those of the configuration, then those made from violations, oldest first."""
        who.require(Right.READ)
        configured = self._material.setup.settings.policy.exceptions
        made = [self._configured(who, number, one) for number, one in enumerate(configured)]
        return (*made, *(self._stored(who, one) for one in self._material.store.exceptions.listed()))

    def one(self, who: Who, id_: str) -> ExceptionInfo:
        """Raises NotFoundError."""
        found = next((one for one in self.listed(who) if one.id == id_), None)
        if found is None:
            raise NotFoundError(f"there is no exception {id_!r}")
        return found

    def preview(self, who: Who, wanted: Wanted) -> Preview:
        """Before it is made. Raises InvalidError, NotFoundError, ForbiddenError."""
        who.require(Right.EXCEPT)
        made = self._made(who, wanted)
        # What lies in the past is looked at whole: that is what shows how much an exception lets through.
        pseudonyms = tuple(self._material.pseudonyms.of(one) for one in made.devices)
        query = Query(networks=made.where, apps=made.apps, activities=made.activities, devices=pseudonyms)
        page = self._violations.page(who, query, limit=EXAMPLES, with_facets=False)
        recent = replace(query, since_ns=self._material.now_ns() - PERIOD_NS)
        opened = replace(query, states=("new", "acknowledged", "investigating"))
        rows = self._material.narrowed(who, query)
        mask = rows.all_but()
        device = rows.column("device")
        return Preview(
            self._stored(who, made),
            page.total,
            self._violations.page(who, recent, limit=1, with_facets=False).total,
            self._violations.page(who, opened, limit=1, with_facets=False).total,
            len(set((device if mask is None else device[mask]).tolist())),
            page.rows,
        )

    def make(self, who: Who, wanted: Wanted) -> ExceptionInfo:
        """In force on a running sensor within five seconds. Raises InvalidError, NotFoundError, ForbiddenError, ConflictError."""
        who.require(Right.EXCEPT)
        made = self._made(who, wanted)
        names = {one.name for one in self._material.setup.settings.policy.exceptions}
        if made.name in names or not self._material.store.exceptions.make(made):
            raise ConflictError(f"there is an exception of the name {made.name!r} already")
        return self._stored(who, made)

    def end(self, who: Who, id_: str, why: str) -> ExceptionInfo:
        """What begins from now on is judged without it. Raises NotFoundError, ConflictError, InvalidError, ForbiddenError."""
        who.require(Right.EXCEPT)
        known = self.one(who, id_)
        if known.origin == "configuration":
            raise ConflictError("this one is in the configuration file, and is ended there")
        if not self._material.store.exceptions.end(id_, who.name, _text(why, "why", LEAST_REASON)):
            raise ConflictError("it was ended already")
        return self.one(who, id_)

    def _made(self, who: Who, wanted: Wanted) -> StoredException:
        episode = self._episode(wanted.episode_id)
        if episode.verdict.outcome not in {Outcome.VIOLATION, Outcome.REVIEW}:
            raise InvalidError("is neither a violation nor for review: it needs no exception", "violation")
        now_ns = self._material.now_ns()
        from_ns = now_ns if wanted.from_ns is None else wanted.from_ns
        if not max(from_ns, now_ns) < wanted.until_ns <= now_ns + MAX_DAYS * DAY_NS:
            raise InvalidError(f"must be after its beginning and now, and within {MAX_DAYS} days from now", "until")
        apps = (episode.app,) if episode.app is not None else episode.candidates
        id_ = secrets.token_hex(6)
        return StoredException(
            id=id_,
            name=_text(wanted.name, "name", 3) if wanted.name else f"{self._called(episode)} ({id_})",
            apps=tuple(apps),
            devices=(episode.device.id,) if wanted.same_device else (),
            where=(episode.network,) if wanted.same_network else (),
            activities=(episode.activity.label,) if wanted.same_activity else (),
            from_ns=from_ns,
            until_ns=wanted.until_ns,
            reason=_text(wanted.reason, "reason", LEAST_REASON),
            owner=_text(wanted.owner, "owner", 2) if wanted.owner else who.name,
            episode_id=episode.id,
            made_by=who.name,
            recorded_ns=now_ns,
        )

    def _called(self, episode: Episode) -> str:
        """What it is called where nobody says."""
        apps = (episode.app,) if episode.app is not None else episode.candidates
        return f"{' or '.join(map(self._material.app_text, apps))} on {episode.network}"

    def _episode(self, id_: str) -> Episode:
        try:
            return self._material.store.episode(id_).episode
        except StoreError as error:
            raise NotFoundError(str(error)) from error

    def _stored(self, who: Who, one: StoredException) -> ExceptionInfo:
        return ExceptionInfo(
            one.id, "page", self._status(one.from_ns, one.until_ns, one.ended_ns), one.name, one.apps,
            tuple(self._material.device_of_id(who, id_) for id_ in one.devices), one.where, one.activities, one.from_ns,
            one.until_ns, one.reason, one.owner, one.episode_id, one.made_by, one.recorded_ns, one.ended_by, one.ended_ns,
            one.ended_why,
        )  # fmt: skip

    def _configured(self, who: Who, number: int, one: PolicyException) -> ExceptionInfo:
        devices = tuple(self._material.device_of_id(who, id_) for id_ in one.devices)
        activities = tuple(activity.label for activity in one.activities)
        return ExceptionInfo(
            f"configuration-{number}", "configuration", self._status(one.from_ns, one.until_ns, None), one.name, one.apps,
            devices, one.where, activities, one.from_ns, one.until_ns, one.reason, one.owner, "", "", None, "", None, "",
        )  # fmt: skip

    def _status(self, from_ns: int | None, until_ns: int | None, ended_ns: int | None) -> str:
        now_ns = self._material.now_ns()
        if ended_ns is not None:
            return "ended"
        if until_ns is not None and until_ns <= now_ns:
            return "over"
        return "coming" if from_ns is not None and from_ns > now_ns else "in_force"


def _text(text: str, field: str, least: int) -> str:
    """One printable line. Raises InvalidError."""
    kept = text.strip()
    if not least <= len(kept) <= MOST_TEXT or not kept.isprintable():
        raise InvalidError(f"must be one line of {least} to {MOST_TEXT} characters", field)
    return kept
