"""The flow table: when a flow ends, what opens a new one, who opened it, and that every frame is accounted for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.kernel import layout
from sensor.kernel.layout import NS
from sensor.kernel.state import Scanner
from sensor.kernel.table import hash_key
from sensor.model import Batch
from tests.kernel.harness import Frame, datagram, packed, segment

SYN, ACK, FIN, RST, SYN_ACK = 2, 0x10, 0x11, 4, 0x12
A, B = "10.0.0.1", "198.51.100.7"  # A sorts before B
START = 1_700_000_000 * NS


@dataclass(slots=True)
class Table:
    """A scanner and the rows of the flows that have ended, in the order in which they did."""

    scanner: Scanner
    rows: list[Any]

    def counter(self, name: str) -> int:
        return int(self.scanner.counters[layout.COUNTERS.index(name)])

    def notice(self, name: str) -> int:
        return int(self.scanner.notices[layout.NOTICES.index(name)])

    def read(self, frames: list[Frame]) -> None:
        """One batch."""
        if frames:
            self.rows += list(self.scanner.read(Batch(*packed(frames))).ended[1])

    def finish(self) -> list[Any]:
        """Ends what is left; all flows, by the order in which they began."""
        self.rows += list(self.scanner.finish().ended[1])
        assert self.scanner.live == 0
        self.rows.sort(key=lambda row: int(row["flow_id"]))
        return self.rows


def table(rows: int = 64, buckets: int | None = None) -> Table:
    scanner = Scanner(rows, 7)
    if buckets is not None:
        scanner.heads = np.full(buckets, -1, np.int32)
    return Table(scanner, [])


def flows(frames: list[Frame], rows: int = 64) -> list[tuple[int, int]]:
    """(packets from the endpoint that sorts first, packets from the other) of each flow, in order."""
    one = table(rows)
    one.read(frames)
    found = [(int(row["packets_0"]), int(row["packets_1"])) for row in one.finish()]
    assert sum(map(sum, found)) == len(frames) == one.scanner.counters.sum()
    return found


def out(at_s: float, flags: int = ACK, sequence: int = 0, payload: bytes = b"", port: int = 40000) -> Frame:
    return segment(START + int(at_s * NS), A, port, B, 443, payload, flags=flags, sequence=sequence)


def back(at_s: float, flags: int = ACK, sequence: int = 0, payload: bytes = b"", port: int = 40000) -> Frame:
    return segment(START + int(at_s * NS), B, 443, A, port, payload, flags=flags, sequence=sequence)


def ask(at_s: float, port: int = 40000) -> Frame:
    return datagram(START + int(at_s * NS), A, port, B, 3478)


def answer(at_s: float, port: int = 40000) -> Frame:
    return datagram(START + int(at_s * NS), B, 3478, A, port)


# Idle limits: the packet just within stays in the flow, the one just behind opens the next.
HALF, BOTH, CLOSED = layout.IDLE_TCP_HALF_NS / NS, layout.IDLE_TCP_NS / NS, layout.IDLE_TCP_CLOSED_NS / NS
UDP_HALF, UDP_BOTH = layout.IDLE_UDP_HALF_NS / NS, layout.IDLE_UDP_NS / NS


@pytest.mark.parametrize(
    ("before", "again", "limit_s"),
    [
        ([out(0)], out, HALF),
        ([out(0), back(0)], out, BOTH),
        ([out(0), back(0, FIN)], out, BOTH),
        ([out(0, FIN), back(0, FIN)], out, CLOSED),
        ([out(0, RST)], out, CLOSED),
        ([out(0), back(0, RST)], out, CLOSED),
        ([ask(0)], ask, UDP_HALF),
        ([ask(0), answer(0)], ask, UDP_BOTH),
        ([ask(0), answer(0)], answer, UDP_BOTH),
    ],
)
def test_idle_limits(before, again, limit_s):
    assert len(flows([*before, again(limit_s - 0.5)])) == 1
    assert len(flows([*before, again(limit_s + 0.5)])) == 2
    # Other traffic in between, so that the wheel turns, changes nothing.
    others = [ask(second, 50000 + second) for second in range(1, int(limit_s) - 1)]
    assert len(flows([*before, *others, again(limit_s - 0.5)], 2048)) == 1 + len(others)
    assert len(flows([*before, *others, again(limit_s + 0.5)], 2048)) == 2 + len(others)


def test_every_packet_begins_the_time_anew():
    assert flows([out(second) for second in range(0, 300, 25)]) == [(12, 0)]


def test_ends_are_found_by_packet_time_alone():
    """The row leaves the table within two seconds of packet time behind the limit, whether or not the flow is seen again."""
    one = table()
    one.read([ask(0), *[ask(second, 50000) for second in range(1, 63)]])
    assert [int(row["a_port"]) for row in one.rows] == [40000]
    assert UDP_HALF * NS <= int(one.rows[0]["ended_ns"]) - START <= (UDP_HALF + 2) * NS
    assert one.notice("flows_expired") == 1
    assert one.scanner.live == 1


def test_port_reuse():
    syn = out(0, SYN, 100)
    assert len(flows([syn, back(0.1, SYN_ACK, 5), out(0.2, ACK, 101), out(1, SYN, 9000)])) == 2
    assert len(flows([syn, back(0.1, SYN_ACK, 5), out(0.2, FIN, 101), out(1, SYN, 101 + 1)])) == 2
    assert len(flows([syn, back(0.1, RST), out(1, SYN, 9000)])) == 2
    one = table()
    one.read([syn, back(0.1, SYN_ACK, 5), out(1, SYN, 9000), back(1.1, SYN_ACK, 77), out(1.2)])
    assert [(row["packets_0"], row["packets_1"]) for row in one.finish()] == [(1, 1), (2, 1)]
    assert one.notice("flows_reopened") == 1


def test_a_repeated_syn_is_no_new_flow():
    syns = [out(0, SYN, 100), out(1, SYN, 100), out(3, SYN, 100)]
    assert flows([*syns, back(3.1, SYN_ACK, 5), back(4, SYN_ACK, 5), out(4.1, SYN, 100)]) == [(4, 2)]


def test_wrapping_sequence_numbers():
    syns = [out(0, SYN, 0xFFFFFFFF), out(1, SYN, 0xFFFFFFFF)]
    assert flows([*syns, out(2, ACK, 0, b"x")]) == [(3, 0)]


@pytest.mark.parametrize(
    ("first", "opener"),
    [
        (out(0, SYN), 0),
        (back(0, SYN_ACK), 0),  # its SYN was not captured
        (back(0, SYN), 1),  # flags come before ports
        (out(0, SYN_ACK), 1),
        (out(0), 0),
        (back(0), 0),  # from a well-known port
        (ask(0), 0),
        (answer(0), 0),  # from a relay's port
        (datagram(START, A, 40000, B, 50000), 0),
        (datagram(START, B, 50000, A, 40000), 1),  # spoke first
        (datagram(START, B, 123, A, 123), 1),
    ],
)
def test_who_opened(first, opener):
    one = table()
    one.read([first])
    assert [int(row["opener"]) for row in one.finish()] == [opener]


def test_to_itself():
    """Both endpoints the same, as in a LAND attack."""
    one = table()
    one.read([segment(START, A, 80, A, 80, flags=SYN), segment(START, A, 80, A, 80, flags=SYN)])
    assert [(row["packets_0"], row["packets_1"]) for row in one.finish()] == [(2, 0)]


def test_a_full_table_is_counted():
    one = table(rows=8)
    one.read([ask(0.01 * i, 40000 + i) for i in range(12)])
    assert one.scanner.live == 8
    assert (one.counter("classified_udp"), one.counter("dropped_table_full")) == (8, 4)
    one.read([ask(1, 40000), ask(1, 40011)])  # one that is known, one that is not
    assert (one.counter("classified_udp"), one.counter("dropped_table_full")) == (9, 5)
    one.read([ask(70, 60000)])  # all but this one have ended, and their rows are released with the next batch
    assert len(one.rows) == 8
    one.read([ask(72 + 0.01 * i, 50000 + i) for i in range(4)])
    assert one.counter("dropped_table_full") == 6
    assert one.counter("classified_udp") == 13
    rows = one.finish()
    assert sum(int(row["packets_0"]) for row in rows) == one.counter("classified_udp")
    assert one.scanner.counters.sum() == 12 + 2 + 1 + 4


def test_a_table_of_one_row():
    one = table(rows=1)
    for second in range(0, 1000, 100):
        one.read([ask(second, 40000 + second), ask(second + 0.5, 40001)])
    one.finish()
    assert one.scanner.counters.sum() == 20
    assert sum(int(row["packets_0"]) for row in one.rows) == one.counter("classified_udp") >= 5


def test_many_flows_in_one_bucket():
    """One bucket for all: chains are long, ends come from the middle, and nothing is lost."""
    one = table(rows=256, buckets=1)
    one.read([ask(0.001 * i, 40000 + i) for i in range(200)])
    one.read([answer(50 + 0.001 * i, 40000 + i) for i in range(0, 200, 3)])
    one.read([ask(61, 40000 + i) for i in range(0, 200, 3)])  # the others have ended
    assert one.scanner.live == len(range(0, 200, 3))
    one.read([ask(120, 40000 + i) for i in range(200)])
    assert one.counter("dropped_table_full") == 0
    counts = Counter((int(row["packets_0"]), int(row["packets_1"])) for row in one.finish())
    assert counts == {(1, 0): 2 * (200 - 67), (3, 1): 67}


def test_keys_with_the_same_hash_stay_apart():
    """Protocol, either port, either address: whatever differs makes another flow, in one bucket too."""
    one = table(rows=64, buckets=1)
    made = [
        datagram(START, A, 1000, B, 2000),
        datagram(START, A, 1001, B, 2000),
        datagram(START, A, 1000, B, 2001),
        datagram(START, "10.0.0.2", 1000, B, 2000),
        datagram(START, A, 1000, "198.51.100.8", 2000),
        segment(START, A, 1000, B, 2000),
        datagram(START, "2001:db8::1", 1000, "2001:db8::2", 2000),
        datagram(START, "2001:db8:1::1", 1000, "2001:db8::2", 2000),
        datagram(START, "2001:db8::1", 1000, "2001:db8:1::2", 2000),
    ]
    one.read(made)
    one.read([datagram(START, B, 2000, A, 1000)])
    assert sorted(int(row["packets_0"] + row["packets_1"]) for row in one.finish()) == [1] * (len(made) - 1) + [2]


def test_the_hash_depends_on_the_seed_and_on_every_field():
    base = (1, 2, 3, 4, 5)
    hashed: Any = hash_key
    keys = {int(hashed(*[np.int64(part) for part in base], np.uint64(seed))) for seed in range(50)}
    for i in range(5):
        changed = [np.int64(part + (100 if k == i else 0)) for k, part in enumerate(base)]
        keys.add(int(hashed(*changed, np.uint64(0))))
    assert len(keys) == 55


DAY = 86400.0


def test_a_day_forward():
    one = table()
    one.read([ask(0), out(0), ask(DAY), out(DAY + 1)])
    assert [int(row["packets_0"]) for row in one.finish()] == [1, 1, 1, 1]
    assert one.notice("clock_jumps") == 0


def test_two_hours_back():
    """The clock is set anew; flows from then on live and end as ever."""
    one = table()
    hours = -7200
    one.read([ask(0), ask(hours, 41000), ask(hours + 30, 41000), *[ask(hours + s, 42000) for s in range(31, 200, 10)]])
    assert one.notice("clock_jumps") == 1
    assert [(int(row["a_port"]), int(row["packets_0"])) for row in one.rows] == [(41000, 2)]
    one.read(
        [ask(hours + 200 + s, 42000) for s in range(0, 7300, 50)]
    )  # the first flow's time has come again, and gone
    assert {int(row["a_port"]) for row in one.rows} == {40000, 41000}
    assert one.notice("clock_jumps") == 1
    one.finish()
    assert sum(int(row["packets_0"]) for row in one.rows) == one.scanner.counters.sum()


def test_a_little_back():
    """Packets out of order stay in their flow, and do not turn the clock back."""
    one = table()
    one.read([ask(10), ask(5), ask(9.5), answer(3)])
    assert one.notice("clock_jumps") == 0
    (row,) = one.finish()
    assert (int(row["packets_0"]), int(row["packets_1"]), int(row["last_ns"])) == (3, 1, START + 10 * NS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.3, 1, 20, 64, 127.5, 128, 129, 200, 901, DAY, -1, -50, -3599, -3601, -7200]),
            st.integers(0, 4),
        ),
        max_size=60,
    )
)
def test_any_clock(steps):
    """Whatever the clock does: every frame is in one flow, every flow ends once."""
    one = table(rows=128)
    now = 0.0
    frames = []
    for step, port in steps:
        now += step
        frames.append(ask(now + DAY * 70, 40000 + port))
    for start in range(0, len(frames), 7):
        one.read(frames[start : start + 7])
    rows = one.finish()
    assert sum(int(row["packets_0"]) for row in rows) == len(frames) == one.counter("classified_udp")
    assert len({int(row["flow_id"]) for row in rows}) == len(rows) == one.notice("flows_opened")


def test_sums():
    one = table()
    frames = [
        ask(0),
        answer(0.1),
        ask(0.2),
        out(1, SYN, 9),
        back(1.1, SYN_ACK, 8, b"x" * 100),
        (START, b"", 1),
        (START, b"\0" * 60, 1),
    ]
    one.read(frames)
    udp, tcp = one.finish()
    assert (int(udp["packets_0"]), int(udp["packets_1"])) == (2, 1)
    assert (int(udp["bytes_0"]), int(udp["bytes_1"])) == (84, 42)
    assert (int(tcp["bytes_0"]), int(tcp["bytes_1"])) == (54, 154)
    assert one.notice("bytes_on_wire") == sum(len(data) for _, data, _ in frames)
    assert one.scanner.counters.sum() == len(frames)


def test_bytes_are_those_on_the_wire():
    one = table()
    buffer, rows = packed([ask(0), answer(1)])
    rows["wire_bytes"] += 1000
    one.rows += list(one.scanner.read(Batch(buffer, rows)).ended[1])
    (row,) = one.finish()
    assert (int(row["bytes_0"]), int(row["bytes_1"]), one.notice("snapped")) == (1042, 1042, 2)


# A table of flows as a reader would write it: a dictionary, and the rules in a few lines.


@dataclass(slots=True)
class Model:
    """One flow; `syn` and `base` are of the last SYN without ACK, by side."""

    packets: list[int]
    first_ns: int
    last_ns: int
    proto: int
    flags: set[tuple[int, str]]
    syn: dict[int, int]

    def limit_ns(self) -> int:
        both = all(self.packets)
        if self.proto == 17:
            return layout.IDLE_UDP_NS if both else layout.IDLE_UDP_HALF_NS
        closed = {(0, "fin"), (1, "fin")} <= self.flags or any(what == "rst" for _, what in self.flags)
        return layout.IDLE_TCP_CLOSED_NS if closed else layout.IDLE_TCP_NS if both else layout.IDLE_TCP_HALF_NS


Event = tuple[int, int, int, int, int, int]  # time, protocol, port, side, flags, sequence


def modelled(events: list[Event]) -> list[tuple[int, ...]]:
    """Every flow as (first time, last time, packets, packets), sorted."""
    live: dict[tuple[int, int], Model] = {}
    done: list[Model] = []
    for time_ns, proto, port, side, flags, sequence in events:
        flow = live.get((proto, port))
        opens = proto == 6 and flags & SYN_ACK == SYN
        if flow and (time_ns - flow.last_ns > flow.limit_ns() or (opens and flow.syn.get(side, sequence) != sequence)):
            done.append(live.pop((proto, port)))
            flow = None
        if flow is None:
            flow = live[proto, port] = Model([0, 0], time_ns, time_ns, proto, set(), {})
        flow.packets[side] += 1
        flow.last_ns = time_ns
        if opens:
            flow.syn[side] = sequence
        for bit, what in ((1, "fin"), (4, "rst")):
            if proto == 6 and flags & bit:
                flow.flags.add((side, what))
    return sorted((flow.first_ns, flow.last_ns, *flow.packets) for flow in (*done, *live.values()))


def sent(event: Event) -> Frame:
    time_ns, proto, port, side, flags, sequence = event
    src, sport, dst, dport = (A, port, B, 443) if side == 0 else (B, 443, A, port)
    if proto == 17:
        return datagram(time_ns, src, sport, dst, dport)
    return segment(time_ns, src, sport, dst, dport, flags=flags, sequence=sequence)


@st.composite
def events(draw) -> list[Event]:
    """Three clients that open, close and forget their connections; a SYN always comes first, from the client."""
    now = START
    found: list[Event] = []
    for _ in range(draw(st.integers(0, 40))):
        # Never on a limit exactly: a nanosecond more each time.
        now += int(draw(st.sampled_from([0.01, 0.5, 3, 9.5, 10.5, 29, 31, 61, 130, 181, 899, 902])) * NS) + 1
        proto = draw(st.sampled_from([6, 6, 17]))
        side = draw(st.integers(0, 1))
        kinds = (ACK, ACK, FIN, RST, SYN) if side == 0 else (ACK, ACK, FIN, RST, SYN_ACK)
        found.append(
            (
                now,
                proto,
                draw(st.integers(40000, 40002)),
                side,
                draw(st.sampled_from(kinds)),
                draw(st.sampled_from([7, 8])),
            )
        )
    return found


def told(row: Any) -> tuple[int, ...]:
    return int(row["first_ns"]), int(row["last_ns"]), int(row["packets_0"]), int(row["packets_1"])


@settings(max_examples=120, deadline=None)
@given(events(), st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_like_a_dictionary_wherever_batches_end(made, sizes):
    """The flows of the model, in one batch and in many; and the same rows in both, to the last field."""
    frames = [sent(event) for event in made]
    one, many = table(), table()
    one.read(frames)
    start = 0
    while start < len(frames):
        for size in sizes:
            many.read(frames[start : start + size])
            start += size
    whole, pieces = one.finish(), many.finish()
    assert sorted(map(told, whole)) == modelled(made)
    # Where a row lies in the table may differ, and with it what an earlier flow left; and numbers begin anew in each batch here.
    left = {"chain", "wheel", "first_number", "base_0", "base_1"}
    same = [name for name in layout.FLOW.names or () if name not in left and not name.startswith("pad")]
    assert [[row[name] for name in same] for row in whole] == [[row[name] for name in same] for row in pieces]
    assert one.scanner.counters.tolist() == many.scanner.counters.tolist()
    assert one.scanner.notices.tolist() == many.scanner.notices.tolist()
