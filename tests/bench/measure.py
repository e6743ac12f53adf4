"""Runs one program to its end and tells what it took: seconds by the clock and of the processor, and memory.

`ru_maxrss` is of the largest process where a program has several; what they hold together is sampled from /proc
(proc(5), smaps_rollup): private pages summed, and Pss, which counts what they share among them once.
Whoever measures must stay small: until a child has begun its own program, Linux counts its parent's memory as its own
in `ru_maxrss`. So nothing heavy is imported here, and the loops that are compared with run in children too.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SAMPLE_S = 0.02
PRIVATE = ("Private_Clean:", "Private_Dirty:")
PSS = ("Pss:",)


class Failed(Exception):  # noqa: N818 - it says what happened to a child
    """A program that was to be measured did not end well."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `cpu_s` is user and system time together, of all its processes; the sampled peaks are None without sampling."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    private_bytes: int | None = None
    pss_bytes: int | None = None


def run(command: Sequence[str], *, sample: bool = False, good: Collection[int] = (0,)) -> Run:
    """Runs a command with its output thrown away. `sample`: watch its memory, which disturbs its time.

    Raises Failed where it ends with a status that is not among `good`.
    """
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        watch = _Watch(child.pid) if sample else None
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)  # it is waited for already: Popen must not try
        private, pss = watch.peaks() if watch else (None, None)
        if child.returncode not in good:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-2000:]
            raise Failed(f"{Path(command[0]).name} ended with status {child.returncode}: {said}")
    return Run(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, private, pss)


class _Watch:
    """Samples the memory of a process and all that it started, until it is asked for the peaks."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._private = self._pss = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.wait(SAMPLE_S):
            rows = [row for pid in _family(self._pid) for row in _rollup(pid)]
            self._private = max(self._private, sum(size for name, size in rows if name in PRIVATE))
            self._pss = max(self._pss, sum(size for name, size in rows if name in PSS))

    def peaks(self) -> tuple[int | None, int | None]:
        """The most that was seen of private memory and of Pss, in bytes; None where nothing was."""
        self._over.set()
        self._thread.join()
        return self._private or None, self._pss or None


def _family(pid: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    found = [pid]
    for one in found:
        for listed in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has just ended
                found += map(int, listed.read_text().split())
    return found


def _rollup(pid: int) -> list[tuple[str, int]]:
    """(name, bytes) of each line; nothing of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return []
    return [(name, int(size) * 1024) for name, size, *_ in map(str.split, lines)]
