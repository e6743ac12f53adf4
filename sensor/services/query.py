"""What is asked of a list, and which rows of the columns that is."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from sensor.config_values import to_ns
from sensor.model import Activity, Outcome, Severity
from sensor.services.errors import InvalidError
from sensor.store.columns import OUTCOMES, STATES, is_in
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
    """Rows `low` to `high` of the columns, and of these the masks of each filter that narrows."""

    columns: Columns
    low: int
    high: int
    masks: Mapping[str, Mask]
    total: Mask | None  # what every filter lets through; None: all of them

    def column(self, name: str) -> NDArray[Any]:
        return self.columns.data[name][self.low : self.high]

    def all_but(self, left_out: str = "") -> Mask | None:
        """Rows that every filter but one lets through; None: all of them."""
        return _all_of(self.masks, left_out) if left_out in self.masks else self.total


def checked(query: Query) -> Query:
    """Raises InvalidError where a value can be none."""
    for field, values, known in (
        ("activity", query.activities, [one.label for one in Activity]),
        ("severity", query.severities, [one.label for one in Severity]),
        ("state", query.states, [one.value for one in State]),
        ("outcome", query.outcomes, [one.value for one in Outcome]),
    ):
        for value in values:
            if value not in known:
                raise InvalidError(f"{value!r} is none of {', '.join(known)}", field)
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

    def coded(name: str, column: str, codes: Collection[int]) -> None:
        masks[name] = _among(data[column], codes)

    coded("outcome", "outcome", [OUTCOMES.index(Outcome(one)) for one in query.outcomes])
    if query.networks:
        coded("network", "network", _codes(words["network"].codes, query.networks))
    if query.apps:
        coded("app", "app_key", [code for key, code in words["app_key"].codes.items()
                                 if any(concerns(key, app) for app in query.apps)])  # fmt: skip
    if query.activities:
        coded("activity", "activity", [one for one in Activity if one.label in query.activities])
    if query.severities:
        coded("severity", "severity", [one for one in Severity if one.label in query.severities])
    if query.states:
        coded("state", "state", [number for number, one in enumerate(STATES) if one.value in query.states])
    if query.devices:
        coded("device", "device", _codes(words["device"].codes, terms.devices))
    if query.days:
        masks["day"] = _in_days(data["start_ns"], query.days, zone)
    if terms.assigned is not None:
        masks["assignee"] = _with_ids(data, terms.assigned)
    if query.text:
        masks["text"] = _with_text(data, columns, terms)
    return Narrowed(columns, low, high, masks, _all_of(masks, ""))


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


def _with_text(data: Mapping[str, NDArray[Any]], columns: Columns, terms: Terms) -> Mask:
    mask = _among(data["device"], _codes(columns.words["device"].codes, terms.text_devices))
    mask |= _among(data["network"], _codes(columns.words["network"].codes, terms.text_networks))
    mask |= _among(data["app_key"], [code for key, code in columns.words["app_key"].codes.items()
                                     if any(concerns(key, app) for app in terms.text_apps)])  # fmt: skip
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
