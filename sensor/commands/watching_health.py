"""The mirror's health while it is watched: each finding a line when it comes and goes, a figure, and a record in the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sensor.ops.box import box_of
from sensor.ops.health import Finding, Habits, State, Window, of_box, of_window
from sensor.store import Sighting
from sensor.wording import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.model import Episode
    from sensor.ops.metrics import Metrics
    from sensor.setup import Setup
    from sensor.totals import Account

NS = 1_000_000_000
HOUR_NS, DAY_NS = 3600 * NS, 86400 * NS


class WatchedHealth:
    """Judges each window as it ends."""

    def __init__(self, interface: str, made: Setup, say: Callable[[str], None], metrics: Metrics) -> None:
        self._interface = interface
        self._say = say
        self._metrics = metrics
        self._wrong: dict[str, Finding] = {}
        self._before: Account | None = None
        self._habits = Habits()
        self._day = time.time_ns() // DAY_NS
        self.change(made)

    def change(self, made: Setup) -> None:
        """These networks and signatures hold from now on."""
        self._vlans = [vlan for network in made.settings.networks for vlan in network.vlans]
        self._versions = [str(app.version) for app in made.signatures.apps.values()]

    def episode(self, one: Episode) -> None:
        """One that is over."""
        if one.app is not None:
            self._habits.note(one.app, one.end_ns // DAY_NS)

    def account(self, account: Account) -> list[Sighting]:
        """What is to be stored of a window that has ended now."""
        mirror = account.source.mirror
        if mirror is None or not mirror.over:
            return []
        found = [*of_window(window_of(self._before, account), self._interface, self._vlans),
                 *of_box(box_of(self._interface, self._versions), self._interface)]  # fmt: skip
        self._before = account
        day = account.source.time_ns // DAY_NS
        if day != self._day:
            found += self._habits.missed(day - 1)
            self._day = day
        return self._news(found, account.source.time_ns)

    def _news(self, found: list[Finding], time_ns: int) -> list[Sighting]:
        wrong = {one.name: one for one in found if one.state >= State.DOUBTFUL}
        for name in wrong.keys() - self._wrong.keys():
            one = wrong[name]
            self._say(f"{self._interface}: {one.says}" + (f"; {one.fix}" if one.fix else ""))
        for name in self._wrong.keys() - wrong.keys():
            self._say(f"{self._interface}: no longer so: {self._wrong[name].says}")
        stored = [
            _sighting(one, self._interface, time_ns)
            for name, one in wrong.items()
            if name not in self._wrong or time_ns // HOUR_NS != (time_ns - 60 * NS) // HOUR_NS
        ]
        self._wrong = wrong
        self._metrics.health = {one.name: one.state >= State.DOUBTFUL for one in found}
        return stored


def window_of(before: Account | None, now: Account) -> Window:
    """What was counted between two accounts; from the start where there was none before."""
    mirror = now.source.mirror
    if mirror is None:
        raise AssertionError("an account of a source that does not look at its mirror")

    def since(name: str) -> int:
        return now.counters.get(name, 0) - (before.counters.get(name, 0) if before is not None else 0)

    def of_source(name: str) -> int:
        return int(getattr(now.source, name)) - (int(getattr(before.source, name)) if before is not None else 0)

    frames = sum(now.counters.values()) - (sum(before.counters.values()) if before is not None else 0)
    truncated = of_source("snapped") + since("dropped_truncated")
    return Window(
        frames, since("dropped_duplicate"), truncated, of_source("oversized"), of_source("dropped"), mirror
    )  # fmt: skip


def _sighting(one: Finding, interface: str, time_ns: int) -> Sighting:
    details = {"record": "health", "finding": one.name, "state": one.state.label, "says": one.says, "fix": one.fix,
               "interface": interface, "time": rfc3339(time_ns)}  # fmt: skip
    return Sighting("health", one.name, interface, "", time_ns - time_ns % HOUR_NS, 0, 0, details)
