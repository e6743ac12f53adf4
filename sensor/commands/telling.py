"""What a watch tells and stores while it happens."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import records, tables, wording
from sensor.classify.episodes import stamped
from sensor.classify.signatures import canonical
from sensor.commands.keeping import Lines, with_packet_ids
from sensor.commands.losses import Losses
from sensor.commands.output import standard_output
from sensor.commands.watching_health import WatchedHealth
from sensor.model import Outcome
from sensor.ops.metrics import WRITE_EVERY_S, Metrics, write
from sensor.ops.recorder import Piece, Recorder, made_spool
from sensor.settings import default_store_url
from sensor.store import Sighting, Snapshots, open_store

if TYPE_CHECKING:
    import argparse
    from contextlib import ExitStack

    from sensor.model import Episode, Observation, SourceInfo
    from sensor.ops.systemd import Systemd
    from sensor.setup import Setup
    from sensor.statement import NetworkHour
    from sensor.store import Store
    from sensor.totals import Account, Totals

KERNEL_RING = "dropped_kernel_ring"  # beside layout.COUNTERS
SHED = "dropped_shed"  # as well: left out before the loop, in a stated order
LOST = (KERNEL_RING, SHED, "dropped_table_full")
TELL_EVERY_S = 60.0
DRAIN_EVERY_S = 1.0
WAIT_S = 1.0  # for another process's lock on the store; then what is to be stored waits in the spool
BATCH = 2000  # episodes in one transaction


def say(text: str) -> None:
    """One line for the journal."""
    print(f"wardwatch: {tables.escape_plain(text)}", file=sys.stderr, flush=True)


class Told:
    """What is told while it happens. A violation is told once it is stored, or is sure to be."""

    def __init__(self, options: argparse.Namespace, made: Setup, stack: ExitStack, systemd: Systemd) -> None:
        """Raises StoreError where the store will not do, but for what may pass."""
        self.lines = Lines(options, stack, live=True)
        self._made = made
        self._recorder = None if options.no_store else recorder(options, made)
        self._interface = options.interface
        self._quiet = options.quiet
        self._json = options.json
        self._systemd = systemd
        self._metrics = Metrics(options.interface)
        self._health = WatchedHealth(options.interface, made, say, self._metrics)
        self._textfile = made.settings.metrics.textfile
        self._written_s = 0.0
        self._unwritten = ""
        self._run = secrets.token_hex(4)
        self._parts = 0
        self._new: list[Episode] = []
        self._sightings: list[Sighting] = []
        self._told_open: set[str] = set()  # ids of violations that were told and last
        self._losses = Losses()
        self._counters: dict[str, int] = {}  # up to the last account
        self._counted: dict[str, int] = {}  # up to when it was told last
        self._last: Account | None = None
        self._told_s = self._drained_s = time.monotonic()

    def episode(self, episode: Episode) -> None:
        self._new.append(stamped(self._losses.marked(episode)))
        if len(self._new) >= BATCH:
            self.flush()

    def open(self, episode: Episode) -> None:
        """What is known by now of an episode that lasts; or the end of one that turned out to be another."""
        self.episode(episode)

    def change(self, made: Setup) -> None:
        """Verdicts from now on may cite this."""
        self._made = made
        self._health.change(made)
        if self._recorder is not None:
            self._recorder.remember(snapshots(made))

    def observation(self, seen: Observation) -> None:
        """Of an hour that is over, or of all of it at the end."""
        seen = with_packet_ids(seen)
        self.lines.observation(seen)
        device_id = seen.device.id if seen.device is not None else ""
        details = records.observation_record(seen) | self._part()
        self._sightings.append(
            Sighting("observation", seen.kind, seen.network, device_id, seen.hour_ns, seen.flows,
                     seen.bytes_up + seen.bytes_down, details)
        )  # fmt: skip

    def hours(self, found: tuple[NetworkHour, ...]) -> None:
        """What was counted of hours that are over."""
        for hour in found:
            record = records.hour_record(hour)
            self.lines.hour(record)
            self._sightings.append(
                Sighting("hour", "", hour.network, "", hour.hour_ns, hour.sums.all_flows, hour.sums.all_bytes,
                         record | self._part())
            )  # fmt: skip

    def _part(self) -> dict[str, str]:
        self._parts += 1
        return {"part": f"{self._run}-{self._parts}"}

    def flush(self) -> None:
        """Stores what has come since the last call, then tells of it."""
        if not self._new and not self._sightings:
            now_s = time.monotonic()
            if self._recorder is not None and now_s >= self._drained_s + DRAIN_EVERY_S:
                self._drained_s = now_s
                self._recorder.drain()
            return
        stored = tuple(one.id for one in self._new)
        if self._recorder is not None:
            stored = self._recorder.put(Piece(tuple(self._new), tuple(self._sightings)))
        for one, stored_id in zip(self._new, stored, strict=True):
            self.lines.episode(one)
            violation = one.verdict.outcome is Outcome.VIOLATION
            if violation and one.id not in self._told_open and not self._quiet and not self._json:
                self._tell(one, stored_id)
            if one.closed:
                self._metrics.episode(one)
                self._health.episode(one)
                self._told_open.discard(one.id)
            elif violation:
                self._told_open.add(one.id)
        self._new.clear()
        self._sightings.clear()

    def _tell(self, one: Episode, stored_id: str) -> None:
        made = self._made
        began = wording.clock(one.start_ns, made.settings.site.timezone)
        text = wording.headline(one, made.app_names, made.label(one.device))
        with standard_output():
            print(
                tables.escape_plain(
                    f"{began} VIOLATION{'' if one.closed else ' under way:'} {text} "
                    f"({one.strength.label}) [{stored_id[: tables.ID_LENGTH]}]"
                )
            )

    def account(self, account: Account) -> None:
        """What became of the frames so far: remembers when any were lost, and tells of it once a minute."""
        counters = {**account.counters, SHED: account.source.shed, KERNEL_RING: account.source.dropped}
        self._losses.note(account.source.time_ns, sum(counters[name] for name in LOST))
        self._last, self._counters = account, counters
        self._metrics.account(account, time.time_ns())
        self._sightings += self._health.account(account)
        self._write_metrics()
        now_s = time.monotonic()
        if now_s < self._told_s + TELL_EVERY_S:
            return
        self._systemd.status(
            f"{account.source.seen} frames, {account.flows} flows, {account.source.dropped} dropped by the kernel"
        )
        if not self._quiet:
            since = {name: count - self._counted.get(name, 0) for name, count in counters.items()}
            waiting = f"; {account.source.waiting} wait in the ring" if account.source.waiting else ""
            sums = tables.accounted(sum(since.values()), since)
            say(f"{self._interface}, the last {now_s - self._told_s:.0f} s: {sums}{waiting}")
        self._told_s, self._counted = now_s, counters

    def _write_metrics(self, *, now: bool = False) -> None:
        """Once in a while; what hinders it is told once."""
        now_s = time.monotonic()
        if not self._textfile or (now_s < self._written_s + WRITE_EVERY_S and not now):
            return
        self._written_s = now_s
        if self._recorder is not None:
            kept = self._recorder
            self._metrics.waiting, self._metrics.left_out, self._metrics.failing = (
                kept.waiting,
                kept.left_out,
                kept.failing,
            )
        try:
            write(Path(self._textfile), self._metrics.text())
            self._unwritten = ""
        except OSError as error:
            why = error.strerror or str(error)
            if self._unwritten != why:
                say(f"{self._textfile}: cannot be written: {why}")
            self._unwritten = why

    def finish(self, totals: Totals, info: SourceInfo) -> None:
        """Everything is stored, or waits in the spool, and the sum of it told, when this returns."""
        if totals.statement is not None:
            self.hours(totals.statement.hours)
            self.lines.sums(totals.statement)
        self.flush()
        if self._recorder is not None:
            self._recorder.put(Piece(sources=((info, None),)))
            self._recorder.finish()
        self._write_metrics(now=True)
        self._tell_sums()
        if not self._json and not self._quiet:
            with standard_output():
                tables.left_out(totals)
                print(self._said())

    def _said(self) -> str:
        if self._recorder is None:
            return "Nothing was stored (--no-store)."
        kept = self._recorder
        return f"Stored: {kept.added} new, {kept.revised} revised, {kept.unchanged} known already."

    def _tell_sums(self) -> None:
        if self._last is None:
            return
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


def recorder(options: argparse.Namespace, made: Setup) -> Recorder:
    """The store of these options with its spool. Raises StoreError where the store will not do, but for what may pass."""
    place = options.store or made.settings.store.url
    seen: list[bool] = []  # the store is made once; one that has gone is not made anew in an empty place

    def opened() -> Store:
        store = open_store(place, create=not seen, wait_s=WAIT_S)
        seen.append(True)
        return store

    settings = made.settings.store
    spool = made_spool(spool_path(place, settings.spool), settings.spool_mebibytes << 20, say)
    kept = Recorder(opened, spool, say)
    kept.remember(snapshots(made))
    kept.begin()
    return kept


def spool_path(store: str, configured: str) -> Path:
    """Where what is to be stored waits."""
    if configured:
        return Path(configured)
    own = default_store_url() if "://" in store and not store.startswith("sqlite:") else store
    path = Path(own.removeprefix("sqlite:///"))
    return path.with_name(path.name + ".spool")


def snapshots(made: Setup) -> Snapshots:
    """What verdicts under this setup cite."""
    sets = (made.signatures, made.visibility)
    return Snapshots(
        policies={made.policy.hash: made.policy_json()},
        signatures={one.hash: canonical(one.apps.values(), made.signatures.limits) for one in sets},
    )
