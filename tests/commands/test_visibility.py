"""`wardwatch replay --visibility` and `wardwatch visibility`: the same, written, stored and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.utils import wrpcap

from sensor.setup import canonical
from tests.commands.running import lines, told, wardwatch
from tests.made import PHONE, PHONE_MAC, hello, tcp

if TYPE_CHECKING:
    from pathlib import Path

SERVER, GUEST = "203.0.113.60", "192.168.3.9"
CONFIG = (
    '[site]\ntimezone = "Europe/Vienna"\n[[network]]\nname = "Ward"\ncidrs = ["192.168.1.0/24"]\n'
    '[[network]]\nname = "Lab"\ncidrs = ["192.168.2.0/24"]\n'
    '[[network]]\nname = "Guests"\ncidrs = ["192.168.3.0/24"]\nwatch = "excluded"\n'
    '[policy.visibility]\nvpn = "violation"\n'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture, its configuration, and the store and lines of a replay."""
    made = tmp_path_factory.mktemp("visibility")
    frames = [
        tcp(PHONE, 50000, SERVER, 443, hello("ams-001.whiskergalaxy.com")),
        tcp(PHONE, 50001, SERVER, 443, hello("mask.icloud.com"), at=1),
        tcp(GUEST, 50000, SERVER, 443, hello("mask.icloud.com"), at=2),
        tcp("192.168.2.7", 50000, SERVER, 443, hello("www.example.com"), at=3600),
    ]
    wrpcap(str(made / "made.pcap"), frames)
    (made / "clinic.toml").write_text(CONFIG)
    return made


def replay(folder: Path, name: str = "made.pcap") -> str:
    options = (
        "--config",
        folder / "clinic.toml",
        "--store",
        folder / "store.db",
        "--visibility",
        folder / "seen.jsonl",
    )
    done = wardwatch("replay", folder / name, *options)
    assert done.status == 0, done.err
    return done.out


def listed(folder: Path, *options: str) -> str:
    done = wardwatch("visibility", "--config", folder / "clinic.toml", "--store", folder / "store.db", *options)
    assert (done.status, done.err) == (0, "")
    return done.out


def test_what_is_written_is_what_is_stored(folder: Path) -> None:
    out = replay(folder)
    written = lines((folder / "seen.jsonl").read_text())
    assert [one["record"] for one in written] == ["observation"] * 3 + ["hour"] * 4 + ["statement"]
    stored = lines(listed(folder, "--format", "json"))
    assert sorted(map(canonical, stored)) == sorted(map(canonical, written[:-1]))
    assert "Ward: VPN, 1 device, 1 flow" in out
    assert "Guests: iCloud Private Relay, 1 flow" in out
    assert 'Lab, hour from 2023-11-14 23:00: "no violation" means "could not see"' in out
    replay(folder)
    assert lines(listed(folder, "--format", "json")) == stored


def test_of_guests_there_is_no_trace(folder: Path) -> None:
    replay(folder)
    (guests,) = [one for one in lines(listed(folder, "--format", "json")) if one["network"] == "Guests"]
    assert (guests["device"], guests["device_id"], guests["evidence"], guests["flows"]) == (None, None, [], 1)
    assert GUEST.encode() not in (folder / "store.db").read_bytes()
    assert PHONE.encode() in (folder / "store.db").read_bytes()


def test_what_the_policy_judges_is_an_episode(folder: Path) -> None:
    replay(folder)
    done = wardwatch(
        "violations", "--config", folder / "clinic.toml", "--store", folder / "store.db", "--format", "json"
    )
    (one,) = lines(done.out)
    assert (one["app"], one["device_id"], one["policy_rule"]) == ("vpn", f"mac:{PHONE_MAC}", "policy.visibility.vpn")
    explained = wardwatch("explain", one["id"], "--config", folder / "clinic.toml", "--store", folder / "store.db")
    assert "ams-001.whiskergalaxy.com" in explained.out
    assert "policy.visibility.vpn" in explained.out


def test_the_table(folder: Path) -> None:
    replay(folder)
    out = listed(folder)
    assert "could not see:" in out
    assert "VPN (conclusive)" in out
    assert "violation" in out
    assert "Guests" not in listed(folder, "--network", "Ward")
    assert "Private Relay" not in listed(folder, "--kind", "vpn")
    assert listed(folder, "--kind", "tor") == "Nothing in the store is what was asked for.\n"
    assert "2023-11-14 23:00" not in listed(folder, "--since", "2023-11-15T00:00")


def test_mistakes(folder: Path) -> None:
    replay(folder)
    told(wardwatch("visibility", "--store", folder / "nothing.db"), 1, "does not exist")
    told(wardwatch("visibility", "--store", folder / "store.db", "--since", "soon"), 2, "--since", "'soon'")
    told(
        wardwatch("replay", folder / "made.pcap", "--no-store", "--visibility", folder / "made.pcap"), 2, "--visibility"
    )
