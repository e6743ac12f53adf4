"""SIGHUP: the configuration and the signatures are read again while frames go on. A mistake in them changes nothing."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sensor import setup
from sensor.commands.telling import say
from sensor.config_centre import CURRENT
from sensor.errors import WardwatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.ops.systemd import Systemd
    from sensor.setup import Setup

# What a run has from its start to its end, and the words for it.
LASTING = {
    "capture": "[capture]",
    "sensor": "[sensor] (but for its idle times)",
    "store": "[store]",
    "metrics": "[metrics]",
}


LOOK_EVERY_S = 2.0  # for an order of the centre


class Reloading:
    """Notes that it was asked for, and does it where the line can take it."""

    def __init__(self, config: str | None, made: Setup, change: Callable[[Setup], None], systemd: Systemd) -> None:
        """`made`: what holds now. `change` takes what is to hold from now on."""
        self._config = config
        self._made = made
        self._change = change
        self._asked = False
        self._systemd = systemd
        self._order = _order_of(made)
        self._look_s = 0.0

    @contextmanager
    def on_hangup(self) -> Iterator[None]:
        """SIGHUP asks for it, inside."""
        before = signal.signal(signal.SIGHUP, lambda *_: self.ask())
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)

    def ask(self) -> None:
        """May be called in a signal's handler."""
        self._asked = True

    def act(self) -> None:
        """Between two batches: reads everything anew if that was asked for; says in one line what came of it."""
        if time.monotonic() >= self._look_s:
            self._look_s = time.monotonic() + LOOK_EVERY_S
            order = _order_of(self._made)
            self._asked |= order != self._order  # the centre's order is another one
            self._order = order
        if not self._asked:
            return
        self._asked = False
        self._systemd.reloading()
        self._reload()
        self._systemd.reloaded()

    def _reload(self) -> None:
        try:
            made = setup.read(self._config)
        except WardwatchError as error:
            say(f"not reloaded, what was in force stays: {error}")
            return
        self._change(made)
        lasting = [words for name, words in LASTING.items() if _lasting(made, name) != _lasting(self._made, name)]
        later = f"; at the next start: {', '.join(lasting)}" if lasting else ""
        say(f"reloaded: policy {made.policy.hash[:8]}, signatures {made.signatures.hash[:8]}{later}")
        self._made = made


def _order_of(made: Setup) -> str:
    """Which order of a centre is in force."""
    centre = made.settings.centre
    try:
        return str((centre.orders / CURRENT).readlink()) if centre is not None and centre.orders is not None else ""
    except OSError:
        return ""


def _lasting(made: Setup, name: str) -> object:
    """What of a table takes effect at the next start only."""
    table = getattr(made.settings, name)
    return {key: getattr(table, key) for key in table.__dataclass_fields__ if key != "idle"}
