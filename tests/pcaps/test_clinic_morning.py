"""The demo's capture: made anew it is the same, and tshark reads in it what the scenario says is there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from pcaps import clinic, clinic_morning
from pcaps.wire import GATEWAY_MAC
from sensor import config
from sensor.settings import Watch

FOLDER = Path(clinic_morning.__file__).parent
CAPTURE, TRUTH = FOLDER / clinic_morning.CAPTURE, FOLDER / clinic_morning.TRUTH
LOCAL = tuple(ip_network(text) for text in ("10.0.0.0/8", "2001:db8::/32"))
TAGGED_IPV4 = 0x0800


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads(TRUTH.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """The frames of the committed file, by hand: classic pcap, little-endian."""
    data = CAPTURE.read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1"
    found, at = [], 24
    while at < len(data):
        captured, wire = struct.unpack_from("<II", data, at + 8)
        assert captured == wire
        found.append(data[at + 16 : at + 16 + captured])
        at += 16 + captured
    return found


def tshark(display: str, *fields: str) -> list[list[str]]:
    """Rows of fields of the frames that a display filter selects; skips where tshark is not installed."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    command = [
        "tshark",
        "-n",
        "-r",
        str(CAPTURE),
        "-Y",
        display,
        "-T",
        "fields",
        "-o",
        "tcp.reassemble_out_of_order:TRUE",
    ]
    command += [part for layer in ("ip", "tcp", "udp") for part in ("-o", f"{layer}.check_checksum:TRUE")]
    command += [part for name in fields for part in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_script_makes_the_committed_files(tmp_path: Path) -> None:
    recorded = (FOLDER / "README.md").read_text(encoding="utf-8")
    for made, kept in zip(clinic_morning.write(tmp_path), (CAPTURE, TRUTH), strict=True):
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        assert digest == hashlib.sha256(kept.read_bytes()).hexdigest()
        assert re.search(rf"`{re.escape(kept.name)}` \| `{digest}`", recorded)


def test_it_stays_small(truth: dict[str, Any], frames: list[bytes]) -> None:
    assert CAPTURE.stat().st_size < 3_000_000
    assert 8_000 <= len(frames) <= 20_000
    assert truth["frames"] == len(frames)


def test_every_frame_is_tagged_and_has_one_side_in_its_network(frames: list[bytes]) -> None:
    devices = {bytes.fromhex(each.mac.replace(":", "")): each.vlan for each in clinic.DEVICES}
    router = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
    for frame in frames:
        assert frame[12:14] == b"\x81\0"
        assert len(frame) >= 60
        vlan = struct.unpack_from("!H", frame, 14)[0]
        for mac in (frame[:6], frame[6:12]):
            assert mac == router or mac[0] & 1 or devices[mac] == vlan


def test_beyond_the_gateway_the_mac_is_the_gateways(frames: list[bytes]) -> None:
    router = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
    clinic_own = ip_network("10.20.0.0/16")
    seen = 0
    for frame in frames:
        if (
            struct.unpack_from("!H", frame, 16)[0] == TAGGED_IPV4
            and not frame[0] & 1
            and ip_address(frame[30:34]) not in clinic_own
        ):
            assert frame[6:12] == router
            seen += 1
    assert seen > 1000


def test_clients_have_private_and_documentation_addresses_only(truth: dict[str, Any]) -> None:
    for each in truth["devices"]:
        for address in (each["ip4"], each["ip6"]):
            assert any(ip_address(address) in network for network in LOCAL)
    assert {row["client"] for row in truth["names"]} <= {
        each[key] for each in truth["devices"] for key in ("ip4", "ip6")
    }


def test_the_four_apps_are_used_in_their_several_ways(truth: dict[str, Any]) -> None:
    bad = {(row["app"], row["activity"]) for row in truth["uses"] if row["must_be"] == "violation"}
    calls = {
        ("whatsapp", "voice_call"),
        ("whatsapp", "video_call"),
        ("facetime", "voice_call"),
        ("messenger", "voice_call"),
    }
    others = {
        ("whatsapp", "background"),
        ("whatsapp", "messaging"),
        ("whatsapp", "file_transfer"),
        ("whatsapp", "call_attempt"),
    }
    assert calls | others | {("messenger", "messaging"), ("messenger", "file_transfer"), ("zoom", "meeting")} <= bad
    assert {row["app"] for row in truth["uses"] if row["must_be"] == "allowed"} == {"teams", "zoom", "whatsapp"}
    assert {row["app"] for row in truth["uses"] if row["must_be"] == "none"} >= {"sip", "apple", "facebook"}
    assert all(row["must_be"] == "none" for row in truth["uses"] if row["network"] == clinic.GUESTS)
    assert all(row["start"] < row["end"] for row in truth["uses"])


def test_the_policy_knows_the_clinics_networks_and_devices() -> None:
    settings = config.load(FOLDER / "clinic.toml")
    networks = {each.name: each for each in settings.networks}
    for device in clinic.DEVICES:
        network = networks[device.network]
        assert network.vlans == (device.vlan,)
        assert all(any(ip_address(text) in cidr for cidr in network.cidrs) for text in (device.ip4, device.ip6))
    assert networks[clinic.GUESTS].watch is Watch.EXCLUDED
    assert settings.devices.routers == (GATEWAY_MAC,)
    assert {each for each, _ in settings.devices.names} <= {f"mac:{each.mac}" for each in clinic.DEVICES}
    (exception,) = settings.policy.exceptions
    assert exception.devices == (f"mac:{clinic.RECEPTION_PC.mac}",)


@pytest.mark.tshark
@pytest.mark.parametrize(
    ("kind", "display", "field"),
    [
        ("tls_sni", "tls.handshake.type == 1 && tcp", "tls.handshake.extensions_server_name"),
        ("quic_sni", "tls.handshake.type == 1 && quic", "tls.handshake.extensions_server_name"),
        ("dns_query", "dns.flags.response == 0 && !mdns", "dns.qry.name"),
        ("dns_answer", "dns.flags.response == 1 && !mdns", "dns.qry.name"),
        ("http_host", "http.request", "http.host"),
    ],
)
def test_tshark_reads_the_names_at_their_frames(truth: dict[str, Any], kind: str, display: str, field: str) -> None:
    written = sorted((row["frame"], row["name"]) for row in truth["names"] if row["kind"] == kind)
    assert sorted((int(number), name) for number, name in tshark(display, "frame.number", field)) == written
    assert len(written) >= 8


@pytest.mark.tshark
def test_tshark_finds_nothing_broken() -> None:
    """No malformed frame, no wrong checksum, no acknowledgement of what nobody sent."""
    wrong = " || ".join(f"{layer}.checksum.status == 0" for layer in ("ip", "tcp", "udp", "icmpv6"))
    assert (
        tshark(
            f"_ws.malformed || {wrong} || stun.att.crc32.status == 0 || tcp.analysis.ack_lost_segment", "frame.number"
        )
        == []
    )


@pytest.mark.tshark
def test_tshark_sees_what_networks_do_to_packets() -> None:
    again = tshark("tcp.analysis.retransmission || tcp.analysis.out_of_order", "frame.number")
    assert 4 <= len(again) <= 20
    assert tshark("tcp.port == 53 && dns.flags.response == 1", "frame.number")
    assert len(tshark("quic.long.packet_type == 0 && tls.handshake.type == 2", "frame.number")) >= 10
