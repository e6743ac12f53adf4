"""Figures for Prometheus: its own parser reads them, they add up, and a file is whole or the one before."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sensor.kernel import layout
from sensor.model import SourceState
from sensor.ops.metrics import Metrics, value_of, write
from sensor.totals import Account
from tests.store import make

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = dict(zip(layout.COUNTERS, range(1, 100), strict=False))
SEEN = sum(COUNTERS.values()) + 7
ACCOUNT = Account(
    SourceState(SEEN, 7, 0, time_ns=1_000),
    COUNTERS,
    notices={"bytes_on_wire": 10**13 + 1, "flows_opened": 9},
    flows=4,
    flow_rows=1024,
)


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_them_and_frames_add_up() -> None:
    metrics = Metrics("m1")
    metrics.account(ACCOUNT, 2_500_001_000)
    metrics.episode(make.episode())
    metrics.episode(make.episode())
    metrics.episode(make.episode(app=None, candidates=("messenger", "whatsapp")))
    found = parsed(metrics.text())
    frames = {labels: value for (name, labels), value in found.items() if name == "wardwatch_frames_total"}
    assert len(frames) == len(COUNTERS) + 2
    assert sum(frames.values()) == SEEN == value_of(metrics.text(), "frames_seen_total", {})
    label = (("activity", "messaging"), ("app", "whatsapp"), ("interface", "m1"), ("verdict", "violation"))
    assert found["wardwatch_episodes_total", label] == 2
    assert value_of(metrics.text(), "episodes_total", {"app": "messenger_or_whatsapp"}) == 1
    assert value_of(metrics.text(), "lag_seconds", {}) == 2.5
    assert value_of(metrics.text(), "bytes_total", {"interface": "m1"}) == pytest.approx(10**13)
    assert any(name == "wardwatch_build_info" for name, _ in found)
    assert not any(math.isnan(value) for value in found.values())


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "w\udc80"])
def test_hostile_labels_break_no_line(name: str) -> None:
    metrics = Metrics(name)
    metrics.episode(replace(make.episode(), app=name))
    assert ("wardwatch_spool_records", (("interface", name.encode("utf-8", "replace").decode()),)) in parsed(
        metrics.text()
    )


def test_a_file_is_whole_or_the_one_before_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "w.prom"
    write(path, "first 1\n")
    write(path, "second 2\n")
    assert [one.name for one in tmp_path.iterdir()] == ["w.prom"]
    assert (path.read_text("utf-8"), path.stat().st_mode & 0o777) == ("second 2\n", 0o644)
    with pytest.raises(UnicodeEncodeError):
        write(path, "third \udc80")
    assert [one.name for one in tmp_path.iterdir()] == ["w.prom"]
    assert path.read_text("utf-8") == "second 2\n"
    with pytest.raises(OSError, match="No such file"):
        write(tmp_path / "none" / "w.prom", "")
