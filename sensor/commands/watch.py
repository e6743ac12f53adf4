"""`wardwatch watch`: an interface in, verdicts out as episodes close, until it is told to stop."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensor import setup, tables, wording
from sensor.classify.episodes import stamped
from sensor.commands.keeping import Keeper, Lines, must_stay, with_packet_ids
from sensor.commands.output import refuse_overwriting, standard_output
from sensor.commands.replay import collect_rarely
from sensor.model import Outcome
from sensor.pipeline import Pipeline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sensor.capture.ring import RingSource
    from sensor.model import Episode, Observation, SourceInfo
    from sensor.pipeline import Account, Totals

CLOSE_EVERY_NS = 5_000_000_000
KERNEL_RING = "dropped_kernel_ring"  # beside layout.COUNTERS
LOST = (KERNEL_RING, "dropped_table_full")
PARTIAL = "partial view: frames were lost"
NEAR_NS = 60_000_000_000
TELL_EVERY_S = 60.0
MAX_LOSSES = 4096


def run(options: argparse.Namespace) -> int:
    """Watches until SIGTERM, SIGINT or the end of `--seconds`; what was seen is stored then. The exit status is 0."""
    from sensor.capture.packets import Options  # after the pipeline, which says where compiled code is kept
    from sensor.capture.ring import RingSource

    made = setup.read(options.config)
    outputs = {"--flows": options.flows, "--episodes": options.episodes, "--visibility": options.visibility}
    refuse_overwriting(outputs, must_stay(options, made, ()))
    capture = made.settings.capture
    source = RingSource(
        options.interface,
        Options(capture.ring_mebibytes << 20, capture.promiscuous, capture.filter),
        say=say,
        seconds=options.seconds,
    )
    collect_rarely()
    with ExitStack() as stack:
        told = _Told(options, made, stack)
        pipeline = Pipeline(
            made.settings,
            made.signatures,
            made.policy,
            made.networks,
            on_episode=told.episode,
            on_flow=told.lines.flow if told.lines.flows else None,
            on_progress=lambda _: told.flush(),
            visibility=made.visibility,
            on_observation=told.observation,
            on_account=told.account,
            close_every_ns=CLOSE_EVERY_NS,
        )
        pipeline.warm()
        with stopping(source):
            totals = pipeline.run(source)
        told.finish(totals, source.sources[0])
    return 0


def say(text: str) -> None:
    """One line for the journal."""
    print(f"wardwatch: {tables.escape_plain(text)}", file=sys.stderr, flush=True)


@contextmanager
def stopping(source: RingSource) -> Iterator[None]:
    """SIGTERM and SIGINT end the source, and with it everything behind it in good order; a second one ends the process at once."""

    def stop(number: int, _: object) -> None:
        source.stop()
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Losses:
    """When frames were lost: intervals of time, the latest."""

    def __init__(self) -> None:
        self._intervals: deque[tuple[int, int]] = deque(maxlen=MAX_LOSSES)
        self._last_ns, self._lost = 0, 0

    def note(self, time_ns: int, lost: int) -> None:
        """So many had been lost since the start at this time."""
        if lost > self._lost:
            begin_ns = self._last_ns
            if self._intervals and self._intervals[-1][1] == begin_ns:
                begin_ns = self._intervals.pop()[0]
            self._intervals.append((begin_ns, time_ns))
        self._last_ns, self._lost = time_ns, lost

    def marked(self, episode: Episode) -> Episode:
        """With a note where frames were lost while it lasted, or just before or after: they may have been of it."""
        begin_ns, end_ns = episode.start_ns - NEAR_NS, episode.end_ns + NEAR_NS
        if any(begin <= end_ns and begin_ns <= end for begin, end in self._intervals):
            return replace(episode, notes=tuple(sorted({*episode.notes, PARTIAL})))
        return episode


class _Told:
    """What is told while it happens. A violation is told once it is stored."""

    def __init__(self, options: argparse.Namespace, made: setup.Setup, stack: ExitStack) -> None:
        self.keeper = Keeper(options, made, stack)
        self.lines = Lines(options, stack, live=True)
        self._made = made
        self._interface = options.interface
        self._quiet = options.quiet
        self._json = options.json
        self._new: list[Episode] = []
        self._observations: list[Observation] = []
        self._losses = Losses()
        self._counters: dict[str, int] = {}  # up to the last account
        self._counted: dict[str, int] = {}  # up to when it was told last
        self._last: Account | None = None
        self._told_s = time.monotonic()

    def episode(self, episode: Episode) -> None:
        episode = stamped(self._losses.marked(episode))
        self._new.append(episode)
        self.keeper.episode(episode)

    def observation(self, seen: Observation) -> None:
        seen = with_packet_ids(seen)
        self._observations.append(seen)
        self.lines.observation(seen)

    def flush(self) -> None:
        """Stores what has closed since the last call, then tells of it."""
        if not self._new:
            return
        self.keeper.flush()
        for one in self._new:
            self.lines.episode(one)
            if one.verdict.outcome is Outcome.VIOLATION and not self._quiet and not self._json:
                self._tell(one, self.keeper.stored_ids.get(one.id, one.id))
        self._new.clear()
        self.keeper.forget()

    def _tell(self, one: Episode, stored_id: str) -> None:
        made = self._made
        began = wording.clock(one.start_ns, made.settings.site.timezone)
        text = wording.headline(one, made.app_names, made.label(one.device))
        with standard_output():
            print(
                tables.escape_plain(
                    f"{began} VIOLATION {text} ({one.strength.label}) [{stored_id[: tables.ID_LENGTH]}]"
                )
            )

    def account(self, account: Account) -> None:
        """What became of the frames so far: remembers when any were lost, and tells of it once a minute."""
        counters = {**account.counters, KERNEL_RING: account.source.dropped}
        self._losses.note(account.source.time_ns, sum(counters[name] for name in LOST))
        self._last, self._counters = account, counters
        now_s = time.monotonic()
        if now_s < self._told_s + TELL_EVERY_S:
            return
        if not self._quiet:
            since = {name: count - self._counted.get(name, 0) for name, count in counters.items()}
            waiting = f"; {account.source.waiting} wait in the ring" if account.source.waiting else ""
            sums = tables.accounted(sum(since.values()), since)
            say(f"{self._interface}, the last {now_s - self._told_s:.0f} s: {sums}{waiting}")
        self._told_s, self._counted = now_s, counters

    def finish(self, totals: Totals, info: SourceInfo) -> None:
        """Everything is stored, and the sum of it told, when this returns."""
        if totals.statement is not None:
            self.lines.statement(totals.statement)
        self.flush()
        self.keeper.observed(self._observations, totals.statement)
        self.keeper.finish([(info, None)])
        if self._last is not None:
            state = self._last.source
            say(f"{self._interface}, since the start: {tables.accounted(state.seen - state.waiting, self._counters)}")
            if state.waiting:
                say(f"{self._interface}: {state.waiting} frames were left in the ring")
            notes = {
                "VLAN tags put back": state.tags_put_back, "frames longer than the MTU": state.oversized,
                "frames cut short": state.snapped, "times the ring was full": state.ring_full,
                "interruptions of the interface": state.interruptions, "damaged blocks": state.damaged_blocks,
            }  # fmt: skip
            noted = [f"{count} {what}" for what, count in notes.items() if count]
            if noted:
                say(f"{self._interface}, since the start: {', '.join(noted)}")
        if not self._json and not self._quiet:
            with standard_output():
                tables.left_out(totals)
                print(self.keeper.said())
