"""Fragments put together: in any order, with copies and overlaps, beside a model and beside tshark; and what is never whole."""

from __future__ import annotations

import itertools
import socket
import struct
from typing import Any

import pytest

from sensor.kernel import layout
from sensor.kernel.fragments import DATAGRAMS, DONE_NS, EXPIRY_NS, SET_WAYS
from sensor.kernel.layout import NS
from sensor.kernel.state import Scanner
from sensor.model import Batch
from tests import made
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
