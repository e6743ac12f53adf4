"""Fragments as a plain model puts them together, and as tshark does."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.capture import open_paths
from sensor.kernel import layout
from sensor.kernel.fragments import DONE_NS, EXPIRY_NS, FILLED, JOINED
from sensor.kernel.state import Scanner
from sensor.model import FRAME, Batch
from tests import captures
from tests.kernel.harness import Frame, Scan
from tests.kernel.test_fragments import START, piece, udp
from tests.proofs import proves


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
