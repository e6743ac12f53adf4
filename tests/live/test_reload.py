"""SIGHUP under traffic: no frame and no flow is lost, what comes is judged anew, and a broken file changes nothing."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CAPTURE, CONFIG, lines, wardwatch
from tests.live.net import accounted, watching
from tests.made import hello, tcp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror, Watch

pytestmark = pytest.mark.root

OWN = """id: paging
name: Paging of our own
vendor: the clinic
family: clinic
version: 2026.11.24
rules:
  - id: zone
    suffix: [pager.example.net]
    strength: conclusive
    service: chat
    source: our own
    seen: 2026-11
    confidence: high
"""


def hang_up(watch: Watch) -> None:
    watch.process.send_signal(signal.SIGHUP)


def sent(port: Mirror, folder: Path, name: str, source_port: int) -> None:
    """A connection to a server of that name, which is not ended."""
    from scapy.layers.inet import TCP
    from scapy.utils import wrpcap

    phone, server = ("10.0.0.77", source_port), ("203.0.113.60", 443)
    frames = [
        tcp(*phone, *server, b"", flags="S"),
        tcp(*server, *phone, b"", flags="SA"),
        tcp(*phone, *server, hello(name)),
    ]
    for frame in frames[1:]:
        frame[TCP].seq = 2
    path = folder / f"{source_port}.pcap"
    wrpcap(str(path), frames)
    port.send(path, "--topspeed")


def test_another_policy_holds_for_what_ends_after_it_and_a_broken_one_does_not(port: Mirror, tmp_path: Path) -> None:
    config, out = tmp_path / "clinic.toml", tmp_path / "episodes"
    config.write_text('[policy]\ndisallowed = ["whatsapp"]\n', "utf-8")
    with watching(port, "--config", config, "--store", tmp_path / "w.sqlite", "--episodes", out) as watch:
        sent(port, tmp_path, "web.whatsapp.com", 40001)
        time.sleep(2)
        config.write_text("[policy]\napproved = [", "utf-8")
        hang_up(watch)
        line = watch.wait_for("not reloaded, what was in force stays: ")
        assert str(config) in line
        config.write_text('[policy]\napproved = ["whatsapp"]\n[capture]\nring_mebibytes = 8\n', "utf-8")
        hang_up(watch)
        line = watch.wait_for("reloaded: policy ")
        assert line.endswith("; at the next start: [capture]\n")
        sent(port, tmp_path, "www.whatsapp.com", 40002)
        done = watch.stop()
    assert done.status == 0, done.err
    (one,) = lines(out.read_text("utf-8"))
    assert (one["verdict"], one["flows"], one["names"]) == ("allowed", 2, ["web.whatsapp.com", "www.whatsapp.com"])
    assert accounted(done)["frames"] == 6
    explained = wardwatch("explain", one["id"], "--config", config, "--store", tmp_path / "w.sqlite")
    assert explained.status == 0, explained.err


def test_frames_and_flows_go_on_while_signatures_change(port: Mirror, tmp_path: Path) -> None:
    """Reloaded again and again under the whole demo, everything is told as without."""
    config, plain, out = tmp_path / "clinic.toml", tmp_path / "plain", tmp_path / "episodes"
    config.write_text(CONFIG.read_text("utf-8"), "utf-8")
    with watching(port, "--no-store", "--config", config, "--episodes", plain) as watch:
        port.send(CAPTURE, "--pps", "5000")
        expected = watch.stop()
    with watching(port, "--no-store", "--config", config, "--episodes", out) as watch:
        thread = threading.Thread(target=port.send, args=(CAPTURE, "--pps", "5000"))
        thread.start()
        for _ in range(4):
            hang_up(watch)
            watch.wait_for("reloaded: policy ")
        thread.join()
        done = watch.stop()
    assert accounted(done) == accounted(expected)
    keys = ("app", "device", "activity", "flows", "packets", "bytes", "verdict", "signatures_hash")
    told, asked = (
        sorted(str([one[key] for key in keys]) for one in lines(path.read_text("utf-8"))) for path in (out, plain)
    )
    assert told == asked


def test_a_name_seen_before_means_what_the_new_signatures_say(port: Mirror, tmp_path: Path) -> None:
    config, own, out = tmp_path / "clinic.toml", tmp_path / "own", tmp_path / "episodes"
    own.mkdir()
    config.write_text('[signatures]\nown = "own"\n', "utf-8")
    with watching(port, "--no-store", "--config", config, "--episodes", out) as watch:
        sent(port, tmp_path, "pager.example.net", 40001)
        time.sleep(2)
        (own / "paging.yaml").write_text(OWN, "utf-8")
        hang_up(watch)
        watch.wait_for("reloaded: policy ")
        time.sleep(2)  # the process that reads has it from the next tick on
        sent(port, tmp_path, "pager.example.net", 40002)
        done = watch.stop()
    assert done.status == 0, done.err
    (one,) = lines(out.read_text("utf-8"))
    assert (one["app"], one["flows"], one["names"]) == ("paging", 1, ["pager.example.net"])
