"""Listing violations with facets, and showing one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sensor import wording
from sensor.errors import StoreError
from sensor.model import Activity, Severity
from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.people import Right
from sensor.services.pseudonyms import hider
from sensor.services.query import Narrowed, Query, cursor_of, days_from, read_cursor
from sensor.services.records import (
    Detail,
    EvidenceItem,
    Facet,
    FacetValue,
    Judged,
    Page,
    Violation,
)
from sensor.store.columns import STATES
from sensor.store.follow_records import STEPS, Action, Standing
from sensor.store.views import CALL, CANDIDATES
from sensor.wireshark import evidence_filter, flow_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sensor.model import Device, Episode, Evidence
    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.store import StoredEpisode
    from sensor.store.records import Revision, Row

MAX_PAGE: Final = 500
MOST_DEVICES: Final = 20  # in a facet
MOST_DAYS: Final = 31
MOST_COUNTED: Final = 64  # facets that are kept


class Violations:
    """What happened. `Material` has the store and the configuration."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._counted: dict[tuple[object, ...], tuple[Facet, ...]] = {}

    def page(
        self, who: Who, query: Query, *, limit: int = 50, after: str | None = None, with_facets: bool = True
    ) -> Page:
        """Newest start first. Raises InvalidError, ForbiddenError."""
        who.require(Right.READ)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidError(f"is not between 1 and {MAX_PAGE}", "limit")
        rows = self._material.narrowed(who, query)
        mask = rows.all_but()
        places = np.arange(rows.high - rows.low) if mask is None else np.flatnonzero(mask)
        until = len(places) if after is None else _before(rows, places, after)
        chosen = places[max(0, until - limit) : until][::-1]
        shown = self.of_rows(who, self._material.rows(rows, chosen))
        following = until > limit
        last = _cursor(rows, chosen[-1]) if following and len(chosen) else None
        return Page(shown, len(places), last, self._facets(who, query, rows) if with_facets else ())

    def facets(self, who: Who, query: Query) -> tuple[Facet, ...]:
        """How many rows each further choice would leave; a facet's own choice does not narrow it."""
        who.require(Right.READ)
        return self._facets(who, query, self._material.narrowed(who, query))

    def of_rows(self, who: Who, rows: Sequence[Row]) -> tuple[Violation, ...]:
        """Rows of the store as who asks may see them."""
        standings = self._material.store.follow_up.standings(row.episode.id for row in rows)
        return tuple(self._violation(who, row.episode, standings[row.episode.id], row.recorded_ns) for row in rows)

    def one(self, who: Who, id_: str) -> Detail:
        """One violation, by its id or a beginning that only it has. Raises NotFoundError. The reading is recorded."""
        who.require(Right.READ)
        stored = self._stored(id_)
        episode = stored.episode
        store = self._material.store
        device = self._material.device(who, episode.device)
        hide = self._hider(who, episode.device)
        members = store.lookup.merged_into(episode.id)
        standing = store.follow_up.standings([episode.id])[episode.id]
        self._material.recorder.read(who, "violation", [episode.id], identities=not device.is_masked)
        return Detail(
            violation=self._violation(who, episode, standing, stored.revisions[-1].recorded_ns),
            evidence=tuple(_item(number, one, hide) for number, one in enumerate(episode.evidence, 1)),
            evidence_total=episode.evidence_total,
            profile=episode.profile,
            revisions=tuple(map(_judged, stored.revisions)),
            history=tuple(store.follow_up.history([episode.id, *members])),
            actions=possible(standing.state) if who.may(Right.CHANGE) else (),
            merged=tuple(members),
        )

    def _stored(self, id_: str) -> StoredEpisode:
        try:
            return self._material.store.episode(id_)
        except StoreError as error:
            if "no episode" in str(error) or "several episodes" in str(error):
                raise NotFoundError(str(error)) from error
            raise

    def _hider(self, who: Who, device: Device) -> Callable[[str], str]:
        if who.sees(device.id):
            return lambda text: text
        addresses = (*device.addresses, device.address, device.mac, device.id.partition(":")[2])
        return hider(addresses, self._material.pseudonyms.of(device.id))

    def _violation(self, who: Who, episode: Episode, standing: Standing, recorded_ns: int) -> Violation:
        verdict = episode.verdict
        return Violation(
            id=episode.id,
            version=standing.version,
            state=standing.state,
            closing_reason=standing.reason,
            assignee=standing.assignee,
            outcome=verdict.outcome.value,
            severity=verdict.severity.label,
            app=episode.app,
            candidates=episode.candidates,
            app_name=wording.app_text(episode, self._material.setup.app_names)
            or self._material.app_text(episode.app or ""),
            activity=episode.activity.label,
            network=episode.network,
            device=self._material.device(who, episode.device),
            start_ns=episode.start_ns,
            end_ns=episode.end_ns,
            bytes_up=episode.bytes_up,
            bytes_down=episode.bytes_down,
            packets=episode.packets,
            flows=episode.flows,
            strength=episode.strength.label,
            rule=verdict.rule,
            reason=verdict.reason,
            services=episode.services,
            names=episode.names,
            notes=episode.notes,
            policy_hash=verdict.policy_hash,
            signatures_hash=episode.signatures_hash,
            signature_version=episode.signature_version,
            recorded_ns=recorded_ns,
        )

    def _facets(self, who: Who, query: Query, rows: Narrowed) -> tuple[Facet, ...]:
        """Counted once for all who ask the same while nothing changes, and see the same of devices."""
        key = rows.columns.version, query, who.sees_all, who.unmasked
        known = self._counted.get(key)
        if known is None or query.assignee:  # who is to look after what is not in the columns
            known = self._count(who, query, rows)
            if len(self._counted) >= MOST_COUNTED:
                self._counted.clear()
            self._counted[key] = known
        return known

    def _count(self, who: Who, query: Query, rows: Narrowed) -> tuple[Facet, ...]:
        return (
            self._coded("network", query.networks, rows, "network", lambda text: text),
            self._apps(query, rows),
            _levels("activity", query.activities, rows, "activity", {int(one): one.label for one in Activity}),
            _levels("severity", query.severities, rows, "severity", {int(one): one.label for one in Severity}),
            _levels("state", query.states, rows, "state", {number: one.value for number, one in enumerate(STATES)}),
            self._devices(who, query, rows),
            self._days(query, rows),
        )

    @staticmethod
    def _coded(name: str, chosen: Sequence[str], rows: Narrowed, column: str, label: Callable[[str], str]) -> Facet:
        texts = rows.texts(column)
        counts = rows.counts(name, column, len(texts))
        found = {text: int(count) for text, count in zip(texts, counts, strict=True) if count or text in chosen}
        return Facet(name, _values({text: (label(text), count) for text, count in found.items()}, chosen))

    def _apps(self, query: Query, rows: Narrowed) -> Facet:
        """An episode with several candidates counts for each of them."""
        keys = rows.texts("app_key")
        found: dict[str, int] = dict.fromkeys(query.apps, 0)
        for key, count in zip(keys, rows.counts("app", "app_key", len(keys)).tolist(), strict=True):
            if count:
                for app in apps_of(key):
                    found[app] = found.get(app, 0) + count
        labelled = {app: (self._material.app_text(app), count) for app, count in found.items()}
        return Facet("app", _values(labelled, query.apps))

    def _devices(self, who: Who, query: Query, rows: Narrowed) -> Facet:
        """Those with the most, and those chosen."""
        texts = rows.texts("device")
        counts = rows.counts("device", "device", len(texts))
        most = np.argsort(-counts, kind="stable")[:MOST_DEVICES]
        wanted = {int(code) for code in most if counts[code]}
        ids = self._material.device_ids(who, query.devices) if query.devices else set()
        wanted |= {rows.columns.words["device"].codes[id_] for id_ in ids if id_ in rows.columns.words["device"].codes}
        found: dict[str, tuple[str, int]] = {}
        for code in wanted:
            device = self._material.device_of_id(who, texts[code])
            found[device.pseudonym] = device.text, int(counts[code])
        return Facet("device", _values(found, query.devices), int(np.count_nonzero(counts)) - len(wanted))

    def _days(self, query: Query, rows: Narrowed) -> Facet:
        """The newest days of which there is something."""
        mask = rows.all_but("day")
        start = rows.column("start_ns")
        if not len(start):
            return Facet("day", ())
        zone = self._material.zone
        first, last = self._material.day(int(start[0])), self._material.day(int(start[-1]))
        begins = days_from(first, (last - first).days + 1, zone)
        edges = np.searchsorted(start, begins, "left")
        seen = np.concatenate([[0], np.cumsum(np.ones(len(start), np.int64) if mask is None else mask)])
        counts = np.diff(seen[edges])
        days = {self._material.day(begin).isoformat(): int(count)
                for begin, count in zip(begins, counts, strict=False) if count}  # fmt: skip
        newest = sorted(days, reverse=True)[:MOST_DAYS]
        shown = {day: (day, days.get(day, 0)) for day in (*newest, *query.days)}
        ordered = tuple(FacetValue(day, *shown[day], day in query.days) for day in sorted(shown, reverse=True))
        return Facet("day", ordered, len(days) - len(newest))


def apps_of(key: str) -> list[str]:
    """The app of a key, or its candidates."""
    return key.removesuffix(CALL).removeprefix(CANDIDATES).split("|")


def possible(state: str) -> tuple[str, ...]:
    """What may be done from a state."""
    return tuple(action.value for action in Action if action in STEPS and state in STEPS[action][0])


def _cursor(rows: Narrowed, place: int) -> str:
    return cursor_of(int(rows.column("start_ns")[place]), rows.column("id")[place].decode())


def _before(rows: Narrowed, places: NDArray[np.int64], after: str) -> int:
    """How many of the places lie before a cursor, in the columns' order."""
    start_ns, id_ = read_cursor(after, int, str)
    start, ids = rows.column("start_ns"), rows.column("id")
    low = int(np.searchsorted(start[places], start_ns, "left"))
    wanted = id_.encode("utf-8", "replace")[:32]
    while low < len(places) and start[places[low]] == start_ns and ids[places[low]] < wanted:
        low += 1
    return low


def _levels(name: str, chosen: Sequence[str], rows: Narrowed, column: str, labels: dict[int, str]) -> Facet:
    counts = rows.counts(name, column, max(labels) + 1)
    found = [(code, label, int(counts[code])) for code, label in labels.items() if counts[code] or label in chosen]
    return Facet(name, tuple(FacetValue(label, label, count, label in chosen) for _, label, count in found))


def _values(found: dict[str, tuple[str, int]], chosen: Sequence[str]) -> tuple[FacetValue, ...]:
    """The most frequent first."""
    made = [FacetValue(value, label, count, value in chosen) for value, (label, count) in found.items()]
    return tuple(sorted(made, key=lambda one: (-one.count, one.label, one.value)))


def _item(number: int, one: Evidence, hide: Callable[[str], str]) -> EvidenceItem:
    return EvidenceItem(
        number=number,
        kind=one.kind,
        kind_text=wording.KINDS.get(one.kind, one.kind),
        value=hide(one.value),
        detail=hide(one.detail),
        file=one.file,
        frame=one.frame,
        time_ns=one.time_ns,
        flow=hide(str(one.flow)),
        app=one.match.app,
        rule=one.match.rule,
        strength=one.match.strength.label,
        wireshark=_usable(evidence_filter(one), hide),
        wireshark_flow=_usable(flow_filter(one.flow), hide),
        packet_id=one.packet_id,
    )


def _usable(display_filter: str, hide: Callable[[str], str]) -> str:
    """A display filter without the terms that name whom it hides: Wireshark takes no pseudonym for an address."""
    return " && ".join(term for term in display_filter.split(" && ") if hide(term) == term)


def _judged(one: Revision) -> Judged:
    verdict: Any = one.verdict
    return Judged(
        one.sequence, one.recorded_ns, verdict.outcome.value, verdict.severity.label, one.activity.label, verdict.rule,
        verdict.reason, verdict.policy_hash, one.signatures_hash, one.signature_version, one.start_ns, one.end_ns,
        one.bytes_up, one.bytes_down, one.merged_into,
    )  # fmt: skip


__all__ = ["MAX_PAGE", "Violations", "apps_of", "possible"]
