"""What one, forty and four thousand sensors need, and a terabyte and a petabyte of captures: `python -m docs.scale.plan` writes docs/scale.md anew.

The figures of one machine are measured (MEASURED); how clinics behave is assumed (CLINIC, LINE), and said. The rest is a simulation of a week,
minute by minute: every sensor sees more by day than by night, lines are cut now and then, and the centre takes as much as it can.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "scale.md"
BEGIN, END = "<!-- made by docs/scale/plan.py -->\n", "<!-- end -->\n"
MINUTES: Final = 7 * 24 * 60
DAY: Final = 24 * 60
SEED: Final = 20261124
GB, TB, PB = 1e9, 1e12, 1e15


@dataclass(frozen=True, slots=True)
class Measured:
    """On two cores of a shared virtual machine, November 2026; how, is said in docs/scale.md."""

    replay_packets_per_s: float = 1.45e6
    replay_bytes_per_s: float = 0.6e9
    live_cpu_s_per_million_packets: float = 1.3
    sensor_bytes_per_episode: float = 5960
    centre_bytes_per_episode: float = 12_280
    sent_bytes_per_episode: float = 330
    sent_bytes_each_minute: float = 900  # a batch without news, its answer, and what TLS and HTTP add
    ingest_episodes_per_s: float = 390  # by one process on one core, PostgreSQL beside it


@dataclass(frozen=True, slots=True)
class Clinic:
    """Assumed: a clinic of 200 devices."""

    episodes_each_day: float = 3000  # 15 of each device
    revisions_of_each: float = 2  # a call is told when it begins and when it is over
    packets_per_s: float = 20_000  # by day, on a busy link of 100 Mbit/s


@dataclass(frozen=True, slots=True)
class Line:
    """Assumed: of 100 lines to the centre one is cut each day, for six hours; and once in the week a quarter of them for two days."""

    cut_each_day: float = 0.01
    cut_minutes: int = 6 * 60
    storm_share: float = 0.25
    storm_minutes: int = 2 * DAY


MEASURED, CLINIC, LINE = Measured(), Clinic(), Line()


@dataclass(frozen=True, slots=True)
class Week:
    """What came of a week. `waiting`: revisions not yet at the centre, over all sensors."""

    told: float
    most_waiting: float
    centre_busy: float  # share of the time
    hours_behind: float  # after the storm, until nothing waits any more
    most_bits_per_s: float


def week(sensors: int, ingest_processes: int = 1) -> Week:
    """Minute by minute; each sensor sends what it has as soon as its line is there and the centre takes it."""
    random = np.random.default_rng(SEED)
    clock = np.arange(DAY) / 60
    by_day = np.clip(np.sin((clock - 6) / 14 * np.pi), 0.02, None)  # from six in the morning to eight in the evening
    by_day /= by_day.sum()
    each_minute = CLINIC.episodes_each_day * CLINIC.revisions_of_each * by_day
    most = MEASURED.ingest_episodes_per_s * 60 * ingest_processes
    waiting = np.zeros(sensors)
    cut_until = np.zeros(sensors, np.int64)
    storm = DAY + 10 * 60  # it begins on the second day at ten
    told = busy = most_waiting = most_bits = 0.0
    last_behind = storm + LINE.storm_minutes
    for minute in range(MINUTES):
        waiting += random.poisson(each_minute[minute % DAY], sensors)
        cut = random.random(sensors) < LINE.cut_each_day / DAY
        cut_until[cut] = np.maximum(cut_until[cut], minute + LINE.cut_minutes)
        if minute == storm:
            cut_until[: int(sensors * LINE.storm_share)] = storm + LINE.storm_minutes
        there = cut_until <= minute
        asked = float(waiting[there].sum())
        share = min(1.0, most / asked) if asked else 1.0
        sent = asked * share
        waiting[there] *= 1 - share
        told += sent
        busy += sent / most
        most_waiting = max(most_waiting, float(waiting.sum()))
        bits = 8 * (sent * MEASURED.sent_bytes_per_episode + there.sum() * MEASURED.sent_bytes_each_minute) / 60
        most_bits = max(most_bits, float(bits))
        if minute >= storm + LINE.storm_minutes and waiting[there].sum() > sensors:
            last_behind = minute
    return Week(told, most_waiting, busy / MINUTES, (last_behind - storm - LINE.storm_minutes) / 60, most_bits)


def sensors_table() -> list[str]:
    """One row for each size of a group."""
    rows = [
        "| sensors | episodes a day | centre's store a year | ingest processes | of them busy | line at most | waiting at most, after a quarter was cut off for two days | until that is told |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sensors in (1, 40, 4000):
        processes = 1
        found = week(sensors, processes)
        while found.centre_busy > 0.35:
            processes += 1
            found = week(sensors, processes)
        daily = sensors * CLINIC.episodes_each_day
        size = daily * 365 * MEASURED.centre_bytes_per_episode
        rows.append(
            f"| {sensors:,} | {daily:,.0f} | {_size(size)} | {processes} | {found.centre_busy:.1%} | {_bits(found.most_bits_per_s)} | "
            f"{found.most_waiting:,.0f} revisions | {_time(found.hours_behind * 3600)} |"
        )
    return rows


def captures_table() -> list[str]:
    """One row for each heap of captures."""
    rows = [
        "| captures | on one machine like this | machines for one night (10 h) | captures' bytes each machine reads in a second |",
        "|---|---|---|---|",
    ]
    for size, name in ((TB, "1 TB"), (PB, "1 PB")):
        seconds = size / MEASURED.replay_bytes_per_s
        machines = max(1, -(-seconds // 36_000))
        rows.append(f"| {name} | {_time(seconds)} | {machines:,.0f} | {_size(MEASURED.replay_bytes_per_s)} |")
    return rows


def one_sensor() -> list[str]:
    """What the box in the clinic needs."""
    cores = CLINIC.packets_per_s * MEASURED.live_cpu_s_per_million_packets / 1e6
    store = CLINIC.episodes_each_day * 365 * MEASURED.sensor_bytes_per_episode
    line = (
        CLINIC.episodes_each_day * CLINIC.revisions_of_each * MEASURED.sent_bytes_per_episode
        + DAY * MEASURED.sent_bytes_each_minute
    )
    return [
        f"- cores busy at {CLINIC.packets_per_s:,.0f} packets/s: {cores:.3f};",
        f"- its store grows by {_size(store)} a year, if nothing is ever removed;",
        f"- it sends {_size(line)} a day, of which {_size(DAY * MEASURED.sent_bytes_each_minute)} only say that it lives.",
    ]


def made() -> str:
    """The part of the document that is made."""
    parts = (["One sensor, in a clinic of 200 devices:", "", *one_sensor()], sensors_table(), captures_table())
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _size(count: float) -> str:
    for unit, name in ((PB, "PB"), (TB, "TB"), (GB, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.0f} kB"


def _bits(per_s: float) -> str:
    return f"{per_s / 1e6:.2f} Mbit/s" if per_s >= 1e5 else f"{per_s / 1e3:.1f} kbit/s"


def _time(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.1f} days"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def written(text: str) -> str:
    """The document with what is made put in."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + made() + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
    sys.stdout.write(made())
