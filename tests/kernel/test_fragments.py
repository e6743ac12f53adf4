"""Fragments put together: in any order, with copies and overlaps, beside a model and beside tshark; and what is never whole."""

from __future__ import annotations

import itertools
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.capture import open_paths
from sensor.kernel import layout
from sensor.kernel.fragments import DATAGRAMS, DONE_NS, EXPIRY_NS, FILLED, JOINED, SET_WAYS
from sensor.kernel.layout import NS
from sensor.kernel.state import Scanner
from sensor.model import FRAME, Batch
from tests import captures, made
from tests.kernel.harness import Frame, Scan, packed
from tests.proofs import proves

A, B = "10.0.0.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::7"
START = 1_700_000_000 * NS
MS = NS // 1000
ENDS = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02"
UDP, TCP = 17, 6
PORT = 40000


def udp(payload: bytes, *, sport: int = PORT, dport: int = 53) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(payload: bytes, *, sequence: int = 1, flags: int = 0x18) -> bytes:
    return struct.pack(">HHIIHHHH", PORT, 443, sequence, 9, 0x5000 | flags, 999, 0, 0) + payload


def piece(
    body: bytes, start: int, stop: int, *, version: int = 4, proto: int = UDP, ident: int = 7, at_ns: int = START,
    more: bool | None = None, vlan: int | None = None, src: str | None = None, link_head: bool = True,
) -> Frame:  # fmt: skip
    """The fragment of an IP payload from `start` to `stop`."""
    more = stop < len(body) if more is None else more
    data = body[start:stop]
    if version == 4:
        ends = socket.inet_aton(src or A) + socket.inet_aton(B)
        flags = start // 8 | (0x2000 if more else 0)
        packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), ident, flags, 61, proto, 0) + ends + data
    else:
        ends = socket.inet_pton(socket.AF_INET6, src or A6) + socket.inet_pton(socket.AF_INET6, B6)
        packet = struct.pack(">IHBB", 6 << 28, 8 + len(data), 44, 61) + ends
        packet += struct.pack(">BBHI", proto, 0, start | more, ident) + data
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    kind = b"\x08\0" if version == 4 else b"\x86\xdd"
    return (at_ns, ENDS + tag + kind + packet, 1) if link_head else (at_ns, packet, 101)


MESSAGE = bytes(range(256)) * 4  # no sense in it, but DNS by its port
BODY = udp(MESSAGE)
CUTS = ((0, 400), (400, 800), (800, len(BODY)))


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(4, marks=proves("IPv4 fragments", "every order of three fragments")),
        pytest.param(6, marks=proves("IPv6 fragments", "every order of three fragments")),
    ],
)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_order(version, order, size):
    """The whole is said of the frame that completes it; the first fragment says what it has; every byte counts."""
    frames = [piece(BODY, *CUTS[i], version=version, at_ns=START + place * MS) for place, i in enumerate(order)]
    scan = Scan().read(frames, size).finish()
    first = order.index(0)
    assert scan.said(layout.KIND_DNS)[-1] == (3, MESSAGE)
    if first < 2:
        assert scan.said(layout.KIND_DNS) == [(first + 1, MESSAGE[: 400 - 8]), (3, MESSAGE)]
    expected = {"classified_udp": 3 - first, "ignored_fragment_waiting": first}
    assert scan.counters() == {name: count for name, count in expected.items() if count}
    (row,) = scan.rows
    assert int(row["packets_0"] + row["packets_1"]) == 3 - first
    assert int(row["bytes_0"] + row["bytes_1"]) == sum(len(data) for _, data, _ in frames)
    assert (scan.notice("fragments_joined"), scan.notice("fragments_given_up")) == (1, 0)
    assert scan.notice("fragments_overlapping") == 0


@pytest.mark.parametrize("version", [4, 6])
def test_without_the_rest_the_first_speaks_for_itself(version):
    scan = Scan().read([piece(BODY, 0, 400, version=version), piece(BODY, 800, 1032, version=version)]).finish()
    assert scan.said(layout.KIND_DNS) == [(1, MESSAGE[:392])]
    assert scan.counters() == {"classified_udp": 2}
    assert (scan.notice("fragments_joined"), scan.notice("fragments_given_up")) == (0, 1)


def test_without_the_first_nothing_is_known():
    scan = Scan().read([piece(BODY, 400, 800), piece(BODY, 800, len(BODY))]).finish()
    assert scan.counters() == {"ignored_fragment_waiting": 2}
    assert scan.notice("fragments_given_up") == 1
    assert not scan.rows


def test_a_copy_changes_nothing():
    """Before the whole, and after it."""
    pieces = [piece(BODY, *cut) for cut in CUTS]
    frames = [pieces[i] for i in (1, 1, 0, 0, 2, 2, 1)]
    scan = Scan().read(frames).finish()
    assert [number for number, payload in scan.said(layout.KIND_DNS) if payload == MESSAGE] == [5]
    assert (scan.notice("fragments_joined"), scan.notice("fragments_overlapping")) == (1, 0)
    assert scan.notice("fragments_given_up") == 0
    assert scan.counters() == {"classified_udp": 5, "ignored_fragment_waiting": 2}
    (row,) = scan.rows
    assert int(row["bytes_0"] + row["bytes_1"]) == sum(len(data) for _, data, _ in frames)


OTHER = udp(b"\xee" * len(MESSAGE))


@proves("Fragments that overlap", "fragments made from RFC 791 and RFC 8200")
@pytest.mark.parametrize("version", [4, 6])
def test_what_came_first_is_kept(version):
    pieces = [piece(BODY, 0, 400, version=version), piece(OTHER, 320, 800, version=version),
              piece(BODY, 720, len(BODY), version=version)]  # fmt: skip
    scan = Scan().read(pieces).finish()
    expected = BODY[:400] + OTHER[400:800] + BODY[800:]
    assert scan.said(layout.KIND_DNS)[-1] == (3, expected[8:])
    assert scan.notice("fragments_overlapping") == 2
    assert scan.counters() == {"classified_udp": 3}


@proves("Fragments that overlap", "a fragment that contradicts another")
def test_a_contradiction_is_noticed():
    """The same place, other bytes: the first wins; a second end that lies elsewhere is left out."""
    scan = Scan().read([piece(BODY, 0, 400), piece(OTHER, 0, 400), piece(BODY, 400, len(BODY))]).finish()
    assert scan.said(layout.KIND_DNS)[-1] == (3, MESSAGE)
    assert scan.notice("fragments_overlapping") == 1
    longer = BODY + b"and more"
    scan = Scan().read([piece(BODY, 800, len(BODY)), piece(longer, 800, len(longer)), piece(BODY, 0, 800)]).finish()
    assert scan.said(layout.KIND_DNS)[-1] == (3, MESSAGE)
    assert scan.notice("fragments_overlapping") == 1


def test_too_late():
    """After 30 s the first fragments are given up; what comes then begins anew."""
    for gap, joined in ((EXPIRY_NS - MS, 1), (EXPIRY_NS + MS, 0)):
        scan = Scan().read([piece(BODY, 0, 800), piece(BODY, 800, len(BODY), at_ns=START + gap)]).finish()
        assert scan.notice("fragments_joined") == joined
        assert scan.notice("fragments_given_up") == (0 if joined else 2)


@pytest.mark.parametrize("gap_ns", [MS, DONE_NS - MS, DONE_NS + MS, 10 * NS])
def test_the_same_number_again(gap_ns):
    """Numbers come again soon where much is sent: other bytes are another datagram, at whatever distance."""
    frames = [piece(BODY, 0, 800), piece(BODY, 800, len(BODY))]
    frames += [piece(OTHER, 0, 800, at_ns=START + gap_ns), piece(OTHER, 800, len(OTHER), at_ns=START + gap_ns)]
    scan = Scan().read(frames).finish()
    whole = [(number, payload) for number, payload in scan.said(layout.KIND_DNS) if len(payload) == len(MESSAGE)]
    assert whole == [(2, MESSAGE), (4, OTHER[8:])]


def test_what_differs_makes_another_datagram():
    changes: list[dict[str, Any]] = [{"ident": 8}, {"src": "10.0.0.2"}, {"vlan": 5}, {"proto": 136}, {"version": 6}]
    for change in changes:
        scan = Scan().read([piece(BODY, 0, 800), piece(BODY, 800, len(BODY), **change)]).finish()
        assert scan.notice("fragments_joined") == 0, change
    scan = Scan().read([piece(BODY, 0, 800, vlan=5), piece(BODY, 800, len(BODY), vlan=5)]).finish()
    assert scan.notice("fragments_joined") == 1
    assert {int(row["vlan"]) for row in scan.rows} == {5}
    # The header behind IPv6's fragment header is told by the first fragment alone (RFC 8200 4.5).
    scan = Scan().read([piece(BODY, 0, 800, version=6), piece(BODY, 800, len(BODY), version=6, proto=6)]).finish()
    assert scan.said(layout.KIND_DNS)[-1] == (2, MESSAGE)


def test_the_pool_is_bounded():
    """More datagrams at once than there is room for: the oldest make room, and are counted."""
    count = DATAGRAMS * 2
    scan = Scan(Scanner(1 << 12, 7))
    scan.read([piece(BODY, 0, 800, ident=i, at_ns=START + i) for i in range(count)])
    given_up = scan.notice("fragments_given_up")
    assert count - DATAGRAMS <= given_up <= count - DATAGRAMS // 2
    scan.read([piece(BODY, 800, len(BODY), ident=i, at_ns=START + count) for i in reversed(range(count))])
    # The rests come newest first, so each finds its datagram, but where one whose first is gone took the place again.
    assert count - given_up - SET_WAYS <= scan.notice("fragments_joined") <= count - given_up
    scan.finish()
    assert scan.notice("fragments_joined") + scan.notice("fragments_given_up") >= count


def test_a_cut_fragment_leaves_a_hole():
    """What the capture cut off is not made up."""
    frames = [piece(BODY, *cut) for cut in CUTS]
    buffer, rows = packed(frames)
    rows["captured_bytes"][1] -= 8
    scan = Scan()
    scan.scanner.read(Batch(buffer, rows))
    scan.finish()
    assert scan.counters() == {"classified_udp": 3}
    assert (scan.notice("fragments_joined"), scan.notice("fragments_given_up")) == (0, 1)
    scan = Scan()
    buffer, rows = packed(frames[1:])
    rows["captured_bytes"][0] -= 8
    scan.scanner.read(Batch(buffer, rows))
    assert scan.counters() == {"ignored_later_fragment": 1, "ignored_fragment_waiting": 1}


def test_fragments_that_cannot_be():
    """A length that is no multiple of eight with more to come; beyond 64 KiB; of no bytes."""
    for start, stop, body in ((400, 407, BODY), (65528, 65536, bytes(65536)), (400, 400, BODY)):
        scan = Scan().read([piece(body, start, stop)]).finish()
        assert scan.counters() == {"ignored_later_fragment": 1}


def test_the_longest_datagram():
    body = udp(bytes(65507))
    starts = range(0, len(body), 1480)
    pieces = [piece(body, start, min(start + 1480, len(body)), at_ns=START + start) for start in starts]
    scan = Scan().read(pieces).finish()
    assert scan.said(layout.KIND_DNS)[-1] == (len(pieces), body[8:])
    # Many in one batch: the buffer of wholes is emptied in between.
    numbered = [(i, *one) for i in range(120) for one in pieces]
    many = [(at + i * MS, data[:18] + struct.pack(">H", i) + data[20:], link) for i, at, data, link in numbered]
    scan = Scan().read(many, 100_000).finish()
    assert scan.notice("fragments_joined") == 120
    assert [len(payload) for _, payload in scan.said(layout.KIND_DNS)].count(65507) == 120


@pytest.mark.parametrize("cut", [8, 16, 24, 40, 64])
@pytest.mark.parametrize("version", [4, 6])
def test_a_name_in_a_segment_in_fragments(cut, version):
    """TCP in fragments, however little of it the first one has: the name is read from the whole."""
    hello = made.hello("www.example.com")
    body = tcp(hello)
    syn = piece(tcp(b"", sequence=0, flags=2), 0, 20, version=version, proto=TCP, ident=1)
    parts = [piece(body, *ends, version=version, proto=TCP) for ends in ((0, cut), (cut, len(body)))]
    scan = Scan().read([syn, *parts]).finish()
    assert scan.counters() == {"classified_tcp": 3}
    assert scan.said(layout.KIND_TLS) == [(3, hello)]
    (row,) = scan.rows
    assert int(row["packets_0"]) == 3


def test_fragments_of_a_tunnel():
    """A tunnel's packets in fragments, a datagram's fragments inside: both are put together."""
    outer = []
    for number, ends in enumerate(((0, 600), (600, len(BODY)))):
        gre = b"\0\0\x08\0" + piece(BODY, *ends, link_head=False)[1]
        for start in range(0, len(gre), 320):
            stop = min(start + 320, len(gre))
            outer.append(piece(gre, start, stop, proto=47, ident=100 + number, src="192.0.2.9"))
    for frames in (outer, [outer[i] for i in (1, 0, *range(2, len(outer)))]):
        scan = Scan().read(frames).finish()
        assert scan.said(layout.KIND_DNS)[-1] == (len(frames), MESSAGE)
        assert scan.notice("fragments_joined") == 3
        assert sum(scan.counters().values()) == len(frames)


def test_a_first_fragment_in_fragments():
    """A tunnel's packet in fragments is a first fragment itself, and its rest never comes: it speaks for itself."""
    gre = b"\0\0\x08\0" + piece(BODY, 0, 600, link_head=False)[1]
    outer = [piece(gre, *ends, proto=47, src="192.0.2.9") for ends in ((0, 320), (320, len(gre)))]
    for frames in (outer, outer[::-1]):
        scan = Scan().read(frames).finish()
        assert scan.said(layout.KIND_DNS)[-1] == (2, MESSAGE[:592])
        assert (scan.notice("fragments_joined"), scan.notice("fragments_given_up")) == (1, 1)
        assert sum(scan.counters().values()) == len(frames)


def test_macs_and_vlan_of_the_whole():
    scan = Scan().read([piece(BODY, 400, len(BODY), vlan=7), piece(BODY, 0, 400, vlan=7)]).finish()
    (row,) = scan.rows
    assert (int(row["vlan"]), {int(row["mac_0"]), int(row["mac_1"])}) == (7, {0x020000000001, 0x020000000002})
    assert max(int(row["ttl_0"]), int(row["ttl_1"])) == 61


def test_networks_apart_share_no_fragments():
    scan = Scan().read([piece(BODY, 0, 800)])
    scan.scanner.reset()
    scan.read([piece(BODY, 800, len(BODY))]).finish()
    assert scan.notice("fragments_joined") == 0


@dataclass(slots=True)
class Waiting:
    """A datagram of the model: what came, byte by byte, the first to come wins; None where nothing did."""

    time_ns: int
    held: dict[int, int] = field(default_factory=dict)
    total: int | None = None
    whole: bytes | None = None


@dataclass(slots=True)
class Model:
    """Puts fragments together as RFC 791 and RFC 8200 say, with no thought of memory or speed."""

    waiting: dict[int, Waiting] = field(default_factory=dict)
    overlapping: int = 0
    given_up: int = 0

    def take(self, one: Part) -> bytes | None:
        """The datagram, where the fragment completes it."""
        known = self.waiting.get(one.ident)
        if known and one.time_ns - known.time_ns > (EXPIRY_NS if known.whole is None else DONE_NS):
            self.given_up += known.whole is None
            known = None
        if known and known.whole is not None:
            if known.whole[one.start : one.stop] == one.data and one.stop <= len(known.whole):
                return None
            known = None
        if known is None:
            known = self.waiting[one.ident] = Waiting(one.time_ns)
        return self.add(one, known)

    def add(self, one: Part, known: Waiting) -> bytes | None:
        if one.more and len(one.data) % 8:
            return None
        if known.total is None and not one.more:
            known.total = one.stop
        elif known.total is not None and (one.stop > known.total or not (one.more or one.stop == known.total)):
            self.overlapping += 1
            return None
        bytes_at = dict(enumerate(one.data, one.start))
        overlap = known.held.keys() & bytes_at.keys()
        if overlap and (len(overlap) < len(bytes_at) or any(known.held[at] != bytes_at[at] for at in overlap)):
            self.overlapping += 1
        known.held = bytes_at | known.held
        if known.total is not None and known.held.keys() >= set(range(known.total)):
            known.whole = bytes(known.held[at] for at in range(known.total))
            known.time_ns = one.time_ns
        return known.whole

    def finish(self) -> Model:
        self.given_up += sum(known.whole is None for known in self.waiting.values())
        return self


@dataclass(frozen=True, slots=True)
class Part:
    """A fragment of the body, or of another as long."""

    start: int
    data: bytes
    more: bool
    ident: int
    time_ns: int

    @property
    def stop(self) -> int:
        return self.start + len(self.data)

    def frame(self, version: int) -> Frame:
        return piece(bytes(self.start) + self.data, self.start, self.stop, version=version, more=self.more,
                     ident=self.ident, at_ns=self.time_ns)  # fmt: skip


SHORT, SHORT_OTHER = udp(bytes(range(115))), udp(bytes(range(115, 230)))
UNITS = len(SHORT) // 8
LINKS = {"chain", "wheel", "ended"}  # by slot, and slots are free again when their batch is over
FIELDS = [name for name in layout.FLOW.names or () if not name.startswith("pad") and name not in LINKS]


@st.composite
def scattered(draw) -> list[Part]:
    """Pieces of two or three datagrams in any order, with copies, overlaps, contradictions, wrong ends and time between."""
    cuts: list[tuple[int, int, bytes, bool, int]] = []
    for ident in range(draw(st.integers(1, 3))):
        edges = sorted(draw(st.sets(st.integers(1, UNITS), min_size=1, max_size=5)))
        bounds = [0, *[edge * 8 for edge in edges], len(SHORT)]
        cuts += [(a, b, SHORT, b < len(SHORT), ident) for a, b in itertools.pairwise(bounds)]
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, UNITS - 1)) * 8
            stop = draw(st.sampled_from([*range(start + 8, UNITS * 8 + 1, 8), len(SHORT), start + 3]))
            more = draw(st.sampled_from([stop < len(SHORT)] * 7 + [stop == len(SHORT)]))
            if more or stop - start < len(SHORT):
                cuts.append((start, stop, draw(st.sampled_from([SHORT, SHORT_OTHER])), more, ident))
        if draw(st.booleans()):
            cuts += draw(st.lists(st.sampled_from(cuts), max_size=3))
    parts, now = [], START
    for start, stop, body, more, ident in draw(st.permutations(cuts)):
        now += draw(st.sampled_from([0] * 12 + [DONE_NS // 2, DONE_NS + 1, EXPIRY_NS // 2, EXPIRY_NS]))
        if start or more:  # else it is no fragment
            parts.append(Part(start, body[start:stop], more, ident, now))
    return parts


@settings(max_examples=500, deadline=None)
@given(scattered(), st.sampled_from([4, 6]))
def test_as_the_model_says(parts, version):
    model, scan = Model(), Scan()
    for part in parts:
        joined = scan.notice("fragments_joined")
        scan.read([part.frame(version)])
        whole = None
        if scan.notice("fragments_joined") > joined:
            header = 20 if version == 4 else 40
            whole = scan.scanner.pool[JOINED][header : scan.scanner.pool[FILLED][0]].tobytes()
        assert whole == model.take(part)
    scan.finish()
    model.finish()
    assert scan.notice("fragments_overlapping") == model.overlapping
    assert scan.notice("fragments_given_up") == model.given_up
    assert sum(scan.counters().values()) == len(parts)


@settings(max_examples=60, deadline=None)
@given(scattered(), st.sampled_from([4, 6]), st.integers(1, 5))
def test_batches_and_what_lies_around_change_nothing(parts, version, size):
    """In arrays of their exact length, between zeros, between ones, and in batches of any size: the same is said."""
    frames = [part.frame(version) for part in parts]
    results = []
    for fill, step in ((b"", size), (b"", len(frames) or 1), (b"\0" * 512, size), (b"\xff" * 512, size)):
        scan = Scan()
        scan.read(frames, step, fill)
        scan.finish()
        rows = [tuple(row[name].item() for name in FIELDS) for row in scan.rows]
        results.append((scan.clues, sorted(rows), scan.counters(), scan.scanner.notices.tolist()))
    assert all(result == results[0] for result in results[1:])


CAPTURES = [
    ("IPv4 fragments", "ndpi__dns_fragmented.pcap"),
    ("IPv4 fragments", "pcapplusplus__Pcap++Test-PcapExamples-ip4_fragments.pcap"),
    ("IPv4 fragments", "pcapplusplus__Pcap++Test-PcapExamples-frag_with_padding.pcap"),
    ("IPv4 fragments", "suricata__defrag-bug-6887-defrag-eth-vlan-ipv4-tcp-syn-frag-eth-vlan-ip-tcp-syn.pcap"),
    ("IPv4 fragments", "zeek__erspan.pcap"),
    ("IPv4 fragments", "zeek__tunnels-gtp-gtp9_unknown_or_too_short_payload.pcap"),
    ("IPv6 fragments", "pcapplusplus__Pcap++Test-PcapExamples-ip6_fragments.pcap"),
    ("IPv6 fragments", "suricata__defrag-bug-6887-defrag-ipv6-tcp-frag-ip-tcp.pcap"),
    ("Fragments that overlap", "suricata__ipv6-evasion-ipv6-malformed-fragments-4-frag-4.pcap"),
    ("Fragments that overlap", "suricata__ipv6-evasion-ipv6-malformed-fragments-7-frag-7.pcap"),
    ("Fragments that overlap", "suricata__ipv6-evasion-ipv6-malformed-fragments-8-frag-8.pcap"),
]


@pytest.mark.captures
@pytest.mark.tshark
@pytest.mark.parametrize("name", [pytest.param(name, marks=proves(key), id=name) for key, name in CAPTURES])
def test_whole_where_tshark_has_it_whole(name):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    path = captures.folder() / name
    wanted = ("frame.number", "ip.reassembled.length", "ipv6.reassembled.length", "ipv6.fragment.overlap")
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", *[part for one in wanted for part in ("-e", one)]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = [line.split("\t") for line in done.stdout.splitlines()]
    expected = [int(line[0]) for line in told if line[1] or line[2]]
    scan = Scan(Scanner(1 << 12, 7))
    joined: list[int] = []
    for batch in open_paths([path]).batches():
        for row in batch.frames:
            before = scan.notice("fragments_joined")
            scan.scanner.read(Batch(batch.buffer, row.reshape(1).astype(FRAME)))
            if scan.notice("fragments_joined") > before:
                joined.append(int(row["number"]))
    assert joined == expected
    assert (scan.notice("fragments_overlapping") > 0) == any(line[3] for line in told)
