"""Figures for Prometheus, in its text format, as a file that node_exporter's textfile collector or the API hands out."""

from __future__ import annotations

import os
import platform
import tempfile
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.model import Episode
    from sensor.totals import Account

WRITE_EVERY_S: Final = 15.0
MODE: Final = 0o644  # another user's collector reads it; it names apps and no device
Labels = tuple[tuple[str, str], ...]
Family = tuple[str, str, str, list[tuple[Labels, float]]]  # name, kind, help, samples


class Metrics:
    """What a watch has to say in figures. `interface` labels all of them."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._episodes: Counter[Labels] = Counter()
        self._account: Account | None = None
        self._lag_s = 0.0
        self.waiting = self.left_out = 0  # records in the spool; those that no room was found for
        self.failing = False
        self.health: dict[str, bool] = {}  # by finding: whether it holds now

    def episode(self, one: Episode) -> None:
        """One that is over."""
        app = one.app or "_or_".join(one.candidates)
        self._episodes[("app", app), ("activity", one.activity.label), ("verdict", one.verdict.outcome.value)] += 1

    def account(self, account: Account, now_ns: int) -> None:
        """What became of the frames so far."""
        self._account = account
        self._lag_s = max(now_ns - account.source.time_ns, 0) / 1e9

    def text(self) -> str:
        """All of it, as https://prometheus.io/docs/instrumenting/exposition_formats has it."""
        return "".join(_lines(one, self._interface) for one in self._families())

    def _families(self) -> Iterable[Family]:
        yield _one(
            "build_info", "gauge", "What runs.", 1, ("version", _version()), ("python", platform.python_version())
        )
        yield "episodes_total", "counter", "Episodes that are over.", [*self._episodes.items()]
        yield _one("spool_records", "gauge", "Records that wait for the store.", self.waiting)
        yield _one("spool_left_out_total", "counter", "Records that could not be kept.", self.left_out)
        yield _one("store_failing", "gauge", "1 while the store does not take what is written.", int(self.failing))
        if self.health:
            found: list[tuple[Labels, float]] = [
                ((("finding", name),), float(holds)) for name, holds in sorted(self.health.items())
            ]
            yield "health", "gauge", "1 for what is wrong with the mirror port now.", found
        if self._account is not None:
            yield from _of_account(self._account)
            yield _one("lag_seconds", "gauge", "How far judging is behind reading.", self._lag_s)


def _of_account(account: Account) -> Iterable[Family]:
    source, notices = account.source, account.notices
    frames: list[tuple[Labels, float]] = []
    for name, count in account.counters.items():
        what, _, reason = name.partition("_")
        frames.append(((("class", what), ("reason", reason)), count))
    frames.append(((("class", "dropped"), ("reason", "kernel_ring")), source.dropped))
    frames.append(((("class", "dropped"), ("reason", "shed")), source.shed))
    yield "frames_total", "counter", "What became of every frame that the kernel saw; they add up.", frames
    yield _one("frames_seen_total", "counter", "Frames that the kernel saw.", source.seen)
    yield _one("frames_waiting", "gauge", "Frames that wait in the ring.", source.waiting)
    yield _one("ring_full_total", "counter", "How often the ring was full.", source.ring_full)
    yield _one("interruptions_total", "counter", "How often the interface was down or gone.", source.interruptions)
    yield _one("frames_oversized_total", "counter", "Frames longer than the MTU: offloads are on.", source.oversized)
    yield _one("frames_snapped_total", "counter", "Frames that were cut short.", source.snapped)
    yield _one("bytes_total", "counter", "Bytes on the wire.", notices.get("bytes_on_wire", 0))
    yield _one("flows_total", "counter", "Flows that began.", notices.get("flows_opened", 0))
    yield _one("flow_table_flows", "gauge", "Flows in the table.", account.flows)
    yield _one("flow_table_rows", "gauge", "How many it has room for.", account.flow_rows)
    yield _one("clock_jumps_total", "counter", "How often packet time went back.", notices.get("clock_jumps", 0))


def _one(name: str, kind: str, text: str, value: float, *labels: tuple[str, str]) -> Family:
    return name, kind, text, [(labels, value)]


def _lines(family: Family, interface: str) -> str:
    name, kind, text, samples = family
    said = f"# HELP wardwatch_{name} {text}\n# TYPE wardwatch_{name} {kind}\n"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(one)}"' for key, one in (("interface", interface), *labels))
        said += f"wardwatch_{name}{{{pairs}}} {value:.12g}\n"
    return said


def _escaped(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _version() -> str:
    try:
        return version("wardwatch")
    except PackageNotFoundError:
        return "unknown"


def write(path: Path, text: str) -> None:
    """The whole file or the one before, never a part. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(name).chmod(MODE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def value_of(text: str, name: str, labels: Mapping[str, str]) -> float | None:
    """One sample of a text; None where there is none. For who reads the file and wants one figure."""
    for line in text.splitlines():
        if line.startswith(f"wardwatch_{name}{{") and all(f'{key}="{one}"' in line for key, one in labels.items()):
            return float(line.rpartition(" ")[2])
    return None
