"""The ring itself: tags put back, sums of the kernel, filters, interfaces that go down and vanish, an idle link, a clean end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sensor import config_values
from sensor.capture.packets import Ring
from sensor.capture.ring import RingSource
from sensor.errors import CaptureError
from sensor.model import LinkType
from sensor.opening import BLOCK_BYTES, Options
from tests.live.net import run, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.model import SourceState
    from tests.live.net import Mirror

BROADCAST, ELSEWHERE, SOURCE = b"\xff" * 6, bytes.fromhex("02005e005399"), bytes.fromhex("02005e005301")
PLAIN = b"\x08\x00" + b"E" * 60
SOME_S = 0.6
SOL_PACKET, PACKET_VNET_HDR = 263, 15

pytestmark = pytest.mark.root


def ethernet(*tags: tuple[int, int], to: bytes = BROADCAST, body: bytes = PLAIN) -> bytes:
    """A frame with tags of (TPID, TCI), the outer one first."""
    return to + SOURCE + b"".join(struct.pack(">HH", *tag) for tag in tags) + body


class Seen:
    """What a source gave: copies of the frames, and what it said last of itself."""

    def __init__(self, source: RingSource) -> None:
        self.frames: list[bytes] = []
        self.rows: list[tuple[int, ...]] = []
        self.ticks: list[int] = []
        self.state: SourceState | None = None
        self.said: list[str] = []
        for batch in source.batches():
            if batch.time_ns is not None:
                self.ticks.append(batch.time_ns)
            self.state = batch.state or self.state
            for row in batch.frames:
                offset, size = int(row["offset"]), int(row["captured_bytes"])
                self.frames.append(batch.buffer[offset : offset + size].tobytes())
                self.rows.append(tuple(row.tolist()))


def seen(
    port: Mirror,
    frames: list[bytes],
    options: Options | None = None,
    *,
    seconds: float = SOME_S,
    with_offload: bool = False,
) -> Seen:
    """What the sensor's port gives of frames that the clinic sends. `with_offload`: each begins with what a card shall do."""
    said: list[str] = []
    with within(port.sensor):
        source = RingSource("m1", options or Options(ring_bytes=4 << 20), say=said.append, seconds=seconds)
    with within(port.clinic):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, int(with_offload))
        sender.bind(("c0", 0))

    def send() -> None:
        time.sleep(0.2)
        for frame in frames:
            sender.send(frame)
        sender.close()

    thread = threading.Thread(target=send)
    thread.start()
    found = Seen(source)
    found.said = said
    thread.join()
    return found


@pytest.mark.parametrize(
    "tags",
    [(), ((0x8100, 30),), ((0x8100, 0xE01E),), ((0x88A8, 5),), ((0x88A8, 5), (0x8100, 30)), ((0x8100, 0),)],
    ids=["none", "802.1Q", "with priority", "802.1ad", "stacked", "priority alone"],
)
@pytest.mark.parametrize("offload", ["on", "off"])
def test_tags_that_the_kernel_took_off_are_put_back(
    port: Mirror, tags: tuple[tuple[int, int], ...], offload: str
) -> None:
    """`offload`: whether the sending port hands tags on beside the frame, as cards do, or within it."""
    for where, device in ((port.clinic, "c0"), (port.switch, "m0")):
        run("ip", "netns", "exec", where, "ethtool", "-K", device, "txvlan", offload, "tx-vlan-stag-hw-insert", offload)
    frame = ethernet(*tags)
    found = seen(port, [frame, ethernet()])
    assert found.frames == [frame, ethernet()]
    assert [row[3:5] for row in found.rows] == [(len(one), len(one)) for one in found.frames]
    assert found.state is not None
    assert found.state.tags_put_back == bool(tags)


def test_a_tag_within_the_frame_stays_as_it_is(port: Mirror) -> None:
    """What a port sends itself shows its tag within the frame."""
    frame = ethernet((0x8100, 30))
    with within(port.clinic):
        source = RingSource("c0", Options(ring_bytes=4 << 20), say=print, seconds=SOME_S)
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("c0", 0))
    timer = threading.Timer(0.2, sender.send, [frame])
    timer.start()
    found = Seen(source)
    timer.join()
    sender.close()
    assert found.frames == [frame]
    assert found.state is not None
    assert found.state.tags_put_back == 0


def test_the_sums_are_exact_and_frames_are_numbered_in_order(port: Mirror) -> None:
    frames = [ethernet(body=struct.pack(">HI", 0x0800, number) + bytes(60 + number % 1400)) for number in range(5000)]
    found = seen(port, frames, seconds=2.0)
    assert found.state is not None
    assert found.frames == frames
    assert found.state.seen == 5000
    assert (found.state.dropped, found.state.waiting) == (0, 0)
    assert [row[2] for row in found.rows] == list(range(1, 5001))
    times = [row[1] for row in found.rows]
    assert times == sorted(times)
    assert abs(times[0] - time.time_ns()) < 10_000_000_000
    assert {row[5] for row in found.rows} == {LinkType.ETHERNET}


def test_what_a_full_ring_drops_is_counted(port: Mirror) -> None:
    """Nobody reads: two blocks take what fits, and the kernel counts the rest."""
    frames = [ethernet(body=PLAIN + bytes(1400))] * 2000
    with within(port.sensor):
        ring = Ring("m1", Options(ring_bytes=2 * BLOCK_BYTES))
        ring.begin()
    with within(port.clinic), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("c0", 0))
        for frame in frames:
            sender.send(frame)
    time.sleep(0.3)
    packets, drops, ring_full = ring.statistics()
    held = sum(int(ring.words[(base + 12) >> 2]) for base in ring.ready(2))
    ring.close()
    assert packets == len(frames)
    assert drops == len(frames) - held > 0
    assert ring_full > 0


def test_a_filter_lets_through_what_it_accepts(port: Mirror) -> None:
    """`tcpdump -ddd -y EN10MB arp`."""
    program = config_values.bpf_program("4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n")
    arp = ethernet(body=b"\x08\x06" + bytes(46))
    found = seen(port, [ethernet(), arp, ethernet()], Options(4 << 20, program=program))
    assert found.frames == [arp]
    assert found.state is not None
    assert found.state.seen == 1


def test_a_filter_that_cuts_frames_short(port: Mirror) -> None:
    frame = ethernet((0x8100, 30), body=PLAIN + bytes(200))
    found = seen(port, [frame], Options(4 << 20, program=((6, 0, 0, 40),)))
    assert found.frames == [frame[:44]]  # the tag was not part of what the filter saw
    assert found.rows[0][4] == len(frame)
    assert found.state is not None
    assert found.state.snapped == 1


def test_a_filter_that_the_kernel_refuses(port: Mirror) -> None:
    with within(port.sensor), pytest.raises(CaptureError, match="m1: the kernel refuses the capture filter"):
        Ring("m1", Options(4 << 20, program=((21, 9, 9, 0), (6, 0, 0, 0))))


def flags(port: Mirror) -> str:
    return run("ip", "-n", port.sensor, "-d", "link", "show", "m1")


@pytest.mark.parametrize("promiscuous", [True, False])
def test_the_interface_is_promiscuous_while_it_is_watched(port: Mirror, promiscuous: bool) -> None:
    with within(port.sensor):
        ring = Ring("m1", Options(4 << 20, promiscuous))
        ring.begin()
    during = flags(port)
    ring.close()
    assert ("promiscuity 1" in during) == promiscuous
    assert "promiscuity 0" in flags(port)


def test_frames_to_others_are_seen(port: Mirror) -> None:
    frame = ethernet(to=ELSEWHERE)
    assert seen(port, [frame]).frames == [frame]


def test_frames_longer_than_the_mtu_are_read_whole_and_counted(port: Mirror) -> None:
    """A segment that a card or the kernel would cut into twenty (TSO), as a receiving card's offload merges them."""
    port.set("mtu", "1500")
    payload = bytes(i % 251 for i in range(30_000))
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0, b"\x0a\0\0\x01", b"\x0a\0\0\x02")
    tcp = struct.pack(">HHIIBBHHH", 40000, 443, 1, 1, 0x50, 0x10, 1000, 0, 0)
    frame = ethernet(body=b"\x08\x00" + ip + tcp + payload)
    # struct virtio_net_hdr: needs a checksum, TCP over IPv4, bytes of headers and of each segment, where the checksum goes.
    offload = struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16)
    found = seen(port, [offload + frame], with_offload=True)
    assert [len(one) for one in found.frames] == [len(frame)]
    assert found.frames[0][54:] == payload
    assert found.state is not None
    assert found.state.oversized == 1
    assert sum("frames longer than its MTU come in" in line for line in found.said) == 1


def test_time_goes_on_where_nothing_passes(port: Mirror) -> None:
    began_ns = time.time_ns()
    found = seen(port, [], seconds=3.5)
    assert found.frames == []
    assert len(found.ticks) >= 3
    assert found.ticks == sorted(found.ticks)
    assert found.ticks[-1] - found.ticks[0] > 2_000_000_000
    assert all(tick < began_ns + 3_500_000_000 for tick in found.ticks)  # never ahead of what may still come


def test_down_and_up_again_is_told_and_frames_come_again(port: Mirror) -> None:
    said: list[str] = []
    with within(port.sensor):
        source = RingSource("m1", Options(4 << 20), say=said.append, seconds=12)
    batches = source.batches()
    assert _until(batches, said, None) == 0
    port.set("down")
    _until(batches, said, "m1: went down; waiting until it is up again")
    port.set("up")
    _until(batches, said, "m1: is up again")
    with within(port.clinic), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("c0", 0))
        sender.send(ethernet())
    assert _until(batches, said, None, frames=1) == 1
    source.stop()
    last = list(batches)[-1]
    assert last.state is not None
    assert last.state.interruptions == 1


def test_an_interface_that_vanishes_is_found_again(port: Mirror) -> None:
    said: list[str] = []
    with within(port.sensor):
        source = RingSource("m1", Options(4 << 20), say=said.append, seconds=30)
        batches = source.batches()
        _until(batches, said, None)
        port.unplug()
        _until(batches, said, "m1: has vanished; it is looked for again until it is back")
        port.plug()
        _until(batches, said, "m1: is back; what passed in between was not seen")
        with within(port.clinic), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("c0", 0))
            sender.send(ethernet())
        assert _until(batches, said, None, frames=1) == 1
        source.stop()
        state = list(batches)[-1].state
    assert state is not None
    assert (state.seen, state.waiting, state.interruptions) == (1, 0, 1)


def _until(batches: Iterator, said: list[str], words: str | None, *, frames: int = 0) -> int:  # type: ignore[type-arg]
    """Takes batches until these words were said, and so many frames have come; or one, if neither is asked for."""
    until = time.monotonic() + 20
    came = 0
    for batch in batches:
        came += len(batch.frames)
        if (words is None or words in said) and came >= frames:
            return came
        assert time.monotonic() < until, said
    raise AssertionError(said)


def test_no_such_interface(port: Mirror) -> None:
    with (
        within(port.sensor),
        pytest.raises(CaptureError, match=r"nope0: there is no such interface \(there are lo, m1\)"),
    ):
        Ring("nope0", Options())


def test_an_interface_that_is_down_is_waited_for(port: Mirror) -> None:
    port.set("down")
    said: list[str] = []
    with within(port.sensor):
        source = RingSource("m1", Options(4 << 20), say=said.append, seconds=10)
    batches = source.batches()
    _until(batches, said, "m1: is down; waiting until it is up")
    port.set("up")
    _until(batches, said, "m1: is up again")
    source.stop()
    assert list(batches)[-1].state is not None


def test_it_stops_at_once_and_hands_on_what_waits(port: Mirror) -> None:
    with within(port.sensor):
        source = RingSource("m1", Options(4 << 20), say=print)
    batches = source.batches()
    next(batches)
    with within(port.clinic), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("c0", 0))
        for _ in range(100):
            sender.send(ethernet())
    source.stop()
    began = time.monotonic()
    rest = list(batches)
    assert time.monotonic() - began < 10  # it would wait for ever
    state = rest[-1].state
    assert state is not None
    assert (state.seen, state.dropped, state.waiting) == (100, 0, 0)
