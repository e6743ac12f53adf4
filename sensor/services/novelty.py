"""What a span of time brought that was not there before it: devices, and apps on a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sensor.services.people import Right
from sensor.services.query import Query
from sensor.services.violations import apps_of

if TYPE_CHECKING:
    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.query import Narrowed
    from sensor.services.records import DeviceRef


@dataclass(frozen=True, slots=True)
class Novelty:
    """`apps`: network and app's id. `earlier`: how many violations there were to compare with."""

    devices: tuple[DeviceRef, ...]
    apps: tuple[tuple[str, str], ...]
    earlier: int


def novelty(material: Material, who: Who, span_ns: tuple[int, int], compared_ns: int) -> Novelty:
    """Of the violations that began in the span, against those of the time `compared_ns` before it."""
    who.require(Right.READ)
    begin_ns, end_ns = span_ns
    now = material.narrowed(who, Query(since_ns=begin_ns, until_ns=end_ns))
    before = material.narrowed(who, Query(since_ns=begin_ns - compared_ns, until_ns=begin_ns))
    texts = now.columns.words["device"].texts
    fresh = np.setdiff1d(_seen(now, "device"), _seen(before, "device"))
    devices = tuple(material.device_of_id(who, texts[code]) for code in fresh.tolist())
    mask = before.all_but()
    earlier = before.high - before.low if mask is None else int(np.count_nonzero(mask))
    return Novelty(devices, tuple(sorted(_apps(now) - _apps(before))), earlier)


def _seen(rows: Narrowed, column: str) -> np.ndarray:
    found, mask = rows.column(column), rows.all_but()
    return np.unique(found if mask is None else found[mask])


def _apps(rows: Narrowed) -> set[tuple[str, str]]:
    """Network and app; an episode with candidates is of each."""
    networks, keys, mask = rows.column("network"), rows.column("app_key"), rows.all_but()
    pairs = networks.astype(np.int64) << 32 | keys
    words = rows.columns.words
    codes = np.unique(pairs if mask is None else pairs[mask]).tolist()
    return {(words["network"].texts[code >> 32], app)
            for code in codes for app in apps_of(words["app_key"].texts[code & 0xFFFFFFFF])}  # fmt: skip
