"""Capture and decoding apart: who has CAP_NET_RAW reads nothing, who reads has no right and no network."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.errors import CaptureError
from sensor.opening import GoneError, Options, asked_of
from tests.commands.running import CAPTURE, COMMAND, CONFIG, lines
from tests.live.net import Watch, accounted, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.net import Mirror

pytestmark = pytest.mark.root

NOBODY = "65534"
SANDBOX = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"]


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """One that others may enter: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextlib.contextmanager
def giving(port: Mirror, path: Path) -> Iterator[subprocess.Popen[str]]:
    """The capture service, as nobody with CAP_NET_RAW and nothing else."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    rights = ["--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw", "--bounding-set", "-all,+net_raw"]
    command = [
        "ip",
        "netns",
        "exec",
        port.sensor,
        *SANDBOX,
        *rights,
        str(COMMAND),
        "capture",
        "m1",
        "--socket",
        str(path),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    if "rings are given out" not in line:
        process.kill()
        process.communicate()
        pytest.skip(f"nobody cannot run wardwatch here: {line}")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


class Decoder(Watch):
    """`wardwatch watch` as nobody, without any capability, in a network namespace of its own with nothing in it."""

    def __init__(self, *arguments: str | Path, home: Path) -> None:
        command = [
            "unshare",
            "-n",
            *SANDBOX,
            "--inh-caps",
            "-all",
            "--bounding-set",
            "-all",
            COMMAND,
            "watch",
            "m1",
            *arguments,
        ]
        super().__init__(list(map(str, command)), {**os.environ, "HOME": str(home)})


def test_a_decoder_without_any_right_sees_all_of_it(port: Mirror) -> None:
    with open_folder() as folder, giving(port, folder / "ring"):
        out = folder / "episodes"
        decoder = Decoder(
            "--config", CONFIG, "--no-store", "--episodes", out, "--capture-socket", folder / "ring", home=folder
        )
        try:
            decoder.wait_for("watching", 300)  # the compiled loop is made for this user first
            status = Path(f"/proc/{decoder.process.pid}/status").read_text("utf-8")
            assert "CapEff:\t0000000000000000" in status
            port.send(CAPTURE, "--topspeed")
            port.unplug()
            decoder.wait_for("m1: has vanished", 30)
            port.plug()
            decoder.wait_for("m1: is back", 40)
            port.send(CAPTURE, "--topspeed")
            done = decoder.stop()
        finally:
            if decoder.process.poll() is None:
                decoder.process.kill()
            decoder.end()
        assert done.status == 0, done.err
        assert accounted(done)["frames"] == 2 * 13128
        assert len(lines(out.read_text("utf-8"))) > 10


def test_who_has_the_right_loads_nothing_that_reads_packets() -> None:
    code = "import sensor.commands.capture, sys; print([one for one in sys.modules if one.split('.')[0] in ('numpy', 'numba', 'yaml')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_what_is_asked_wrongly_is_refused_and_the_service_lives(port: Mirror) -> None:
    with open_folder() as folder, giving(port, folder / "ring") as process:
        for wrong in (b"", b"x", b"{}", b"[]", b"null", b"[" * 10000, *(json.dumps(one).encode() for one in (
            {"interface": "lo", "ring_bytes": 1 << 20, "program": []},
            {"interface": "m1", "ring_bytes": 1 << 40, "program": []},
            {"interface": "m1", "ring_bytes": -1, "program": []},
            {"interface": "m1", "ring_bytes": 1 << 20, "program": [[6, 0, 0, -1]]},
            {"interface": "m1", "ring_bytes": 1 << 20, "program": [[6, 0, 0]]},
            {"interface": "m1", "ring_bytes": 1 << 20, "program": [[70000, 0, 0, 0]]},
            {"interface": "m1", "ring_bytes": 1 << 20, "program": 7},
        ))):  # fmt: skip
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
                asking.connect(str(folder / "ring"))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    asking.send(wrong)
                    answer, descriptors, _, _ = socket.recv_fds(asking, 4096, 1)
                    assert not descriptors
                    assert not answer or "not what this capture service is for" in json.loads(answer)["error"]
        assert process.poll() is None
        with asked_of(str(folder / "ring"), "m1", Options(4 << 20)) as sock:
            assert sock.family == socket.AF_PACKET
        port.unplug()
        with pytest.raises(GoneError, match="there is no such interface"):
            asked_of(str(folder / "ring"), "m1", Options(4 << 20))


def test_a_service_that_is_not_there_is_told(port: Mirror, tmp_path: Path) -> None:
    with within(port.sensor), pytest.raises(CaptureError, match="the capture service does not answer"):
        asked_of(str(tmp_path / "nobody"), "m1", Options())
