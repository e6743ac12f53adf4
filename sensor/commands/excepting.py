"""Exceptions made from violations reach a running sensor: a thread looks for them, so that the frames never wait for the store."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sensor import excepting
from sensor.commands.telling import say
from sensor.errors import StoreError
from sensor.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from sensor.setup import Setup
    from sensor.store import Store
    from sensor.store.exceptions import StoredException

EVERY_S: Final = 2.0


def begun(options: argparse.Namespace, made: Setup) -> Setup:
    """The configuration with the exceptions that its store has now."""
    return Excepting(options, made, lambda _: None).begin()


class Excepting:
    """Notes what the store has, and puts it into force where the line can take it."""

    def __init__(self, options: argparse.Namespace, made: Setup, change: Callable[[Setup], None]) -> None:
        """`made`: of the configuration alone. `change` takes what is to hold from now on."""
        self._url = None if options.no_store else str(options.store or made.settings.store.url)
        self._base = made
        self._change = change
        self._stored: tuple[StoredException, ...] = ()
        self._fresh: tuple[StoredException, ...] | None = None
        self._over = threading.Event()
        self._store: Store | None = None
        self._found: tuple[StoredException, ...] = ()
        self._mark = 0

    def begin(self) -> Setup:
        """What holds at the start."""
        self._stored = self._read()
        self._let_go()
        return self._extended()

    def rebase(self, made: Setup) -> Setup:
        """The configuration was read anew."""
        self._base = made
        return self._extended()

    def act(self) -> None:
        """Between two batches: puts into force what was found meanwhile, and says so in one line."""
        if self._fresh is None or self._fresh == self._stored:
            return
        self._stored = self._fresh
        made = self._extended()
        self._change(made)
        held = sum(one.end_ns > time.time_ns() for one in self._stored)
        say(f"exceptions made from violations: {held} in force, policy {made.policy.hash[:8]}")

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Looks every two seconds, inside."""
        if self._url is None:
            yield
            return
        thread = threading.Thread(target=self._look, name="exceptions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(timeout=EVERY_S * 2)

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            self._fresh = self._read()
        self._let_go()

    def _read(self) -> tuple[StoredException, ...]:
        """What the store has; what it had, while it cannot be read: the recorder says what is wrong with it."""
        if self._url is None:
            return ()
        try:
            if self._store is None:
                self._store = open_store(self._url, create=False, read_only=True)
            mark = self._store.exceptions.mark()
            if mark != self._mark:
                self._found, self._mark = tuple(self._store.exceptions.listed()), mark
        except StoreError:
            self._let_go()
        return self._found

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _extended(self) -> Setup:
        return excepting.extended(self._base, self._stored, time.time_ns())
