"""Copies that the mirror made are dropped and counted; what was sent twice is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.packet import Packet, Raw

from sensor.capture import open_paths
from sensor.kernel import layout
from sensor.kernel.copies import PROOF_LEAST, PROOF_PACKETS, WINDOW_NO_IDENT_NS, WINDOW_NS
from sensor.kernel.layout import NS
from sensor.kernel.state import Scanner
from sensor.model import FRAME, Batch
from tests import captures
from tests.kernel.harness import Frame, Scan
from tests.proofs import proves

START = 1_700_000_000 * NS
US = NS // 1_000_000
A, B, C, D = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c", "02:00:00:00:00:0d"
FIELDS = [name for name in layout.FLOW.names or () if not name.startswith("pad")]


def on_wire(packet: Packet, at_ns: int = 0, *, src: str = A, dst: str = B, vlans: tuple[int, ...] = ()) -> Frame:
    """A frame of an IP packet, `at_ns` after the start."""
    head = Ether(src=src, dst=dst)
    for vlan in vlans:
        head /= Dot1Q(vlan=vlan)
    return START + at_ns, bytes(head / packet), 1


def scanned(frames: list[Frame], *, size: int = 1000, fill: bytes = b"") -> Scan:
    return Scan(Scanner(1 << 10, 7, drop_duplicates=True)).read(frames, size, fill).finish()


def dropped(frames: list[Frame]) -> int:
    scan = scanned(frames)
    assert sum(scan.counters().values()) == len(frames)
    return scan.counters().get("dropped_duplicate", 0)


def routed(packet: Packet, hops: int = 1) -> Packet:
    """The packet behind a router."""
    packet = packet.copy()
    if IPv6 in packet:
        packet[IPv6].hlim -= hops
    else:
        packet[IP].ttl -= hops
        del packet[IP].chksum
    return packet


def v4(ident: int, payload: bytes = b"x" * 40, **more: Any) -> Packet:
    return IP(src="10.0.0.1", dst="10.0.0.2", id=ident, **more) / UDP(sport=1000, dport=2000) / Raw(payload)


def v6(payload: bytes = b"x" * 40) -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1000, dport=2000) / Raw(payload)


SEGMENT = (
    IP(src="10.0.0.1", dst="10.0.0.2", id=77, flags="DF") / TCP(sport=1000, dport=443, seq=5, flags="PA") / b"data"
)
NO_IDENT = v4(0, flags="DF")
PACKETS = {
    "TCP": SEGMENT,
    "UDP": v4(9),
    "ICMP": IP(dst="10.0.0.2", id=3) / ICMP() / b"abc",
    "no ident": NO_IDENT,
    "IPv6": v6(),
}
TOLD = {name: packet for name, packet in PACKETS.items() if name not in {"no ident", "IPv6"}}


@pytest.mark.parametrize("name", TOLD)
@proves("Mirror duplicates", "frames made by scapy")
def test_shown_twice(name):
    packet = TOLD[name]
    frames = [on_wire(packet), on_wire(packet, 30 * US), on_wire(packet, 60 * US)]
    scan = scanned(frames)
    assert scan.counters()["dropped_duplicate"] == 2
    (row,) = scan.rows
    assert int(row["packets_0"] + row["packets_1"]) == 1


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("vlans", [((10,), (20,)), ((), (20,)), ((30, 10), (20,)), ((30, 10), (40, 11))])
@proves("Mirror duplicates, VLAN-aware", "frames made by scapy")
def test_on_two_vlans(name, vlans):
    """A trunk beside an access port, in either order. The flow is of the VLAN on which it was seen first."""
    for first, second in (vlans, vlans[::-1]):
        scan = scanned([on_wire(PACKETS[name], vlans=first), on_wire(PACKETS[name], 50 * US, vlans=second)])
        (row,) = scan.rows
        assert scan.counters()["dropped_duplicate"] == 1
        assert int(row["vlan"]) == (first[-1] if first else 0xFFFF)


@pytest.mark.parametrize("name", PACKETS)
def test_with_and_without_a_tag_around(name):
    """The innermost VLAN is the same: then the packet is taken to have been shown twice on it."""
    frames = [on_wire(PACKETS[name], vlans=(30, 10)), on_wire(PACKETS[name], 50 * US, vlans=(10,))]
    assert dropped(frames) == (1 if name in TOLD else 0)


@pytest.mark.parametrize("name", PACKETS)
@proves("Mirror duplicates, VLAN-aware", "a packet before and behind a router")
def test_both_sides_of_a_router(name):
    packet = PACKETS[name]
    before = on_wire(packet, vlans=(10,))
    behind = on_wire(routed(packet), 40 * US, src=C, dst=D, vlans=(20,))
    assert dropped([before, behind]) == 1
    assert dropped([(behind[0], *before[1:]), (before[0], *behind[1:])]) == 1
    # Two routers, each side of them shown twice.
    third = on_wire(routed(packet, 2), 70 * US, src=A, dst=D)
    frames = [before, replaced(before, 5), behind, replaced(behind, 5), third, replaced(third, 5)]
    assert dropped(frames) == (
        5 if name in TOLD else 4
    )  # without an identification, the first may have been sent twice


def replaced(frame: Frame, later_us: int) -> Frame:
    return frame[0] + later_us * US, *frame[1:]


@pytest.mark.parametrize("name", PACKETS)
def test_what_is_no_copy(name):
    packet = PACKETS[name]
    first = on_wire(packet)
    assert dropped([first, on_wire(packet, 9, src=C, dst=D)]) == 0  # other addresses, the same hop limit
    assert dropped([first, on_wire(packet, 9, src=B, dst=A)]) == 0
    assert dropped([first, on_wire(routed(packet), 9)]) == 0  # the reverse
    bare = [(START, bytes(packet), 101), (START + 9, bytes(routed(packet)), 101)]
    assert dropped(bare) == 1  # but where no addresses are seen, the hop limit alone tells


@pytest.mark.parametrize(
    ("name", "window"), [(name, WINDOW_NS if name in TOLD else WINDOW_NO_IDENT_NS) for name in PACKETS]
)
def test_the_window(name, window):
    first = on_wire(PACKETS[name], vlans=(1,))
    for gap in (window, -window):
        assert dropped([first, on_wire(PACKETS[name], gap, vlans=(2,))]) == 1
    for gap in (window + 1, -window - 1):
        assert dropped([first, on_wire(PACKETS[name], gap, vlans=(2,))]) == 0


SENT_AGAIN = {
    "a retransmission": [SEGMENT, IP(src="10.0.0.1", dst="10.0.0.2", id=78, flags="DF") / SEGMENT[TCP]],
    "a retransmission without an identification": [IP(src="10.0.0.1", dst="10.0.0.2", flags="DF", id=0) / SEGMENT[TCP]]
    * 2,
    "acknowledgements": [IP(dst="10.0.0.2", flags="DF", id=0) / TCP(sport=1000, dport=443, seq=5, ack=9, flags="A")]
    * 3,
    "a DNS query": [IP(dst="10.0.0.2", flags="DF", id=0) / UDP(sport=999, dport=53) / Raw(b"\1\2\1\0\0\1" + bytes(6))]
    * 2,
    "a STUN request": [v6(b"\0\1\0\0\x21\x12\xa4\x42" + b"t" * 12)] * 3,
    "counters in a burst": [v6(b"packets:1|c")] * 5,
    "voice": [v6(b"\x80\0" + i.to_bytes(2, "big") + b"\0" * 8 + b"v" * 160) for i in range(9)],
    "QUIC": [v6(b"\x40" + b"connection" * 2 + bytes([i]) * 30) for i in range(9)],
}


@pytest.mark.parametrize("name", SENT_AGAIN)
@pytest.mark.parametrize("gap_us", [0, 1, 900, 5000, 500_000])
def test_sent_again(name, gap_us):
    """However soon: on the wire there were as many."""
    assert dropped([on_wire(packet, i * gap_us * US) for i, packet in enumerate(SENT_AGAIN[name])]) == 0


def doubling(count: int, at_ns: int = 0) -> list[Frame]:
    """Packets with an identification, each shown twice, a microsecond apart."""
    frames = [on_wire(v4(i + 1), at_ns + i * 2 * US) for i in range(count)]
    return [one for frame in frames for one in (frame, replaced(frame, 1))]


@pytest.mark.parametrize("name", SENT_AGAIN)
def test_sent_again_and_all_shown_twice(name):
    """A mirror that doubles: of each pair one is dropped, though others were sent that are equal."""
    shown = doubling(PROOF_LEAST)
    later = START + len(shown) * US
    frames = [on_wire(packet, i * 20 * US) for i, packet in enumerate(SENT_AGAIN[name])]
    pairs = [(later + time - START + k * US, data, link) for time, data, link in frames for k in range(2)]
    assert dropped(shown + pairs) == PROOF_LEAST + len(frames)


def test_proof_that_is_long_ago():
    """The mirror doubled once, and does so no more: what comes twice without an identification was sent twice."""
    shown = doubling(PROOF_LEAST)
    single = [on_wire(v4(i + 1, b"single"), i * US + NS) for i in range(PROOF_PACKETS)]
    again = [on_wire(v6(), 2 * NS), on_wire(v6(), 2 * NS + US)]
    assert dropped(shown + single + again) == PROOF_LEAST
    assert dropped(shown + again) == PROOF_LEAST + 1


def test_equal_but_for_the_end():
    """Where checksums are left to the network card, as in captures on hosts, they tell nothing: the last bytes do."""
    one, other = (bytearray(bytes(v6(b"\x40" + b"connection" * 9 + end))) for end in (b"one.", b"two."))
    one[46:48] = other[46:48] = b"\x12\x34"
    frames = [on_wire(IPv6(bytes(one)), vlans=(1,)), on_wire(IPv6(bytes(other)), 1, vlans=(2,))]
    assert dropped(frames) == 0
    assert dropped([frames[0], on_wire(IPv6(bytes(one)), 1, vlans=(2,))]) == 1


def test_fragments_shown_twice():
    """Each piece counts once, and the whole is read once."""
    payload = bytes(range(200)) * 3
    for version in (4, 6):
        body = bytes(UDP(sport=999, dport=53, len=608, chksum=1) / payload)
        frames = []
        for i, (start, stop) in enumerate(((0, 200), (200, 400), (400, 608))):
            last = stop == 608
            packet = (
                IP(src="10.0.0.1", dst="10.0.0.2", id=5, proto=17, frag=start // 8, flags=0 if last else 1)
                if version == 4
                else IPv6(src="fd00::1", dst="fd00::2")
                / IPv6ExtHdrFragment(nh=17, offset=start // 8, m=0 if last else 1, id=5)
            ) / Raw(body[start:stop])
            frames += [
                on_wire(packet, i * US, vlans=(1,)),
                on_wire(packet, i * US + 1, vlans=(2,)),
                on_wire(packet, i * US + 2, vlans=(1,)),
            ]
        scan = scanned(frames)
        assert scan.counters() == {"classified_udp": 3, "dropped_duplicate": 6}
        assert scan.notice("fragments_joined") == 1
        assert scan.said(layout.KIND_DNS)[-1][1] == payload


def test_in_a_tunnel():
    """The mirror of a mirror: what is around differs, the packet inside is the same."""
    frames = [on_wire(IP(dst="192.0.2.1", id=i, proto=47) / GRE() / SEGMENT, i * US) for i in range(3)]
    assert dropped(frames) == 2


def test_kept_where_that_is_wanted():
    scan = Scan(Scanner(1 << 10, 7)).read([on_wire(SEGMENT)] * 3).finish()
    assert scan.counters() == {"classified_tcp": 3}


def test_networks_apart_share_no_copies():
    scan = Scan(Scanner(1 << 10, 7, drop_duplicates=True)).read([on_wire(SEGMENT)])
    scan.scanner.reset()
    scan.read([on_wire(SEGMENT)]).finish()
    assert scan.counters() == {"classified_tcp": 2}


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet of some sender, as the network would carry it."""

    protocol: str
    host: int
    port: int
    ident: int
    payload: bytes
    gap_us: int

    def packet(self) -> Packet:
        top = (
            TCP(sport=self.port, dport=443, seq=self.ident)
            if self.protocol == "tcp"
            else UDP(sport=self.port, dport=443)
        )
        if self.protocol == "6":
            return IPv6(src=f"fd00::{self.host}", dst="fd00::9") / top / Raw(self.payload)
        return IP(src=f"10.0.0.{self.host}", dst="10.0.0.9", id=self.ident) / top / Raw(self.payload)


SENDINGS = st.lists(
    st.builds(
        Sent, st.sampled_from(["tcp", "udp", "6"]), st.integers(1, 2), st.integers(1, 2), st.just(0),
        st.binary(max_size=3), st.sampled_from([0, 0, 1, 50, 20_000]),
    ),
    max_size=30,
)  # fmt: skip


def sent_frames(sendings: list[Sent]) -> list[Frame]:
    """One frame for each, each with an identification of its own."""
    frames, now = [], 0
    for number, one in enumerate(sendings):
        now += one.gap_us * US
        frames.append(on_wire(replace(one, ident=number + 1).packet(), now))
    return frames


@settings(max_examples=150, deadline=None)
@given(SENDINGS)
def test_any_traffic_is_kept_whole(sendings):
    """Few hosts, few ports, few payloads, close together, also without an identification: nothing of it is a copy."""
    assert dropped(sent_frames(sendings)) == 0


@settings(max_examples=100, deadline=None)
@given(SENDINGS, st.data())
def test_copies_change_nothing(sendings, data):
    """Shown on two VLANs and behind a router, any of it: the same flows as without. In batches of any size, between any bytes."""
    frames = sent_frames([one for one in sendings if one.protocol != "6"])
    shown: list[Frame] = []
    for time, raw, link in frames:
        shown.append((time, raw, link))
        packet = Ether(raw)[IP]
        for copy in (packet, routed(packet)):
            if data.draw(st.booleans()):
                ends = {} if copy is packet else {"src": C, "dst": D}
                shown.append(on_wire(copy, time - START, vlans=(5,), **ends))
    plain = flows(scanned(frames))
    size = data.draw(st.integers(1, 9))
    for fill in (b"", b"\0" * 512, b"\xff" * 512):
        scan = scanned(shown, size=size, fill=fill)
        assert scan.counters().get("dropped_duplicate", 0) == len(shown) - len(frames)
        assert flows(scan) == plain


def flows(scan: Scan) -> list[tuple[Any, ...]]:
    """All that the rows say, but for the numbers of frames."""
    said = ["first_number", "ended", "wheel", "chain", "bucket"]
    return sorted(tuple(row[name].item() for name in FIELDS if name not in said) for row in scan.rows)


@pytest.mark.captures
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # On VLAN 300 before a router and on VLAN 50 behind it. Frame 24 has no identification.
        pytest.param("ndpi__mongodb.pcap", [2, 5, 8, 11, 22, 24, 26], marks=proves("Mirror duplicates, VLAN-aware")),
        pytest.param("ndpi__kerberos-login.pcap", [27, 28, 30, 33, 34, 37, 38], marks=proves("Mirror duplicates")),
        pytest.param("zeek__q-in-q.pcap", [2], marks=proves("Mirror duplicates")),
    ],
)
def test_copies_in_captures(name, expected):
    scan = Scan(Scanner(1 << 10, 7, drop_duplicates=True))
    found = []
    for batch in open_paths([captures.folder() / name]).batches():
        for row in batch.frames:
            before = scan.counters().get("dropped_duplicate", 0)
            scan.scanner.read(Batch(batch.buffer, row.reshape(1).astype(FRAME)))
            if scan.counters().get("dropped_duplicate", 0) > before:
                found.append(int(row["number"]))
    assert found == expected
