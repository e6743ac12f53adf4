"""The line from frames to episodes, and nothing else."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor import derived
from sensor.beginnings import Beginnings
from sensor.classify.episodes import EpisodeBook
from sensor.classify.presence import Presence
from sensor.following import Follower, file_names
from sensor.handover import HandOver
from sensor.hellos import Hellos
from sensor.hourly import Hourly, counted
from sensor.kernel import layout
from sensor.kernel.room import HEAP
from sensor.kernel.state import Joiner, Names, Scanner
from sensor.listing import Lister
from sensor.matching import Matching, sieve_of
from sensor.model import FRAME
from sensor.policy import Facts
from sensor.settings import HiddenOutcome
from sensor.stating import Counter
from sensor.totals import Totals
from sensor.watching import Watcher, as_episode
from sensor.worker import LastWords, Obeyed, Progress, can_work, in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from sensor.classify.signatures import SignatureSet
    from sensor.classify.visibility import VisibilitySet
    from sensor.kernel.first import Sieve
    from sensor.kernel.room import Room, Scanned
    from sensor.listing import FlowRow
    from sensor.model import Batch, Episode, FrameSource, Observation, Verdict
    from sensor.networks import Networks
    from sensor.policy import Policy
    from sensor.settings import Settings
    from sensor.setup import Setup
    from sensor.statement import NetworkHour, Statement
    from sensor.stating import Counted
    from sensor.totals import Account

NOTHING = np.zeros(0, np.int64)
NAME_ROWS = 1 << 20
CLOSE_EVERY_NS = 900 * layout.NS


class Pipeline:
    """Reads one source. `on_episode` takes each closed episode, `on_flow` (if given) every flow that ended."""

    def __init__(
        self,
        settings: Settings,
        signatures: SignatureSet,
        policy: Policy,
        networks: Networks,
        *,
        on_episode: Callable[[Episode], None],
        on_flow: Callable[[FlowRow], None] | None = None,
        separate: bool = False,
        parallel: bool = True,
        on_progress: Callable[[int], None] | None = None,
        visibility: VisibilitySet | None = None,
        on_observation: Callable[[Observation], None] | None = None,
        repeatable: bool = False,
        on_account: Callable[[Account], None] | None = None,
        on_open: Callable[[Episode], None] | None = None,
        on_hours: Callable[[tuple[NetworkHour, ...]], None] | None = None,
        close_every_ns: int = CLOSE_EVERY_NS,
    ) -> None:
        """`parallel`: scan in a process of its own where there are two cores; the results are the same.

        `on_progress` is told how many bytes on disk have been read. `visibility`: rules of what hides the use of apps;
        `on_observation` takes each thing so seen, before the episode that the policy may make of it.
        `on_account` is told by a live source, now and then, what became of all frames so far. `close_every_ns` of packet time:
        how often episodes are looked for that are over, which says when they are told and not what. `on_open` takes what is
        known then of episodes that last. With `on_hours` sums and observations of an hour are told soon after it, and forgotten.
        """
        seeds = derived.seeds(settings, policy, repeatable=repeatable)
        self._policy = policy
        self._separate = separate
        self._contexts = derived.contexts(signatures)
        self._scanner = Scanner(
            settings.sensor.flow_table_rows, seeds[0], drop_duplicates=settings.sensor.drop_duplicates
        )
        self._names = Names(NAME_ROWS, seeds[1])
        self._joiner = Joiner(settings.sensor.dns_memory_rows, self._names, seeds[2], settings.sensor.flow_table_rows)
        self._hellos = Hellos()
        self._matching = matching = Matching(signatures, self._joiner)
        self._handover = HandOver(self._names, matching.of_stun, matching.of_first, signatures.match_name)
        book = EpisodeBook(
            judge=self._judge,
            idle_ns=settings.sensor.idle.idle_ns,
            emit=on_episode,
            signatures_hash=signatures.hash,
            versions=derived.versions(signatures),
            limits=signatures.limits,
            presence=Presence(*derived.known_of(signatures)),
            emit_open=on_open,
        )
        routers = derived.routers(settings)
        self._follower = Follower(book, self._names, networks, routers, signatures.match_address, self._hellos)
        self._follower.matches = matching.matches
        self._lister = None if on_flow is None else Lister(self._follower, self._hellos, signatures, on_flow)
        self._joiner.everything = on_flow is not None
        self._visibility = visibility
        matching.tell(self._scanner, settings, networks, visibility)
        self._scanner.marker = derived.marker(policy)
        self._beginnings = Beginnings(self._scanner.rules)
        self._on_episode = on_episode
        self._on_observation = on_observation
        self._watcher = self._watching(visibility, networks, routers) if visibility is not None else None
        forget = self._watcher.emit_before if self._watcher is not None else lambda _: None
        self._statement = Counter(networks, self._joiner.locals)
        self._hourly = Hourly(self._statement, forget, on_hours)
        self._parallel = parallel
        self._on_progress = on_progress or (lambda _: None)
        self._on_account = on_account
        self._close_every_ns = close_every_ns
        self._closed_ns = 0
        self._ordering: deque[Sieve] | None = None  # what the process that reads is to do
        self._changes: deque[Setup] = deque()  # and what is to be done here once it has
        self.totals = Totals()

    def _watching(self, visibility: VisibilitySet, networks: Networks, routers: frozenset[int]) -> Watcher:
        watcher = self._follower.watcher = self._matching.watcher = Watcher(
            visibility,
            self._names,
            networks,
            routers,
            ignored=derived.ignored(self._policy),
            public_names=self._handover.public_names,
            emit=self._observed,
        )
        watcher.tell(self._joiner)
        return watcher

    def _observed(self, seen: Observation) -> None:
        """Something that hides the use of apps; an episode too where the policy wants one."""
        episode = None
        if self._visibility is not None and self._policy.hidden_outcome(seen.kind) is not HiddenOutcome.RECORD:
            version = f"{seen.kind} {self._visibility.apps[seen.kind].version}"
            episode = as_episode(seen, self._judge, self._visibility.hash, version)
        if self._on_observation is not None:
            outcome = "recorded" if episode is None else episode.verdict.outcome.value
            self._on_observation(replace(seen, outcome=outcome))
        if episode is not None:
            self._on_episode(episode)

    def change(self, made: Setup) -> None:
        """Other policy, networks and signatures hold for every frame that is read from now on. For where progress is told.

        Nothing that is under way is lost: flows, names, what DNS told, open episodes. What a memory's size says stays as it was.
        """
        if self._ordering is None:
            self._obey(sieve_of(made.signatures, made.visibility))
            self._change(made)
        else:
            self._ordering.append(sieve_of(made.signatures, made.visibility))
            self._changes.append(made)

    def _obey(self, rules: Sieve) -> None:
        """The part of a change that is the loop's."""
        self._scanner.rules = rules
        self._beginnings.change(rules)

    def _change(self, made: Setup) -> None:
        """The part of a change that is the joiner's."""
        settings, signatures, networks = made.settings, made.signatures, made.networks
        routers = derived.routers(settings)
        self._policy = made.policy
        self._contexts = derived.contexts(signatures)
        self._matching.change(signatures)
        self._handover.change(signatures.match_name)
        self._follower.change(networks, routers, signatures.match_address)
        names, fan_outs = derived.known_of(signatures)
        self._follower.book.change(
            idle_ns=settings.sensor.idle.idle_ns,
            signatures_hash=signatures.hash,
            versions=derived.versions(signatures),
            limits=signatures.limits,
            names=names,
            fan_outs=fan_outs,
        )
        if self._lister is not None:
            self._lister.change(signatures)
        if self._watcher is not None:
            self._visibility = made.visibility
            self._watcher.change(made.visibility, networks, routers, derived.ignored(made.policy))
            self._watcher.tell(self._joiner)
        self._matching.tell(self._scanner, settings, networks, made.visibility)
        self._statement = Counter(networks, self._joiner.locals)
        self._hourly.change(self._statement)

    def warm(self) -> None:
        """Has the compiled functions at hand, so that the first frames of a live source need not wait for them."""
        nothing, clues = np.zeros(0, np.uint8), np.zeros(0, layout.CLUE)
        self._scanner.scan(nothing, np.zeros(0, FRAME), 0)
        self._scanner.gather(nothing, clues)
        answers, _ = self._joiner.read_names(nothing, clues)
        self._joiner.join(clues, 0, answers, 0)

    def run(self, source: FrameSource) -> Totals:
        """Reads the source to its end. Raises what the source raises."""
        self._follower.files = file_names([info.path for info in source.sources])
        if self._watcher is not None:
            self._watcher.files = self._follower.files
        if self._parallel and can_work():
            self._run_parallel(source)
        else:
            for one in self._scanned(source):
                self._take(one)
                self._on_progress(source.read_bytes)
        self._follower.book.finish()
        if self._watcher is not None:
            self._watcher.finish()
            self._handover.counts["observations_left_out"] += self._watcher.left_out
        if self._lister is not None:
            self._lister.settle(everything=True)
        totals, counts = self.totals, self._follower.counts
        self._handover.counts["dns_malformed"] += self._names.broken_messages
        self._handover.counts.update(self._names.questions_called_out())
        self._handover.counts.update(self._beginnings.counts)
        totals.decoders = {what: count for what, count in self._handover.counts.items() if count}
        totals.counters = dict(zip(layout.COUNTERS, self._scanner.counters.tolist(), strict=True))
        totals.notices = dict(zip(layout.NOTICES, self._scanner.notices.tolist(), strict=True))
        totals.statement = self._hourly.finish(counted(self._scanner.hours))
        totals.excluded_flows, totals.unmonitored_flows = counts.excluded, counts.unmonitored
        return totals

    def counted(self) -> Counted:
        """What the statement rests on."""
        return self._statement.counted(counted(self._scanner.hours))

    def statement_of(self, counted: Counted) -> Statement:
        """The statement of what other lines with the same settings have counted."""
        return self._statement.statement_of(counted)

    def _run_parallel(self, source: FrameSource) -> None:
        def last_words() -> tuple[Any, ...]:
            scanner = self._scanner
            said = source.sources, source.warnings, source.read_bytes
            return *said, scanner.counters, scanner.notices, scanner.hours, self._beginnings.counts

        items = partial(self._scanned, source)
        orders: deque[Sieve] = deque()
        self._ordering = orders
        for one in in_worker(
            items, lambda: source.read_bytes, last_words, self._joiner.load, orders=orders, obey=self._obey
        ):
            if isinstance(one, Obeyed):
                self._change(self._changes.popleft())
            elif isinstance(one, Progress):
                self._on_progress(one.read_bytes)
            elif isinstance(one, LastWords):
                source.sources[:], source.warnings[:], source.read_bytes, counters, notices, hours, counts = one.words
                self._beginnings.counts = counts
                self._scanner.counters[:], self._scanner.notices[:], self._scanner.hours[:] = counters, notices, hours
            else:
                self._take(one)

    def _scanned(self, source: FrameSource, room: Callable[[], Room] = lambda: HEAP) -> Iterator[Scanned | None]:
        """The compiled loop over every batch; None where what follows is a network of its own."""
        index = -1
        for batch in source.batches():
            if not len(batch.frames):
                if batch.time_ns is not None or batch.state is not None:
                    yield self._ticked(batch, room())
                continue
            first = int(batch.frames[0]["source"])
            if self._separate and index not in {-1, first}:
                yield self._scanner.finish(room())
                yield None
                self._scanner.reset()
                self._beginnings.reset()
            index = first
            yield self._accounted(self._scan(batch, room()), batch)
        yield self._scanner.finish(room())

    def _scan(self, batch: Batch, room: Room = HEAP) -> Scanned:
        """One batch through the compiled loop and the decoders beside it."""
        scanned = self._scanner.read(batch, room, self._beginnings.spare_bytes)
        for clues, kept in scanned.parts:
            self._beginnings.read(clues, kept)
        self._beginnings.forget(scanned.ended[1]["flow_id"])
        return scanned

    def _ticked(self, batch: Batch, room: Room) -> Scanned:
        """A batch without frames: time goes on, or there is something to account for."""
        time_ns = self._scanner.clock_ns if batch.time_ns is None else batch.time_ns
        scanned = self._scanner.tick(time_ns, room)
        self._beginnings.forget(scanned.ended[1]["flow_id"])
        return self._accounted(scanned, batch)

    def _accounted(self, scanned: Scanned, batch: Batch) -> Scanned:
        if batch.state is None:
            return scanned
        return replace(scanned, account=derived.account(batch.state, self._scanner))

    def _take(self, scanned: Scanned | None) -> None:
        """Everything after the compiled loop, for one batch."""
        if scanned is None:
            self._reset()
            return
        if self._names.full:
            self._forget_names()
        slots, rows = scanned.ended
        self._follower.ending(rows, scanned.ticks)
        for clues, kept in scanned.parts:
            self._read(kept, clues)
        self._end_flows(slots, rows)
        self.totals.frames += scanned.frames
        if scanned.account is not None and self._on_account is not None:
            self._on_account(scanned.account)
            self._hourly.account(scanned.account.hours)
        self._hourly.passed(scanned.last_ns)
        if abs(scanned.last_ns - self._closed_ns) >= self._close_every_ns:
            self._closed_ns = scanned.last_ns
            self._follower.book.close_idle(scanned.last_ns)
            self._follower.book.tell_open(scanned.last_ns)
            if self._lister is not None:
                self._lister.settle()

    def _read(self, kept: NDArray[np.uint8], clues: NDArray[np.void]) -> None:
        """Clues to names, names to hits, hits to evidence."""
        self._hellos.begin(kept)
        if self._scanner.marker is not None and self._watcher is not None:
            self._watcher.marked(clues, self._joiner.stations)
        answers, odd = self._joiner.read_names(kept, clues)
        if odd:
            clues, answers = self._handover.read(kept, clues, answers)
            if self._watcher is not None:
                self._watcher.learn()
        self._matching.classify(self._handover.matched, listed=self._lister is not None)
        begin, answer = 0, 0
        while begin < len(clues):
            begin, answer, hits = self._joiner.join(clues, begin, answers, answer)
            if len(hits):
                self._follower.take(clues, hits)
        if self._lister is not None:
            self._hellos.list_all(clues)

    def _end_flows(self, slots: NDArray[np.int32], rows: NDArray[np.void]) -> None:
        """Takes leave of the flows that ended."""
        if len(rows):
            named = self._joiner.named(slots, rows["flow_id"])
            self.totals.flows += len(rows)
            self.totals.flows_named += int(np.count_nonzero(named & layout.NAMED_ITSELF))
            by_dns = (named & (layout.NAMED_ITSELF | layout.NAMED_BY_DNS)) == layout.NAMED_BY_DNS
            self.totals.flows_named_by_dns += int(np.count_nonzero(by_dns))
            hidden, tunnels = self._watcher.end(rows) if self._watcher is not None else (NOTHING, NOTHING)
            self._statement.add(rows, named, hidden, tunnels)
            self._handover.forget(rows["flow_id"])
            if self._lister is not None:
                self._lister.end(rows)
        self._follower.end()

    def _reset(self) -> None:
        """Forgets everything that one network could tell of another; not the names, which are the same everywhere."""
        self._follower.book.finish()
        if self._watcher is not None:
            self._watcher.finish()
        if self._lister is not None:
            self._lister.settle(everything=True)
        self._joiner.reset()
        self._handover.reset()
        self._hellos.reset()
        self._follower.reset()
        self._closed_ns = 0

    def _forget_names(self) -> None:
        """The table of names is nearly full: begins it anew, and with it the memory of answers that point into it."""
        self._names.reset()
        self._joiner.reset()
        self._matching.forget_names()
        self._follower.forget_names()
        if self._watcher is not None:
            self._watcher.forget_names()
        self._handover.counts["names_forgotten"] += 1

    def _judge(self, episode: Episode) -> Verdict:
        return self._policy.judge(
            Facts(
                app=episode.app,
                candidates=episode.candidates,
                contexts=self._contexts,
                device=episode.device,
                network=episode.network,
                start_ns=episode.start_ns,
                end_ns=episode.end_ns,
                activity=episode.activity,
                strength=episode.strength,
                names=episode.names,
            )
        )
