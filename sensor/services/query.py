"""What is asked of a list, and which rows of the columns that is."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from sensor.config_values import to_ns
from sensor.model import Activity, Outcome, Severity
from sensor.services.errors import InvalidError
from sensor.store.columns import CELL, OUTCOMES, STATES, is_in
from sensor.store.follow_records import State
from sensor.store.views import concerns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from sensor.store.columns import Columns

MAX_TEXT: Final = 200
OPEN: Final = (State.NEW.value, State.ACKNOWLEDGED.value, State.INVESTIGATING.value)
Mask = Any  # bool[rows]


@dataclass(frozen=True, slots=True)
class Query:
    """What a list is narrowed to; empty: not at all. Values of one field are alternatives. `devices` are pseudonyms, or ids that are seen.

    `days` are YYYY-MM-DD of the site's clock. `text` finds ids by their beginning, and pseudonyms, networks and apps by a part of them.
    """

    networks: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = (Outcome.VIOLATION.value,)
    assignee: str = ""
    since_ns: int | None = None  # inclusive; of the start
    until_ns: int | None = None  # exclusive
    text: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the words of a query mean at this store and for who asks; made by `Narrower`."""

    devices: Collection[str]  # device ids; only where the query names devices
    text_devices: Collection[str]
    text_apps: Collection[str]
    text_networks: Collection[str]
    text_ids: Collection[str]
    assigned: Collection[str] | None  # episode ids


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Rows `low` to `high` of the columns, and the masks of each filter that narrows them: of rows, or of cells."""

    columns: Columns
    low: int
    high: int
    masks: Mapping[str, Mask]
    cells: Mapping[str, Mask]
    kept: dict[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> NDArray[Any]:
        return self.columns.data[name][self.low : self.high]

    def texts(self, name: str) -> list[str]:
        """What the codes of a column stand for, as far as they go now: another thread may be adding some."""
        return self.columns.words[name].texts.copy()

    def all_but(self, left_out: str = "") -> Mask | None:
        """Rows that every filter but one lets through; None: all of them."""
        name = left_out if left_out in self.masks or left_out in self.cells else ""
        if name not in self.kept:
            self.kept[name] = self._rows(name)
        return self.kept[name]

    def _rows(self, left_out: str) -> Mask | None:
        found, cells = _all_of(self.masks, left_out), _all_of(self.cells, left_out)
        if cells is None:
            return found
        chosen = cells[self.column("cell")]
        return chosen if found is None else found & chosen

    def counts(self, facet: str, column: str, size: int) -> NDArray[np.int64]:
        """How often each code of a column is there, this facet's own choice left aside."""
        if column not in CELL:
            mask, codes = self.all_but(facet), self.column(column)
            return np.bincount(codes if mask is None else codes[mask], minlength=size)
        table = self.columns.cells.table()
        if "counted" not in self.kept:
            mask, codes = _all_of(self.masks, ""), self.column("cell")
            counted = np.bincount(codes if mask is None else codes[mask], minlength=len(table[column]))
            self.kept["counted"] = counted
        # Another thread may have numbered a new combination meanwhile: none of these rows has it.
        counted, codes = self.kept["counted"], table[column]
        cells = _all_of(self.cells, facet)
        most = min(len(counted), len(codes)) if cells is None else min(len(counted), len(codes), len(cells))
        weights = counted[:most] if cells is None else counted[:most] * cells[:most]
        return np.bincount(codes[:most], weights, size).astype(np.int64)  # exact up to 2**53


def checked(query: Query) -> Query:
    """Raises InvalidError where a value can be none."""
    for name, values, known in (
        ("activity", query.activities, [one.label for one in Activity]),
        ("severity", query.severities, [one.label for one in Severity]),
        ("state", query.states, [one.value for one in State]),
        ("outcome", query.outcomes, [one.value for one in Outcome]),
    ):
        for value in values:
            if value not in known:
                raise InvalidError(f"{value!r} is none of {', '.join(known)}", name)
    for day in query.days:
        _day(day)
    if len(query.text) > MAX_TEXT:
        raise InvalidError(f"is longer than {MAX_TEXT} characters", "text")
    return query


def narrowed(columns: Columns, query: Query, terms: Terms, zone: str) -> Narrowed:
    """The masks of a query that was `checked`."""
    start = columns.data["start_ns"]
    low = 0 if query.since_ns is None else int(np.searchsorted(start, query.since_ns, "left"))
    high = len(start) if query.until_ns is None else int(np.searchsorted(start, query.until_ns, "left"))
    high = max(low, high)
    data = {name: column[low:high] for name, column in columns.data.items()}
    words = columns.words
    masks: dict[str, Mask] = {}

    table = columns.cells.table()
    cells: dict[str, Mask] = {}

    def coded(name: str, column: str, codes: Collection[int]) -> None:
        cells[name] = _among(table[column], codes)

    coded("outcome", "outcome", [OUTCOMES.index(Outcome(one)) for one in query.outcomes])
    if query.networks:
        coded("network", "network", _codes(words["network"].codes, query.networks))
    if query.apps:
        coded("app", "app_key", [code for key, code in words["app_key"].codes.copy().items()
                                 if any(concerns(key, app) for app in query.apps)])  # fmt: skip
    if query.activities:
        coded("activity", "activity", [one for one in Activity if one.label in query.activities])
    if query.severities:
        coded("severity", "severity", [one for one in Severity if one.label in query.severities])
    if query.states:
        coded("state", "state", [number for number, one in enumerate(STATES) if one.value in query.states])
    if query.devices:
        masks["device"] = _among(data["device"], _codes(words["device"].codes, terms.devices))
    if query.days:
        masks["day"] = _in_days(data["start_ns"], query.days, zone)
    if terms.assigned is not None:
        masks["assignee"] = _with_ids(data, terms.assigned)
    if query.text:
        masks["text"] = _with_text(data, columns, terms, table)
    return Narrowed(columns, low, high, masks, cells)


def _all_of(masks: Mapping[str, Mask], left_out: str) -> Mask | None:
    found: Mask | None = None
    for name, mask in masks.items():
        if name != left_out:
            found = mask if found is None else found & mask
    return None if found is None or found.all() else found


def _codes(known: Mapping[str, int], texts: Collection[str]) -> list[int]:
    return [known[text] for text in texts if text in known]


def _among(column: NDArray[Any], codes: Collection[int]) -> Mask:
    listed = list(codes)
    if len(listed) == 1:
        return column == listed[0]
    if not listed:
        return np.zeros(len(column), np.bool_)
    table = np.zeros(max(int(column.max(initial=0)), *listed) + 1, np.bool_)
    table[listed] = True
    return table[column]


def _in_days(start_ns: NDArray[np.int64], days: Collection[str], zone: str) -> Mask:
    """Rows are in the order of their start, so a day is a run of them."""
    mask = np.zeros(len(start_ns), np.bool_)
    for text in days:
        first, last = day_span(text, zone)
        low, high = np.searchsorted(start_ns, [first, last], "left")
        mask[low:high] = True
    return mask


def _with_text(
    data: Mapping[str, NDArray[Any]], columns: Columns, terms: Terms, table: Mapping[str, NDArray[Any]]
) -> Mask:
    apps = [code for key, code in columns.words["app_key"].codes.copy().items()
            if any(concerns(key, app) for app in terms.text_apps)]  # fmt: skip
    cells = _among(table["network"], _codes(columns.words["network"].codes, terms.text_networks))
    mask = (cells | _among(table["app_key"], apps))[data["cell"]]
    mask |= _among(data["device"], _codes(columns.words["device"].codes, terms.text_devices))
    return mask | _with_ids(data, terms.text_ids)


def _with_ids(data: Mapping[str, NDArray[Any]], ids: Collection[str]) -> Mask:
    return is_in(data["id"], np.array(sorted({id_.encode() for id_ in ids}), "S32"))


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(f"{text!r} is not a day such as 2026-03-02", "day") from error
    if not 1970 < found.year < 2262:
        raise InvalidError(f"{text!r} is beyond the times that captures can hold", "day")
    return found


def day_span(text: str, zone: str) -> tuple[int, int]:
    """When a day of the site's clock begins and when the next one does. Raises InvalidError."""
    return days_from(_day(text), 1, zone)[0], days_from(_day(text), 1, zone)[1]


@lru_cache(maxsize=64)
def days_from(first: date, count: int, zone: str) -> tuple[int, ...]:
    """When `count` days in a row begin, and when the one after them does, ns."""
    there = ZoneInfo(zone)
    return tuple(to_ns(datetime.combine(first + timedelta(days=number), time(), there)) for number in range(count + 1))


def cursor_of(*values: int | str) -> str:
    """An opaque text that names where a page ended."""
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str, *types: type) -> list[Any]:
    """What `cursor_of` was given. Raises InvalidError."""
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    well = isinstance(found, list) and len(found) == len(types)
    if not well or not all(type(one) is kind for one, kind in zip(found, types, strict=True)):
        raise InvalidError("is not a cursor of this list", "after")
    if any(isinstance(one, int) and not -(1 << 63) <= one < 1 << 63 for one in found):
        raise InvalidError("is not a cursor of this list", "after")
    return list(found)
