"""What a clinic's own network says all morning: ARP, DHCP, router advertisements, mDNS, NTP, intranet, print, DICOM, SIP."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRSRV
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.ntp import NTPHeader

from pcaps.clinic import INTRANET, PACS, PBX, TRUNK, WARD_PRINTER, gateway
from pcaps.stun import Leg, call
from pcaps.tcp import Tcp
from pcaps.wire import Link, Station, Trace

if TYPE_CHECKING:
    from scapy.packet import Packet

EVERYONE = "ff:ff:ff:ff:ff:ff"
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970 (RFC 5905 section 6)
BROWSER = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/134.0.0.0 Safari/537.36"


def arp(trace: Trace, client: Station, other: Station, at: float) -> None:
    """A request to all and its answer (RFC 826)."""
    tag = Dot1Q(vlan=client.vlan)
    ask = ARP(op=1, hwsrc=client.mac, psrc=client.ip4, hwdst="00:00:00:00:00:00", pdst=other.ip4)
    reply = ARP(op=2, hwsrc=other.mac, psrc=other.ip4, hwdst=client.mac, pdst=client.ip4)
    trace.packet(at, Ether(src=client.mac, dst=EVERYONE) / tag / ask)
    trace.packet(at + 0.0004, Ether(src=other.mac, dst=client.mac) / tag / reply)


def dhcp(trace: Trace, client: Station, at: float) -> None:
    """Discover, offer, request, acknowledgement, with the device's host name (RFC 2131, option 12)."""
    rng = trace.rng(f"dhcp/{client.name}")
    router, number = gateway(client.network), rng.getrandbits(32)
    for index, kind in enumerate(("discover", "offer", "request", "ack")):
        up = index % 2 == 0
        source, sport, dport = ("0.0.0.0", 68, 67) if up else (router.ip4, 67, 68)  # noqa: S104 - RFC 2131 section 4.1
        options: list[object] = [("message-type", kind)]
        if up:
            options += [("hostname", client.name.encode()), ("param_req_list", [1, 3, 6, 15, 119, 252])]
            options += [("requested_addr", client.ip4), ("server_id", router.ip4)] if kind == "request" else []
        else:
            options += [("server_id", router.ip4), ("lease_time", 28800), ("subnet_mask", "255.255.255.0"),
                        ("router", router.ip4), ("name_server", "10.20.1.53"), ("domain", b"clinic.example")]  # fmt: skip
        frame = Ether(src=client.mac if up else router.mac, dst=EVERYONE) / Dot1Q(vlan=client.vlan)
        header = IP(src=source, dst="255.255.255.255", ttl=128 if up else 64, id=index + 1) / UDP(
            sport=sport, dport=dport
        )
        body = BOOTP(op=1 if up else 2, xid=number, chaddr=bytes.fromhex(client.mac.replace(":", "")) + bytes(10),
                     yiaddr="0.0.0.0" if up else client.ip4, flags=0x8000)  # noqa: S104 - not known yet  # fmt: skip
        trace.packet(at, frame / header / body / DHCP(options=[*options, "end"]))
        at += rng.uniform(0.001, 0.02)


def router_advertisement(trace: Trace, network: str, at: float) -> None:
    """RFC 4861 section 4.2, with the network's prefix."""
    router = gateway(network)
    prefix = f"2001:db8:20:{router.ip4.split('.')[2]}::"
    frame = Ether(src=router.mac, dst="33:33:00:00:00:01") / Dot1Q(vlan=router.vlan)
    body = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=router.mac) / ICMPv6NDOptMTU(mtu=1500)
    trace.packet(
        at, frame / IPv6(src=router.ip6, dst="ff02::1", hlim=255) / body / ICMPv6NDOptPrefixInfo(prefix=prefix)
    )


def mdns(trace: Trace, client: Station, service: str, instance: str, at: float) -> None:
    """A device asks for a service and tells of its own (RFC 6762, RFC 6763). These names are of devices, not of servers."""
    kind, host = f"{service}.local.", f"{client.name}.local."
    label = f"{instance}.{kind}"
    pointer = DNSRR(rrname=kind, type="PTR", rdata=label, ttl=4500)
    server = DNSRRSRV(rrname=label, port=443, target=host, ttl=120)
    address = DNSRR(rrname=host, type="A", rdata=client.ip4, ttl=120)
    messages = (
        DNS(id=0, rd=0, qd=[DNSQR(qname=kind, qtype="PTR")]),
        DNS(id=0, qr=1, aa=1, rd=0, qd=[], an=[pointer, server, address]),
    )
    for index, message in enumerate(messages):
        header: Packet = IP(src=client.ip4, dst="224.0.0.251", ttl=255, id=index + 1) / UDP(sport=5353, dport=5353)
        frame = Ether(src=client.mac, dst="01:00:5e:00:00:fb") / Dot1Q(vlan=client.vlan)
        trace.packet(at + index * 1.1, frame / header / message)


def ntp(trace: Trace, client: Station, server: Station, at: float) -> None:
    """RFC 5905: client and server modes."""
    now = trace.start_s + NTP_EPOCH + at
    link = Link(client, 123, server, 123)
    trace.udp(at, link, bytes(NTPHeader(version=4, mode=3, stratum=0, ref=0, orig=0, recv=0, sent=now)))
    answer = NTPHeader(
        version=4, mode=4, stratum=2, id="10.20.1.1", ref=now - 300, orig=now, recv=now + 0.0005, sent=now + 0.0006
    )
    trace.udp(at + 0.0011, link.turned(), bytes(answer))


def intranet(trace: Trace, client: Station, sport: int, at: float) -> None:
    """Plain HTTP to the clinic's own server, two requests over one connection."""
    tcp = Tcp(trace, client, sport, INTRANET, 80, at=at, rtt=0.0008)
    for path, size in (("/", 1900), ("/roster/today", 3100)):
        request = f"GET {path} HTTP/1.1\r\nHost: intranet.clinic.example\r\nUser-Agent: ".encode() + BROWSER
        refs = tcp.send(request + b"\r\nAccept: text/html\r\nConnection: keep-alive\r\n\r\n", up=True, think=0.4)
        trace.say("http_host", "intranet.clinic.example", client.ip4, refs)
        page = (
            b"<html><title>Clinic</title><p>"
            + b"All is well on the ward this morning. " * (size // 38)
            + b"</p></html>"
        )
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        tcp.send(head.encode() + page, up=False)
    tcp.close(2.0)


def print_job(trace: Trace, client: Station, sport: int, at: float) -> None:
    """A page to the ward's printer by raw port 9100, inside the ward's network."""
    tcp = Tcp(trace, client, sport, WARD_PRINTER, 9100, at=at, rtt=0.0006)
    page = b"BT /F1 11 Tf 72 720 Td (Medication plan, Ward 3) Tj ET\n" * 90
    tcp.send(b"\x1b%-12345X@PJL ENTER LANGUAGE=PDF\r\n%PDF-1.4\n" + page + b"%%EOF\n\x1b%-12345X", up=True)
    tcp.close(0.8)


def dicom(trace: Trace, client: Station, sport: int, at: float) -> None:
    """An association and an image to the archive (DICOM PS3.8 section 9.3)."""
    rng = trace.rng(f"dicom/{at}")
    tcp = Tcp(trace, client, sport, PACS, 104, at=at, rtt=0.001)
    for reply in (False, True):
        context = _item(
            0x21 if reply else 0x20,
            b"\1\0\0\0" + (b"" if reply else _item(0x30, b"1.2.840.10008.1.1")) + _item(0x40, b"1.2.840.10008.1.2"),
        )
        user = _item(0x50, _item(0x51, struct.pack("!I", 16384)) + _item(0x52, b"1.2.826.0.1.3680043.9.9999"))
        body = (
            b"\0\1\0\0"
            + b"PACS".ljust(16)
            + b"US2".ljust(16)
            + bytes(32)
            + _item(0x10, b"1.2.840.10008.3.1.1.1")
            + context
            + user
        )
        tcp.send(bytes((2 if reply else 1, 0)) + struct.pack("!I", len(body)) + body, up=not reply)
    for last in (0, 0, 2):
        data = bytes((1, last)) + rng.randbytes(4000)
        tcp.send(struct.pack("!BBII", 4, 0, len(data) + 4, len(data)) + data, up=True)
    tcp.send(b"\5\0\0\0\0\4\0\0\0\0", up=True)
    tcp.send(b"\6\0\0\0\0\4\0\0\0\0", up=False)
    tcp.close()


def sip_call(
    trace: Trace, phone: Station, at: float, seconds: float, *, rtp: tuple[int, int], over_trunk: bool
) -> None:
    """A desk phone's call (RFC 3261, RFC 3550). Its RTP uses ports that FaceTime uses too, and must not be taken for it."""
    rng = trace.rng(f"sip/{phone.name}/{at}")
    media = TRUNK if over_trunk else PBX
    link, number = Link(phone, 5060, PBX, 5060, dscp=26), f"{rng.getrandbits(48):012x}"
    offer, reply = _sdp(phone, rtp[0]), _sdp(media, rtp[1])
    steps = (
        (0.0, True, _sip("INVITE", phone, number, "1 INVITE", offer)),
        (0.02, False, _sip("100 Trying", phone, number, "1 INVITE")),
        (0.3, False, _sip("180 Ringing", phone, number, "1 INVITE")),
        (4.0, False, _sip("200 OK", phone, number, "1 INVITE", reply)),
        (4.02, True, _sip("ACK", phone, number, "1 ACK")),
        (4.1 + seconds, True, _sip("BYE", phone, number, "2 BYE")),
        (4.12 + seconds, False, _sip("200 OK", phone, number, "2 BYE")),
    )
    for after, up, text in steps:
        trace.udp(at + after, link if up else link.turned(), text)
    voice = Leg(50, 20, 20, 18, 160)  # G.729, 20 ms
    call(trace, Link(phone, rtp[0], media, rtp[1], dscp=46), [voice], [voice], at + 4.05, seconds, f"sip{number}")


def sip_register(trace: Trace, phone: Station, at: float) -> None:
    number = f"{trace.rng(f'register/{at}').getrandbits(48):012x}"
    link = Link(phone, 5060, PBX, 5060, dscp=26)
    trace.udp(at, link, _sip("REGISTER", phone, number, "1 REGISTER"))
    trace.udp(at + 0.003, link.turned(), _sip("200 OK", phone, number, "1 REGISTER"))


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", kind, 0, len(body)) + body


def _sdp(station: Station, port: int) -> str:
    lines = ("v=0", f"o=- 1 1 IN IP4 {station.ip4}", "s=-", f"c=IN IP4 {station.ip4}", "t=0 0",
             f"m=audio {port} RTP/AVP 18 101", "a=rtpmap:18 G729/8000", "a=rtpmap:101 telephone-event/8000", "a=sendrecv")  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines)


def _sip(first: str, phone: Station, number: str, sequence: str, body: str = "") -> bytes:
    """A request where `first` is a method, else a response."""
    target = f"sip:reception@{PBX.ip4}"
    lines = [
        f"SIP/2.0 {first}" if first[0].isdigit() else f"{first} {target} SIP/2.0",
        f"Via: SIP/2.0/UDP {phone.ip4}:5060;branch=z9hG4bK{number}",
        f"From: <sip:ward3@{PBX.ip4}>;tag={number[:8]}",
        f"To: <{target}>" + (f";tag={number[4:]}" if first.startswith("200") else ""),
        f"Call-ID: {number}@{phone.ip4}",
        f"CSeq: {sequence}",
        f"Contact: <sip:ward3@{phone.ip4}:5060>",
        "Max-Forwards: 70",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii") + body.encode("ascii")
