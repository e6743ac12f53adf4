"""Separate captures give the same bytes in the same order, however many processes read them and in however large pieces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensor.capture.planning import Plan, plan
from sensor.dividing import can_divide
from tests import captures

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "pcaps" / "clinic-morning.pcap"
MANY = 200
BLOCKS = (64 << 10, 1 << 20, 4 << 20)


def divided(files: list[Path], workers: int = 2, chunk_bytes: int = BLOCKS[-1]) -> dict[str, Any]:
    """What tests/dividing.py says of captures."""
    command = [sys.executable, "-m", "tests.dividing", str(workers), str(chunk_bytes), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.captures
def test_the_same_bytes_by_any_number_of_workers_and_any_size_of_blocks() -> None:
    every = plan([captures.folder()]).files
    files = every[:: len(every) // MANY][:MANY]
    assert len(files) == MANY
    whole = divided(files, 1)
    assert whole["totals"]["frames"]
    for workers in (2, 7):
        assert divided(files, workers) == whole, workers
    del whole[
        "flows"
    ]  # are listed as they end, block by block: the same lines, in another order where blocks are small
    for workers, chunk_bytes in ((2, BLOCKS[0]), (7, BLOCKS[1])):
        found = divided(files, workers, chunk_bytes)
        del found["flows"]
        assert found == whole, (workers, chunk_bytes)


def test_what_cannot_be_read_is_told_once_and_the_rest_is_read(tmp_path: Path) -> None:
    cut, copy = tmp_path / "cut.pcap", tmp_path / "whole.pcap"
    cut.write_bytes(DEMO.read_bytes()[:4096])
    copy.write_bytes(DEMO.read_bytes())
    found = divided([cut, tmp_path / "gone.pcap", tmp_path / "gone too.pcap", copy])
    assert len(found["warnings"]) == 3
    assert found["totals"]["frames"] > 1000


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    assert "a.pcap" in divided([tmp_path / "a.pcap", tmp_path / "b.pcap"])["error"]


def test_only_files_are_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input and named pipes can be opened once, by one process; and who has threads is not forked."""
    copy = tmp_path / "copy.pcap"
    copy.write_bytes(DEMO.read_bytes()[:4096])
    monkeypatch.setattr("sensor.dividing.can_fork", lambda: True)
    assert can_divide(Plan([DEMO, copy], []), 2)
    assert not can_divide(Plan([DEMO, copy], []), 1)
    assert not can_divide(Plan([DEMO], []), 2)
    assert not can_divide(Plan([DEMO, Path("-")], []), 2)
    monkeypatch.setattr("sensor.dividing.can_fork", lambda: False)
    assert not can_divide(Plan([DEMO, copy], []), 2)
