"""`make fuzz`: every target for a while, each in a process of its own, by hypothesis and then by atheris.

python -m tests.fuzz [--seconds N] [TARGET...]

The corpus and what broke a promise stay in .fuzz/, outside of git.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.model import Malformed
from tests import captures
from tests.fuzz.names import KERNEL
from tests.fuzz.targets import TARGETS, Target
from tests.kernel.harness import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fuzz"
DEMO = ROOT / "pcaps" / "clinic-morning.pcap"
HYPOTHESIS_SHARE = 0.2
PACKETS_PER_CAPTURE = 400
READ_SEEDS, OTHER_SEEDS = 1500, 300  # payloads that the target reads, and such that it refuses


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=float, default=600, help="for each target (default: 600)")
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    names = options.targets or list(TARGETS)
    broken = []
    for name in names:
        for engine, seconds in shares(options.seconds):
            corpus = plant(TARGETS[name])
            print(f"{name}: {engine} for {seconds:.0f} s, {len(list(corpus.iterdir()))} seeds", flush=True)
            command = [sys.executable, "-m", f"tests.fuzz.by_{engine}", name, str(seconds), str(corpus)]
            # One seed of hashing for every run: what a set or a dictionary does must not differ between them.
            environment = {**os.environ, "PYTHONHASHSEED": "0", "NUMBA_DISABLE_JIT": "1" if name == KERNEL else "0"}
            if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
                broken.append(f"{name} ({engine})")
    print("broken: " + ", ".join(broken) if broken else f"{len(names)} targets kept every promise")
    return 1 if broken else 0


def shares(seconds: float) -> list[tuple[str, float]]:
    """Hypothesis goes first: it is the quicker one to find what is plainly wrong, and shows it small."""
    return [("hypothesis", seconds * HYPOTHESIS_SHARE), ("atheris", seconds * (1 - HYPOTHESIS_SHARE))]


def plant(target: Target) -> Path:
    """The folder of the target's corpus, with the seeds in it if it is new."""
    folder = FOLDER / "corpus" / target.name.replace(" ", "-")
    if not folder.is_dir():
        folder.mkdir(parents=True)
        for seed in [*target.seeds(), *real(target)]:
            if len(seed) <= target.max_bytes:
                (folder / sha256(seed).hexdigest()[:32]).write_bytes(seed)
    return folder


def real(target: Target) -> Iterator[bytes]:
    """Payloads of the demo and of the captures, if the target is a decoder of such."""
    if not target.reads_payloads:
        return
    read, refused = READ_SEEDS, OTHER_SEEDS
    for payload in all_payloads():
        if len(payload) > target.max_bytes:
            continue
        if isinstance(target.run(payload), Malformed):
            refused -= 1
            if refused >= 0:
                yield payload
        elif read:
            read -= 1
            yield payload


def all_payloads() -> Iterator[bytes]:
    """Of every capture the first packets' payloads; each beginning only a few times."""
    seen: dict[tuple[bytes, int], int] = {}
    folder = captures.find()
    others = sorted(path for path in folder.iterdir() if path.suffix in {".pcap", ".pcapng"}) if folder else []
    for path in [DEMO, *others]:
        for _, source, destination, payload in islice(payloads(path, PACKETS_PER_CAPTURE), PACKETS_PER_CAPTURE):
            kind = payload[:3], min(source, destination)
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= 6:
                yield payload


if __name__ == "__main__":
    sys.exit(main())
