"""A live interface as a source of frames: the ring's own memory, block after block, without a copy.

Packet time goes on when nothing arrives: about once a second a batch without frames carries the time up to which all frames
have been handed on. An interface that goes down is waited for, one that vanishes is looked for again, with growing pauses.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import time
from typing import TYPE_CHECKING

import numpy as np

from sensor.capture.blocks import NOTED, OVERSIZED, walk_block
from sensor.capture.limits import MAX_FRAMES
from sensor.capture.mirror import MirrorWindow
from sensor.capture.packets import Ring
from sensor.capture.shedding import ALL_BUT_BEGINNINGS, BULK, shed
from sensor.capture.shedding import NOTHING as SHED_NOTHING
from sensor.errors import CaptureError
from sensor.model import FRAME, Batch, CaptureWarning, FrameSource, LinkType, SourceInfo, SourceState
from sensor.opening import BLOCK_BYTES, RETIRE_MS, GoneError, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.model import MirrorState

TICK_MS = 1000
SETTLED_NS = 2_000_000_000  # what arrived this long ago is out of the ring, where nothing waits in it
ACCOUNT_S = 1.0
FILLING, NEARLY_FULL = 0.75, 0.9  # of the ring: from here on bulk is left out, and all but beginnings
WINDOW_S = 60.0  # in which the mirror is judged
DRAIN_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
MAX_BLOCKS = 64  # in one batch
MIN_SLOT_BYTES = 96  # what the shortest frame takes in a block, header and room in front included
BLOCK_FRAMES = BLOCK_BYTES // MIN_SLOT_BYTES + 1  # frames in one block at most
NOTHING = np.zeros(0, np.uint8)
NO_FRAMES = np.zeros(0, FRAME)


class RingSource(FrameSource):
    """Frames of one interface until `stop`, or for `seconds`. `say` takes one line on each change of the interface.

    To be opened where a mistake can be told, read in whatever process forks from there.
    """

    def __init__(
        self,
        interface: str,
        options: Options,
        *,
        say: Callable[[str], None],
        seconds: float | None = None,
        account_s: float = ACCOUNT_S,
        window_s: float = WINDOW_S,
    ) -> None:
        """Raises CaptureError: no such interface, not permitted, of a kind that cannot be read."""
        self.sources = [SourceInfo(interface, format="live")]
        self.warnings: list[CaptureWarning] = []
        self.total_bytes = None
        self.read_bytes = 0
        self._interface = interface
        self._options = options
        self._say = say
        self._seconds = seconds
        self._account_s = account_s
        self._window_s = window_s
        self._stop, self._stopper = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rows = np.zeros(MAX_FRAMES + BLOCK_FRAMES, FRAME)
        self._level = SHED_NOTHING
        self._shed = 0
        self._mirror = MirrorWindow()
        self._mirror_s = time.monotonic()
        self._handed = 0  # frames in batches so far
        self._seen = self._dropped = self._ring_full = self._interruptions = 0
        self._noted = np.zeros(len(NOTED), np.int64)
        self._held: list[int] = []  # blocks that the last batch points into
        self._told_oversized = False
        self._longest = 0
        self._down = False
        self._ends_s = math.inf
        self._pause_s, self._again_s, self._why = FIRST_PAUSE_S, 0.0, ""
        self._ring: Ring | None = Ring(interface, options)

    def stop(self) -> None:
        """Ends `batches` once what is in the ring has been handed on. May be called in a signal's handler, in any process."""
        with contextlib.suppress(BlockingIOError):  # asked often enough
            os.write(self._stopper, b".")

    def batches(self) -> Iterator[Batch]:
        """Yield batches, each valid until the next; to be called once. The last has no frames and the final state."""
        self._ends_s = math.inf if self._seconds is None else time.monotonic() + self._seconds
        accounted_s = time.monotonic()
        if self._ring is not None:
            self._begin(self._ring)
            self._say(f"{self._interface}: watching")
        while not self._is_over():
            now_ns = time.time_ns()
            batch = self._next()
            if batch is None and self._ring is not None and self._has_gone(self._ring):
                yield from self._drained(self._ring)
                self._close()
            batch = batch or Batch(NOTHING, NO_FRAMES, now_ns - SETTLED_NS)
            if time.monotonic() >= accounted_s + self._account_s:
                accounted_s = time.monotonic()
                batch.state = self.state()
            yield batch
            self._release()
        if self._ring is not None:
            self._ring.shut()
            yield from self._drained(self._ring)
        yield Batch(NOTHING, NO_FRAMES, state=self.state())
        self._close()

    def state(self) -> SourceState:
        """What became of the frames that the kernel saw, those of the batch handed on last included."""
        self._count()
        tags, oversized, snapped, damaged = self._noted.tolist()
        return SourceState(
            seen=self._seen,
            dropped=self._dropped,
            waiting=self._seen - self._dropped - self._handed,
            time_ns=time.time_ns(),
            ring_full=self._ring_full,
            interruptions=self._interruptions,
            tags_put_back=tags,
            oversized=oversized,
            snapped=snapped,
            damaged_blocks=damaged,
            mirror=self._mirror_state(),
            shed=self._shed,
        )

    def _mirror_state(self) -> MirrorState:
        now_s = time.monotonic()
        seconds = now_s - self._mirror_s
        over = seconds >= self._window_s
        if over:
            self._mirror_s = now_s
        return self._mirror.state(seconds, over=over)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._ends_s or bool(select.select([self._stop], [], [], 0)[0])

    def _wait_ms(self) -> int:
        return max(min(TICK_MS, int((self._ends_s - time.monotonic()) * 1000)), 0) if self._seconds else TICK_MS

    def _next(self) -> Batch | None:
        """Frames, or None after a second without any."""
        if self._ring is None:
            select.select([self._stop], [], [], self._wait_ms() / 1000)
            if time.monotonic() >= self._again_s:
                self._reopen()
            return None
        blocks = self._read(self._ring)
        if blocks is None:
            self._ring.wait(self._wait_ms(), self._stop)
            blocks = self._read(self._ring)
        return blocks

    def _read(self, ring: Ring) -> Batch | None:
        """The frames of the blocks that are ready."""
        rows, filled = self._rows, 0
        for base in ring.ready(MAX_BLOCKS):
            if filled > MAX_FRAMES:
                break
            filled = walk_block(
                ring.buffer, ring.words, ring.shorts, base, BLOCK_BYTES, int(ring.link), ring.link == LinkType.ETHERNET,
                self._longest, self._handed, rows, filled, self._noted,
            )  # fmt: skip
            self._held.append(base)
        if not self._held:
            return None
        self._handed += filled
        self._tell_oversized()
        level = ALL_BUT_BEGINNINGS if ring.is_filled(NEARLY_FULL) else BULK if ring.is_filled(FILLING) else SHED_NOTHING
        if level or self._level:
            self._tell_level(level)
        if level:
            left = shed(ring.buffer, rows, filled, level)
            self._shed += filled - left
            filled = left
        if not filled:
            self._release()
            return None
        info = self.sources[0]
        info.frames = self._handed
        info.first_ns = int(rows[0]["time_ns"]) if info.first_ns is None else info.first_ns
        info.last_ns = int(rows[filled - 1]["time_ns"])
        self._mirror.look(ring.buffer, rows[:filled])
        return Batch(ring.buffer, rows[:filled])

    def _tell_level(self, level: int) -> None:
        if level != self._level and (level == SHED_NOTHING or level > self._level):
            what = ("overload is over: all is read again", "overload: bulk is left out and counted as shed",
                    "overload: all but DNS and handshakes is left out and counted as shed")[level]  # fmt: skip
            self._say(f"{self._interface}: {what}")
        self._level = level

    def _release(self) -> None:
        """What the last batch pointed into goes back to the kernel."""
        if self._ring is not None:
            self._ring.release(self._held)
        self._held.clear()

    def _drained(self, ring: Ring) -> Iterator[Batch]:
        """What is left in a ring that nothing enters any more; the kernel closes the last block after RETIRE_MS."""
        until_s = time.monotonic() + DRAIN_S
        while True:
            time.sleep(RETIRE_MS / 1000)
            while (batch := self._read(ring)) is not None:
                yield batch
                self._release()
            self._count()
            if self._seen - self._dropped <= self._handed or time.monotonic() >= until_s:
                return

    def _count(self) -> None:
        if self._ring is not None:
            packets, drops, ring_full = self._ring.statistics()
            self._seen += packets
            self._dropped += drops
            self._ring_full += ring_full

    def _begin(self, ring: Ring) -> None:
        ring.begin()
        self._longest = ring.longest_bytes()
        self._down = not ring.is_up()
        if self._down:
            self._say(f"{self._interface}: is down; waiting until it is up")

    def _has_gone(self, ring: Ring) -> bool:
        """Nothing came: why? Tells of an interface that is down, and once it is up again; True where it has vanished."""
        failed = ring.error() != 0
        if not failed and not self._down:
            return False
        self._interruptions += failed and not self._down
        if not ring.is_there():
            self._say(f"{self._interface}: has vanished; it is looked for again until it is back")
            return True
        if not ring.is_up():
            if not self._down:
                self._say(f"{self._interface}: went down; waiting until it is up again")
            self._down = True
        else:
            self._say(
                f"{self._interface}: is up again" if self._down else f"{self._interface}: went down and came up again"
            )
            self._down = False
        return False

    def _close(self) -> None:
        if self._ring is None:
            return
        self._count()
        self._ring.close()
        self._ring = None
        self._pause_s = FIRST_PAUSE_S
        self._again_s = time.monotonic() + self._pause_s
        self._why = ""

    def _reopen(self) -> None:
        try:
            ring = Ring(self._interface, self._options)
        except CaptureError as error:
            self._put_off(error)
            return
        try:
            self._begin(ring)
        except CaptureError as error:
            ring.close()
            self._put_off(error)
            return
        self._ring = ring
        self._say(f"{self._interface}: is back; what passed in between was not seen")

    def _put_off(self, error: CaptureError) -> None:
        """Tries again later; says why if that is news."""
        why = "" if isinstance(error, GoneError) else str(error)
        if why and why != self._why:
            self._say(why)
        self._why = why
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._again_s = time.monotonic() + self._pause_s

    def _tell_oversized(self) -> None:
        if self._noted[OVERSIZED] and not self._told_oversized:
            self._told_oversized = True
            name = self._interface
            self._say(f"{name}: frames longer than its MTU come in, merged by the card or the kernel; they are read as they are, "
                      f"`ethtool -K {name} gro off lro off rx-gro-hw off` shows them as they were on the wire")  # fmt: skip
