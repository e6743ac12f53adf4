"""Runs of media, windows of activity, and the sieve of first bytes, frame by frame through the loop."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.classify.rules import FirstBytes
from sensor.kernel import layout
from sensor.kernel.first import CLIENT, EITHER, SERVER, TCP, UDP, sieve
from tests.kernel.harness import Frame, Loop, datagram, packed, segment

NS = layout.NS
PHONE, PEER = ("10.0.0.2", 40000), ("203.0.113.9", 3478)


def rtp(sequence: int, ssrc: int = 7, payload_type: int = 111, first: int = 0x80) -> bytes:
    return struct.pack(">BBHII", first, payload_type, sequence & 0xFFFF, sequence * 960, ssrc) + b"x" * 60


def flow(payloads: list[bytes], *, up: bool = True, start_ns: int = NS, step_ns: int = 20_000_000) -> list[Frame]:
    ends = (*PHONE, *PEER) if up else (*PEER, *PHONE)
    return [datagram(start_ns + i * step_ns, *ends, payload) for i, payload in enumerate(payloads)]


def rows(frames: list[Frame], rules=()):
    """The flow rows at the end, the kinds of clues, and the ticks."""
    loop = Loop()
    loop.scanner.rules = sieve(rules)
    buffer, table = packed(sorted(frames))
    reached, clues, ticks = loop.scanner.scan(buffer, table, 0)
    assert reached == len(table)
    kinds, ticked = clues["kind"].tolist(), ticks.copy()
    _, ended = loop.scanner.finish().ended
    return ended, kinds, ticked


def media(frames: list[Frame]) -> tuple[int, int, int]:
    """Packets in sequence of both sides together, how many runs were told, and how many flows there were."""
    ended, kinds, _ = rows(frames)
    counted = int((ended["media_0"] + ended["media_1"]).sum())
    return counted, kinds.count(layout.KIND_MEDIA), len(ended)


def test_a_run_is_told_once_for_each_direction() -> None:
    both = flow([rtp(i) for i in range(100)]) + flow([rtp(i, 8) for i in range(100)], up=False)
    assert media(both) == (198, 2, 1)


def test_a_run_is_told_with_its_last_packet_and_not_before() -> None:
    assert media(flow([rtp(i) for i in range(layout.MEDIA_RUN)]))[1] == 0
    assert media(flow([rtp(i) for i in range(layout.MEDIA_RUN + 1)]))[1] == 1


def test_loss_and_reordering_do_not_end_it_and_a_repeat_does_not_count() -> None:
    lossy = [rtp(i) for i in range(0, 120, 3)]
    assert media(flow(lossy))[0] == len(lossy) - 1
    swapped = [rtp(i) for i in (0, 2, 1, 4, 3, 6, 5)]
    assert media(flow(swapped))[0] == 6
    assert media(flow([rtp(1)] * 50)) == (0, 0, 1)


def test_sequence_numbers_go_round() -> None:
    assert media(flow([rtp(65530 + i) for i in range(20)]))[0] == 19


def test_inside_channel_data() -> None:
    wrapped = [struct.pack(">HH", 0x4001, len(data)) + data for data in map(rtp, range(40))]
    assert media(flow(wrapped))[:2] == (39, 1)
    lying = [struct.pack(">HH", 0x4001, len(data) + 50) + data for data in map(rtp, range(40))]
    assert media(flow(lying))[0] == 0


@pytest.mark.parametrize("payload_type", [*range(64, 96), *(0x80 | one for one in range(72, 80))])
def test_rtcp_is_no_media(payload_type: int) -> None:
    assert media(flow([rtp(i, payload_type=payload_type) for i in range(40)]))[0] == 0


def test_other_versions_and_short_packets_are_none() -> None:
    assert media(flow([rtp(i, first=0x40) for i in range(40)]))[0] == 0
    assert media(flow([rtp(i)[:11] for i in range(40)]))[0] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32))
def test_random_datagrams_are_no_media(seed: int) -> None:
    rng = random.Random(seed)
    frames = flow([rng.randbytes(rng.randrange(1400)) for _ in range(200)])
    assert media(frames)[1] == 0


def test_windows_add_up_to_the_flow() -> None:
    frames = flow([rtp(i) for i in range(2500)]) + flow([rtp(i, 8) for i in range(1000)], up=False, start_ns=9 * NS)
    (row,), _, ticks = rows(frames)
    assert [tick["start_ns"] % layout.WINDOW_NS for tick in ticks] == [0] * len(ticks)
    assert len(ticks) == 5  # 50 seconds, and the last window is in the row
    for side in (0, 1):
        for what in ("bytes", "packets", "media"):
            known = int(ticks[f"{what}_{side}"].sum())
            last = int(row[f"{what}_{side}"]) - known
            assert last >= 0
            if what != "media":
                assert last == int(row[f"{what}_{side}"]) - int(row[f"tick_{what}_{side}"])


def test_a_pause_leaves_windows_out() -> None:
    frames = flow([b"x" * 20] * 3) + flow([b"x" * 20] * 3, start_ns=45 * NS)
    _, _, ticks = rows(frames)
    assert [(tick["start_ns"] // NS, tick["time_ns"] // NS) for tick in ticks] == [(0, 45)]


KNOWN = b"\x57\x41\x06"


def rule(proto: int, side: int = CLIENT, at: int = 0, value: bytes = KNOWN, mask: bytes = b"\xff" * 3,
         least: int = 0, most: int = -1):  # fmt: skip
    return proto, side, at, value, mask, least, most


def first(frames: list[Frame], *rules) -> int:
    return int(rows(frames, rules)[1].count(layout.KIND_FIRST))


def stream(*payloads: bytes, up: bool = True) -> list[Frame]:
    ends = ((*PHONE, *PEER), (*PEER, *PHONE))
    frames = [segment(NS, *ends[0], flags=2, sequence=99), segment(NS + 1, *ends[1], flags=0x12, sequence=499)]
    at = 100 if up else 500
    for i, payload in enumerate(payloads):
        frames.append(segment(NS + 2 + i, *ends[0 if up else 1], payload, sequence=at))
        at += len(payload)
    return frames


def test_the_first_payload_of_a_stream_and_no_other() -> None:
    assert first(stream(KNOWN + b"more"), rule(TCP)) == 1
    assert first(stream(b"other", KNOWN), rule(TCP)) == 0
    assert first(stream(KNOWN, up=False), rule(TCP)) == 0
    assert first(stream(KNOWN, up=False), rule(TCP, SERVER)) == 1
    assert first(stream(KNOWN, up=False), rule(TCP, EITHER)) == 1
    assert first(stream(KNOWN), rule(UDP)) == 0


def test_a_beginning_that_is_split_is_put_together() -> None:
    _, kinds, _ = rows(stream(KNOWN[:1], KNOWN[1:], b"more"), [rule(TCP)])
    assert kinds.count(layout.KIND_SEGMENT) == 3


def test_one_of_the_first_datagrams() -> None:
    for before in range(layout.FIRST_DATAGRAMS):
        assert first(flow([b"x" * 12] * before + [KNOWN + b"x" * 9]), rule(UDP)) == 1
    assert first(flow([b"x" * 12] * layout.FIRST_DATAGRAMS + [KNOWN + b"x" * 9]), rule(UDP)) == 0


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["client", "server", "either"]),
    st.integers(0, 20),
    st.binary(min_size=1, max_size=6),
    st.data(),
    st.integers(0, 40),
    st.one_of(st.none(), st.integers(0, 60)),
)
def test_the_sieve_loses_nothing(side: str, at: int, value: bytes, data, least: int, most: int | None) -> None:
    """Whatever the rule says, it passes."""
    mask = data.draw(st.binary(min_size=len(value), max_size=len(value)))
    value = bytes(a & b for a, b in zip(value, mask, strict=True))
    rest = data.draw(st.binary(max_size=40))
    payload = data.draw(st.one_of(st.just(rest[:at].ljust(at, b"y") + value + rest), st.just(rest)))
    least = max(least, at + len(value))  # as signatures are read
    exact = FirstBytes("udp", side, at, value, mask, least, most)  # type: ignore[arg-type]
    sides = {"client": CLIENT, "server": SERVER, "either": EITHER}
    sieved = (UDP, sides[side], at, value, mask, least, -1 if most is None else most)
    if len(payload) >= 8 and exact.fits("udp", "client", payload):
        assert first(flow([payload]), sieved) == 1
