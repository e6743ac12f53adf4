"""What may happen to a sensor in years: kills, a clock that jumps, a decoder that stands still, a link that flaps."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CAPTURE, CONFIG, lines, wardwatch
from tests.live.kills import killed
from tests.live.net import accounted, watching
from tests.live.same import frames_in, retimed
from tests.live.test_watch import FRAMES, processes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root
DAY_S = 86400


def test_five_kills_lose_nothing_and_double_nothing(port: Mirror, tmp_path: Path) -> None:
    found = killed(port, tmp_path, 5, seed=7, longest_s=4.5)
    assert found.kills == 5
    assert found.reported
    assert (found.missing, found.doubled, found.faults) == (set(), 0, [])
    assert found.slowest_start_s < 30  # three seconds, but for what else runs on the machine of a test


def test_a_decoder_that_stands_still_for_a_while_loses_nothing_of_a_quiet_link(port: Mirror, tmp_path: Path) -> None:
    """The ring holds 25 s of it; here a good part of that."""
    out = tmp_path / "episodes"
    with watching(port, "--no-store", "--config", CONFIG, "--episodes", out) as watch:
        held = processes(port)
        for one in held:
            os.kill(one, signal.SIGSTOP)
        port.send(CAPTURE, "--pps", "2500")
        for one in held:
            os.kill(one, signal.SIGCONT)
        done = watch.stop()
    sums = accounted(done)
    assert sums["frames"] == FRAMES
    assert "kernel_ring" not in done.err
    assert len(lines(out.read_text("utf-8"))) > 10


def test_a_link_that_flaps(port: Mirror) -> None:
    with watching(port, "--no-store", "--config", CONFIG) as watch:
        for _ in range(8):
            port.set("down")
            time.sleep(0.1)
            port.set("up")
            time.sleep(0.1)
        time.sleep(2)
        port.send(CAPTURE, "--topspeed")
        done = watch.stop()
    assert done.status == 0
    assert accounted(done)["frames"] == FRAMES


def jumping(folder: Path, jump_s: int) -> Path:
    """The demo, whose clock jumps for the second half, and back again for the last tenth."""
    whole = retimed(CAPTURE, folder / "whole.pcap", 1_773_734_400 * 10**9, 1).read_bytes()
    total, at, number = frames_in(CAPTURE), 24, 0
    parts = [whole[:24]]
    while at < len(whole):
        seconds, rest, captured, wire = struct.unpack_from("<IIII", whole, at)
        jumped = total // 2 <= number < total * 9 // 10
        parts.extend(
            (struct.pack("<IIII", seconds + jump_s * jumped, rest, captured, wire), whole[at + 16 : at + 16 + captured])
        )
        at += 16 + captured
        number += 1
    path = folder / f"jump{jump_s}.pcap"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
def test_a_clock_that_jumps_a_day_and_back(tmp_path: Path, jump_s: int) -> None:
    """Packet time is the clock of a live port, and goes through the same code."""
    store, out = tmp_path / "w.sqlite", tmp_path / "episodes"
    done = wardwatch("replay", jumping(tmp_path, jump_s), "--config", CONFIG, "--store", store, "--episodes", out)
    assert done.status in {0, 3}, done.err
    told = lines(out.read_text("utf-8"))
    assert {"whatsapp", "zoom"} <= {one["app"] for one in told}
    assert all(one["start"] <= one["end"] for one in told)
    assert wardwatch("audit", "verify", "--store", store).status == 0


def test_two_hangups_and_a_stop_at_once(port: Mirror) -> None:
    with watching(port, "--no-store", "--config", CONFIG) as watch:
        sender = threading.Thread(target=port.send, args=(CAPTURE, "--topspeed"))
        sender.start()
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            watch.process.send_signal(number)
        sender.join()
        done = watch.end()
    assert done.status == 0, done.err
    sums = accounted(done)
    assert sums["frames"] == sums["classified"] + sums["ignored"] + sums["dropped"]


def test_under_overload_bulk_is_left_out_first_and_all_is_accounted_for(port: Mirror, tmp_path: Path) -> None:
    """The sensor stands still until its small ring is nearly full, and then finds it so."""
    config, out = tmp_path / "small.toml", tmp_path / "flows"
    config.write_text(CONFIG.read_text("utf-8") + "\n[capture]\nring_mebibytes = 4\n", "utf-8")
    with watching(port, "--no-store", "--config", config, "--flows", out) as watch:
        held = processes(port)
        for one in held:
            os.kill(one, signal.SIGSTOP)
        port.send(CAPTURE, "--topspeed")
        for one in held:
            os.kill(one, signal.SIGCONT)
        watch.wait_for("m1: overload: ")
        port.send(CAPTURE, "--pps", "8000")
        watch.wait_for("m1: overload is over")
        done = watch.stop()
    sums = accounted(done)
    assert sums["frames"] == 2 * FRAMES == sums["classified"] + sums["ignored"] + sums["dropped"]
    assert " shed" in done.err
