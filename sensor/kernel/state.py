"""The compiled loop's memory, and the calls into it. One `Scanner` reads frames; one `Joiner` reads clues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.kernel import layout
from sensor.kernel.assemble import A_HELD, give_back, stream_pool
from sensor.kernel.certificate import NAMES_OF
from sensor.kernel.clock import move_on
from sensor.kernel.copies import new_memory
from sensor.kernel.dialect import DIALECT, PREFIX_BYTES
from sensor.kernel.first import BEGINNING, MAX_RULES, sieve
from sensor.kernel.fragments import COLLECTING, FREE, JOINED, ROWS, new_pool
from sensor.kernel.gather import gather
from sensor.kernel.hits import J_SIZE, W_SIZE
from sensor.kernel.hot import HOT
from sensor.kernel.join import join
from sensor.kernel.memory import MEMORY, WAYS
from sensor.kernel.names import N_BROKEN, N_COUNT, N_LLMNR, N_MDNS, N_NBNS, N_SIZE, intern, read_names
from sensor.kernel.places import NOWHERE
from sensor.kernel.ranges import Ranges
from sensor.kernel.room import HEAP, Room, Scanned, aligned
from sensor.kernel.scan import end_all, scan, scratch_memory
from sensor.kernel.stations import STATION
from sensor.kernel.table import C_CLOCK_NS, C_ENDED, C_LIVE, C_SIZE, C_TOUCHED, release

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.kernel.places import Places
    from sensor.model import Batch

CLUES_PER_CALL = 1 << 16
HITS_PER_CALL = 1 << 15
MAX_MATCHES = 1 << 16
MAX_TEXTS = 1 << 16  # names remembered as text
TICKS_PER_CALL = 1 << 14
TEXT_BEGINS = (DIALECT, BEGINNING, NAMES_OF)  # what a text begins with that stands for other bytes than a name's
CALLED_OUT = {"mdns": N_MDNS, "llmnr": N_LLMNR, "nbns": N_NBNS}


class Scanner:
    """Flow table and counters of one stream of frames."""

    def __init__(self, rows: int, seed: int, *, drop_duplicates: bool = False) -> None:
        """`rows`: capacity of the flow table, a power of two. `seed`: any 64-bit number."""
        self.flows = aligned(rows, layout.FLOW)
        self.heads = np.full(rows, -1, np.int32)
        self.wheel = np.full(layout.WHEEL_SECONDS, -1, np.int32)
        self.free = np.zeros(rows, np.int32)
        self.ended = np.zeros(rows, np.int32)
        self.control = np.zeros(C_SIZE, np.int64)
        self.counters = np.zeros(len(layout.COUNTERS), np.int64)
        self.notices = np.zeros(len(layout.NOTICES), np.int64)
        self.clues = np.zeros(CLUES_PER_CALL, layout.CLUE)
        self.ticks = np.zeros(TICKS_PER_CALL, layout.TICK)
        self.rules = sieve(())
        self.marker: Callable[[NDArray[np.uint8], NDArray[np.void]], None] | None = None  # sets `mark` of clues
        self.hours = np.zeros(layout.HOURS, layout.HOUR)
        self.scratch = scratch_memory()
        self.pool = new_pool()
        self.streams = stream_pool()
        self.copies = new_memory(used=drop_duplicates)
        self.seed = np.uint64(seed)
        self.reset()

    def reset(self) -> None:
        """Forgets every flow, not the counters: the next frame begins a network of its own."""
        touched = int(self.control[C_TOUCHED])
        # Only buckets that rows in use hang from need clearing; a full sweep of the table would cost each small file dear.
        self.heads[self.flows["bucket"][:touched]] = -1
        self.wheel[:] = -1
        self.control[:] = 0
        self.pool[ROWS]["state"] = FREE
        self.streams[0]["have"] = 0
        self.streams[2][:] = 0
        for memory in self.copies:
            memory[:] = 0

    def read(self, batch: Batch, room: Room = HEAP, spare_bytes: int = 0) -> Scanned:
        """Reads one batch. What comes back lies in `room`, not in the batch nor in the flow table.

        Behind the payloads of each part there are `spare_bytes`, and as much room again as the payloads take.
        """
        release(self.flows, self.ended, self.control)
        parts = []
        ticks = []
        reached = 0
        while reached < len(batch.frames):
            reached, found, windows = self.scan(batch.buffer, batch.frames, reached)
            if self.marker is not None:
                self.marker(batch.buffer, found)
            ticks.append(windows.copy())
            parts.append(self.gather(batch.buffer, found, room, spare_bytes))
        kept_ticks = room.take(sum(map(len, ticks)), layout.TICK)
        np.concatenate(ticks, out=kept_ticks)
        last_ns = int(batch.frames[-1]["time_ns"])
        return Scanned(parts, self.ended_rows(room), len(batch.frames), last_ns, kept_ticks)

    def scan(
        self, buffer: NDArray[np.uint8], frames: NDArray[np.void], start: int
    ) -> tuple[int, NDArray[np.void], NDArray[np.void]]:
        """Reads frames from `start` on; returns where it stopped, clues and ticks (valid until the next call)."""
        reached, written, ticked = scan(
            buffer, frames, start, self.flows, self.heads, self.wheel, self.free, self.ended, self.control,
            self.counters, self.notices, self.clues, self.ticks, self.rules, self.hours, self.scratch,
            self.pool, self.copies, self.seed,
        )  # fmt: skip
        return int(reached), self.clues[:written], self.ticks[:ticked]

    def gather(
        self, buffer: NDArray[np.uint8], scanned: NDArray[np.void], room: Room = HEAP, spare_bytes: int = 0
    ) -> tuple[NDArray[np.void], NDArray[np.uint8]]:
        """The clues that say something, and the payload bytes they point into, in `room`."""
        clues = room.take(len(scanned), layout.CLUE)
        most = int(scanned["length"].sum()) + int(self.streams[2][A_HELD])
        kept = room.take(most + spare_bytes + (most if spare_bytes else 0), np.dtype(np.uint8))
        count, used = gather(
            buffer, self.pool[JOINED], scanned, clues, kept, self.flows, self.streams, self.notices, self.rules,
            self.scratch[2],
        )  # fmt: skip
        return clues[:count], kept[: used + spare_bytes + (used if spare_bytes else 0)]

    def tick(self, time_ns: int, room: Room = HEAP) -> Scanned:
        """Nothing came, and no frame older than `time_ns` will."""
        release(self.flows, self.ended, self.control)
        move_on(
            self.flows, self.heads, self.wheel, self.free, self.ended, self.control, self.notices, np.int64(time_ns)
        )
        return Scanned([], self.ended_rows(room), 0, time_ns, np.zeros(0, layout.TICK))

    def finish(self, room: Room = HEAP) -> Scanned:
        """Ends the flows that are left."""
        release(self.flows, self.ended, self.control)
        end_all(self.flows, self.heads, self.ended, self.control)
        waiting = self.pool[ROWS]["state"]
        self.notices[layout.FRAGMENTS_GIVEN_UP] += np.count_nonzero(waiting == COLLECTING)
        waiting[:] = FREE
        return Scanned([], self.ended_rows(room), 0, int(self.control[C_CLOCK_NS]), np.zeros(0, layout.TICK))

    def ended_rows(self, room: Room) -> tuple[NDArray[np.int32], NDArray[np.void]]:
        """Slots of the flows that ended in this batch, and copies of their rows."""
        count = int(self.control[C_ENDED])
        slots = room.take(count, np.dtype(np.int32))
        slots[:] = self.ended[:count]
        rows = room.take(count, layout.FLOW)
        np.take(self.flows, slots, out=rows, mode="clip")
        for place in ("pool_0", "pool_1"):
            give_back(self.streams, rows[place])
            self.flows[place][slots] = 0
        return slots, rows

    @property
    def clock_ns(self) -> int:
        return int(self.control[C_CLOCK_NS])

    @property
    def live(self) -> int:
        return int(self.control[C_LIVE])


class Names:
    """Every name seen, once, with what the signatures say of it."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.index = np.zeros(capacity * 2, np.int32)
        self.starts = np.zeros(capacity, np.int64)
        self.lengths = np.zeros(capacity, np.int64)
        self.hashes = np.zeros(capacity, np.uint64)
        self.arena = np.zeros(capacity * 32, np.uint8)
        self.control = np.zeros(N_SIZE, np.int64)
        self.match = np.zeros(capacity, np.int32)
        self.speaks = np.zeros(capacity, np.int32)  # of a certificate's names: the name that speaks for it, -1 none
        self.see = np.zeros(capacity, np.uint8)  # 1: the watch for hidden traffic knows it
        self.seed = np.uint64(seed)
        self.shown: dict[int, str] = {}  # what to show for numbers of STUN dialects
        self._texts: dict[int, str] = {}  # those asked for lately
        self._text = np.zeros(256, np.uint8)

    def __len__(self) -> int:
        return int(self.control[N_COUNT])

    def tables(self) -> Any:
        """What the compiled functions take of this."""
        return (self.index, self.starts, self.lengths, self.hashes, self.arena, self.control)

    def intern(self, name: str) -> int:
        """The number of a name; 0 where it is empty, too long, or the table is full."""
        data = name.encode("ascii", "replace")
        if not 0 < len(data) <= 255:
            return 0
        self._text[: len(data)] = np.frombuffer(data, np.uint8)
        return int(intern(self._text, 0, len(data), *self.tables(), self.seed))

    def text(self, number: int) -> str:
        """The name behind a number, or what `shown` has in its place."""
        known = self.shown.get(number)
        if known is None:
            known = self._texts.get(number)
        if known is None:
            start = int(self.starts[number])
            known = self.arena[start : start + int(self.lengths[number])].tobytes().decode("ascii")
            if len(self._texts) >= MAX_TEXTS:
                self._texts.clear()
            self._texts[number] = known
        return known

    @property
    def broken_messages(self) -> int:
        """DNS messages of which nothing could be read."""
        return int(self.control[N_BROKEN])

    def questions_called_out(self) -> dict[str, int]:
        """Questions of devices to their neighbours, by protocol, that nobody had to read."""
        return {f"{name}_messages": int(self.control[at]) for name, at in CALLED_OUT.items()}

    @property
    def full(self) -> bool:
        """Whether it is time to forget: less than a tenth is left."""
        return len(self) > self.starts.shape[0] * 9 // 10 or int(self.control[1]) > self.arena.shape[0] * 9 // 10

    def ask_again(self) -> None:
        """What is known of names holds no more. A text that stands for other bytes is not found again, but made anew."""
        count = len(self) + 1
        self.lengths[:count][np.isin(self.arena[self.starts[:count]], TEXT_BEGINS)] = 0
        self.match[:count], self.speaks[:count], self.see[:count] = 0, 0, 0
        self.shown.clear()
        self._texts.clear()

    def reset(self) -> None:
        count = len(self)
        if count * 4 > self.index.shape[0]:
            self.index[:] = 0
        else:
            # Open addressing: clear each name's own run of places.
            mask = np.uint64(self.index.shape[0] - 1)
            places = self.hashes[1 : count + 1] & mask
            while places.size:
                places = places[self.index[places] != 0]
                self.index[places] = 0
                places = np.unique((places + np.uint64(1)) & mask)
                places = places[self.index[places] != 0]
        self.match[: count + 1] = 0
        self.speaks[: count + 1] = 0
        self.see[: count + 1] = 0
        self.control[:2] = 0  # names and bytes; the rest counts on
        self.shown.clear()
        self._texts.clear()


class Joiner:
    """The memory of DNS answers and of stations; turns clues into hits, in order."""

    def __init__(self, memory_rows: int, names: Names, seed: int, flow_rows: int) -> None:
        """`memory_rows`: capacity of the DNS memory, at least 8. `flow_rows`: the scanner's."""
        self.names = names
        sets = 1 << max((memory_rows // WAYS).bit_length() - 1, 0)  # a power of two: places are masked
        self.memory = np.zeros(sets * WAYS, MEMORY)
        self.stations = np.zeros(1 << 15, STATION)
        self.hot = np.zeros(1 << 14, HOT)
        self.calls = np.zeros(MAX_MATCHES, np.uint8)  # by match number: whether it speaks of a call
        self.control = np.zeros(J_SIZE, np.int64)
        self.who = np.zeros(W_SIZE, np.int64)
        self.hits = np.zeros(HITS_PER_CALL, layout.HIT)
        self.answers = np.zeros(CLUES_PER_CALL * 2, layout.ANSWER)
        self.seed = np.uint64(seed)
        self.locals = Ranges.of([])
        self.ranges = Ranges.of([])
        self.stun_wanted = np.zeros((0, 2), np.int64)
        self.stun_usernames = np.zeros((0, PREFIX_BYTES), np.uint8)
        self.stun_places = NOWHERE
        self.beginnings = sieve(())  # the scanner's rules; and where each holds, as for `first.beginning_text`
        self.beginnings_held: tuple[Places, NDArray[np.int64]] = NOWHERE, np.zeros((MAX_RULES, 2), np.int64)
        self.everything = False
        self.marks = np.zeros(flow_rows, layout.MARK)
        self.text = np.zeros(256, np.uint8)
        self.ports = np.zeros((3, 1 << 16), np.uint8)  # PORT_* of TCP, UDP, ESP
        self.seen_ranges = Ranges.of([])
        self._used = False

    def read_names(self, buffer: NDArray[np.uint8], clues: NDArray[np.void]) -> tuple[NDArray[np.void], int]:
        """Numbers the names in plain sight. Returns the answers and how many clues are left for the decoders."""
        used, odd = read_names(
            buffer,
            clues,
            self.answers,
            self.stun_wanted,
            self.stun_usernames,
            self.stun_places,
            self.beginnings,
            self.beginnings_held,
            self.names.speaks,
            self.text,
            *self.names.tables(),
            self.names.seed,
        )
        return self.answers[:used], int(odd)

    def load(self) -> None:
        """Has the compiled functions loaded, while somebody else is busy: the first call would wait for it."""
        nothing = np.zeros(0, layout.CLUE)
        answers, _ = self.read_names(np.zeros(0, np.uint8), nothing)
        self.join(nothing, 0, answers, 0)

    def join(
        self, clues: NDArray[np.void], begin: int, answers: NDArray[np.void], answers_from: int
    ) -> tuple[int, int, NDArray[np.void]]:
        """Hits of the clues from `begin` on; returns where it stopped in clues and answers, and the hits."""
        self._used = True
        reached, answer, used = join(
            clues, begin, answers, answers_from, (self.memory, self.stations, self.control, self.marks, self.hot),
            self.rules(), self.who, self.hits, self.seed,
        )  # fmt: skip
        return int(reached), int(answer), self.hits[:used]

    def rules(self) -> Any:
        """What `join` has to know of names, matches and addresses."""
        watched = self.names.see, self.ports, self.seen_ranges.columns()
        return self.names.match, self.calls, self.locals.columns(), self.ranges.columns(), watched, self.everything

    def named(self, slots: NDArray[np.int32], flow_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """NAMED_* bits of flows that ended."""
        marks = self.marks[slots]
        bits: NDArray[np.int64] = np.where(marks["flow_id"] == flow_ids, marks["named"], 0)
        return bits

    def reset(self) -> None:
        """Forgets answers and stations."""
        if self._used:
            if self.control[1]:
                self.stations[:] = 0
            if self.control[3]:
                self.memory[:] = 0
            self.hot["expires_ns"] = 0
        self.control[:] = 0
        self._used = False
