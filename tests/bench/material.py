"""What the benchmark reads: a mix of captures made by others where those are there, else the demo's capture."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import captures

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "pcaps" / "clinic-morning.pcap"
GIVEN = "WARDWATCH_BENCH_CAPTURE"
SMALL_COPIES = 4  # for tshark: about four seconds


@dataclass(frozen=True, slots=True)
class Material:
    """`small` is for tshark, which would take minutes over all of it. `judged`: large enough for the ratio to mean something."""

    path: Path
    title: str
    small: Path | None
    small_title: str
    judged: bool


def choose(copies: int, work: Path, say: Callable[[str], None]) -> Material:
    """Finds or makes the captures; what is made lies in `work`. `say` hears one line for whatever is not there.

    Raises FileNotFoundError where the capture that the environment names is not there.
    """
    folder = captures.find()
    mix = folder.parent / "score" / "mix.py" if folder is not None else None
    if folder is None or mix is None or not mix.is_file():
        say("No captures of others (../shared/captures or $WARDWATCH_CAPTURES, with score/mix.py beside them).")
        mix = None
    small = None
    if folder is not None and mix is not None:
        say(f"Mixing {SMALL_COPIES} copies for tshark ...")
        small = _made(mix, SMALL_COPIES, work, folder)
    small_title = f"a mix of {SMALL_COPIES} copies"
    given = os.environ.get(GIVEN)
    if given:
        path = Path(given)
        if not path.is_file():
            raise FileNotFoundError(f"${GIVEN} names {given}, which is not there")
        return Material(path, path.name, small, small_title, judged=True)
    if folder is not None and mix is not None:
        say(f"Mixing {copies} copies; $WARDWATCH_BENCH_CAPTURE would name a mix that is kept ...")
        return Material(_made(mix, copies, work, folder), f"a mix of {copies} copies", small, small_title, judged=True)
    say("Only the demo's capture is read: start-up outweighs it, and its ratios are not judged.")
    return Material(DEMO, DEMO.name, DEMO, DEMO.name, judged=False)


def _made(mix: Path, copies: int, work: Path, folder: Path) -> Path:
    path = work / f"mix{copies}.pcap"
    command = [sys.executable, str(mix), str(copies), str(path), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
