"""`wardwatch watch` as a whole: stops in good order, tells as it goes, keeps what it told, and lives through what becomes of its port."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CAPTURE, COMMAND, CONFIG, lines, told, wardwatch
from tests.live.net import accounted, watching
from tests.made import hello, tcp

if TYPE_CHECKING:
    from tests.live.net import Mirror

FRAMES = 13128  # of the demo
ID = re.compile(r"\[([0-9a-f]{8})\]$", re.MULTILINE)

pytestmark = pytest.mark.root


def stored(store: Path) -> list[str]:
    """Ids of all episodes in a store."""
    done = wardwatch("violations", "--store", store, "--outcome", "all", "--format", "json", "--config", CONFIG)
    assert done.status == 0, done.err
    return [one["id"] for one in lines(done.out)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_five_seconds_and_keeps_all(port: Mirror, tmp_path: Path, number: signal.Signals) -> None:
    store, episodes = tmp_path / "w.sqlite", tmp_path / "episodes"
    with watching(port, "--config", CONFIG, "--store", store, "--episodes", episodes) as watch:
        port.send(CAPTURE, "--topspeed")
        began = time.monotonic()
        done = watch.stop(number)
        took_s = time.monotonic() - began
    assert (done.status, took_s < 5) == (0, True), done.err
    sums = accounted(done)
    assert sums["frames"] == FRAMES == sums["classified"] + sums["ignored"] + sums["dropped"]
    assert f"{FRAMES} VLAN tags put back" in done.err
    found = lines(episodes.read_text("utf-8"))
    assert len(found) > 10
    assert not any("partial" in note for one in found for note in one["notes"])
    assert sorted(stored(store)) == sorted(one["id"] for one in found)
    violations = [one for one in found if one["verdict"] == "violation"]
    assert sorted(ID.findall(done.out)) == sorted(one["id"][:8] for one in violations)
    assert {one["file"] for one in found} == {"m1"}
    frames = [evidence["frame"] for one in found for evidence in one["evidence"]]
    assert 1 <= min(frames) <= max(frames) <= FRAMES
    assert f"Stored: {len(found)} new" in done.out


def test_violations_as_json_lines(port: Mirror, tmp_path: Path) -> None:
    with watching(port, "--config", CONFIG, "--store", tmp_path / "w.sqlite", "--json") as watch:
        port.send(CAPTURE, "--topspeed")
        done = watch.stop()
    found = lines(done.out)
    assert found
    assert {one["verdict"] for one in found} == {"violation"}


def test_it_stops_after_the_time_that_it_was_given(port: Mirror) -> None:
    began = time.monotonic()
    with watching(port, "--no-store", "--seconds", "2") as watch:
        ready = time.monotonic()
        done = watch.end()
    assert 1.5 < time.monotonic() - ready < 60, time.monotonic() - began  # it would never stop by itself
    assert done.status == 0
    assert accounted(done) == {"frames": 0, "classified": 0, "ignored": 0, "dropped": 0}
    assert "Nothing was stored (--no-store)." in done.out


def test_an_episode_is_told_on_an_idle_link_and_survives_kill_9(port: Mirror, tmp_path: Path) -> None:
    """Nothing follows the connection that ended: packet time goes on by itself."""
    config = tmp_path / "quick.toml"
    config.write_text("[sensor.idle]\nbackground_s = 1\nmessaging_s = 1\nfile_transfer_s = 1\ncalls_s = 1\n", "utf-8")
    store, out = tmp_path / "w.sqlite", tmp_path / "episodes"
    with watching(port, "--config", config, "--store", store, "--episodes", out) as watch:
        port.send(closed_connection(tmp_path))
        until = time.monotonic() + 60
        while not watch.out and time.monotonic() < until:
            time.sleep(0.1)
        found = lines(out.read_text("utf-8"))
        while_it_ran = stored(store)
        done = watch.stop(signal.SIGKILL)
    assert done.status == -signal.SIGKILL
    assert [one["app"] for one in found] == ["whatsapp"]
    ids = ID.findall(done.out)
    assert len(ids) == 1
    assert [one[:8] for one in while_it_ran] == [one[:8] for one in stored(store)] == ids
    until = time.monotonic() + 10
    while processes(port):  # the one that reads the ring ends too: it finds nobody to tell
        assert time.monotonic() < until
        time.sleep(0.1)


def closed_connection(folder: Path) -> Path:
    """A connection to WhatsApp that both sides end."""
    from scapy.layers.inet import TCP
    from scapy.utils import wrpcap

    phone, server = ("10.0.0.5", 40000), ("157.240.0.60", 443)
    frames = [
        tcp(*phone, *server, b"", flags="S"),
        tcp(*server, *phone, b"", flags="SA"),
        tcp(*phone, *server, hello("web.whatsapp.com")),
        tcp(*server, *phone, b"", flags="FA"),
        tcp(*phone, *server, b"", flags="FA"),
    ]
    for frame in frames[1:]:
        frame[TCP].seq = 2
    path = folder / "closed.pcap"
    wrpcap(str(path), frames)
    return path


def processes(port: Mirror) -> list[int]:
    """Those in the sensor's namespace."""
    there = Path(f"/run/netns/{port.sensor}").stat().st_ino
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns" / "net").stat().st_ino == there:
                found.append(int(path.name))
    return found


def test_what_is_lost_is_counted_and_makes_a_view_partial(port: Mirror, tmp_path: Path) -> None:
    """While the sensor stands still, a small ring takes what fits."""
    config, out = tmp_path / "small.toml", tmp_path / "episodes"
    config.write_text(CONFIG.read_text("utf-8") + "\n[capture]\nring_mebibytes = 2\n", "utf-8")
    with watching(port, "--no-store", "--config", config, "--episodes", out) as watch:
        held = processes(port)
        assert held
        for one in held:
            os.kill(one, signal.SIGSTOP)
        port.send(CAPTURE, "--topspeed")
        for one in held:
            os.kill(one, signal.SIGCONT)
        done = watch.stop()
    sums = accounted(done)
    assert sums["frames"] == FRAMES == sums["classified"] + sums["ignored"] + sums["dropped"]
    lost = re.search(r"(\d+) kernel_ring", done.err)
    assert lost is not None
    assert 0 < int(lost[1]) < FRAMES
    assert "times the ring was full" in done.err
    found = lines(out.read_text("utf-8"))
    assert found
    assert all("partial view: frames were lost" in one["notes"] for one in found)


def test_down_up_and_gone_and_back(port: Mirror) -> None:
    with watching(port, "--no-store", "--config", CONFIG) as watch:
        port.set("down")
        watch.wait_for("m1: went down; waiting until it is up again")
        port.set("up")
        watch.wait_for("m1: is up again")
        port.unplug()
        watch.wait_for("m1: has vanished")
        port.plug()
        watch.wait_for("m1: is back", 40)
        port.send(CAPTURE, "--topspeed")
        done = watch.stop()
    assert done.status == 0
    assert accounted(done)["frames"] == FRAMES
    assert "2 interruptions of the interface" in done.err


def test_a_filter_from_the_configuration(port: Mirror, tmp_path: Path) -> None:
    config = tmp_path / "arp.toml"
    config.write_text('[capture]\nfilter = """4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0"""\n', "utf-8")
    with watching(port, "--no-store", "--config", config) as watch:
        port.send(CAPTURE, "--topspeed")
        done = watch.stop()
    sums = accounted(done)
    assert sums["frames"] == sums["ignored"] == 100  # what replay says of ARP in the demo


def test_without_the_right_to_open_raw_sockets() -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o777)
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(COMMAND)]
        env = {**os.environ, "NUMBA_CACHE_DIR": folder, "HOME": folder}
        asked = [*command, "watch", "lo", "--no-store"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, env=env, cwd=folder, timeout=120)
    if "wardwatch" not in done.stderr:
        pytest.skip(f"nobody cannot run wardwatch here: {done.stderr.strip()}")
    assert done.returncode == 1
    assert done.stderr == "wardwatch: lo: watching needs CAP_NET_RAW: run it as root, or give it that capability\n"


def test_an_interface_that_is_not_there() -> None:
    told(wardwatch("watch", "nope0", "--no-store"), 1, "nope0: there is no such interface", "lo")
