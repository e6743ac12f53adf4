"""Runs the real command, as an operator would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).parent / "wardwatch"
PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
CAPTURE, CONFIG, TRUTH = PCAPS / "clinic-morning.pcap", PCAPS / "clinic.toml", PCAPS / "clinic-morning.truth.json"


@dataclass(frozen=True)
class Done:
    """What became of a call: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


def wardwatch(*arguments: str | Path, stdin: bytes = b"", stdout: str | None = None, timeout_s: float = 120) -> Done:
    """Runs wardwatch; `stdout` is a file or device to print to instead of being returned."""
    command = [str(COMMAND), *map(str, arguments)]
    # A bar of progress or a colour would depend on who runs the tests.
    env = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "COLUMNS"}}
    with Path(stdout or os.devnull).open("wb") as elsewhere:
        done = subprocess.run(
            command,
            input=stdin,
            stdout=elsewhere if stdout else subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
            env=env,
        )
    return Done(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def told(done: Done, status: int, *words: str) -> None:
    """Checks that a call ended with this status and one line that has these words."""
    assert done.status == status, done.err
    assert done.err.startswith("wardwatch: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err


def lines(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def without_file(record: dict[str, Any]) -> dict[str, Any]:
    """An episode without the name of the capture that it was read from."""
    evidence = [{key: value for key, value in one.items() if key != "file"} for one in record["evidence"]]
    return {key: value for key, value in record.items() if key != "file"} | {"evidence": evidence}


def tshark(capture: Path, display_filter: str) -> list[int]:
    """The numbers of the frames that a display filter selects; skips where tshark is not installed."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]
