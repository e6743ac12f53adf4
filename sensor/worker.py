"""The compiled loop in a process of its own, a batch ahead of the joiner: two cores, and neither waits for the other's lock.

The worker reads the source and the flow table; what crosses the pipe is clue rows, the payload bytes they point into, and the
rows of flows that ended. At its end it sends what the source had to say and the counters.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.errors import CaptureError, WardwatchError
from sensor.kernel import layout
from sensor.kernel.state import Scanned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

PIPE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the source has been read, in bytes on disk."""

    read_bytes: int


@dataclass(frozen=True, slots=True)
class LastWords:
    """What the worker's side had to say at the end."""

    words: Any


@dataclass(frozen=True, slots=True)
class _Header:
    """What comes before the arrays of one Scanned."""

    lengths: list[tuple[int, int]]
    ended: int
    frames: int
    last_ns: int
    read_bytes: int


@dataclass(frozen=True, slots=True)
class _End:
    said: Any
    error: WardwatchError | None


def can_work() -> bool:
    """Whether a second process would help, and can be forked safely."""
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


def in_worker(
    items: Callable[[], Iterator[Scanned | None]], read_bytes: Callable[[], int], last_words: Callable[[], Any]
) -> Iterator[Scanned | Progress | LastWords | None]:
    """What `items` gives, produced in a forked process; after it LastWords with what `last_words` gives there.

    Raises what `items` raises of ours, and CaptureError where the process dies.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    with contextlib.suppress(OSError):  # a larger pipe lets the worker run ahead; without one it only waits more
        fcntl.fcntl(theirs.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = context.Process(target=_work, args=(items, read_bytes, last_words, ours, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while True:
            head = _received(ours, process)
            if isinstance(head, _End):
                if head.error is not None:
                    raise head.error
                yield LastWords(head.said)
                return
            if head is None:
                yield None
                continue
            yield Progress(head.read_bytes)
            yield _scanned(ours, head)
    finally:
        ours.close()
        process.terminate()
        process.join()


def _received(ours: Connection, process: Any) -> Any:
    try:
        return ours.recv()
    except EOFError as error:
        process.join(1)
        raise CaptureError(f"the process that reads the captures died (exit code {process.exitcode})") from error


def _scanned(ours: Connection, head: _Header) -> Scanned:
    parts = [(_array(ours, layout.CLUE, count), _array(ours, np.dtype(np.uint8), size)) for count, size in head.lengths]
    slots = _array(ours, np.dtype(np.int32), head.ended)
    return Scanned(parts, (slots, _array(ours, layout.FLOW, head.ended)), head.frames, head.last_ns)


def _array(ours: Connection, dtype: np.dtype[Any], count: int) -> Any:
    found = np.empty(count, dtype)
    if count:
        ours.recv_bytes_into(found.view(np.uint8).data)
    return found


def _work(
    items: Callable[[], Iterator[Scanned | None]],
    read_bytes: Callable[[], int],
    last_words: Callable[[], Any],
    ours: Connection,
    theirs: Connection,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the joiner is told, and ends this process
    ours.close()
    error: WardwatchError | None = None
    try:
        for item in items():
            _send(theirs, item, read_bytes())
    except BrokenPipeError:
        return
    except WardwatchError as raised:
        error = raised
    theirs.send(_End(last_words(), error))


def _send(theirs: Connection, item: Scanned | None, read_bytes: int) -> None:
    if item is None:
        theirs.send(None)
        return
    lengths = [(len(clues), len(kept)) for clues, kept in item.parts]
    slots, rows = item.ended
    theirs.send(_Header(lengths, len(slots), item.frames, item.last_ns, read_bytes))
    for array in (*(array for part in item.parts for array in part), slots, rows):
        if len(array):
            theirs.send_bytes(array.view(np.uint8).data)
