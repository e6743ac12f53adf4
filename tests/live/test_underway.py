"""A call is told while it is going on."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sensor.store import Filter, open_store
from tests.commands.running import CAPTURE, CONFIG, lines
from tests.live.net import watching

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root

TABLET = "10.20.3.131"
BEGIN_S = datetime(2026, 3, 17, 8, 10, 0, tzinfo=UTC).timestamp()


def call_alone(folder: Path) -> tuple[Path, float, float]:
    """The demo's WhatsApp call without its ringing, as a capture; seconds from its first to its last frame."""
    from scapy.layers.inet import IP, UDP
    from scapy.utils import PcapReader, wrpcap

    with PcapReader(str(CAPTURE)) as reader:
        frames = [frame for frame in reader if BEGIN_S <= float(frame.time) <= BEGIN_S + 40 and UDP in frame]
    frames = [frame for frame in frames if TABLET in {frame[IP].src, frame[IP].dst}]
    path = folder / "call.pcap"
    wrpcap(str(path), frames)
    return path, float(frames[0].time), float(frames[-1].time)


def test_a_call_is_told_within_ten_seconds_and_once(port: Mirror, tmp_path: Path) -> None:
    path, first_s, last_s = call_alone(tmp_path)
    assert last_s - first_s > 12
    store, out = tmp_path / "w.sqlite", tmp_path / "episodes"
    with watching(port, "--config", CONFIG, "--store", store, "--episodes", out) as watch:
        thread = threading.Thread(target=port.send, args=(path,))
        began_s = time.monotonic()
        thread.start()
        while not watch.out and time.monotonic() < began_s + 30:
            time.sleep(0.05)
        told_ns = time.time_ns()
        with open_store(store, read_only=True) as opened:
            (row,) = opened.violations()
            early = opened.episode(row.episode.id)
        thread.join()
        done = watch.stop()
    first_ns = min(one.time_ns for one in early.episode.evidence)
    assert told_ns - first_ns <= 10_000_000_000
    assert "VIOLATION under way: " in done.out.splitlines()[0]
    (end,) = [one for one in lines(out.read_text("utf-8")) if one["verdict"] == "violation"]
    assert done.out.count("VIOLATION") == 1
    assert end["id"] == early.episode.id
    assert (early.episode.closed, end["activity"]) == (False, "video_call")
    with open_store(store, read_only=True) as opened:
        (shown,) = opened.violations(Filter())
        assert shown.episode.closed
        assert len(opened.episode(end["id"]).revisions) >= 2


def test_as_json_each_revision_says_whether_it_is_the_last(port: Mirror, tmp_path: Path) -> None:
    path, *_ = call_alone(tmp_path)
    with watching(port, "--config", CONFIG, "--no-store", "--json") as watch:
        port.send(path, "--multiplier", "2.5")
        done = watch.stop()
    told = [one for one in lines(done.out) if one["app"] == "whatsapp"]
    assert [one.get("closed", True) for one in told[-2:]] == [False, True]
    assert len({one["id"] for one in told}) == 1
