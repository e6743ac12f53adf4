"""Counts flows as they end, for the visibility statement: whole batches at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sensor.kernel import layout
from sensor.kernel.lookup import numbers_of
from sensor.kernel.ranges import Ranges
from sensor.statement import BY_DNS, CLASSES, HIDDEN, ITSELF, TUNNEL, UNNAMED, NetworkHour, Statement, Sums, reasons_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from sensor.networks import Networks

HOUR_NS: Final = layout.HOUR_NS
IS_SERVICE: Final = np.zeros(1 << 16, np.bool_)  # by port: no use of a server that a name tells
IS_SERVICE[[53, 67, 68, 123, 137, 138, 546, 547, 1900, 3702, 5353, 5355]] = True
MAX_SPAN: Final = 24 * 7  # hours in which one flow marks its network as heard


@dataclass(slots=True)
class Counted:
    """By hour: int64[5, networks * classes] as `Counter` has them; networks and hours in which they were heard.

    `frames`: by when the hour began, all and lost ones, as the loop counted them.
    """

    sums: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    heard: set[tuple[int, int]] = field(default_factory=set)
    frames: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, other: Counted) -> None:
        for hour, sums in other.sums.items():
            self.sums[hour] = self.sums[hour] + sums if hour in self.sums else sums
        self.heard |= other.heard
        for begin, (frames, lost) in other.frames.items():
            before = self.frames.get(begin, (0, 0))
            self.frames[begin] = before[0] + frames, before[1] + lost


class Counter:
    """Flows and bytes by network, hour and class."""

    def __init__(self, networks: Networks, locals_: Ranges) -> None:
        """`locals_`: where devices are, while no network is configured."""
        self._networks = networks
        self._tables: dict[int | None, Ranges] = {}
        tags = (None, *networks.tags(), -1)
        for tag in tags:
            self._tables[tag] = Ranges.of(list(networks.ranges(tag)))
        if networks.all[0].index < 0:
            self._tables = {None: locals_}  # numbered 0, as the one network there is
        self._sums: dict[
            int, NDArray[np.int64]
        ] = {}  # by hour: network, class, (flows, bytes, one-way flows, bytes, several)
        self._heard: set[tuple[int, int]] = set()
        self._total = Sums()  # of hours that were taken
        self._frames = [0, 0]  # of these, and lost ones
        self._taken = 0  # hours before this were

    def add(self, rows: NDArray[np.void], named: NDArray[np.int64], hidden: Any, tunnels: Any) -> None:
        """Flows that ended; `named`: NAMED_* bits. `hidden`, `tunnels`: ids of flows with a hidden name or more inside."""
        network, kept = self._network_of(rows)
        if not kept.any():
            return
        rows, named, network = rows[kept], named[kept], network[kept]
        kind = np.full(len(rows), UNNAMED, np.int64)
        kind[(named & layout.NAMED_BY_DNS) != 0] = BY_DNS
        kind[(named & layout.NAMED_ITSELF) != 0] = ITSELF
        if len(tunnels):
            kind[np.isin(rows["flow_id"], tunnels)] = TUNNEL
        if len(hidden):
            kind[np.isin(rows["flow_id"], hidden)] = HIDDEN
        size = rows["bytes_0"] + rows["bytes_1"]
        one_way = (rows["state"] & layout.STATE_BOTH) == 0
        several = rows["packets_0"].astype(np.int64) + rows["packets_1"] > 1
        first, last = rows["first_ns"] // HOUR_NS, rows["last_ns"] // HOUR_NS
        columns = (np.ones(len(rows), np.int64), size, one_way & several, size * one_way, several)
        count = len(self._networks.all)
        for hour in np.unique(first).tolist():
            here = first == hour
            place = network[here] * len(CLASSES) + kind[here]
            into = self._sums.setdefault(hour, np.zeros((len(columns), count * len(CLASSES)), np.int64))
            for number, column in enumerate(columns):
                into[number] += np.bincount(place, column[here], into.shape[1]).astype(np.int64)  # exact up to 2**53
            self._heard.update((each, hour) for each in np.unique(network[here]).tolist())
        for each, begin, end in zip(network[last > first], first[last > first], last[last > first], strict=True):
            self._heard.update(
                (int(each), hour) for hour in range(int(begin), min(int(end), int(begin) + MAX_SPAN) + 1)
            )

    def _network_of(self, rows: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Each flow's network, and whether it counts."""
        a = self._numbers(rows, "a")
        b = self._numbers(rows, "b")
        kept = (a >= 0) != (b >= 0)
        network = np.where(a >= 0, a, b)
        outside_high = np.where(a >= 0, rows["b_high"], rows["a_high"])
        outside_low = np.where(a >= 0, rows["b_low"], rows["a_low"])
        kept &= (rows["proto"] == 6) | (rows["proto"] == 17)
        kept &= ~(IS_SERVICE[rows["a_port"]] | IS_SERVICE[rows["b_port"]])
        kept &= ~_to_many(outside_high, outside_low)
        watched = np.array([not each.excluded for each in self._networks.all])
        kept[kept] &= watched[network[kept]]
        return network, kept

    def _numbers(self, rows: NDArray[np.void], end: str) -> NDArray[np.int64]:
        highs, lows, tags = rows[f"{end}_high"], rows[f"{end}_low"], rows["vlan"]
        if len(self._tables) == 1:
            found: NDArray[np.int64] = numbers_of(highs, lows, self._tables[None].columns())
            return found
        numbers = np.full(len(rows), -1, np.int64)
        for tag in np.unique(tags).tolist():
            here = tags == tag
            key = None if tag == 0xFFFF else tag if tag in self._tables else -1
            numbers[here] = numbers_of(highs[here], lows[here], self._tables[key].columns())
        return numbers

    def take(self, before: int, hours: Iterable[tuple[int, int, int]]) -> tuple[NetworkHour, ...]:
        """What there is of hours before that one, in packet time, which is forgotten with it.

        `hours` as for `finish`, but those told before. What ends later and began in such an hour is a further part of it.
        """
        frames = {begin // HOUR_NS: (count, lost) for begin, count, lost in hours if begin // HOUR_NS < before}
        self._frames = [a + b for a, b in zip(self._frames, _added(frames), strict=True)]
        found = self._hours(frames, before)
        for one in found:
            self._total.add(one.sums)
        self._sums = {hour: sums for hour, sums in self._sums.items() if hour >= before}
        self._heard = {one for one in self._heard if one[1] >= before}
        self._taken = max(self._taken, before)
        return found

    def counted(self, hours: Iterable[tuple[int, int, int]]) -> Counted:
        """What was counted so far and not taken. `hours` as for `finish`."""
        return Counted(self._sums, self._heard, {begin: (count, lost) for begin, count, lost in hours})

    def statement_of(self, counted: Counted) -> Statement:
        """As `finish`, of what other counters of the same networks have counted."""
        self._sums, self._heard = counted.sums, counted.heard
        return self.finish((begin, *frames) for begin, frames in counted.frames.items())

    def finish(self, hours: Iterable[tuple[int, int, int]]) -> Statement:
        """The statement. `hours`: (when it began in ns, frames, lost frames) as the loop counted them, but those taken."""
        frames = {begin // HOUR_NS: (count, lost) for begin, count, lost in hours}
        found = self._hours(frames, None)
        total = Sums()
        total.add(self._total)
        for one in found:
            total.add(one.sums)
        counted = [a + b for a, b in zip(self._frames, _added(frames), strict=True)]
        return Statement(total, found, *counted)

    def _hours(self, frames: Mapping[int, tuple[int, int]], before: int | None) -> tuple[NetworkHour, ...]:
        watched = [each for each in enumerate(self._networks.all) if not each[1].excluded]
        busy = sorted({hour for _, hour in self._heard if before is None or hour < before})
        found = []
        for number, network in watched:
            for hour in busy:
                heard = (number, hour) in self._heard
                if hour < self._taken and not heard:
                    continue  # it was told whether this one was silent
                sums = self._of(number, hour)
                reasons = reasons_of(sums, heard=heard, frames=frames.get(hour, (0, 0)))
                found.append(NetworkHour(network.name, hour * HOUR_NS, sums, reasons))
        return tuple(found)

    def _of(self, network: int, hour: int) -> Sums:
        made = Sums()
        if hour in self._sums:
            part = self._sums[hour][:, network * len(CLASSES) : (network + 1) * len(CLASSES)]
            made.flows, made.bytes = part[0].tolist(), part[1].tolist()
            made.one_way_flows, made.one_way_bytes, made.several_packets = (int(row.sum()) for row in part[2:])
        return made

    def reset(self) -> None:
        """Forgets everything."""
        self._sums.clear()
        self._heard.clear()


def _added(frames: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    return sum(count for count, _ in frames.values()), sum(lost for _, lost in frames.values())


def _to_many(high: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Multicast and broadcast: RFC 5771, RFC 919, RFC 4291 2.7."""
    four = (high == 0) & ((low >> 32) == 0xFFFF)
    first = (low >> 24) & 0xFF
    found: NDArray[np.bool_] = (four & (first >= 224)) | (~four & (((high >> 56) & 0xFF) == 0xFF))
    return found
