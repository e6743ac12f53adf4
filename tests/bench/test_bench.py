"""The benchmark measures what it says: small children with a known appetite, and the demo's capture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import material, report
from tests.bench.floor import floor
from tests.bench.measure import Failed, Run, run

ROOT = Path(__file__).resolve().parents[2]
EATS_MB = 64
EATER = f"import time; data = b'x' * ({EATS_MB} << 20); time.sleep(0.3)"


def tool(name: str, wall_s: float, packets: int = 1000) -> report.Tool:
    return report.Tool(name, packets, [Run(wall_s, wall_s / 2, 1 << 20)])


def test_memory_and_time_of_a_child() -> None:
    # From a process that is small itself, as measure.py asks for; the tests' is not.
    script = f"""
import dataclasses, json, sys
from tests.bench.measure import run
print(json.dumps(dataclasses.asdict(run([sys.executable, "-c", {EATER!r}], sample=True))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT)
    took = json.loads(done.stdout)
    for what in ("peak_bytes", "private_bytes", "pss_bytes"):
        assert EATS_MB << 20 < took[what] < (EATS_MB + 64) << 20, what
    assert took["wall_s"] > 0.3
    assert took["cpu_s"] < took["wall_s"]


def test_memory_of_its_children_counts() -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {EATER!r}], check=True)"
    took = run([sys.executable, "-c", parent], sample=True)
    assert took.private_bytes is not None
    assert took.private_bytes > EATS_MB << 20


def test_without_sampling_there_are_no_samples() -> None:
    took = run([sys.executable, "-c", ""])
    assert took.private_bytes is None
    assert took.pss_bytes is None


def test_a_child_that_fails_is_told() -> None:
    with pytest.raises(Failed, match="status 7: it broke"):
        run([sys.executable, "-c", "import sys; print('it broke', file=sys.stderr); sys.exit(7)"])
    run([sys.executable, "-c", "raise SystemExit(3)"], good=(0, 3))


def test_the_touch_loop_touches_every_packet() -> None:
    truth = json.loads(material.DEMO.with_suffix(".truth.json").read_text())
    found = floor(material.DEMO)
    assert found["packets"] == truth["frames"]
    assert found["bytes"] == material.DEMO.stat().st_size


def test_the_ratio_is_by_packets_in_a_second() -> None:
    tools = {
        report.WARDWATCH: tool(report.WARDWATCH, 1.0, 1000),
        report.NDPI: tool(report.NDPI, 5.0, 1000),
        report.TSHARK: tool(report.TSHARK, 2.0, 100),
        report.TOUCH: tool(report.TOUCH, 0.5, 1000),
    }
    found = report.ratios(tools)
    assert found["ndpiReader, wall time"] == pytest.approx(5)
    assert found["tshark, wall time"] == pytest.approx(20)
    assert found["touch loop, wall time, times as long"] == pytest.approx(2)


@pytest.mark.parametrize(("ndpi_s", "good"), [(4.0, True), (3.99, False)])
def test_four_times_as_fast_is_asked(ndpi_s: float, good: bool) -> None:
    tools = {report.WARDWATCH: tool(report.WARDWATCH, 1.0), report.NDPI: tool(report.NDPI, ndpi_s)}
    assert report.passes(report.ratios(tools)) is good


def test_with_nothing_to_compare_with_nothing_fails() -> None:
    assert report.passes(report.ratios({report.WARDWATCH: tool(report.WARDWATCH, 1.0)}))


def test_the_median_counts() -> None:
    several = report.Tool("x", 100, [Run(9.0, 1, 5), Run(1.0, 2, 9), Run(2.0, 3, 7)])
    assert (several.wall_s, several.cpu_s, several.peak_bytes) == (2.0, 2, 9)


def test_a_busy_machine_is_told() -> None:
    quiet = {report.WARDWATCH: report.Tool(report.WARDWATCH, 9, [Run(2.0, 2, 1), Run(2.5, 2, 1)])}
    busy = {report.WARDWATCH: report.Tool(report.WARDWATCH, 9, [Run(6.9, 2, 1), Run(44.2, 2, 1)])}
    assert report.doubts(quiet, 0.2) == []
    assert report.doubts(quiet, 1.76) == ["load was 1.76 before it began"]
    assert report.doubts(busy, 0.2) == ["wardwatch took 6.90 to 44.20 s"]


def test_without_captures_the_demo_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WARDWATCH_CAPTURES", str(tmp_path / "none"))
    monkeypatch.delenv(material.GIVEN, raising=False)
    said: list[str] = []
    chosen = material.choose(2, tmp_path, said.append)
    assert (chosen.path, chosen.judged) == (material.DEMO, False)
    assert "No captures" in said[0]


def test_a_given_capture_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WARDWATCH_CAPTURES", str(tmp_path / "none"))
    monkeypatch.setenv(material.GIVEN, str(tmp_path / "gone.pcap"))
    with pytest.raises(FileNotFoundError, match=r"gone\.pcap"):
        material.choose(2, tmp_path, print)


def test_what_is_written_names_no_place() -> None:
    text = json.dumps([report.machine(), report.versions()])
    assert str(material.ROOT) not in text
    assert "python" in report.versions()
