"""A run of many hours keeps nothing of those that are over, and tells of them what a replay tells at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from sensor import capture, setup
from sensor.hourly import counted
from sensor.kernel import layout
from sensor.kernel.state import Scanner
from sensor.model import Batch, SourceState
from sensor.pipeline import Pipeline
from sensor.wording import rfc3339
from tests.made import PHONE, hello, tcp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.model import Observation
    from sensor.statement import NetworkHour, Statement

HOUR_S = 3600
VPN = "us123.nordvpn.com"


class Live(capture.CaptureSource):
    """A capture in batches of one frame, each with an account."""

    def batches(self) -> Iterator[Batch]:
        handed = 0
        for batch in super().batches():
            for at in range(len(batch.frames)):
                handed += 1
                yield Batch(batch.buffer, batch.frames[at : at + 1], state=SourceState(handed, 0, 0))


def capture_of(folder: Path, hours: int) -> Path:
    """In each hour two connections, one of them to a VPN; the last is still there in the hour after."""
    from scapy.utils import wrpcap

    frames = []
    for hour in range(hours):
        for port, name, after_s in ((1, VPN, 10), (2, "example.org", 20), (3, VPN, 3590)):
            for step in range(3):
                frame = tcp(PHONE, 40000 + 10 * hour + port, "203.0.113.9", 443, hello(name) if step == 0 else b"")
                frame.time = 1_700_000_400 // HOUR_S * HOUR_S + hour * HOUR_S + after_s + step * 7
                frames.append(frame)
    frames.sort(key=lambda frame: frame.time)
    path = folder / "hours.pcap"
    wrpcap(str(path), frames)
    return path


def read(path: Path, *, live: bool, parallel: bool) -> tuple[list[Observation], list[NetworkHour], Statement, Pipeline]:
    made = setup.read(None)
    seen: list[Observation] = []
    hours: list[NetworkHour] = []
    pipeline = Pipeline(
        made.settings, made.signatures, made.policy, made.networks, on_episode=lambda _: None, parallel=parallel,
        visibility=made.visibility, on_observation=seen.append, on_hours=hours.extend if live else None,
    )  # fmt: skip
    plan = capture.plan([path], recursive=False)
    totals = pipeline.run(Live(plan) if live else capture.CaptureSource(plan))
    assert totals.statement is not None
    return seen, hours, totals.statement, pipeline


def by_hour(seen: list[Observation]) -> Counter[tuple[str, int]]:
    return Counter({place: sum(one.flows for one in seen if (one.kind, one.hour_ns) == place)
                    for place in {(one.kind, one.hour_ns) for one in seen}})  # fmt: skip


def test_parts_add_up_to_what_a_replay_tells(tmp_path: Path) -> None:
    path = capture_of(tmp_path, 6)
    seen, _, statement, _ = read(path, live=False, parallel=False)
    for parallel in (False, True):
        in_parts, hours, rest, _ = read(path, live=True, parallel=parallel)
        assert by_hour(in_parts) == by_hour(seen)
        assert len(by_hour(seen)) == 6
        assert (rest.total, rest.frames, rest.lost) == (statement.total, statement.frames, statement.lost)
        assert len(hours) > 4
        assert len(rest.hours) <= 2
        flows: Counter[int] = Counter()
        for one in (*hours, *rest.hours):
            flows[one.hour_ns] += one.sums.all_flows
        assert flows == Counter({one.hour_ns: one.sums.all_flows for one in statement.hours})


def test_an_hour_is_told_while_the_line_runs_and_forgotten(tmp_path: Path) -> None:
    """What is known of an hour comes with the first frame that is five minutes past it."""
    path = capture_of(tmp_path, 4)
    told: list[tuple[int, int]] = []
    made = setup.read(None)
    clock = [0]
    pipeline = Pipeline(
        made.settings, made.signatures, made.policy, made.networks, on_episode=lambda _: None, parallel=False,
        visibility=made.visibility, on_hours=lambda found: told.extend((one.hour_ns, clock[0]) for one in found),
        on_account=lambda _: clock.__setitem__(0, int(pipeline._scanner.clock_ns)),
    )  # fmt: skip
    pipeline.run(Live(capture.plan([path], recursive=False)))
    assert told
    for hour_ns, when_ns in told:
        assert hour_ns + layout.HOUR_NS + 300 * layout.NS <= when_ns <= hour_ns + 3 * layout.HOUR_NS
    assert rfc3339(told[0][0]).endswith(":00:00.000000000Z")


def test_the_loop_keeps_some_hours_and_tells_of_all() -> None:
    scanner = Scanner(1 << 10, 1)
    for hour in range(100):
        row = scanner.hours[np.flatnonzero(scanner.hours["frames"] == 0)[0]]
        row["hour"], row["frames"] = hour * layout.HOUR_NS, 1
        found = counted(scanner.hours, 24)
        assert max(found)[0] == hour * layout.HOUR_NS
    assert len(counted(scanner.hours)) <= 48
