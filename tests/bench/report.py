"""Medians, ratios, the table, and the file that is kept of them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.bench.measure import Run

LEAST_RATIO = 4.0
BUSY_LOAD = 0.5  # load average of the minute before, beyond which others were at work too
WIDE = 1.5  # slowest run to fastest, beyond which they have been during it
WARDWATCH, NDPI, TSHARK, TOUCH, READ = "wardwatch", "ndpiReader", "tshark", "touch loop", "read()"
LIBRARIES = ("wardwatch", "numpy", "numba", "llvmlite", "cryptography")


@dataclass(slots=True)
class Tool:
    """The runs of one tool over a capture of `packets` packets. Memory 0: not measured."""

    name: str
    packets: int
    runs: list[Run] = field(default_factory=list)
    private_bytes: int | None = None
    pss_bytes: int | None = None

    @property
    def wall_s(self) -> float:
        return median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return median(run.cpu_s for run in self.runs)

    @property
    def packets_per_s(self) -> float:
        return self.packets / self.wall_s

    @property
    def peak_bytes(self) -> int:
        return max(run.peak_bytes for run in self.runs)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "packets": self.packets,
            "wall_s": [round(run.wall_s, 3) for run in self.runs],
            "wall_median_s": round(self.wall_s, 3),
            "cpu_median_s": round(self.cpu_s, 3),
            "packets_per_s": round(self.packets_per_s),
            "peak_bytes": self.peak_bytes or None,
            "private_bytes": self.private_bytes,
            "pss_bytes": self.pss_bytes,
        }


def ratios(tools: dict[str, Tool]) -> dict[str, float]:
    """How many times faster wardwatch is, by packets in a second of the clock and of the processor.

    To the touch loop: how many times as long wardwatch takes. Only tools that ran are in it.
    """
    ours = tools[WARDWATCH]
    found = {}
    for name in (NDPI, TSHARK):
        other = tools.get(name)
        if other is not None:
            found[f"{name}, wall time"] = ours.packets_per_s / other.packets_per_s
            found[f"{name}, CPU time"] = (ours.packets / ours.cpu_s) / (other.packets / other.cpu_s)
    if TOUCH in tools:
        found["touch loop, wall time, times as long"] = ours.wall_s / tools[TOUCH].wall_s
    return found


def passes(found: dict[str, float]) -> bool:
    """Whether wardwatch is as fast as promised, by wall time; also where there is nothing to compare with."""
    return found.get(f"{NDPI}, wall time", LEAST_RATIO) >= LEAST_RATIO


def table(tools: dict[str, Tool]) -> str:
    """One line for each tool."""
    head = ("tool", "packets", "wall s", "lowest..highest", "CPU s", "packets/s", "peak MB", "private MB", "Pss MB")
    rows = [head]
    for tool in tools.values():
        walls = [run.wall_s for run in tool.runs]
        spread = f"{min(walls):.2f}..{max(walls):.2f}"
        rate = f"{tool.packets_per_s:,.0f}"
        memory = (_megabytes(tool.peak_bytes), _megabytes(tool.private_bytes), _megabytes(tool.pss_bytes))
        rows.append((tool.name, f"{tool.packets:,}", f"{tool.wall_s:.2f}", spread, f"{tool.cpu_s:.2f}", rate, *memory))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(f"{row[0]:<{widths[0]}}" if not i else f"{row[i]:>{widths[i]}}" for i in range(len(head)))
        for row in rows
    ]
    return "\n".join(lines)


def _megabytes(count: int | None) -> str:
    return f"{count / 1e6:.0f}" if count else "-"


def doubts(tools: dict[str, Tool], load: float) -> list[str]:
    """Why the figures may mean nothing: one line each."""
    found = [f"load was {load:.2f} before it began"] if load > BUSY_LOAD else []
    for name in (WARDWATCH, NDPI, TSHARK):
        walls = [run.wall_s for run in tools[name].runs] if name in tools else []
        if walls and max(walls) > WIDE * min(walls):
            found.append(f"{name} took {min(walls):.2f} to {max(walls):.2f} s")
    return found


def machine() -> dict[str, Any]:
    """What was measured on; nothing that names the machine."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def versions() -> dict[str, str]:
    """Of what took part."""
    found = {"python": platform.python_version()}
    found |= {name: metadata.version(name) for name in LIBRARIES}
    for name, pattern in ((NDPI, r"nDPI v?(\d\S*)"), (TSHARK, r"TShark \(Wireshark\) (\d\S*?)\.?\s")):
        if (said := _help(name)) and (match := re.search(pattern, said)):
            found[name] = match[1]
    return found


def _help(name: str) -> str:
    try:
        done = subprocess.run([name, "-h"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr
