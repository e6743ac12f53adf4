"""The decoders on real traffic: every payload to every decoder, and the names beside those that tshark finds."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from sensor.decode import dns, gquic, http, quic, stun, tls
from sensor.decode.stream import Reassembler
from sensor.model import Malformed
from tests import captures
from tests.decode.test_dns import same_as_dnspython
from tests.proofs import proves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DECODERS = (tls.client_hello, tls.first_handshake, quic.initials, gquic.packet, dns.message, http.request, stun.message)
VALUES = (
    tls.ClientHello,
    tls.ServerHello,
    gquic.Packet,
    tuple,
    dns.DnsMessage,
    http.HttpRequest,
    stun.StunMessage,
    Malformed,
)
LIMIT_BYTES = 32 * 1024
PPP = 9  # LINKTYPE_PPP


def ppp(frame: bytes) -> Any:
    """dpkt's own reads no protocol of two bytes; here IPv4 (RFC 1661, 2)."""
    if not frame.startswith(b"\x00\x21"):
        raise dpkt.UnpackError
    return dpkt.ethernet.Ethernet(bytes(12) + b"\x08\x00" + frame[2:])


LINKS = {dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet, dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL, PPP: ppp}


def packets(path: Path) -> Iterator[Any]:
    """The IP packets of a capture, as far as dpkt reads them."""
    with path.open("rb") as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
            link = LINKS[reader.datalink()]
            frames = list(reader)
        except (KeyError, ValueError, dpkt.Error, OSError, EOFError):
            return
        for _, frame in frames:
            try:
                packet = link(frame).data
            except (dpkt.Error, ValueError, IndexError, AttributeError, TypeError):
                continue  # dpkt's troubles are not ours
            if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
                yield packet


def payloads(path: Path) -> Iterator[tuple[set[int], bytes]]:
    """Ports and payload of every TCP segment and UDP datagram."""
    for packet in packets(path):
        if isinstance(packet.data, dpkt.tcp.TCP | dpkt.udp.UDP):
            data = bytes(packet.data.data)
            if data:
                yield {packet.data.sport, packet.data.dport}, data


@pytest.mark.captures
def test_every_payload_of_every_capture_to_every_decoder():
    seen = 0
    for path in sorted(captures.folder().glob("*.pcap*")):
        for _, data in payloads(path):
            seen += 1
            for decode in DECODERS:
                found = decode(data)
                assert found is None or isinstance(found, VALUES)
                assert not isinstance(found, Malformed) or 0 <= found.offset <= len(data)
    assert seen > 10_000


@pytest.mark.captures
def test_dns_messages_as_dnspython_reads_them():
    agreed = 0
    for path in sorted(captures.folder().glob("*dns*.pcap*")):
        for ports, data in payloads(path):
            if ports & {53, 5353, 5355}:
                agreed += same_as_dnspython(data)
    assert agreed > 300


def hellos(path: Path) -> Iterator[tls.ClientHello | gquic.Chlo]:
    """Every hello in the capture by our decoders, over reassembled TCP and over QUIC."""
    streams: dict[object, tuple[int, Reassembler]] = {}
    assemblers: dict[object, quic.QuicHello] = {}
    hello: object
    for packet in packets(path):
        l4 = packet.data
        if isinstance(l4, dpkt.tcp.TCP):
            flow = (packet.src, l4.sport, packet.dst, l4.dport)
            if l4.flags & dpkt.tcp.TH_SYN:
                streams[flow] = (l4.seq + 1, Reassembler(LIMIT_BYTES))
            if not l4.data:
                continue
            start, stream = streams.setdefault(flow, (l4.seq, Reassembler(LIMIT_BYTES)))
            stream.add((l4.seq - start + 2**31) % 2**32 - 2**31, bytes(l4.data))
            hello = tls.first_handshake(stream.prefix())
        elif isinstance(l4, dpkt.udp.UDP) and l4.data:
            ends = frozenset({(packet.src, l4.sport), (packet.dst, l4.dport)})
            hello = assemblers.setdefault(ends, quic.QuicHello()).add(bytes(l4.data))
        else:
            continue
        if isinstance(hello, tls.ClientHello | gquic.Chlo):
            yield hello


@pytest.mark.captures
@pytest.mark.tshark
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ndpi__quic-23.pcap", marks=proves("QUIC draft 23")),
        pytest.param("ndpi__quic-27.pcap", marks=proves("QUIC draft 27")),
        pytest.param("ndpi__quic-28.pcap", marks=proves("QUIC draft 28")),
        "ndpi__doq_adguard.pcapng",
        "ndpi__google_meet.pcapng",
        pytest.param("ndpi__quic-mvfst-27.pcapng", marks=proves("QUIC mvfst, draft 27")),
        pytest.param("ndpi__quic-v2.pcapng", marks=proves("QUIC v2")),
        pytest.param("ndpi__http_ipv6.pcap", marks=proves("gQUIC Q024 to Q035")),
        pytest.param("ndpi__quic.pcap", marks=proves("gQUIC Q024 to Q035")),
        pytest.param("ndpi__youtube_quic.pcap", marks=proves("gQUIC Q024 to Q035")),
        pytest.param("ndpi__quic046.pcap", marks=proves("gQUIC Q046")),
        pytest.param("ndpi__quic_q46.pcap", marks=proves("gQUIC Q046")),
        pytest.param("ndpi__quic_q46_b.pcap", marks=proves("gQUIC Q046")),
        pytest.param("suricata__quic-cyu.pcap", marks=proves("gQUIC Q046")),
        pytest.param("ndpi__quic_q50.pcap", marks=proves("gQUIC Q050")),
        pytest.param("ndpi__quic_t51.pcap", marks=proves("gQUIC T051")),
        pytest.param("suricata__ja4-quic.pcap", marks=proves("QUIC v1")),
        pytest.param("suricata__quic-frag.pcap", marks=proves("QUIC, hello over several datagrams")),
        pytest.param("suricata__quic-frag-wait.pcap", marks=proves("QUIC, hello over several datagrams")),
        "suricata__quic-ietf-ja3.pcap",
        pytest.param("suricata__quic-retry.pcap", marks=proves("QUIC, Retry")),
        pytest.param("suricata__quic-retry-multiple.pcap", marks=proves("QUIC, Retry")),
        "zeek__quic-chromium-115.0.5790.110-api-cirrus-com.pcap",
        "zeek__quic-chromium-dpd-custom-port-4433.pcap",
        "zeek__quic-interop-quic-go_quic-go-handshake.pcap",
        pytest.param("zeek__quic-interop-quic-go_quic-go-zerortt.pcap", marks=proves("QUIC, 0-RTT")),
        pytest.param("zeek__quic-quic-39264-rand.pcap", marks=proves("QUIC, 0-RTT")),
        pytest.param(
            "zeek__quic-quic-multiple-initial-fragmented-crypto-only-initial.pcap",
            marks=proves("QUIC, hello over several Initials"),
        ),
        pytest.param(
            "zeek__quic-quic-multiple-initial-fragmented-crypto.pcap",
            marks=proves("QUIC, CRYPTO frames out of order"),
        ),
        "zeek__quic-quicv2-echo-443.pcap",
        "zeek__quic-quicv2-echo-dpd-custom-port-4433.pcap",
        "ndpi__443-safari.pcap",
        "ndpi__tls_2_reasms.pcapng",
        "msgr__WIFI_demarrage_Messenger.pcapng",
    ],
)
def test_names_that_tshark_finds(name):
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("no tshark")
    path = captures.capture(name)
    fields = ["tls.handshake.extensions_server_name", "gquic.tag.sni"]
    result = subprocess.run(
        [tshark, "-n", "-r", path, "-Y", " or ".join(fields), "-T", "fields", "-e", fields[0], "-e", fields[1]],
        check=True,
        capture_output=True,
        text=True,
    )
    theirs = {one.lower() for line in result.stdout.split() for one in line.split(",")}
    assert theirs
    assert {hello.sni for hello in hellos(path) if hello.sni} == theirs


@pytest.mark.captures
def test_a_hello_of_draft_33_that_gives_no_name():
    found = list(hellos(captures.capture("ndpi__quic-33.pcapng")))
    assert [hello.sni for hello in found] == [None]
    assert isinstance(found[0], tls.ClientHello)
    assert found[0].versions[0] == 0x0304
