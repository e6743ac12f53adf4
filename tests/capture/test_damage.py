"""Damaged captures: what they hold up to the damage, and at which byte it is."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.errors import CaptureError
from tests.capture import made
from tests.capture.made import T0, read

PACKETS = made.packets(6)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "a.pcap"
    path.write_bytes(data)
    return path


def boundaries(data: bytes, *, is_pcapng: bool) -> list[int]:
    """Where records or blocks end."""
    ends, at = [], 0
    if not is_pcapng:
        ends, at = [24], 24
    while at < len(data):
        at += struct.unpack_from("<I", data, at + 4)[0] if is_pcapng else 16 + struct.unpack_from("<I", data, at + 8)[0]
        ends.append(at)
    return ends


@pytest.mark.parametrize("chunk_bytes", [1, 100, 4 << 20])
@pytest.mark.parametrize("is_pcapng", [False, True])
def test_cut_at_every_byte(tmp_path, is_pcapng, chunk_bytes):
    data = made.pcapng(PACKETS) if is_pcapng else made.pcap(PACKETS)
    ends = boundaries(data, is_pcapng=is_pcapng)
    whole, _ = read(write(tmp_path, data))
    assert len(whole) == len(PACKETS)
    for cut in range(len(data) + 1):
        path = write(tmp_path, data[:cut])
        if cut < 4:
            with pytest.raises(CaptureError, match="empty file" if cut == 0 else "not a pcap"):
                read(path, chunk_bytes=chunk_bytes)
            continue
        seen, source = read(path, chunk_bytes=chunk_bytes)
        assert seen == whole[: len(seen)]
        if cut in ends:
            assert [w.reason for w in source.warnings] == ([] if seen else ["holds no packets"])
        else:
            start = max((end for end in ends if end < cut), default=0)
            assert [w.offset_bytes for w in source.warnings] == [start]
            assert source.warnings[0].reason.endswith("is cut short")
        assert source.read_bytes == cut


@pytest.mark.parametrize("length", [(1 << 20) + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_lying_record_length(tmp_path, length, order):
    good = made.pcap(PACKETS, order=order)
    path = write(tmp_path, good + struct.pack(order + "IIII", 1, 0, length, length) + bytes(5000))
    seen, source = read(path)
    assert len(seen) == len(PACKETS)
    assert [(w.reason, w.offset_bytes) for w in source.warnings] == [("a record's length is not possible", len(good))]
    assert str(source.warnings[0]) == f"{path}: a record's length is not possible at byte {len(good)}"


def test_the_largest_record(tmp_path):
    data = bytes(range(256)) * 4096
    for chunk_bytes in (64, 1 << 20, 4 << 20):
        seen, source = read(write(tmp_path, made.pcap([(T0, data)] * 3)), chunk_bytes=chunk_bytes)
        assert [frame.data for frame in seen] == [data] * 3
        assert source.warnings == []


def lying_block(kind: int, length: int) -> bytes:
    return struct.pack("<II", kind, length) + bytes(5000)


@pytest.mark.parametrize("chunk_bytes", [64, 4 << 20])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lying_block(6, 0xFFFFFFFC), "a block's length is not possible"),
        (lying_block(6, 28), "a block's length is not possible"),
        (lying_block(3, 12), "a block's length is not possible"),
        (lying_block(1, 0xFFFFFFFC), "a block's length is not possible"),
        (lying_block(1, 12), "a block's length is not possible"),
        (lying_block(9, 0), "a block's length is not possible"),
        (lying_block(9, 4), "a block's length is not possible"),
        (lying_block(9, 30), "a block's length is not possible"),
        (lying_block(9, 0xFFFFFFFC), "a block is cut short"),
        (lying_block(6, 1 << 20), "a block is cut short"),
        (lying_block(6, 64), "the two lengths of a block differ"),
        (made.block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + bytes(8)), "a block's length is not possible"),
        (made.enhanced(b"x", 1, index=1), "a packet belongs to no described interface"),
        (made.enhanced(b"x", 1, index=0xFFFFFFFF), "a packet belongs to no described interface"),
        (struct.pack("<III", 0x0A0D0D0A, 28, 0) + bytes(100), "a section header has no byte order"),
        (
            struct.pack("<III", 0x0A0D0D0A, 8, 0x1A2B3C4D) + bytes(100),
            "a section header's length of 8 bytes is not possible",
        ),
        (struct.pack("<IIIHH", 0x0A0D0D0A, 28, 0x1A2B3C4D, 2, 0) + bytes(100), "pcapng version 2 is not known"),
        (struct.pack("<IIIHH", 0x0A0D0D0A, 0xFFFFFFFC, 0x1A2B3C4D, 1, 0) + bytes(100), "a section header is cut short"),
    ],
)
def test_a_lying_block(tmp_path, bad, reason, chunk_bytes):
    good = made.pcapng(PACKETS)
    seen, source = read(write(tmp_path, good + bad), chunk_bytes=chunk_bytes)
    assert len(seen) == len(PACKETS)
    assert [(w.reason, w.offset_bytes) for w in source.warnings] == [(reason, len(good))]


def test_a_flood_of_interfaces(tmp_path):
    one = made.block(1, struct.pack("<HHI", 1, 0, 0))
    seen, source = read(write(tmp_path, made.section() + one * 65_537 + made.enhanced(b"x", 1)))
    assert seen == []
    assert [w.reason for w in source.warnings] == ["more than 65536 interfaces"]


def test_damage_in_one_file_leaves_the_others(tmp_path):
    (tmp_path / "a.pcap").write_bytes(made.pcap(PACKETS)[:-1])
    (tmp_path / "b.pcap").write_bytes(made.pcap(made.packets(3, start_ns=T0 + 10**12)))
    seen, source = read(tmp_path)
    assert [frame.source for frame in seen] == [0] * (len(PACKETS) - 1) + [1] * 3
    assert len(source.warnings) == 1


@cache
def seeds() -> list[bytes]:
    both = (
        made.section(">")
        + made.interface(">", resolution=0x8A)
        + made.enhanced(b"abcde", 77, ">")
        + made.simple(b"ab", ">")
    )
    return [
        made.pcap(PACKETS),
        made.pcap(PACKETS, magic=made.NANO, order=">"),
        made.pcapng(PACKETS),
        made.pcapng(PACKETS) + both,
    ]


def check_hostile(data: bytes, chunk_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), data)
        try:
            seen, source = read(path, chunk_bytes=chunk_bytes)
        except CaptureError:
            return
        assert sum(len(frame.data) for frame in seen) <= len(data)
        assert [frame.number for frame in seen] == list(range(1, len(seen) + 1))
        assert all(frame.time_ns >= 0 for frame in seen)
        assert all(w.offset_bytes is None or 0 <= w.offset_bytes <= len(data) for w in source.warnings)
        again, source_again = read(path)
        assert again == seen
        assert source_again.warnings == source.warnings


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 3), st.integers(1, 200))
def test_garbage_behind_a_good_beginning(garbage, seed, chunk_bytes):
    check_hostile(seeds()[seed][:60] + garbage, chunk_bytes)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(1, 200),
)
def test_mutations(seed, changes, chunk_bytes):
    data = bytearray(seeds()[seed])
    for at, value in changes:
        data[at % len(data)] = value
    check_hostile(bytes(data), chunk_bytes)


MEASURE = """
import resource, sys
from sensor.capture import open_paths
def run(path):
    for batch in open_paths([path], chunk_bytes=1 << 20).batches():
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(run(sys.argv[1]), run(sys.argv[2]))
"""


@pytest.mark.parametrize("lie", [False, True])
def test_memory_does_not_grow_with_the_file(tmp_path, lie):
    small, large = tmp_path / "small.pcap", tmp_path / "large.pcap"
    small.write_bytes(made.pcap(made.packets(5000)))
    body = made.pcap([(T0, bytes(60_000))] * 100)
    with large.open("wb") as file:
        file.write(body[:24] + (struct.pack("<IIII", 1, 0, 0xFFFFFFFF, 0) if lie else b""))
        for _ in range(16):
            file.write(body[24:])
    done = subprocess.run([sys.executable, "-c", MEASURE, small, large], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after - before < 8192  # KiB
