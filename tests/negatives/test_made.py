"""Desk phones, games, cameras, meetings of an approved platform, VPNs and idle phones, made here, are no calls over apps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from pcaps import apple, clinic, lan, meetings, whatsapp
from pcaps.clinic import outside
from pcaps.stun import BINDING, INTEGRITY, PRIORITY, USERNAME, Leg, ask, call, flow
from pcaps.tcp import Tcp
from pcaps.tls import Turn
from pcaps.wire import Link, Station
from sensor.classify.flows import UNKNOWN_CALL
from sensor.model import Activity, Outcome, Severity
from tests.negatives.making import PC, SERVER, app_calls, beat, both, calls, dtls_hello, rtcp, world
from tests.worlds import told

if TYPE_CHECKING:
    from pathlib import Path

    from pcaps.wire import Trace

PHONE, PBX, TRUNK = clinic.DESK_PHONE, clinic.PBX, clinic.TRUNK
VOICE = Leg(50, 160, 160, 0, 160)  # G.711, 20 ms
SEALED_VOICE = Leg(50, 60, 110, 111)
SEALED_VIDEO = Leg(90, 700, 1100, 96, 3000, burst=3)
# Where RTP of desk phones lies by habit, and where apps have theirs: FaceTime, TURN, Zoom, Teams, Discord, WhatsApp.
RTP_PORTS = [(16384, 16386), (16402, 16393), (3478, 3478), (8801, 8801), (50004, 3479), (50010, 50012), (41232, 10000)]


def test_what_is_a_call_is_told_as_one(tmp_path: Path) -> None:
    """Else all that follows would say nothing."""
    made = world("call")
    whatsapp.call(made, clinic.NURSE_PHONE, 1.0, whatsapp.Call(12.0))
    (one,) = calls(told(tmp_path, made.trace))
    assert (one.app, one.activity) == ("whatsapp", Activity.VOICE_CALL)


# Desk phones


@pytest.mark.parametrize("ports", RTP_PORTS)
@pytest.mark.parametrize("over_trunk", [False, True])
def test_a_desk_phone(tmp_path: Path, ports: tuple[int, int], over_trunk: bool) -> None:
    made = world("sip")
    lan.sip_register(made.trace, PHONE, 0.0)
    lan.sip_call(made.trace, PHONE, 5.0, 8.0, rtp=ports, over_trunk=over_trunk)
    assert told(tmp_path, made.trace).episodes == []


@pytest.mark.parametrize("ports", RTP_PORTS)
@pytest.mark.parametrize("peer", [PBX, TRUNK, Station("desk", "10.20.3.42", mac="00:00:5e:00:53:42", vlan=30)])
def test_a_desk_phone_whose_signalling_is_not_seen(tmp_path: Path, ports: tuple[int, int], peer: Station) -> None:
    """SIP over TLS, or from before the capture: real-time media of no known app, and nobody's."""
    made = world("rtp")
    call(made.trace, Link(PHONE, ports[0], peer, ports[1], dscp=46), [VOICE], [VOICE], 1.0, 8.0, "rtp")
    seen = told(tmp_path, made.trace)
    assert {one.candidates for one in seen.episodes} == {(UNKNOWN_CALL,)}
    assert {one.verdict.outcome for one in seen.episodes} <= {Outcome.UNREVIEWED, Outcome.REVIEW}


def test_a_soft_phone_beside_a_chat(tmp_path: Path) -> None:
    """Media are not pinned on an app because it is in use on the same device."""
    made = world("soft phone")
    whatsapp.chat(made, clinic.NURSE_PHONE, 0.0, (Turn(15.0, 400, 400), Turn(12.0, 400, 400), Turn(14.0, 300, 500)))
    link = Link(clinic.NURSE_PHONE, 40000, TRUNK, 10500)
    call(made.trace, link, [VOICE], [VOICE], 20.0, 10.0, "soft")
    seen = told(tmp_path, made.trace)
    assert {one.app for one in seen.episodes} == {"whatsapp", UNKNOWN_CALL}
    assert app_calls(seen) == []


# Games


def plain(trace: Trace, index: int) -> bytes:
    """A sequence number and a state that looks random."""
    return struct.pack("!I", index) + trace.rng(f"state/{index}").randbytes(40 + index * 7 % 90)


def source_engine(trace: Trace, index: int) -> bytes:
    """Valve's: two sequence numbers, little endian, flags, and what is packed in bits."""
    return struct.pack("<IIB", index, max(index - 2, 0), 0) + trace.rng(f"state/{index}").randbytes(
        60 + index * 13 % 160
    )


def raknet(trace: Trace, index: int) -> bytes:
    """A frame set: 0x84 has the version bits of RTP; a sequence number of three bytes, little endian; a reliable frame."""
    number = index.to_bytes(3, "little")
    body = trace.rng(f"state/{index}").randbytes(50 + index * 5 % 60)
    return b"\x84" + number + b"\x40" + struct.pack("!H", len(body) * 8) + number + body


def kcp(trace: Trace, index: int) -> bytes:
    """A conversation whose first byte could be RTP's, a command, a window, a clock, a sequence number."""
    body = trace.rng(f"state/{index}").randbytes(80)
    return struct.pack("<IBBHIIII", 0x11223380, 81, 0, 128, 16 * index, index, index, len(body)) + body


@pytest.mark.parametrize("payload", [plain, source_engine, raknet, kcp])
@pytest.mark.parametrize("hertz", [30, 60])
@pytest.mark.parametrize("port", [27015, 19132, 3478, 8801, 50004])
def test_a_game(tmp_path: Path, payload, hertz: int, port: int) -> None:
    made = world("game")
    both(made.trace, Link(PC, 50123, SERVER, port), lambda index: payload(made.trace, index), hertz=hertz, seconds=25)
    assert told(tmp_path, made.trace).episodes == []


def test_a_game_with_a_voice_room_of_its_own(tmp_path: Path) -> None:
    """RTP both ways beside the game's own packets: real-time media, of no app."""
    made = world("room")
    both(made.trace, Link(PC, 50123, SERVER, 7777), lambda index: plain(made.trace, index), hertz=60, seconds=15)
    call(made.trace, Link(PC, 50124, SERVER, 7778), [SEALED_VOICE], [SEALED_VOICE], 2.0, 10.0, "room")
    seen = told(tmp_path, made.trace)
    assert app_calls(seen) == []
    assert {one.candidates for one in seen.episodes} == {(UNKNOWN_CALL,)}


# Cameras

CAMERA = Station("camera-2", "10.20.3.61", mac="00:00:5e:00:53:61", vlan=30)
RECORDER = Station("recorder", "10.20.1.62", ttl=63)
H264 = Leg(150, 600, 1300, 96, 3600, burst=6)


@pytest.mark.parametrize("ports", [(50000, 5004), (16384, 16384), (16402, 16402), (3478, 50000), (50006, 8801)])
@pytest.mark.parametrize("peer", [RECORDER, outside("cloud", "198.51.100.61")])
def test_a_camera(tmp_path: Path, ports: tuple[int, int], peer: Station) -> None:
    """H.264 one way; the other way reports, and packets that keep a NAT open."""
    made = world("camera")
    link = Link(CAMERA, ports[0], peer, ports[1])
    flow(made.trace, link, H264, 0.5, 12.0, "camera")
    beat(made.trace, link.turned(), lambda _: rtcp(b"view"), hertz=1, seconds=12)
    beat(made.trace, link.turned(), lambda _: b"\xce\xfa\xed\xfe", hertz=0.2, seconds=15)
    assert told(tmp_path, made.trace).episodes == []


def test_a_camera_inside_rtsp(tmp_path: Path) -> None:
    """RFC 2326 10.12: RTP in the connection of its control."""
    made = world("rtsp")
    tcp = Tcp(made.trace, RECORDER, 40000, CAMERA, 554, at=0.5, rtt=0.001)
    url = f"rtsp://{CAMERA.ip4}/stream1"
    for number, verb in enumerate(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), 1):
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n" if verb == "SETUP" else ""
        tcp.send(f"{verb} {url} RTSP/1.0\r\nCSeq: {number}\r\n{transport}\r\n".encode(), up=True)
        tcp.send(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 7\r\n{transport}\r\n".encode(), up=False)
    for index in range(400):
        packet = struct.pack("!BBHI4s", 0x80, 96, index, 3600 * (index // 6), b"cam2") + tcp.rng.randbytes(900)
        tcp.send(struct.pack("!cBH", b"$", 0, len(packet)) + packet, up=False)
        if index % 40 == 0:
            tcp.send(struct.pack("!cBH", b"$", 1, 32) + rtcp(b"view"), up=True)
    tcp.close()
    assert told(tmp_path, made.trace).episodes == []


# Meetings in a browser


def in_browser(made, turn: Station, *, name: str = "", seconds: float = 12.0) -> None:
    """WebRTC: checks of ICE (RFC 8445), DTLS, then voice and pictures both ways, sealed."""
    rng = made.trace.rng("webrtc")
    link = Link(PC, 51234, turn, 3478, dscp=46)
    sign = [(USERNAME, b"h4Kd:9xQz"), (PRIORITY, b"\x6e\x7f\x1e\xff"), (INTEGRITY, rng.randbytes(20))]
    for index in range(int(seconds // 4) + 1):
        ask(made.trace, link, rng, 6.0 + 4 * index, BINDING, sign, answer=[(INTEGRITY, rng.randbytes(20))],
            seen_as=("192.0.2.20", 51234), marked=True)  # fmt: skip
    made.trace.udp(6.2, link, dtls_hello(name))
    legs = [SEALED_VOICE, SEALED_VIDEO]
    call(made.trace, link, legs, legs, 6.6, seconds, "webrtc")


@pytest.mark.parametrize("named", ["", "turn.telehealth.example"])
@pytest.mark.parametrize("h3", [False, True])
def test_a_platform_that_is_no_app(tmp_path: Path, named: str, h3: bool) -> None:
    made = world("telehealth")
    made.visit(PC, "app.telehealth.example", 0.0, (Turn(0.1, 900, 60_000), Turn(0.5, 500, 900)), h3=h3)
    _, turn = made.resolver.look_up(PC, "turn.telehealth.example", 5.0)
    in_browser(made, turn, name=named)
    seen = told(tmp_path, made.trace)
    assert app_calls(seen) == []
    assert {one.verdict.outcome for one in seen.episodes} <= {Outcome.UNREVIEWED, Outcome.REVIEW}


def test_a_platform_that_the_policy_approves_by_its_name(tmp_path: Path) -> None:
    made = world("jitsi")
    made.visit(PC, "meet.jit.si", 0.0, (Turn(0.1, 900, 60_000), Turn(0.5, 500, 900)))
    in_browser(made, made.resolver.entries["meet.jit.si"].station())
    seen = told(tmp_path, made.trace, '[policy]\napproved = ["jitsi"]\n')
    assert {one.app for one in seen.episodes} == {"jitsi"}
    assert {one.verdict.outcome for one in seen.episodes} == {Outcome.ALLOWED}


def test_teams_where_it_is_approved(tmp_path: Path) -> None:
    made = world("teams")
    meetings.teams(made, PC, 0.0, 20.0)
    seen = told(tmp_path, made.trace, '[policy]\napproved = ["teams"]\n')
    assert {one.app for one in seen.episodes} == {"teams"}
    assert Activity.VOICE_CALL in {one.activity for one in seen.episodes}
    assert {one.verdict.outcome for one in seen.episodes} == {Outcome.ALLOWED}


@pytest.mark.parametrize("name", ["meet.google.com", "us05web.zoom.us"])
def test_a_page_of_meetings_over_http_3_is_no_meeting(tmp_path: Path, name: str) -> None:
    """A large page is as busy as media that hide their header."""
    made = world("page")
    made.visit(PC, name, 0.0, (Turn(0.1, 40_000, 600_000), Turn(0.5, 30_000, 300_000)), h3=True)
    seen = told(tmp_path, made.trace)
    assert {one.activity for one in seen.episodes} <= {Activity.BACKGROUND, Activity.CALL_ATTEMPT}


# Phones in pockets, and apps that only start


@pytest.mark.parametrize("six", [False, True])
def test_an_iphone_in_a_pocket(tmp_path: Path, six: bool) -> None:
    """Push, and what it renews by itself with names that FaceTime uses as well."""
    made = world("iphone")
    apple.push(made, clinic.IDLE_IPHONE, 1.0, (300.0,) * 6, six=six)
    for at in (20.0, 900.0):
        apple.renewals(made, clinic.IDLE_IPHONE, at)
    assert told(tmp_path, made.trace).episodes == []


def test_an_installed_app_that_nobody_opens(tmp_path: Path) -> None:
    made = world("installed")
    whatsapp.chat(made, clinic.IDLE_ANDROID, 0.0, (Turn(240.0, 22, 34),) * 10, torn=True)
    (one,) = told(tmp_path, made.trace).episodes
    assert (one.activity, one.verdict.severity) == (Activity.BACKGROUND, Severity.INFORMATION)


def test_an_app_that_starts(tmp_path: Path) -> None:
    """All its names at once, pictures of the list of chats, and then it is closed."""
    made = world("start")
    whatsapp.chat(made, clinic.NURSE_PHONE, 0.0, (Turn(0.3, 900, 4000), Turn(0.5, 600, 9000)))
    for at, name in ((0.4, "pps.whatsapp.net"), (0.6, "mmg.whatsapp.net"), (0.8, "static.whatsapp.net")):
        made.visit(clinic.NURSE_PHONE, name, at, (Turn(0.1, 900, 60_000),))
    assert {one.activity for one in told(tmp_path, made.trace).episodes} == {Activity.BACKGROUND}


# VPNs: voice and pictures of whatever runs inside


def inside(trace: Trace, index: int) -> bytes:
    size = 172 + index * 37 % 60 if index % 3 else 900 + index * 91 % 400
    return trace.rng(f"inside/{index}").randbytes(size)


def wireguard(trace: Trace, index: int) -> bytes:
    """Transport data: type 4, the receiver's index, a counter, both little endian."""
    if index == 0:
        return b"\1\0\0\0" + trace.rng("initiation").randbytes(144)
    return struct.pack("<IIQ", 4, 0x90807060, index) + inside(trace, index)


def openvpn(trace: Trace, index: int) -> bytes:
    """P_CONTROL_HARD_RESET_CLIENT_V2, then P_DATA_V2 with a peer id and a packet id."""
    if index == 0:
        return b"\x38" + trace.rng("session").randbytes(8) + bytes(5)
    return b"\x48\0\0\1" + struct.pack("!I", index) + inside(trace, index)


def openvpn_old(trace: Trace, index: int) -> bytes:
    """P_DATA_V1: no peer id."""
    return b"\x38" + trace.rng("session").randbytes(8) + bytes(5) if index == 0 else b"\x30" + inside(trace, index)


def ipsec(trace: Trace, index: int) -> bytes:
    """ESP in UDP (RFC 3948) with an SPI that has the version bits of RTP, and a sequence number."""
    return struct.pack("!II", 0x80001234, index + 1) + inside(trace, index)


@pytest.mark.parametrize(
    ("payload", "port"),
    [(wireguard, 51820), (wireguard, 443), (wireguard, 3478), (wireguard, 53), (openvpn, 1194), (openvpn, 443),
     (openvpn, 8801), (openvpn_old, 1194), (openvpn_old, 3480), (ipsec, 4500)],
)  # fmt: skip
def test_a_vpn(tmp_path: Path, payload, port: int) -> None:
    made = world("vpn")
    _, server = made.resolver.look_up(PC, "vpn.clinic.example", 0.0)
    link = Link(PC, 50321, server, port)
    both(made.trace, link, lambda index: payload(made.trace, index), hertz=60, seconds=20, at=0.5)
    assert told(tmp_path, made.trace).episodes == []


def test_a_vpn_over_tcp(tmp_path: Path) -> None:
    made = world("vpn over tcp")
    tcp = Tcp(made.trace, PC, 50322, SERVER, 443, at=0.5)
    for index in range(300):
        for up in (True, False):
            packet = openvpn(made.trace, index)
            tcp.send(struct.pack("!H", len(packet)) + packet, up=up)
    assert told(tmp_path, made.trace).episodes == []
