"""A centre on PostgreSQL and sensors that tell it, as the processes they are: killed, cut off, started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from sensor import setup
from sensor.store import open_store
from tests.services.test_ingest import EVERYTHING, shown
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
SENSORS = ("clinic-a", "clinic-b", "clinic-c")
EPISODES = 700
WAIT_S = 60


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sensor.cli", *arguments]


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=WAIT_S)


@contextmanager
def serving(store: str, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`wardwatch serve`, and the port on which it does."""
    process = subprocess.Popen(
        command("serve", "--store", store, "--port", str(port)), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "open http://127.0.0.1:" in said, said
        chosen = int(said.rsplit(":", 1)[1].strip().rstrip("/"))
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{chosen}/", timeout=5)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield process, chosen
    finally:
        process.kill()
        process.communicate()


def configured(folder: Path, name: str, port: int, centre: str) -> Path:
    """The configuration of a sensor that has a key."""
    made = ran("sensor", "add", name, "--store", centre)
    assert made.returncode == 0, made.stderr
    (folder / f"{name}.key").write_text(made.stdout, "utf-8")
    config = folder / f"{name}.toml"
    config.write_text(
        f'[centre]\nurl = "http://127.0.0.1:{port}"\nkey_file = "{name}.key"\nevery_s = 1\ntimeout_s = 20\n', "utf-8"
    )
    return config


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, str]:
    """Three sensors' stores; one device has been in all three clinics."""
    found = {}
    for number, name in enumerate(SENSORS):
        place = str(tmp_path / f"{name}.db")
        with open_store(place) as store:
            store.append((), snapshots=KNOWN)
            first = number * 1_000_000
            store.append(
                [
                    episode(range(first + k * 10, first + k * 10 + 3), device=f"ip:10.0.0.{k % 50}")
                    for k in range(EPISODES)
                ]
            )
            store.append([episode(range(first + 900_000, first + 900_004), device="mac:02:00:00:00:00:77")])
        found[name] = place
    return found


def test_killed_at_both_ends_nothing_is_lost_and_nothing_doubled(
    cluster: Cluster, tmp_path: Path, stores: dict[str, str]
) -> None:
    centre = cluster.store()
    with serving(centre, 0) as (_, port):
        configs = {name: configured(tmp_path, name, port, centre) for name in SENSORS}
    running = [
        subprocess.Popen(
            command("forward", "--config", str(configs[name]), "--store", stores[name]),
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        for name in SENSORS
    ]
    try:
        for delay_s in (1.0, 1.6):  # the centre is killed while sensors tell, and comes back at the same place
            with serving(centre, port) as (_, _):
                time.sleep(delay_s)
        running[0].kill()
        running[0].wait()
        with serving(centre, port) as (_, _):
            for name in SENSORS:
                done = ran("forward", "--once", "--config", str(configs[name]), "--store", stores[name])
                assert done.returncode == 0, done.stderr
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)
    with open_store(centre) as there:
        at_centre = shown(there)
        expected = [row for place in stores.values() for row in of(place)]
        assert at_centre == sorted(expected)
        mac = [row for row in there.violations(EVERYTHING) if row.episode.device.id == "mac:02:00:00:00:00:77"]
        assert len(mac) == len(SENSORS)


def of(place: str) -> list[tuple[object, ...]]:
    with open_store(place) as store:
        return shown(store)


def test_a_wrong_key_is_told_in_one_line(cluster: Cluster, tmp_path: Path, stores: dict[str, str]) -> None:
    centre = cluster.store()
    with serving(centre, 0) as (_, port):
        config = configured(tmp_path, "clinic-a", port, centre)
        (tmp_path / "clinic-a.key").write_text("ww_0_wrong\n", "utf-8")
        done = ran("forward", "--once", "--config", str(config), "--store", stores["clinic-a"])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "401" in done.stderr
    done = ran("forward", "--once", "--config", str(config), "--store", stores["clinic-a"])
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)  # nobody is there any more


def test_without_a_centre_there_is_nobody_to_tell() -> None:
    done = ran("forward", "--once")
    assert done.returncode == 2
    assert "centre" in done.stderr


def test_an_order_reaches_the_sensor(cluster: Cluster, tmp_path: Path, stores: dict[str, str]) -> None:
    centre = cluster.store()
    key, policy = tmp_path / "centre-signing", tmp_path / "strict.toml"
    (tmp_path / "centre.toml").write_text(f'[proof]\nkey = "{key}"\n', "utf-8")
    policy.write_text('[policy]\ndisallowed = ["telegram"]\n', "utf-8")
    given = ran(
        "sensor", "order", "--policy", str(policy), "--config", str(tmp_path / "centre.toml"), "--store", centre
    )
    assert given.returncode == 0, given.stderr
    with serving(centre, 0) as (_, port):
        config = configured(tmp_path, "clinic-a", port, centre)
        (tmp_path / "centre.pub").write_text(given.stdout.split()[-1], "utf-8")
        config.write_text(config.read_text("utf-8") + 'orders = "orders"\npublic_key = "centre.pub"\n', "utf-8")
        done = ran("forward", "--once", "--config", str(config), "--store", stores["clinic-a"])
        assert done.returncode == 0, done.stderr
        assert "is in force" in done.stderr
        assert setup.read(str(config)).settings.policy.disallowed == ("telegram",)
        again = ran("forward", "--once", "--config", str(config), "--store", stores["clinic-a"])
        listed = ran("sensor", "list", "--store", centre)
    assert "is in force" not in again.stderr  # it was already
    assert setup.read(str(config)).policy.hash[:8] in listed.stdout
