"""Separate captures give the same bytes in the same order, however many processes read them and in however large pieces."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor import records, setup
from sensor.capture.planning import Plan, plan
from sensor.dividing import Divided, Work, can_divide
from sensor.errors import CaptureError
from tests import captures

if TYPE_CHECKING:
    from sensor.setup import Setup

DEMO = Path(__file__).resolve().parents[1] / "pcaps" / "clinic-morning.pcap"
MANY = 200
BLOCKS = (64 << 10, 1 << 20, 4 << 20)


@pytest.fixture(scope="module")
def made() -> Setup:
    return setup.read(None)


def digests(made: Setup, planned: Plan, workers: int, chunk_bytes: int) -> dict[str, object]:
    """A digest of each output, and the sums."""
    divided = Divided(planned, workers, Work(made, flows=True, chunk_bytes=chunk_bytes))
    outputs = {name: hashlib.sha256() for name in ("flows", "episodes", "observations", "warnings", "sources")}
    for part in divided.parts():
        outputs["flows"].update("".join(part.flows).encode())
        outputs["episodes"].update("".join(records.line(records.episode_record(one)) for one in part.episodes).encode())
        for seen in part.observations:
            outputs["observations"].update(records.line(records.observation_record(seen)).encode())
        outputs["warnings"].update("".join(map(str, part.warnings)).encode())
        outputs["sources"].update("".join(map(repr, part.sources)).encode())
    return {name: made.hexdigest() for name, made in outputs.items()} | asdict(divided.totals)


@pytest.mark.captures
def test_the_same_bytes_by_any_number_of_workers_and_any_size_of_blocks(made: Setup) -> None:
    every = plan([captures.folder()]).files
    planned = Plan(every[:: len(every) // MANY][:MANY], [])
    assert len(planned.files) == MANY
    whole = digests(made, planned, 1, BLOCKS[-1])
    assert whole["frames"]
    for workers, chunk_bytes in ((2, BLOCKS[0]), (7, BLOCKS[1]), (2, BLOCKS[2]), (7, BLOCKS[2])):
        assert digests(made, planned, workers, chunk_bytes) == whole, (workers, chunk_bytes)


def test_what_cannot_be_read_is_told_once_and_the_rest_is_read(made: Setup, tmp_path: Path) -> None:
    gone = [tmp_path / f"{number}.pcap" for number in range(3)]
    for path in gone:
        path.write_bytes(DEMO.read_bytes()[:4096])
    copy = tmp_path / "whole.pcap"
    copy.write_bytes(DEMO.read_bytes())
    planned = plan([*gone, copy])
    for path in gone[1:]:
        path.unlink()
    divided = Divided(planned, 2, Work(made, flows=False))
    warnings = [str(one) for part in divided.parts() for one in part.warnings]
    assert len(warnings) == len(gone)  # the first of them is cut off
    assert divided.totals.frames > 1000


def test_nothing_that_can_be_read_is_an_error(made: Setup, tmp_path: Path) -> None:
    planned = Plan([tmp_path / "a.pcap", tmp_path / "b.pcap"], [])  # which have gone since they were listed
    with pytest.raises(CaptureError, match=r"a\.pcap"):
        list(Divided(planned, 2, Work(made, flows=False)).parts())


def test_only_files_are_divided(tmp_path: Path) -> None:
    """Standard input and named pipes can be opened once, by one process."""
    copy = tmp_path / "copy.pcap"
    copy.write_bytes(DEMO.read_bytes()[:4096])
    assert can_divide(Plan([DEMO, copy], []), 2)
    assert not can_divide(Plan([DEMO, copy], []), 1)
    assert not can_divide(Plan([DEMO], []), 2)
    assert not can_divide(Plan([DEMO, Path("-")], []), 2)
