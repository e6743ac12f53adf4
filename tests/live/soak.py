"""A long run under load: memory and descriptors flat, nothing dropped, and more flows than the table holds survived.

`python -m tests.live.soak --seconds 1200 --pps 100000 --flows 10000000` (`make soak`); shorter for a look.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.commands.running import CAPTURE, COMMAND, CONFIG
from tests.live.net import Mirror, Watch, accounted, mirror
from tests.live.test_watch import processes

FLOWS_IN_FILE = 1 << 18
FRAME_BYTES = 60
PAGE = 4096


@dataclass
class Soaked:
    """What came of it."""

    seconds: float = 0.0
    memory_bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)
    lost_by_kernel: int = 0
    table_full: int = 0
    flows_offered: int = 0
    alive: bool = False

    @property
    def growth(self) -> float:
        """Of memory, from the end of the first quarter to the last samples, as a share."""
        quarter = max(len(self.memory_bytes) // 4, 1)
        begin = float(np.median(self.memory_bytes[quarter : 2 * quarter + 1]))
        return float(np.median(self.memory_bytes[-quarter:])) / begin - 1


def flood(path: Path) -> Path:
    """As many UDP flows as FLOWS_IN_FILE, one frame each; tcpreplay makes others of them with each round."""
    frame = bytes.fromhex("02005e00530102005e0053ff08004500002e000000004011000000000000c0000201c0000035001a0000").ljust(
        FRAME_BYTES, b"\0"
    )
    rows = np.zeros((FLOWS_IN_FILE, 16 + FRAME_BYTES), np.uint8)
    rows[:, 8:16] = np.frombuffer(np.array([FRAME_BYTES, FRAME_BYTES], "<u4").tobytes(), np.uint8)
    rows[:, 16:] = np.frombuffer(frame, np.uint8)
    number = np.arange(FLOWS_IN_FILE, dtype=np.uint32)
    rows[:, 16 + 26] = 10
    for place, shift in ((27, 16), (28, 8), (29, 0)):
        rows[:, 16 + place] = (number >> shift) & 0xFF
    head = np.array([0xA1B2C3D4], "<u4").tobytes() + bytes.fromhex("0200040000000000000000000000040001000000")
    path.write_bytes(head + rows.tobytes())
    return path


def measured(pids: list[int]) -> tuple[int, int]:
    """Memory of its own (not what is shared) and open descriptors, of all."""
    memory = descriptors = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8"), re.MULTILINE)
        memory += int(found[1]) << 10 if found else 0
        descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return memory, descriptors


def soaked(port: Mirror, folder: Path, *, seconds: float, pps: int, flows: int, every_s: float = 5.0) -> Soaked:
    """Runs it on a mirror."""
    config = folder / "soak.toml"
    config.write_text(CONFIG.read_text("utf-8") + "\n[capture]\nring_mebibytes = 256\n", "utf-8")
    command = ["ip", "netns", "exec", port.sensor, str(COMMAND), "watch", "m1", "--config", str(config),
               "--store", str(folder / "w.sqlite")]  # fmt: skip
    found = Soaked(seconds=seconds)
    watch = Watch(command)
    watch.wait_for("watching", 120)
    began_s = time.monotonic()
    sending = ["ip", "netns", "exec", port.clinic, "tcpreplay", "-q", "-K", "-i", "c0"]
    with subprocess.Popen(
        [*sending, "--pps", str(pps), "--loop", "0", str(CAPTURE)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as traffic:
        try:
            while time.monotonic() < began_s + seconds:
                time.sleep(every_s)
                memory, descriptors = measured(processes(port))
                found.memory_bytes.append(memory)
                found.descriptors.append(descriptors)
        finally:
            traffic.kill()
    if flows:
        rounds = max(flows // FLOWS_IN_FILE, 1)
        found.flows_offered = rounds * FLOWS_IN_FILE
        asked = [*sending, "--pps", str(pps), "--unique-ip", "--loop", str(rounds), str(flood(folder / "flood.pcap"))]
        subprocess.run(
            asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60 + 4 * flows / pps
        )
    found.alive = watch.process.poll() is None
    done = watch.stop(signal.SIGTERM, timeout_s=120)
    found.sums = accounted(done)
    last = next(line for line in done.err.splitlines() if "since the start" in line and " frames = " in line)
    for name, words in (("lost_by_kernel", "kernel_ring"), ("table_full", "table_full")):
        told = re.search(rf"(\d+) {words}", last)
        setattr(found, name, int(told[1]) if told else 0)
    return found


def main() -> None:
    """Prints what came of it; fails where it is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--pps", type=int, default=100_000)
    parser.add_argument("--flows", type=int, default=10_000_000)
    options = parser.parse_args()
    with mirror() as port, tempfile.TemporaryDirectory() as folder:
        found = soaked(port, Path(folder), seconds=options.seconds, pps=options.pps, flows=options.flows)
    rate = found.sums["frames"] / max(found.seconds + found.flows_offered / options.pps, 1)
    print(  # noqa: T201 - what the script is for
        f"{found.seconds:.0f} s, {found.sums['frames']} frames ({rate:.0f}/s), {found.lost_by_kernel} lost by the kernel; "
        f"memory {found.memory_bytes[-1] >> 20} MiB, growth {found.growth:.2%}; descriptors {found.descriptors[0]} to "
        f"{found.descriptors[-1]}; {found.flows_offered} flows offered, {found.table_full} frames without room in the table; "
        f"{'alive' if found.alive else 'DEAD'}"
    )
    if not found.alive or found.growth >= 0.01 or len(set(found.descriptors)) > 1 or found.lost_by_kernel:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
