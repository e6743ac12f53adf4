"""The acceptance test on mirrors that are good, one-way, doubled, down, with offloads; and a watch that says the same."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sensor.store import open_store
from tests.commands.running import CAPTURE, COMMAND, CONFIG, wardwatch
from tests.live.net import run, watching

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root


def examined(port: Mirror, *, seconds: int = 7, send: bool = True) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status and the findings by name."""
    command = ["ip", "netns", "exec", port.sensor, str(COMMAND), "doctor", "m1", "--config", str(CONFIG), "--json"]
    process = subprocess.Popen(
        [*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if send:
        time.sleep(1)
        sender = threading.Thread(target=port.send, args=(CAPTURE, "--pps", "4000"))
        sender.start()
        sender.join()
    out, err = process.communicate(timeout=120)
    assert out, err
    return process.returncode, {one["name"]: one for one in json.loads(out)["findings"]}


def state(found: dict[str, dict[str, Any]], *names: str) -> list[str]:
    return [found[name]["state"] for name in names]


def mirror_only(port: Mirror, *match: str) -> None:
    """The switch mirrors only what matches."""
    run("tc", "-n", port.switch, "filter", "del", "dev", "s0", "parent", "ffff:")
    words = f"parent ffff: protocol all u32 match {' '.join(match)} action mirred egress mirror dev m0"
    run("tc", "-n", port.switch, "filter", "add", "dev", "s0", *words.split())


def test_a_good_mirror(port: Mirror) -> None:
    run("ip", "netns", "exec", port.sensor, "ethtool", "-K", "m1", "gro", "off")
    status, found = examined(port, seconds=7)
    assert state(found, "traffic", "directions", "vlans", "drops", "up", "offloads", "truncated") == ["right"] * 7, (
        found
    )
    assert "wrong" not in {one["state"] for one in found.values()}, found
    assert status in {0, 3}  # whether the clock is synchronised here is not the mirror's affair


def test_one_direction_only(port: Mirror) -> None:
    mirror_only(port, "ip", "src", "10.20.0.0/16")  # what the devices send
    status, found = examined(port, seconds=7)
    assert (status, found["directions"]["state"]) == (4, "wrong"), found
    assert "both" in found["directions"]["fix"]


def test_a_doubled_mirror(port: Mirror) -> None:
    words = "parent ffff: protocol all prio 5 u32 match u32 0 0 action mirred egress mirror dev m0"
    run("tc", "-n", port.switch, "filter", "del", "dev", "s0", "parent", "ffff:")
    doubled = words + " pipe action mirred egress mirror dev m0"
    run("tc", "-n", port.switch, "filter", "add", "dev", "s0", *doubled.split())
    status, found = examined(port, seconds=7)
    assert (status, found["duplicates"]["state"]) == (3, "doubtful"), found


def test_an_interface_that_is_down_and_silence(port: Mirror) -> None:
    status, found = examined(port, seconds=2, send=False)
    assert (status, found["traffic"]["state"]) == (4, "wrong")
    port.set("down")
    status, found = examined(port, seconds=60, send=False)  # it does not wait for what cannot come
    assert (status, found["up"]["fix"]) == (4, "ip link set m1 up")
    assert "traffic" not in found


def test_offloads_are_told_with_the_command_that_ends_them(port: Mirror) -> None:
    run("ip", "netns", "exec", port.sensor, "ethtool", "-K", "m1", "gro", "on")
    _, found = examined(port, seconds=1, send=False)
    assert found["offloads"]["state"] == "doubtful"
    run("ip", "netns", "exec", port.sensor, *found["offloads"]["fix"].split())
    _, found = examined(port, seconds=1, send=False)
    assert found["offloads"]["state"] == "right"


def test_an_interface_that_is_not_there() -> None:
    done = wardwatch("doctor", "nope0")
    assert (done.status, done.err) == (1, "wardwatch: nope0: there is no such interface\n")


def test_a_watch_tells_of_its_mirror_and_stores_it(port: Mirror, tmp_path: Path) -> None:
    store, figures, config = tmp_path / "w.sqlite", tmp_path / "w.prom", tmp_path / "c.toml"
    config.write_text(f'[metrics]\nwindow_s = 2\ntextfile = "{figures}"\n', "utf-8")
    with watching(port, "--store", store, "--config", config) as watch:
        watch.wait_for("m1: no frame in")
        sender = threading.Thread(target=port.send, args=(CAPTURE, "--pps", "3000"))
        sender.start()
        watch.wait_for("m1: no longer so: no frame in")
        sender.join()
        watch.stop()
    with open_store(store, read_only=True) as opened:
        found = {one["finding"]: one for one in opened.health()}
        assert not any(one["record"] == "health" for one in opened.sightings())
    assert found["traffic"]["state"] == "wrong"
    assert found["traffic"]["fix"]
    assert 'wardwatch_health{interface="m1",finding="traffic"} ' in figures.read_text("utf-8")
