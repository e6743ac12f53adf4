"""The compiled loop in a process of its own, a batch ahead of the joiner: two cores, and neither waits for the other's lock.

The worker reads the source and the flow table; what comes across, in shared memory, is clue rows, the payload bytes they point
into, and the rows of flows that ended. At its end it sends what the source had to say and the counters.
"""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.errors import CaptureError, WardwatchError
from sensor.kernel import layout
from sensor.kernel.room import Room, Scanned

if TYPE_CHECKING:
    from collections import deque

SLOTS = 4  # batches that may be under way at once
SLOT_BYTES = 32 << 20  # of address space; memory is taken as it is touched. What does not fit goes through the pipe

FREED = b"1"  # a slot may be used again; whatever else comes that way is an order

Items = Callable[[Callable[[], Room]], Iterator[Scanned | None]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the source has been read, in bytes on disk."""

    read_bytes: int


@dataclass(frozen=True, slots=True)
class LastWords:
    """What the worker's side had to say at the end."""

    words: Any


@dataclass(frozen=True, slots=True)
class Obeyed:
    """The worker has done what it was ordered to: what comes now was read after that."""


@dataclass(frozen=True, slots=True)
class _Header:
    """Where the arrays of one Scanned lie: each a place in the slot, or -1 where it follows in the pipe, and its rows."""

    slot: int
    parts: list[tuple[int, int, int, int]]  # clues, kept bytes
    ended: tuple[int, int, int, int]  # slots, rows
    ticks: tuple[int, int]
    frames: int
    last_ns: int
    read_bytes: int
    account: Any


@dataclass(frozen=True, slots=True)
class _End:
    said: Any
    error: WardwatchError | None


class _Worker:
    """Both ends: shared slots, a pipe for headers, a pipe by which slots are given back."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.slots = [np.frombuffer(mmap.mmap(-1, SLOT_BYTES), np.uint8) for _ in range(SLOTS)]
        self.headers, self.sender = context.Pipe(duplex=False)
        self.freed, self.freer = context.Pipe(duplex=False)
        self.context = context
        self.used = 0  # slots taken so far, by the worker
        self.spare = SLOTS
        self.obey: Callable[[Any], None] | None = None

    def room(self) -> Room:
        """The next slot; waits until the joiner has done with it. Does what the joiner ordered meanwhile."""
        while not self.spare or self.freed.poll():
            said = self.freed.recv_bytes()
            if said == FREED:
                self.spare += 1
            elif self.obey is not None:
                self.obey(pickle.loads(said))  # noqa: S301 - from the process that this one was forked from
                self.sender.send(Obeyed())
        self.spare -= 1
        self.used += 1
        return Room(self.slots[(self.used - 1) % SLOTS])

    def send(self, item: Scanned | None, read_bytes: int) -> None:
        if item is None:
            self.sender.send(None)
            return
        slot = (self.used - 1) % SLOTS
        arrays = [(array, self._place(slot, array)) for part in (*item.parts, item.ended) for array in part]
        places = [(*a, *b) for a, b in batched_pairs([(place, len(array)) for array, place in arrays])]
        ticks = (self._place(slot, item.ticks), len(item.ticks))
        arrays.append((item.ticks, ticks[0]))
        head = _Header(slot, places[:-1], places[-1], ticks, item.frames, item.last_ns, read_bytes, item.account)
        self.sender.send(head)
        for array, place in arrays:
            if place < 0:
                self.sender.send_bytes(array.view(np.uint8).data)

    def _place(self, slot: int, array: Any) -> int:
        """Where in the slot an array lies; -1: elsewhere, 0 for an empty one."""
        if not len(array):
            return 0
        place = int(array.ctypes.data) - int(self.slots[slot].ctypes.data)
        return place if 0 <= place < SLOT_BYTES else -1

    def scanned(self, head: _Header) -> Scanned:
        memory = self.slots[head.slot]
        parts = [
            (self._array(memory, *head_part[:2], layout.CLUE), self._array(memory, *head_part[2:], np.dtype(np.uint8)))
            for head_part in head.parts
        ]
        slots = self._array(memory, *head.ended[:2], np.dtype(np.int32))
        ended = slots, self._array(memory, *head.ended[2:], layout.FLOW)
        ticks = self._array(memory, *head.ticks, layout.TICK)
        return Scanned(parts, ended, head.frames, head.last_ns, ticks, head.account)

    def _array(self, memory: Any, place: int, count: int, dtype: np.dtype[Any]) -> Any:
        if place >= 0:
            return memory[place : place + count * dtype.itemsize].view(dtype)
        found = np.empty(count, dtype)
        self.headers.recv_bytes_into(found.view(np.uint8).data)
        return found


def batched_pairs(items: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Items two by two."""
    return list(zip(items[::2], items[1::2], strict=True))


def can_fork() -> bool:
    """Whether a process can be forked safely: a thread beside this one may hold a lock, which nobody would give back there."""
    return threading.active_count() == 1


def can_work() -> bool:
    """Whether a second process would help, and can be forked."""
    return len(os.sched_getaffinity(0)) > 1 and can_fork()


def in_worker(
    items: Items,
    read_bytes: Callable[[], int],
    last_words: Callable[[], Any],
    meanwhile: Callable[[], None],
    *,
    orders: deque[Any],
    obey: Callable[[Any], None],
) -> Iterator[Scanned | Progress | LastWords | Obeyed | None]:
    """What `items` gives, produced in a forked process; after it LastWords with what `last_words` gives there.

    A Scanned is valid until the next item is asked for. `items` is given where to find room for each. `meanwhile` is done here
    while the process begins. What is put into `orders` is given to `obey` there, between two items, of which the second follows Obeyed.
    Raises what `items` raises of ours, and CaptureError where the process dies.
    """
    worker = _Worker()
    process = worker.context.Process(target=_work, args=(worker, items, read_bytes, last_words, obey), daemon=True)
    process.start()
    worker.sender.close()
    worker.freed.close()
    try:
        meanwhile()
        while True:
            head = _received(worker, process)
            if isinstance(head, _End):
                if head.error is not None:
                    raise head.error
                yield LastWords(head.said)
                return
            if head is None or isinstance(head, Obeyed):
                yield head
                continue
            yield Progress(head.read_bytes)
            yield worker.scanned(head)
            with contextlib.suppress(BrokenPipeError):  # the worker may have ended already
                while orders:
                    worker.freer.send_bytes(pickle.dumps(orders.popleft()))
                worker.freer.send_bytes(FREED)
    finally:
        worker.headers.close()
        worker.freer.close()
        process.terminate()
        process.join()


def _received(worker: _Worker, process: Any) -> Any:
    try:
        return worker.headers.recv()
    except EOFError as error:
        process.join(1)
        raise CaptureError(f"the process that reads the captures died (exit code {process.exitcode})") from error


def _work(
    worker: _Worker,
    items: Items,
    read_bytes: Callable[[], int],
    last_words: Callable[[], Any],
    obey: Callable[[Any], None],
) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # the joiner is told, and ends this process
        signal.signal(number, signal.SIG_IGN)
    worker.obey = obey
    worker.headers.close()
    worker.freer.close()
    error: WardwatchError | None = None
    try:
        for item in items(worker.room):
            worker.send(item, read_bytes())
    except (BrokenPipeError, EOFError):
        return  # the joiner has gone
    except WardwatchError as raised:
        error = raised
    worker.sender.send(_End(last_words(), error))
