"""Devices, networks, apps and numbers over time, counted in the columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sensor.model import Activity, Outcome, Severity
from sensor.networks import Networks
from sensor.services.errors import InvalidError
from sensor.services.people import Right
from sensor.services.query import OPEN, Narrowed, Query, cursor_of, days_from, read_cursor
from sensor.services.records import (
    AppSummary,
    DevicePage,
    DeviceSummary,
    FacetValue,
    NetworkSummary,
    Series,
    Statistics,
    Summary,
    Tally,
)
from sensor.services.violations import MAX_PAGE, apps_of
from sensor.store.columns import OUTCOMES, STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.violations import Violations

STEPS: Final = ("hour", "day", "week", "month")
BYS: Final = ("app", "network", "activity", "severity", "state")
MAX_STEPS: Final = 1500
HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
VIOLATION: Final = OUTCOMES.index(Outcome.VIOLATION)
EVERYTHING: Final = tuple(one.value for one in Outcome)
NEWEST: Final = 5


class Overview:
    """Sums. All of them are of what lists show."""

    def __init__(self, material: Material, violations: Violations) -> None:
        self._material = material
        self._violations = violations

    def devices(self, who: Who, query: Query, *, limit: int = 50, after: str | None = None) -> DevicePage:
        """Devices by their number of violations, most first; `query.outcomes` is not asked."""
        who.require(Right.READ)
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidError(f"is not between 1 and {MAX_PAGE}", "limit")
        rows = self._material.narrowed(who, replace(query, outcomes=EVERYTHING))
        mask = rows.all_but()
        device, texts = _kept(rows, "device", mask), rows.texts("device")
        violates, is_open = violates_and_open(rows, mask)
        sums = [np.bincount(device[which], minlength=len(texts)) for which in (violates, is_open, slice(None))]
        start = _kept(rows, "start_ns", mask)
        first = np.full(len(texts), np.iinfo(np.int64).max)
        last = np.full(len(texts), np.iinfo(np.int64).min)
        np.minimum.at(first, device, start)
        np.maximum.at(last, device, start)
        order = np.lexsort((np.arange(len(texts)), -last, -sums[0]))
        order = order[sums[2][order] > 0]
        begin = 0
        if after is not None:
            key = tuple(read_cursor(after, int, int, int))
            listed = list(zip((-sums[0][order]).tolist(), (-last[order]).tolist(), order.tolist(), strict=True))
            begin = next((at for at, one in enumerate(listed) if one > key), len(listed))
        chosen = order[begin : begin + limit]
        details = self._of_devices(rows, mask, chosen, violates)
        made = tuple(
            DeviceSummary(
                device=self._material.device_of_id(who, texts[code]),
                violations=int(sums[0][code]),
                open=int(sums[1][code]),
                episodes=int(sums[2][code]),
                apps=details[int(code)][0],
                networks=details[int(code)][1],
                first_ns=int(first[code]),
                last_ns=int(last[code]),
            )
            for code in chosen
        )
        end = chosen[-1] if begin + limit < len(order) else None
        following = None if end is None else cursor_of(-int(sums[0][end]), -int(last[end]), int(end))
        self._record(who, made)
        return DevicePage(made, len(order), following)

    def _of_devices(
        self, rows: Narrowed, mask: Any, chosen: NDArray[np.int64], violates: NDArray[np.bool_]
    ) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Apps of violations, and networks, of each device."""
        device = _kept(rows, "device", mask)
        here = np.flatnonzero(np.isin(device, chosen))
        keys, networks = _kept(rows, "app_key", mask), _kept(rows, "network", mask)
        words = rows.columns.words
        found: dict[int, tuple[set[str], set[str]]] = {int(code): (set(), set()) for code in chosen}
        triples = np.unique(
            np.stack([device[here], keys[here], networks[here], violates[here]]).astype(np.int64), axis=1
        )
        for code, key, network, violation in triples.T.tolist():
            found[code][1].add(words["network"].texts[network])
            if violation:
                found[code][0].update(map(self._material.app_text, apps_of(words["app_key"].texts[key])))
        return {code: (tuple(sorted(apps)), tuple(sorted(where))) for code, (apps, where) in found.items()}

    def _record(self, who: Who, devices: tuple[DeviceSummary, ...]) -> None:
        seen = [one.device.pseudonym for one in devices if not one.device.is_masked]
        if seen:
            self._material.recorder.read(who, "devices", seen, identities=True)

    def device(self, who: Who, pseudonym: str) -> DeviceSummary | None:
        """One device; None where nothing is listed of it. The reading is recorded."""
        who.require(Right.READ)
        page = self.devices(who, Query(devices=(pseudonym,)), limit=1)
        if not page.rows:
            return None
        if page.rows[0].device.is_masked:
            self._material.recorder.read(who, "device", [pseudonym])
        return page.rows[0]

    def networks(self, who: Who) -> tuple[NetworkSummary, ...]:
        """The configured networks, and those that something is stored of. Of excluded ones there are only counts of hidden flows."""
        who.require(Right.READ)
        rows = self._material.narrowed(who, Query(outcomes=EVERYTHING))
        texts = rows.texts("network")
        sums = _sums(rows, rows.column("network"), len(texts))
        hidden: dict[str, int] = {}
        for one in self._material.store.sightings():
            if one["record"] == "observation":
                hidden[one["network"]] = hidden.get(one["network"], 0) + int(one["flows"])
        known = {one.name: one for one in Networks(self._material.setup.settings).all}
        made = []
        for name in dict.fromkeys((*known, *sorted(texts))):
            network = known.get(name)
            code = texts.index(name) if name in texts else None
            counted = sums(code)
            made.append(NetworkSummary(name, network.kind if network else "", bool(network and network.excluded),
                                       *counted, hidden.get(name, 0)))  # fmt: skip
        return tuple(made)

    def apps(self, who: Who) -> tuple[AppSummary, ...]:
        """Apps that were seen or that the policy names, most violations first; an episode with candidates counts for each."""
        who.require(Right.READ)
        rows = self._material.narrowed(who, Query(outcomes=EVERYTHING))
        keys = rows.texts("app_key")
        policy = self._material.setup.settings.policy
        standing = dict.fromkeys(policy.disallowed, "disallowed") | dict.fromkeys(policy.approved, "approved")
        codes: dict[str, list[int]] = {app: [] for app in standing}
        for code, key in enumerate(keys):
            for app in apps_of(key):
                codes.setdefault(app, []).append(code)
        made = []
        for app, of_app in codes.items():
            table = np.zeros(len(keys), np.int64)
            table[of_app] = 1
            counted = _sums(rows, table[rows.column("app_key")], 2)(1) if of_app else (0, 0, 0, 0, None)
            made.append(AppSummary(app, self._material.app_text(app), standing.get(app, "unlisted"), *counted))
        return tuple(sorted(made, key=lambda one: (-one.violations, -one.episodes, one.name)))

    def statistics(self, who: Who, query: Query, *, by: str = "app", step: str = "day") -> Statistics:
        """Counts of what the query finds, by `by`, in steps of the site's clock. Raises InvalidError."""
        who.require(Right.READ)
        if by not in BYS:
            raise InvalidError(f"is none of {', '.join(BYS)}", "by")
        if step not in STEPS:
            raise InvalidError(f"is none of {', '.join(STEPS)}", "step")
        rows = self._material.narrowed(who, query)
        mask = rows.all_but()
        start = _kept(rows, "start_ns", mask)
        if not len(start):
            return Statistics(by, step, (), query.until_ns or 0, (), 0)
        low = int(start[0]) if query.since_ns is None else max(query.since_ns, int(start[0]) - 366 * DAY_NS)
        begins = self._steps(low, int(start[-1]), step)
        column = {"app": "app_key"}.get(by, by)
        codes, labels = _kept(rows, column, mask), self._labels(rows, by)
        when = np.searchsorted(begins, start, "right") - 1
        size, most = len(begins) - 1, max(labels) + 1
        table = np.bincount(codes.astype(np.int64) * size + when, minlength=most * size).reshape(-1, size)
        counts: dict[tuple[str, str], NDArray[np.int64]] = {}
        for code, values in labels.items():
            if table[code].any():
                for value in values:
                    counts[value] = counts.get(value, np.zeros(size, np.int64)) + table[code]
        series = [Series(*value, tuple(column.tolist())) for value, column in counts.items()]
        series.sort(key=lambda one: (-sum(one.counts), one.label))
        return Statistics(by, step, tuple(begins[:-1]), begins[-1], tuple(series), len(start))

    def _labels(self, rows: Narrowed, by: str) -> dict[int, list[tuple[str, str]]]:
        """Value and label of each code; several of an app key with candidates."""
        words = rows.columns.words
        if by == "app":
            return {code: [(app, self._material.app_text(app)) for app in apps_of(key)]
                    for code, key in enumerate(words["app_key"].texts)}  # fmt: skip
        if by == "network":
            return {code: [(text, text)] for code, text in enumerate(words["network"].texts)}
        if by == "state":
            return {code: [(one.value, one.value)] for code, one in enumerate(STATES)}
        levels: type[Activity | Severity] = Activity if by == "activity" else Severity
        return {int(one): [(one.label, one.label)] for one in levels}

    def _steps(self, low_ns: int, high_ns: int, step: str) -> list[int]:
        """When the steps begin, and where the last ends. Raises InvalidError for too many."""
        first, last = self._material.day(low_ns), self._material.day(high_ns)
        if step == "week":
            first -= timedelta(days=first.weekday())
        if step == "month":
            first = first.replace(day=1)
        days = (last - first).days + 1
        if days * (24 if step == "hour" else 1) > MAX_STEPS * (7 if step in {"week", "month"} else 1):
            raise InvalidError(f"makes more than {MAX_STEPS} steps; give since and until", "step")
        begins = list(days_from(first, days + 32, self._material.zone))
        if step == "hour":
            hours = np.arange(begins[0], begins[days] + 1, HOUR_NS)
            return [int(one) for one in hours]
        if step == "month":
            begins = [begin for begin in begins if self._material.day(begin).day == 1]
        if step == "week":
            begins = begins[::7]
        end = next(at for at, begin in enumerate(begins) if begin > high_ns)
        return begins[: end + 1]

    def summary(self, who: Who) -> Summary:
        """What the first page says. Today is of the site's clock."""
        who.require(Right.READ)
        now_ns = self._material.now_ns()
        today = self._material.day(now_ns)
        begins = days_from(today - timedelta(days=6), 7, self._material.zone)
        rows = self._material.narrowed(who, Query())
        mask = rows.all_but()
        start = _kept(rows, "start_ns", mask)
        is_open = _is_open(_kept(rows, "state", mask))

        def tally(since_ns: int) -> Tally:
            low, high = np.searchsorted(start, [since_ns, begins[-1]], "left")
            return Tally(int(high - low), int(np.count_nonzero(is_open[low:high])))

        page = self._violations.page(who, Query(states=OPEN), limit=NEWEST)
        facets = {one.name: one.values for one in page.facets}
        return Summary(
            today.isoformat(),
            tally(begins[6]),
            tally(begins[0]),
            Tally(len(start), int(np.count_nonzero(is_open))),
            facets["severity"],
            tuple(FacetValue(one.value, one.label, one.count, False) for one in facets["state"]),
            len(self._material.store.follow_up.assigned(who.name)),
            page.rows,
        )


def _kept(rows: Narrowed, column: str, mask: Any) -> NDArray[Any]:
    found = rows.column(column)
    return found if mask is None else found[mask]


def _is_open(state: NDArray[Any]) -> NDArray[np.bool_]:
    return state < [one.value for one in STATES].index("closed")


def violates_and_open(rows: Narrowed, mask: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which are violations, and which of them are open."""
    violates = _kept(rows, "outcome", mask) == VIOLATION
    return violates, violates & _is_open(_kept(rows, "state", mask))


def _sums(
    rows: Narrowed, codes: NDArray[Any], size: int
) -> Callable[[int | None], tuple[int, int, int, int, int | None]]:
    """By code: violations, open ones, episodes, devices, and the start of the last."""
    violates, is_open = violates_and_open(rows, None)
    counts = [np.bincount(codes[which], minlength=size) for which in (violates, is_open, slice(None))]
    device, start = rows.column("device"), rows.column("start_ns")

    def of(code: int | None) -> tuple[int, int, int, int, int | None]:
        if code is None or not counts[2][code]:
            return 0, 0, 0, 0, None
        here = codes == code
        last = int(start[len(here) - 1 - int(here[::-1].argmax())])
        devices = int(np.count_nonzero(np.bincount(device[here])))
        return int(counts[0][code]), int(counts[1][code]), int(counts[2][code]), devices, last

    return of
