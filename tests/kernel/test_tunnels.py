"""What tunnels carry: frames made by scapy and by hand, real captures beside tshark, and what only looks like a tunnel."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.capture import open_paths
from sensor.kernel import fields
from sensor.kernel.headers import MAX_TUNNELS
from tests import captures
from tests.kernel.packets import MACS, SNAP, UDP, Seen, ether, ether_type, ipv4, ipv6, look, pppoe, tcp, udp, wifi
from tests.kernel.test_alone import check
from tests.proofs import proves

if TYPE_CHECKING:
    from pathlib import Path

INNER_MACS = b"\x02\0\0\0\0\xb1" + b"\x02\0\0\0\0\xb2"
PAYLOAD = b"what is inside"
V4, V6 = ipv4(tcp(PAYLOAD)), ipv6(tcp(PAYLOAD))
OUTER_4 = b"\xc0\0\x02\x01" + b"\xc0\0\x02\x02"
OUTER_6 = bytes.fromhex("20010db8000000000000000000000a01" + "20010db8000000000000000000000a02")


def inner_ether(packet: bytes, *, tag: int | None = None) -> bytes:
    """The frame inside: other addresses than the one outside."""
    return INNER_MACS + (b"" if tag is None else struct.pack(">HH", 0x8100, tag)) + ether_type(packet) + packet


def over_ip(proto: int, body: bytes, *, version: int = 4, fragment: int = 0) -> bytes:
    """The tunnel's own IP packet."""
    if version == 6:
        return struct.pack(">IHBB", 6 << 28, len(body), proto, 33) + OUTER_6 + body
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 9, fragment, 33, proto, 0) + OUTER_4 + body


def over_udp(port: int, body: bytes, *, source: int = 40000, version: int = 4) -> bytes:
    return over_ip(UDP, struct.pack(">HHHH", source, port, 8 + len(body), 0) + body, version=version)


def label(number: int, *, bottom: bool) -> bytes:
    return struct.pack(">I", number << 12 | bottom << 8 | 64)


def capwap(body: bytes, *, native: bool, more: int = 0, length: int = 8) -> bytes:
    bits = (length // 4) << 19 | 1 << 9 | (0x100 if native else 0) | more
    return b"\0" + bits.to_bytes(3, "big") + bytes(length - 4) + body


def swapped(frame: bytes) -> bytes:
    return frame[1:2] + frame[:1] + frame[2:]


@dataclass(frozen=True, slots=True)
class Case:
    """A frame, the tunnels it should be seen to have, and what is known of the Ethernet inside."""

    key: str  # of tests/protocols.toml, or "" for what has no row there
    frame: bytes
    notices: tuple[str, ...]
    macs: str = ""  # "inner", "outer", or "" for unknown
    vlan: int = -1


def scapy_frames() -> dict[str, Case]:
    """Frames that scapy writes."""
    from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
    from scapy.contrib.etherip import EtherIP
    from scapy.contrib.geneve import GENEVE, GeneveOptions
    from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
    from scapy.contrib.mpls import MPLS, EoMCW
    from scapy.contrib.nsh import NSH
    from scapy.contrib.tzsp import TZSP, TZSPTagEnd, TZSPTagPadding
    from scapy.layers.inet import IP
    from scapy.layers.inet import UDP as UDP_LAYER
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import AH
    from scapy.layers.l2 import GRE, GRE_PPTP, Dot1Q, Ether
    from scapy.layers.l2tp import L2TP
    from scapy.layers.ppp import PPP, PPPoE
    from scapy.layers.vxlan import VXLAN
    from scapy.packet import Raw

    eth = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    tagged = eth / Dot1Q(vlan=99)
    ip = IP(src="192.0.2.1", dst="192.0.2.2", ttl=33)
    ip6 = IPv6(src="2001:db8::a01", dst="2001:db8::a02", hlim=33)

    def dgram(port: int) -> Any:
        return UDP_LAYER(sport=40000, dport=port)

    in_4, in_6 = Raw(V4), Raw(V6)
    in_eth, in_tag = Raw(inner_ether(V4)), Raw(inner_ether(V6, tag=5))
    made = {
        "mpls": ("MPLS", eth / MPLS(label=100, s=0) / MPLS(label=200, s=1) / in_4, ("mpls",), "", -1),
        "mpls 6": ("MPLS", tagged / MPLS(label=2, s=1) / in_6, ("mpls",), "", -1),
        "pseudowire": ("MPLS", eth / MPLS(label=100, s=1) / in_eth, ("mpls",), "inner", -1),
        "pseudowire, control word": ("MPLS", eth / MPLS(label=100, s=1) / EoMCW(seq=7) / in_tag, ("mpls",), "inner", 5),
        "pppoe": ("PPPoE", tagged / PPPoE(sessionid=7) / PPP(proto=0x21) / in_4, ("pppoe", "ppp"), "outer", 99),
        "pppoe 6": ("PPPoE", eth / PPPoE(sessionid=7) / PPP(proto=0x57) / in_6, ("pppoe", "ppp"), "outer", -1),
        "gre": ("GRE", eth / ip / GRE(proto=0x0800) / in_4, ("gre",), "", -1),
        "gre, all fields": ("GRE", eth / ip / GRE(proto=0x86DD, chksum_present=1, key_present=1, seqnum_present=1) / in_6, ("gre",), "", -1),
        "gre over ipv6": ("GRE", tagged / ip6 / GRE(proto=0x86DD) / in_6, ("gre",), "", -1),
        "gre, bridged": ("GRE", eth / ip / GRE(proto=0x6558) / in_tag, ("gre",), "inner", 5),
        "gre, mpls": ("GRE", eth / ip / GRE(proto=0x8847) / MPLS(label=9, s=1) / in_4, ("gre", "mpls"), "", -1),
        "nvgre": ("GRE", eth / ip / GRE(proto=0x6558, key_present=1, key=0x1234500) / in_eth, ("nvgre",), "inner", -1),
        "pptp": ("GRE", eth / ip / GRE_PPTP(seqnum_present=1, acknum_present=1, payload_len=4 + len(V4), call_id=3, sequence_number=1, ack_number=1)
                 / Raw(b"\xff\x03\0\x21" + V4), ("pptp", "ppp"), "", -1),
        "erspan 1": ("ERSPAN I", eth / ip / GRE(proto=0x88BE) / in_tag, ("erspan",), "inner", 5),
        "erspan 2": ("ERSPAN II", eth / ip / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II(vlan=30, session_id=3) / in_eth, ("erspan",), "inner", 30),
        "erspan 2, tagged": ("ERSPAN II", eth / ip / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II(vlan=30) / in_tag, ("erspan",), "inner", 5),
        "erspan 3": ("ERSPAN III", eth / ip / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(vlan=31, o=0) / in_eth, ("erspan",), "inner", 31),
        "erspan 3, platform": ("ERSPAN III", eth / ip / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(o=1)
                               / ERSPAN_PlatformSpecific(platf_id=1) / in_eth, ("erspan",), "inner", -1),
        "vxlan": ("VXLAN", tagged / ip / dgram(4789) / VXLAN(vni=77, flags=8) / in_eth, ("vxlan",), "inner", -1),
        "vxlan, tagged": ("VXLAN", tagged / ip6 / dgram(8472) / VXLAN(vni=77, flags=8) / in_tag, ("vxlan",), "inner", 5),
        "vxlan, group policy": ("VXLAN", eth / ip / dgram(4789) / VXLAN(vni=77, flags="Instance+G", gpid=9) / in_eth, ("vxlan",), "inner", -1),
        "vxlan gpe": ("VXLAN", eth / ip / dgram(4790) / VXLAN(vni=77, flags="Instance+NextProtocol", NextProtocol=1) / in_4, ("vxlan",), "", -1),
        "vxlan gpe, nsh": ("VXLAN", eth / ip / dgram(4790) / VXLAN(vni=7, flags="Instance+NextProtocol", NextProtocol=4)
                           / NSH(mdtype=1, nextproto=3) / in_eth, ("vxlan", "nsh"), "inner", -1),
        "geneve": ("GENEVE", eth / ip / dgram(6081) / GENEVE(vni=7, proto=0x6558) / in_eth, ("geneve",), "inner", -1),
        "geneve, options": ("GENEVE", eth / ip / dgram(6081) / GENEVE(vni=7, proto=0x86DD, options=[GeneveOptions(data=b"12345678")]) / in_6,
                            ("geneve",), "", -1),
        "gtp": ("GTP-U", eth / ip / dgram(2152) / GTP_U_Header(teid=7, gtp_type=255) / in_4, ("gtp",), "", -1),
        "gtp, extension": ("GTP-U", eth / ip / dgram(2152) / GTP_U_Header(teid=7, gtp_type=255, E=1, next_ex=0x85)
                           / GTPPDUSessionContainer(type=1, QFI=9) / in_6, ("gtp",), "", -1),
        "gtp, sequence": ("GTP-U", eth / ip / dgram(2152) / GTP_U_Header(teid=7, gtp_type=255, S=1, seq=9) / in_4, ("gtp",), "", -1),
        "ip in ip": ("IP in IP", tagged / ip / in_4, ("ip_in_ip",), "", -1),
        "4in6": ("IP in IP", eth / IPv6(src="2001:db8::a01", dst="2001:db8::a02", nh=4) / in_4, ("ip_in_ip",), "", -1),
        "6in4": ("6in4", eth / IP(src="192.0.2.1", dst="192.0.2.2", proto=41) / in_6, ("6in4",), "", -1),
        "l2tp": ("L2TP", eth / ip / UDP_LAYER(sport=1701, dport=1701) / L2TP(hdr=0x400, tunnel_id=1, session_id=2)
                 / Raw(b"\xff\x03\0\x21" + V4), ("l2tp", "ppp"), "", -1),
        "tzsp": ("TZSP", eth / ip / dgram(37008) / TZSP(type=0, encapsulated_protocol=1) / TZSPTagPadding() / TZSPTagEnd() / in_tag,
                 ("tzsp",), "inner", 5),
        "ah": ("AH", tagged / ip / AH(nh=6, payloadlen=4, spi=5, seq=1, icv=b"1" * 12) / Raw(tcp(PAYLOAD)), ("ah",), "outer", 99),
        "ah, tunnel": ("AH", eth / ip / AH(nh=4, payloadlen=4, spi=5, seq=1, icv=b"1" * 12) / in_4, ("ah", "ip_in_ip"), "", -1),
        "etherip": ("", eth / ip / EtherIP() / in_eth, ("etherip",), "inner", -1),
        "nsh": ("", eth / NSH(mdtype=1, nextproto=1) / in_4, ("nsh",), "", -1),
    }  # fmt: skip
    made["ip in ip"][1].payload.payload.proto = 4
    return {
        name: Case(key, bytes(packet), tuple("tunnel_" + one for one in notices), macs, vlan)
        for name, (key, packet, notices, macs, vlan) in made.items()
    }


def own_frames() -> dict[str, Case]:
    """Frames that scapy does not write, or not in all the shapes there are."""
    made = {
        "mpls, many labels": ("MPLS", ether(label(1, bottom=False) * 15 + label(2, bottom=True) + V4, 0x8847), ("mpls",), "", -1),
        "pppoe, compressed protocol": ("PPPoE", ether(pppoe(b"\x21" + V4), 0x8864), ("pppoe", "ppp"), "outer", -1),
        "pppoe, bridged": ("PPPoE", ether(pppoe(b"\x31\0\x01" + inner_ether(V4, tag=6)), 0x8864), ("pppoe", "ppp"), "inner", 6),
        "ppp with address": ("PPPoE", ether(pppoe(b"\xff\x03\x57" + V6), 0x8864), ("pppoe", "ppp"), "outer", -1),
        "wccp 1": ("GRE", ether(over_ip(47, b"\0\0\x88\x3e" + V4)), ("gre",), "", -1),
        "wccp 2": ("GRE", ether(over_ip(47, b"\0\0\x88\x3e" + b"\0\0\x01\x01" + V4)), ("gre",), "", -1),
        "gre of access points": ("GRE", ether(over_ip(47, b"\0\0\x82\x10" + wifi(SNAP + ether_type(V4) + V4))), ("gre",), "wifi", -1),
        "gre over udp": ("GRE", ether(over_udp(4754, b"\x20\0\x08\0\0\0\0\x01" + V4)), ("gre",), "", -1),
        "mpls over udp": ("MPLS", ether(over_udp(6635, label(3, bottom=True) + V6)), ("mpls",), "", -1),
        "mpls over ip": ("MPLS", ether(over_ip(137, label(3, bottom=True) + V6)), ("mpls",), "", -1),
        "gtp, several extensions": ("GTP-U", ether(over_udp(2152, b"\x36\xff" + struct.pack(">HI", 12 + len(V4), 1) + b"\0\x01\0\xc0\x01\0\0\x85\x01\0\0\0" + V4)),
                                    ("gtp",), "", -1),
        "gtp version 0": ("GTP-U", ether(over_udp(3386, b"\x1e\xff" + struct.pack(">H", len(V4)) + bytes(16) + V4)), ("gtp",), "", -1),
        "teredo": ("Teredo", ether(over_udp(3544, V6)), ("teredo",), "", -1),
        "teredo, origin": ("Teredo", ether(over_udp(50000, b"\0\0" + bytes(6) + V6, source=3544)), ("teredo",), "", -1),
        "teredo, authentication": ("Teredo", ether(over_udp(3544, b"\0\x01\x03\x02" + bytes(5 + 9) + V6)), ("teredo",), "", -1),
        "teredo, both": ("Teredo", ether(over_udp(3544, b"\0\x01\0\0" + bytes(9) + b"\0\0" + bytes(6) + V6)), ("teredo",), "", -1),
        "l2tp, all fields": ("L2TP", ether(over_udp(1701, struct.pack(">HHHHHHH", 0x4A02, 18 + len(V4), 1, 2, 3, 4, 2) + b"\0\0" + b"\0\x21" + V4)),
                             ("l2tp", "ppp"), "", -1),
        "l2tp, no length": ("L2TP", ether(over_udp(50000, b"\0\x02\0\x01\0\x02\x21" + V4, source=1701)), ("l2tp", "ppp"), "", -1),
        "l2tp 3 over udp": ("L2TP", ether(over_udp(1701, b"\0\x03\0\0\0\0\0\x09" + b"cookie 8" + b"\x40\0\0\x01" + inner_ether(V4))), ("l2tp",), "inner", -1),
        "l2tp 3 over ip": ("L2TP", ether(over_ip(115, b"\0\0\0\x09" + inner_ether(V6, tag=4))), ("l2tp",), "inner", 4),
        "tzsp, tags": ("TZSP", ether(over_udp(37008, b"\x01\x01\0\x01" + b"\0\x0a\x01\xc0\x29\x02\1\2\x01" + inner_ether(V4))), ("tzsp",), "inner", -1),
        "tzsp, wifi": ("TZSP", ether(over_udp(37008, b"\x01\0\0\x12\x01" + wifi(SNAP + ether_type(V4) + V4))), ("tzsp",), "wifi", -1),
        "capwap": ("CAPWAP data", ether(over_udp(5247, capwap(inner_ether(V4, tag=8), native=False))), ("capwap",), "inner", 8),
        "capwap, long header": ("CAPWAP data", ether(over_udp(50000, capwap(inner_ether(V4), native=False, length=16), source=5247)), ("capwap",), "inner", -1),
        "capwap, wifi": ("CAPWAP data", ether(over_udp(5247, capwap(wifi(SNAP + ether_type(V6) + V6), native=True))), ("capwap",), "wifi", -1),
        "capwap, swapped": ("CAPWAP data", ether(over_udp(5247, capwap(swapped(wifi(SNAP + ether_type(V4) + V4)), native=True))), ("capwap",), "wifi", -1),
        "ah in ipv4": ("AH", ether(over_ip(51, b"\x06\x01\0\0" + bytes(8) + tcp(PAYLOAD))), ("ah",), "outer", -1),
        "lisp": ("", ether(over_udp(4341, b"\x80\0\0\x01\0\0\0\x01" + V4)), ("lisp",), "", -1),
        "ayiya": ("", ether(over_udp(5072, b"\x41\x52\x11\x29" + bytes(4 + 16 + 20) + V6)), ("ayiya",), "", -1),
        "pbb": ("", ether(b"\0\0\0\x07" + inner_ether(V4), 0x88E7, tags=((0x88A8, 9),)), ("pbb",), "inner", -1),
        "fabricpath": ("", ether(b"\0\x20" + inner_ether(V6, tag=3), 0x8903), ("pbb",), "inner", 3),
        "vn-tag": ("", ether(b"\0\x01\0\x02" + b"\x81\0\0\x07" + ether_type(V4) + V4, 0x8926), ("vntag",), "outer", 7),
        "e-tag": ("", ether(bytes(6) + ether_type(V6) + V6, 0x893F), ("vntag",), "outer", -1),
        "vxlan gpe, mpls": ("VXLAN", ether(over_udp(4790, b"\x0c\0\0\x05\0\0\x07\0" + label(3, bottom=True) + V4)), ("vxlan", "mpls"), "", -1),
        "four in each other": ("VXLAN", ether(over_ip(47, b"\0\0\x65\x58" + inner_ether(over_udp(4789, b"\x08" + bytes(7) + MACS + ether_type(V4)
                               + over_ip(4, over_ip(41, V6)))))), ("gre", "vxlan", "ip_in_ip", "6in4"), "", -1),
    }  # fmt: skip
    return {
        name: Case(key, packet, tuple("tunnel_" + one for one in notices), macs, vlan)
        for name, (key, packet, notices, macs, vlan) in made.items()
    }


SCAPY, OWN = scapy_frames(), own_frames()
CASES = {**SCAPY, **OWN}
MAC_PAIRS = {  # destination, source
    "inner": (0x0200000000B1, 0x0200000000B2),
    "outer": (0x020000000001, 0x020000000002),
    "wifi": (0x02000000000C, 0x02000000000B),
    "": (-1, -1),
}


def marked(cases: dict[str, Case], by: str) -> list[Any]:
    return [
        pytest.param(name, marks=[proves(case.key, by)] if case.key else [], id=name) for name, case in cases.items()
    ]


@pytest.mark.parametrize("name", marked(SCAPY, "frames made by scapy") + marked(OWN, "frames made from the RFCs"))
def test_what_is_inside(name):
    case = CASES[name]
    seen = look(case.frame)
    assert seen.kind == "classified_tcp"
    assert (seen.src, seen.dst) in {("10.0.0.1", "198.51.100.7"), ("2001:db8::1", "fe80" + ":ffff" * 7)} | (
        {("192.0.2.1", "192.0.2.2")} if case.notices == ("tunnel_ah",) else set()
    )
    assert seen.ports == (51000, 52000)
    assert (seen.payload, seen.h[fields.H_MISSING]) == (PAYLOAD, 0)
    assert seen.h[fields.H_TTL] == (33 if case.notices == ("tunnel_ah",) else 63)
    assert seen.h[fields.H_VLAN] == case.vlan
    assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == MAC_PAIRS[case.macs]
    assert tuple(sorted(seen.notices.keys() - {"vlan_tagged", "vlan_stacked"})) == tuple(sorted(case.notices))


@pytest.mark.parametrize("name", CASES)
def test_every_prefix(name):
    """Cut anywhere: the packet of the tunnel or of what is inside, alone and between poison the same; the rest is missing."""
    frame = CASES[name].frame
    for length in range(len(frame)):
        check((0, frame[:length], 1))
        seen = look(frame[:length], wire_bytes=len(frame))
        if seen.kind == "classified_tcp" and length >= len(frame) - len(PAYLOAD):
            assert len(seen.payload) + seen.h[fields.H_MISSING] == len(PAYLOAD)
    assert look(frame[: len(frame) - len(PAYLOAD)], wire_bytes=len(frame)).kind == "classified_tcp"


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.randoms(use_true_random=False))
def test_damaged(name, rng):
    data = bytearray(CASES[name].frame)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(12, min(len(data), 130))] = rng.choice((0, 1, 8, 0x45, 0x60, 0x7F, 0xFF, rng.randrange(256)))
    check((0, bytes(data[: rng.choice((len(data), rng.randrange(len(data))))]), 1))


# What is not what the port lets expect: an ordinary flow of UDP.


OVER_UDP = {name: case for name, case in CASES.items() if case.frame[12:14] == b"\x08\0" and case.frame[23] == UDP}


@pytest.mark.parametrize("name", OVER_UDP)
@pytest.mark.parametrize("what", ["longer", "shorter", "version", "header length"])
def test_an_inner_packet_that_cannot_be(name, what):
    """A total length that is not what is there, a version that there is not, a header shorter than any."""
    frame = bytearray(OVER_UDP[name].frame)
    inner = frame.rfind(V4[:20]) if V4[:20] in frame else frame.rfind(V6[:40])
    v6 = frame[inner] >> 4 == 6
    length_at = inner + (4 if v6 else 2)
    if what == "longer":
        frame[length_at + 1] += 1
    elif what == "shorter":
        if name.startswith("gtp") or name in {"l2tp", "l2tp, all fields"}:
            return  # these say themselves where what they carry ends
        frame += bytes(80)  # the datagram grows, the packet inside does not
        frame[16:18] = struct.pack(">H", len(frame) - 14)
        frame[38:40] = struct.pack(">H", len(frame) - 34)
    elif what == "version":
        frame[inner] = 0x75
    elif v6:
        return
    else:
        frame[inner] = 0x44
    seen = look(bytes(frame))
    assert seen.kind == "classified_udp"
    assert (seen.src, seen.dst) == ("192.0.2.1", "192.0.2.2")
    assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == MAC_PAIRS["outer"]


NOT_TUNNELS = {
    "vxlan without its flag": over_udp(4789, bytes(8) + inner_ether(V4)),
    "vxlan with other flags": over_udp(4789, b"\x3b" + bytes(7) + inner_ether(V4)),
    "vxlan, reserved byte": over_udp(4789, b"\x08" + bytes(6) + b"\x01" + inner_ether(V4)),
    "vxlan, unknown ether type": over_udp(4789, b"\x08" + bytes(7) + INNER_MACS + b"\x88\xb5" + V4),
    "vxlan gpe, unknown": over_udp(4790, b"\x0c\0\0\x09\0\0\0\0" + V4),
    "geneve, version": over_udp(6081, b"\x40\0\x65\x58\0\0\x07\0" + inner_ether(V4)),
    "geneve, options beyond the end": over_udp(6081, b"\x3f\0\x65\x58\0\0\x07\0" + inner_ether(V4)),
    "gtp control": over_udp(2152, b"\x30\x01" + struct.pack(">HI", len(V4), 1) + V4),
    "gtp, longer than the datagram": over_udp(2152, b"\x30\xff" + struct.pack(">HI", len(V4) + 1, 1) + V4),
    "gtp, extension of no length": over_udp(
        2152, b"\x34\xff" + struct.pack(">HI", 8 + len(V4), 1) + b"\0\0\0\x85" + bytes(4) + V4
    ),
    "gtp, not ip": over_udp(2152, b"\x30\xff" + struct.pack(">HI", len(inner_ether(V4)), 1) + inner_ether(V4)),
    "teredo with ipv4": over_udp(3544, V4),
    "l2tp control": over_udp(1701, struct.pack(">HHHHHH", 0xC802, 12 + len(V4), 1, 0, 0, 0) + V4),
    "l2tp, reserved bits": over_udp(1701, b"\x10\x02\0\x01\0\x02\0\x21" + V4),
    "l2tp, lcp": over_udp(1701, b"\0\x02\0\x01\0\x02\xc0\x21\x01\x01\0\x04"),
    "l2tp 3, session 0": over_udp(1701, b"\0\x03\0\0" + bytes(4) + inner_ether(V4)),
    "tzsp, version": over_udp(37008, b"\x02\0\0\x01\x01" + inner_ether(V4)),
    "tzsp, no end of tags": over_udp(37008, b"\x01\0\0\x01" + bytes(40)),
    "capwap, encrypted": over_udp(5247, b"\x01\0\0\0" + capwap(inner_ether(V4), native=False)),
    "capwap, fragment": over_udp(5247, capwap(inner_ether(V4), native=False, more=0x80)),
    "capwap, keep-alive": over_udp(5247, capwap(inner_ether(V4), native=False, more=0x08)),
    "capwap, management": over_udp(5247, capwap(b"\x80\0" + bytes(60), native=True)),
    "ayiya, no operation": over_udp(5072, b"\x41\x52\x10\x29" + bytes(40) + V6),
    "gre over udp, version": over_udp(4754, b"\0\x01\x08\0" + V4),
    "mpls over udp, no ip": over_udp(6635, label(3, bottom=True) + b"\x75" + V4[1:]),
    "source port only": over_udp(40001, b"\x08" + bytes(7) + inner_ether(V4), source=4789),
}


@pytest.mark.parametrize("name", NOT_TUNNELS)
def test_a_port_proves_nothing(name):
    seen = look(ether(NOT_TUNNELS[name]))
    assert seen.kind == "classified_udp"
    assert (seen.src, seen.dst) == ("192.0.2.1", "192.0.2.2")
    assert not seen.notices
    assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == MAC_PAIRS["outer"]
    assert seen.h[fields.H_VLAN] == -1


def arp() -> bytes:
    return b"\0\x01\x08\0\x06\x04\0\x01" + bytes(20)


UNREAD = [
    ("classified_udp", 1, ether(over_udp(4789, b"\x08" + bytes(7) + INNER_MACS + b"\x08\x06" + arp()), tags=((0x8100, 9),))),
    ("classified_other", 1, ether(over_ip(47, b"\0\0\x65\x58" + INNER_MACS + b"\x08\x06" + arp()), tags=((0x8100, 9),))),
    ("classified_other", 1, ether(over_ip(47, b"\0\0\x08\0"), tags=((0x8100, 9),))),  # a keep-alive
    ("classified_other", 1, ether(over_ip(47, b"\0\0\x88\xb5" + V4), tags=((0x8100, 9),))),
    ("classified_other", 0, ether(over_ip(47, b"\x40\0\x08\0" + bytes(4) + V4), tags=((0x8100, 9),))),  # source routes
    ("classified_other", 1, ether(over_ip(47, b"\x30\x01\x88\x0b\0\x06\0\x03" + bytes(4) + b"\xc0\x21\x09\1\0\4"), tags=((0x8100, 9),))),  # LCP
    ("classified_other", 0, ether(over_ip(47, b"\x20\x81\x88\x0b\0\0\0\x03" + bytes(4)), tags=((0x8100, 9),))),  # acknowledgement
    ("classified_other", 1, ether(over_ip(4, ipv4(tcp(offset=4))), tags=((0x8100, 9),))),
    ("classified_other", 1, ether(over_ip(47, b"\0\0\x88\x47" + label(9, bottom=True) + b"\x10" + bytes(60)), tags=((0x8100, 9),))),
    ("classified_other", 0, ether(over_ip(47, b"\x10\0\x88\xbe" + bytes(4) + b"\x30" + bytes(7) + inner_ether(V4)), tags=((0x8100, 9),))),
    ("classified_other", 0, ether(over_ip(97, b"\x20\0" + inner_ether(V4)), tags=((0x8100, 9),))),
    ("classified_other", 0, ether(over_ip(115, bytes(4) + inner_ether(V4)), tags=((0x8100, 9),))),
    ("classified_other", 0, ether(over_ip(41, V4), tags=((0x8100, 9),))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "unread", "frame"), UNREAD)
def test_what_cannot_be_read_counts_for_the_tunnel(kind, unread, frame):
    seen = look(frame)
    assert seen.kind == kind
    assert (seen.src, seen.dst) == ("192.0.2.1", "192.0.2.2")
    assert seen.notices.get("tunnel_unread", 0) == unread
    assert (seen.h[fields.H_DST_MAC], seen.h[fields.H_SRC_MAC]) == MAC_PAIRS["outer"]
    assert (seen.h[fields.H_VLAN], seen.h[fields.H_TTL]) == (9, 33)


NO_FLOW = [
    ("ignored_not_ip", ether(pppoe(b"\xc0\x21\x09\1\0\4"), 0x8864)),  # LCP
    ("ignored_not_ip", ether(b"\x12" + pppoe(b"\x21" + V4)[1:], 0x8864)),
    ("ignored_not_ip", ether(label(9, bottom=True) + b"\x10\0\0\x07" + bytes(40), 0x8847)),  # an associated channel
    ("ignored_arp", ether(label(9, bottom=True) + bytes(4) + INNER_MACS + b"\x08\x06" + arp(), 0x8847)),
    ("dropped_truncated", ether(label(9, bottom=False), 0x8847)),
    ("dropped_truncated", ether(label(9, bottom=True), 0x8847)),
    ("dropped_truncated", ether(label(9, bottom=True) + V4[:19], 0x8847)),
    ("dropped_malformed", ether(label(9, bottom=False) * 40, 0x8847)),
    ("dropped_truncated", ether(b"\x11\0\0\x07", 0x8864)),
    ("dropped_truncated", ether(b"\0\x01\0\x02\x08", 0x8926)),
    ("dropped_truncated", ether(b"\0\0\0\x07" + INNER_MACS, 0x88E7)),
    ("ignored_not_ip", ether(b"\x0f\xc1\x01\x09" + bytes(30), 0x894F)),
]


@pytest.mark.parametrize(("kind", "frame"), NO_FLOW)
def test_without_ip_outside_there_is_no_flow(kind, frame):
    assert look(frame).kind == kind


@pytest.mark.parametrize("count", range(MAX_TUNNELS + 3))
def test_too_deep(count):
    packet = V4
    for _ in range(count):
        packet = over_ip(4, packet)
    seen = look(ether(packet))
    if count <= MAX_TUNNELS:
        assert (seen.kind, seen.payload) == ("classified_tcp", PAYLOAD)
        assert "tunnel_too_deep" not in seen.notices
    else:
        assert (seen.kind, seen.src) == ("classified_other", "192.0.2.1")
        assert seen.notices["tunnel_too_deep"] == 1
    assert seen.notices.get("tunnel_ip_in_ip", 0) == min(count, MAX_TUNNELS)


def test_a_first_fragment_is_looked_into():
    """The frame of a mirror is often longer than what its tunnel lets through: the beginning tells enough."""
    inner = ipv4(udp(b"x" * 900), UDP)
    whole = over_ip(47, b"\0\0\x65\x58" + inner_ether(inner))
    first = over_ip(47, whole[20:][:400], fragment=0x2000)
    seen = look(ether(first))
    assert (seen.kind, seen.src, seen.h[fields.H_FRAGMENT]) == ("classified_udp", "10.0.0.1", 1)
    assert len(seen.payload) + seen.h[fields.H_MISSING] == 900
    datagram = over_udp(4789, b"\x08" + bytes(7) + inner_ether(inner))
    first = over_ip(UDP, datagram[20:][:400], fragment=0x2000)
    seen = look(ether(first))
    assert (seen.kind, seen.src, seen.ports) == ("classified_udp", "10.0.0.1", (51000, 52000))
    assert len(seen.payload) + seen.h[fields.H_MISSING] == 900


def test_fragments_inside():
    for frame in (ether(over_ip(4, ipv4(bytes(64), UDP, fragment=8))), ether(label(1, bottom=True) + ipv4(bytes(64), UDP, fragment=8), 0x8847)):  # fmt: skip
        assert look(frame).kind == "ignored_later_fragment"


# Real captures beside tshark.

FIELDS = ("frame.number", "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
          "udp.srcport", "udp.dstport")  # fmt: skip
CAPTURES = [
    ("MPLS", "ndpi__BGP_redist.pcap"),
    ("MPLS", "zeek__mixed-vlan-mpls.pcap"),
    ("PPPoE", "ndpi__dns.pcap"),
    ("PPPoE", "ndpi__syslog.pcap"),
    ("PPPoE", "suricata__pppoe.pcap"),
    ("GRE", "ndpi__gre.pcapng"),
    ("GRE", "suricata__bug-5633-gre-01-gre-udp.pcap"),
    ("GRE", "zeek__tunnels-gre-over-udp-4754.pcap"),
    ("GRE", "zeek__tunnels-gre-aruba-amsdu.pcap"),
    ("ERSPAN I", "zeek__erspanI.pcap"),
    ("ERSPAN II", "zeek__erspanII.pcap"),
    ("ERSPAN II", "suricata__decode-erspan-typeII-01.pcap"),
    ("ERSPAN III", "zeek__erspanIII.pcap"),
    ("ERSPAN III", "zeek__tunnels-gre-erspan3-dot1q.pcap"),
    ("VXLAN", "ndpi__vxlan.pcap"),
    ("VXLAN", "suricata__vxlan-decoder-01.pcap"),
    ("VXLAN", "zeek__tunnels-vxlan-encapsulated-http.pcap"),
    ("GENEVE", "suricata__geneve-decoder.pcap"),
    ("GENEVE", "zeek__tunnels-geneve.pcap"),
    ("GTP-U", "ndpi__zoom.pcap"),
    ("GTP-U", "ndpi__ipv6_in_gtp.pcap"),
    ("GTP-U", "zeek__tunnels-gtp-gtp6_gtp_0x32.pcap"),
    ("GTP-U", "zeek__tunnels-gtp-gtp_control_prime.pcap"),
    ("IP in IP", "zeek__tunnels-4in4.pcap"),
    ("IP in IP", "zeek__tunnels-6in6in6.pcap"),
    ("6in4", "ndpi__6in4tunnel.pcap"),
    ("6in4", "zeek__tunnels-6in4.pcap"),
    ("AH", "ndpi__ah.pcapng"),
    ("", "ndpi__BGP_Cisco_hdlc_slarp.pcap"),
    ("", "suricata__decode-chdlc-01-hdlc-http_1tx.pcap"),
    ("", "zeek__quic-interop-quic-go_quic-go-zerortt.pcap"),
    ("", "pcapplusplus__NullLoopback.pcap"),
    ("", "suricata__decode-dce.pcap"),
    ("", "zeek__pbb.pcap"),
    ("", "zeek__vntag_vlan_sandwich_clean.pcap"),
    ("", "zeek__tunnels-ayiya3.pcap"),
    ("", "suricata__decode-nsh-type1.pcap"),
    ("", "zeek__llc.pcap"),
    ("", "zeek__nflog-bad-tlv-len.pcap"),
]


def told_by_tshark(path: Path) -> list[dict[str, str]]:
    wanted = [part for name in FIELDS for part in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
         "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;", *wanted],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def innermost(told: dict[str, str]) -> tuple[str, ...] | None:
    """(source, destination, transport, ports) of the last IP packet that tshark found, what ICMP quotes left out."""
    layers = told["frame.protocols"].split(":")
    for quoting in ("icmp", "icmpv6"):
        layers = layers[: layers.index(quoting)] if quoting in layers else layers
    at = max((i for i, layer in enumerate(layers) if layer in {"ip", "ipv6"}), default=-1)
    if at < 0:
        return None

    def nth(field: str, layer: str) -> str:
        return told[field].split(";")[layers[:at].count(layer)]

    version = layers[at]
    ends = nth(f"{version}.src", version), nth(f"{version}.dst", version)
    for transport in ("tcp", "udp"):
        if transport in layers[at + 1 :]:
            return *ends, transport, nth(f"{transport}.srcport", transport), nth(f"{transport}.dstport", transport)
    return *ends, "", "0", "0"


def found(seen: Seen) -> tuple[str, ...]:
    transport = {"classified_tcp": "tcp", "classified_udp": "udp"}.get(seen.kind, "")
    return seen.src, seen.dst, transport, *map(str, seen.ports)


@pytest.mark.captures
@pytest.mark.tshark
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[proves(key)] if key else [], id=name) for key, name in CAPTURES]
)
def test_innermost_as_tshark_finds_it(name):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    path = captures.folder() / name
    told = iter(told_by_tshark(path))
    compared = 0
    for batch in open_paths([path]).batches():
        for row in batch.frames:
            start, size = int(row["offset"]), int(row["captured_bytes"])
            one = next(told)
            seen = look(batch.buffer[start : start + size].tobytes(), int(row["link"]), int(row["wire_bytes"]))
            if seen.kind == "ignored_later_fragment":
                continue
            expected = innermost(one)
            assert (found(seen) if seen.kind.startswith("classified") else None) == expected, one
            compared += 1
    assert compared


def test_random_garbage_is_no_tunnel():
    """Of random payloads on the ports of tunnels hardly any passes for one."""
    rng = random.Random(3)
    taken = 0
    for port in (1701, 2152, 3386, 3544, 4341, 4754, 4789, 4790, 5072, 5247, 6081, 6635, 8472, 37008):
        for _ in range(200):
            seen = look(ether(over_udp(port, rng.randbytes(200))))
            assert seen.kind.startswith("classified")
            taken += seen.src != "192.0.2.1"
    assert taken == 0
