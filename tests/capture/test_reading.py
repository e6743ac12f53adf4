"""sensor.capture.reading: every variant of the two formats, written by hand; each also with the smallest chunks."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.capture import made
from tests.capture.made import KUZNETZOV, MICRO, NANO, T0, read

if TYPE_CHECKING:
    from pathlib import Path

PACKETS = made.packets(40)
ORDERS = ("<", ">")


def write(folder: Path, data: bytes, name: str = "a.pcap") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def plain(seen: list[made.Seen]) -> list[tuple[int, bytes]]:
    return [(frame.time_ns, frame.data) for frame in seen]


@pytest.mark.parametrize("chunk_bytes", [1, 64, 100, 4096, 4 << 20])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("magic", [MICRO, NANO, KUZNETZOV])
def test_classic_pcap(tmp_path, magic, order, chunk_bytes):
    path = write(tmp_path, made.pcap(PACKETS, magic=magic, order=order, wire_extra=5))
    seen, source = read(path, chunk_bytes=chunk_bytes)
    assert plain(seen) == PACKETS
    assert [frame.number for frame in seen] == list(range(1, 41))
    assert [frame.wire for frame in seen] == [len(data) + 5 for _, data in PACKETS]
    assert source.warnings == []
    info = source.sources[0]
    assert (info.path, info.format, info.frames) == (str(path), "pcap", 40)
    assert (info.first_ns, info.last_ns) == (PACKETS[0][0], PACKETS[-1][0])
    assert source.read_bytes == source.total_bytes == info.size_bytes == path.stat().st_size


def test_nanoseconds_are_kept(tmp_path):
    seen, _ = read(write(tmp_path, made.pcap([(T0 + 123_456_789, b"x")], magic=NANO)))
    assert seen[0].time_ns == T0 + 123_456_789


def test_the_latest_time_of_a_pcap(tmp_path):
    last = ((1 << 32) - 1) * 10**9 + 999_999_000
    assert read(write(tmp_path, made.pcap([(last, b"")])))[0][0].time_ns == last


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("network", "link"),
    [(1, 1), (0xF4000001, 1), (276, 276), (0x14000000 | 113, 113), (12, 12), (14, 14), (9999, 9999)],
)
def test_link_type_without_the_check_sequence_bits(tmp_path, network, link, order):
    seen, _ = read(write(tmp_path, made.pcap(PACKETS[:2], network=network, order=order)))
    assert [frame.link for frame in seen] == [link, link]


def test_captured_beyond_snaplen_is_tolerated(tmp_path):
    seen, source = read(write(tmp_path, made.pcap([(T0, bytes(200_000))], snaplen=96)))
    assert len(seen[0].data) == 200_000
    assert source.warnings == []


def test_wire_length_below_the_captured_one_or_beyond_31_bits(tmp_path):
    header = struct.pack("<IHHiIII", MICRO, 2, 4, 0, 0, 65535, 1)
    records = struct.pack("<IIII", 1, 0, 4, 0) + b"abcd" + struct.pack("<IIII", 1, 0, 4, 0xFFFFFFFF) + b"abcd"
    seen, _ = read(write(tmp_path, header + records))
    assert [frame.wire for frame in seen] == [4, (1 << 31) - 1]


def test_time_running_backwards_stays_in_file_order(tmp_path):
    records = [(T0 + at, bytes([i])) for i, at in enumerate((5000, 1000, 9000, 0, 3000))]
    seen, source = read(write(tmp_path, made.pcap(records)))
    assert plain(seen) == records
    assert (source.sources[0].first_ns, source.sources[0].last_ns) == (T0, T0 + 9000)


@pytest.mark.parametrize("chunk_bytes", [1, 64, 100, 4096, 4 << 20])
@pytest.mark.parametrize("order", ORDERS)
def test_pcapng(tmp_path, order, chunk_bytes):
    seen, source = read(write(tmp_path, made.pcapng(PACKETS, order)), chunk_bytes=chunk_bytes)
    assert plain(seen) == PACKETS
    assert [frame.number for frame in seen] == list(range(1, 41))
    assert source.sources[0].format == "pcapng"
    assert source.warnings == []


@pytest.mark.parametrize("chunk_bytes", [64, 4 << 20])
def test_sections_of_different_order_forget_their_interfaces(tmp_path, chunk_bytes):
    data = b""
    for order, link in (("<", 1), (">", 101), ("<", 113)):
        data += made.section(order) + made.interface(order, link=link) + made.interface(order, link=276)
        data += made.enhanced(b"ab", T0 // 1000, order) + made.enhanced(b"cd", T0 // 1000 + 1, order, index=1)
    seen, source = read(write(tmp_path, data), chunk_bytes=chunk_bytes)
    assert [frame.link for frame in seen] == [1, 276, 101, 276, 113, 276]
    assert [frame.number for frame in seen] == [1, 2, 3, 4, 5, 6]
    assert {frame.time_ns for frame in seen} == {T0, T0 + 1000}
    assert source.warnings == []


def test_an_interface_of_the_section_before_is_not_known(tmp_path):
    first = made.section() + made.interface() + made.enhanced(b"ab", 1)
    seen, source = read(write(tmp_path, first + made.section() + made.enhanced(b"cd", 2)))
    assert len(seen) == 1
    assert "no described interface" in source.warnings[0].reason
    assert source.warnings[0].offset_bytes == len(first) + len(made.section())


@pytest.mark.parametrize(
    ("resolution", "offset_s", "stamp", "time_ns"),
    [
        (None, None, T0 // 1000, T0),
        (6, None, T0 // 1000, T0),
        (9, None, T0 + 7, T0 + 7),
        (3, None, T0 // 10**6, T0),
        (0, None, T0 // 10**9, T0),
        (12, 1_700_000_000, 1_234_567_890_123_456, T0 + 1_234_567_890_123),
        (18, 1_700_000_000, 0xFFFF_FFFF_FFFF_FFFF, T0 + 0xFFFF_FFFF_FFFF_FFFF // 10**9),
        (28, 5, 0xFFFF_FFFF_FFFF_FFFF, 5 * 10**9 + 1),
        (127, 5, 0xFFFF_FFFF_FFFF_FFFF, 5 * 10**9),
        (0x80 | 0, None, 1_700_000_000, T0),
        (0x80 | 10, None, (1_700_000_000 << 10) + 512, T0 + 500_000_000),
        (0x80 | 32, None, (1_700_000_000 << 32) + (1 << 30), T0 + 250_000_000),
        (0x80 | 32, None, (4_000_000_000 << 32) + 1, 4_000_000_000 * 10**9),
        (0x80 | 40, 1_700_000_000, (3 << 40) + (1 << 39), T0 + 3_500_000_000),
        (0x80 | 64, 1_700_000_000, 1 << 63, T0 + 500_000_000),
        (0x80 | 127, 1_700_000_000, 0xFFFF_FFFF_FFFF_FFFF, T0),
        (6, 3600, T0 // 1000, T0 + 3600 * 10**9),
        (6, -3600, T0 // 1000, T0 - 3600 * 10**9),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_time_resolution_and_offset(tmp_path, resolution, offset_s, stamp, time_ns, order):
    data = made.section(order) + made.interface(order, resolution=resolution, offset_s=offset_s)
    seen, source = read(write(tmp_path, data + made.enhanced(b"x", stamp, order)))
    assert seen[0].time_ns == time_ns
    assert source.warnings == []


@pytest.mark.parametrize(
    ("resolution", "offset_s", "stamp"),
    [
        (9, None, 1 << 63),
        (6, None, (1 << 63) // 1000 + 1),
        (0, None, 0xFFFF_FFFF_FFFF_FFFF),
        (0x80, None, 0xFFFF_FFFF_FFFF_FFFF),
        (0x80 | 20, None, 0xFFFF_FFFF_FFFF_FFFF),
        (6, (1 << 63) - 1, 1),
        (6, -(1 << 63), 1),
        (6, -1, 1),
        (9, 9_000_000_000, 9_000_000_000 * 10**9),
    ],
)
def test_a_time_that_no_clock_gives_is_0_with_one_warning(tmp_path, resolution, offset_s, stamp):
    head = made.section() + made.interface(resolution=resolution, offset_s=offset_s)
    seen, source = read(write(tmp_path, head + made.enhanced(b"x", stamp) * 3), chunk_bytes=64)
    assert [frame.time_ns for frame in seen] == [0, 0, 0]
    assert [warning.offset_bytes for warning in source.warnings] == [len(head)]
    assert "no clock" in source.warnings[0].reason


def test_each_packet_has_its_interface(tmp_path):
    data = made.section() + made.interface(link=1) + made.interface(link=195, resolution=9)
    data += (
        made.enhanced(b"a", T0 // 1000) + made.enhanced(b"b", T0 + 1, index=1) + made.obsolete(b"c", T0 + 2, index=1)
    )
    seen, _ = read(write(tmp_path, data))
    assert [(frame.number, frame.link, frame.time_ns) for frame in seen] == [
        (1, 1, T0),
        (2, 195, T0 + 1),
        (3, 195, T0 + 2),
    ]


@pytest.mark.parametrize("order", ORDERS)
def test_simple_packets_take_the_time_before_and_the_snaplen(tmp_path, order):
    data = made.section(order) + made.interface(order, snaplen=6) + made.enhanced(b"abc", T0 // 1000, order)
    data += made.simple(b"abcdef", order, wire=1000) + made.simple(b"abcde", order)
    seen, source = read(write(tmp_path, data), chunk_bytes=64)
    assert [(frame.time_ns, frame.data, frame.wire) for frame in seen] == [
        (T0, b"abc", 3),
        (T0, b"abcdef", 1000),
        (T0, b"abcde", 5),
    ]
    assert source.warnings == []


def test_a_simple_packet_before_any_time_is_at_0(tmp_path):
    seen, _ = read(write(tmp_path, made.section() + made.interface() + made.simple(b"abcd")))
    assert plain(seen) == [(0, b"abcd")]


def test_many_interfaces(tmp_path):
    data = made.section() + b"".join(made.interface(link=i) for i in range(300)) + made.enhanced(b"x", 1, index=299)
    assert read(write(tmp_path, data))[0][0].link == 299


def test_a_long_block_of_another_kind_is_passed_over(tmp_path):
    data = made.section() + made.block(0x0BAD, bytes(5 << 20)) + made.interface() + made.enhanced(b"x", 1)
    for chunk_bytes in (64, 1 << 20, 16 << 20):
        seen, source = read(write(tmp_path, data), chunk_bytes=chunk_bytes)
        assert [frame.data for frame in seen] == [b"x"]
        assert source.warnings == []


def test_more_frames_than_one_batch_holds(tmp_path):
    path = write(tmp_path, made.pcap((T0 + i * 1000, b"") for i in range(70_000)))
    from sensor.capture import open_paths

    source = open_paths([path])
    sizes, last = [], 0
    for batch in source.batches():
        sizes.append(len(batch.frames))
        assert int(batch.frames[0]["number"]) == last + 1
        last = int(batch.frames[-1]["number"])
    assert sizes == [65_536, 70_000 - 65_536]


def interfaces_in(data: bytes) -> int:
    """How many interface descriptions a little-endian pcapng holds; 0 in a pcap."""
    at = count = 0
    while data[:4] == b"\x0a\x0d\x0d\x0a" and at + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        count += kind == 1
        at += max(length, 12)
    return count


@pytest.mark.captures
def test_agrees_with_dpkt_on_real_captures():
    import dpkt

    from tests import captures

    files = sorted(path for path in captures.folder().glob("*.pcap*") if path.stat().st_size < 60_000)[::4]
    compared = 0
    for path in files:
        seen, source = read(path, chunk_bytes=777)
        with path.open("rb") as file:
            try:
                expected = [(float(stamp), bytes(data)) for stamp, data in dpkt.pcap.UniversalReader(file)]
            except (dpkt.dpkt.Error, ValueError, struct.error):
                continue
        if source.warnings:  # dpkt gives what is left of a record cut short
            assert len(seen) <= len(expected)
            continue
        assert [frame.data for frame in seen] == [data for _, data in expected], path.name
        if interfaces_in(path.read_bytes()) > 1:  # dpkt scales all times as those of the first interface
            continue
        # dpkt's times are floats: good to a microsecond.
        differ = [
            frame for frame, (stamp, _) in zip(seen, expected, strict=True) if abs(frame.time_ns / 1e9 - stamp) > 2e-6
        ]
        assert differ == [], path.name
        compared += len(seen)
    assert compared > 1000


@pytest.mark.captures
@pytest.mark.tshark
def test_agrees_with_tshark_on_several_interfaces():
    from tests import captures

    tshark = shutil.which("tshark") or pytest.skip("no tshark")
    small = sorted(path for path in captures.folder().glob("*.pcapng") if path.stat().st_size < 500_000)
    files = [path for path in small if interfaces_in(path.read_bytes()) > 1][:3]
    assert files
    fields = ["-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len"]
    for path in files:
        seen, _ = read(path)
        command = [tshark, "-n", "-r", str(path), "-T", "fields", *fields]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        ours = [f"{f.number}\t{f.time_ns // 10**9}.{f.time_ns % 10**9:09}\t{len(f.data)}\t{f.wire}" for f in seen]
        assert ours == lines, path.name
