"""What a running watch tells systemd and Prometheus."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from sensor.ops.metrics import value_of
from tests.commands.running import CAPTURE, CONFIG
from tests.live.net import watching
from tests.live.test_watch import processes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root


class Listener:
    """Stands where systemd's socket does."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.heard: list[str] = []

    def hear(self, seconds: float) -> list[str]:
        """What comes in so many seconds."""
        until = time.monotonic() + seconds
        found = []
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                found.append(self.socket.recv(4096).decode())
            except TimeoutError:
                break
        self.heard += found
        return found


def test_systemd_is_told_by_the_packet_loops_progress(
    port: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    with watching(port, "--no-store", "--config", CONFIG) as watch:
        began = listener.hear(3)
        assert began[0] == "READY=1"
        assert 1 <= began.count("WATCHDOG=1") <= 5  # one a second, on an idle link too
        inside = [one for one in processes(port) if one != watch.process.pid]
        for one in inside:
            os.kill(one, signal.SIGSTOP)  # the process that reads the ring hangs
        listener.hear(2)
        assert listener.hear(2) == []
        for one in inside:
            os.kill(one, signal.SIGCONT)
        watch.process.send_signal(signal.SIGHUP)
        watch.wait_for("reloaded: policy")
        heard = listener.hear(2)
        reloading = next(index for index, one in enumerate(heard) if one.startswith("RELOADING=1\nMONOTONIC_USEC="))
        assert "READY=1" in heard[reloading:]
        watch.stop()
    assert "STOPPING=1" in listener.hear(0.5)
    listener.socket.close()


def test_figures_are_written_and_add_up(port: Mirror, tmp_path: Path) -> None:
    path, config = tmp_path / "w.prom", tmp_path / "c.toml"
    config.write_text(CONFIG.read_text("utf-8") + f'\n[metrics]\ntextfile = "{path}"\n', "utf-8")
    with watching(port, "--no-store", "--config", config) as watch:
        port.send(CAPTURE, "--topspeed")
        watch.stop()
    text = path.read_text("utf-8")
    assert value_of(text, "frames_seen_total", {"interface": "m1"}) == 13128
    frames = [
        float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("wardwatch_frames_total{")
    ]
    assert sum(frames) == 13128
    assert (value_of(text, "episodes_total", {"app": "whatsapp", "verdict": "violation"}) or 0) >= 1
    assert (value_of(text, "flows_total", {}) or 0) > 300


def test_a_place_that_cannot_be_written_stops_nothing_and_is_told_once(port: Mirror, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[metrics]\ntextfile = "{tmp_path}/none/w.prom"\n', "utf-8")
    with watching(port, "--no-store", "--config", config, "--seconds", "2") as watch:
        done = watch.end()
    assert done.status == 0
    assert done.err.count("none/w.prom: cannot be written: No such file or directory") == 1
