"""sensor.capture.streams: gzip and zstd give what the plain file gives, also in parts, and up to damage."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from sensor.capture import streams
from sensor.errors import CaptureError
from tests.capture import made
from tests.capture.made import read

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = made.pcap(made.packets(3000))
NOISE = made.pcap(
    (made.T0 + i, random.Random(i).randbytes(900)) for i in range(400)
)  # several blocks, hardly compressed
SKIPPABLE = struct.pack("<II", 0x184D2A53, 6) + b"ignore"


def parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def zstd(data: bytes, *, checksum: bool = False, content_size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size).compress(data)


def zstd_streamed(data: bytes) -> bytes:
    """Without the content's size, flushed into many blocks."""
    out = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    done = [out.compress(part) + out.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts(data, 5000)]
    return b"".join([*done, out.flush()])


WRAPPERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("pcap+gzip", gzip.compress),
    "gzip members": ("pcap+gzip", lambda data: b"".join(gzip.compress(part) for part in parts(data, 700))),
    "gzip with an empty member": ("pcap+gzip", lambda data: gzip.compress(b"") + gzip.compress(data)),
    "gzip padded": ("pcap+gzip", lambda data: gzip.compress(data) + bytes(100_000)),
    "gzip stored": ("pcap+gzip", lambda data: gzip.compress(data, 0)),
    "zstd": ("pcap+zstd", zstd),
    "zstd frames": ("pcap+zstd", lambda data: b"".join(map(zstd, parts(data, 700)))),
    "zstd checksum": ("pcap+zstd", lambda data: zstd(data, checksum=True, content_size=False)),
    "zstd streamed": ("pcap+zstd", zstd_streamed),
    "zstd skippable": ("pcap+zstd", lambda data: SKIPPABLE + zstd(data) + SKIPPABLE),
}


@pytest.mark.parametrize("chunk_bytes", [64, 4096, 4 << 20])
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("data", [PLAIN, NOISE], ids=["plain", "noise"])
def test_equal_to_plain(tmp_path, name, chunk_bytes, data):
    form, wrap = WRAPPERS[name]
    bare, packed = tmp_path / "bare", tmp_path / "packed"
    bare.write_bytes(data)
    packed.write_bytes(wrap(data))
    expected, _ = read(bare)
    seen, source = read(packed, chunk_bytes=chunk_bytes)
    assert seen == expected
    assert source.warnings == []
    assert source.sources[0].format == form
    assert source.read_bytes == source.total_bytes == packed.stat().st_size


@pytest.mark.parametrize("name", ["gzip", "zstd", "zstd checksum", "gzip members"])
def test_cut_anywhere_gives_a_prefix_and_a_warning(tmp_path, name):
    small = made.pcap(made.packets(30))
    whole = WRAPPERS[name][1](small)
    path = tmp_path / "a"
    path.write_bytes(whole)
    expected, _ = read(path)
    most = 0
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        try:
            seen, source = read(path, chunk_bytes=128)
        except CaptureError:
            # Nothing comes out before the table of codes has gone in, nor of a zstd block before its end.
            assert cut < 200 or name.startswith("zstd")
            continue
        assert seen == expected[: len(seen)]
        assert len(source.warnings) == 1
        most = max(most, len(seen))
    assert most >= len(expected) - 1 or name.startswith("zstd")


@pytest.mark.parametrize("name", ["gzip", "gzip stored", "gzip members"])
def test_gzip_gives_all_that_zlib_can_before_the_damage(tmp_path, name):
    packed = bytearray(WRAPPERS[name][1](NOISE))
    packed[200_000:200_040] = b"\xff" * 40
    fed, inflate = bytearray(), zlib.decompressobj(wbits=31)
    with contextlib.suppress(zlib.error):
        for byte in packed:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            fed += inflate.decompress(bytes([byte]))
    stream = streams.Gzip(streams.Disk(fake(bytes(packed))))
    assert b"".join(stream._unpack()) == fed
    assert stream.damage == "the gzip data are damaged"
    stream.close()


def test_a_wrong_check_sum_loses_nothing(tmp_path):
    path = tmp_path / "a"
    packed = bytearray(gzip.compress(NOISE))
    packed[-5] ^= 1
    path.write_bytes(packed)
    seen, source = read(path)
    assert len(seen) == 400
    assert [(w.reason, w.offset_bytes) for w in source.warnings] == [("the gzip data are damaged", len(NOISE))]
    packed = bytearray(zstd(NOISE, checksum=True))
    packed[-1] ^= 1
    path.write_bytes(packed)
    seen, source = read(path)
    assert len(seen) == 400
    assert [w.offset_bytes for w in source.warnings] == [len(NOISE)]


def test_zstd_damage_keeps_the_blocks_before(tmp_path):
    packed = bytearray(zstd(NOISE, checksum=True))
    at = 300_000  # 128 KiB a block, hardly compressed: in the third
    packed[at : at + 200] = bytes(200)
    path = tmp_path / "a"
    path.write_bytes(packed)
    seen, source = read(path)
    assert len(seen) >= (2 * 131_072 - 24) // 916
    assert len(source.warnings) == 1
    assert source.warnings[0].reason.startswith("the zstd data are damaged")


@pytest.mark.parametrize("wrap", [gzip.compress, zstd])
def test_something_else_behind(tmp_path, wrap):
    path = tmp_path / "a"
    path.write_bytes(wrap(PLAIN) + b"something else, of some length")
    seen, source = read(path)
    assert len(seen) == 3000
    assert [w.reason.startswith("something other than") for w in source.warnings] == [True]
    assert source.warnings[0].offset_bytes == len(PLAIN)


@pytest.mark.parametrize("wrap", [gzip.compress, zstd])
def test_compressed_text_is_not_a_capture(tmp_path, wrap):
    path = tmp_path / "a.pcap.gz"
    for text in (b"", b"some text that is no capture"):
        path.write_bytes(wrap(text))
        with pytest.raises(CaptureError, match=r"a\.pcap\.gz: not a pcap or pcapng capture"):
            read(path)


def zstd_bomb(blocks: int) -> bytes:
    """Runs of zeros: 4 bytes for 128 KiB each (RFC 8878 section 3.1.1.2.2)."""
    run = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return streams.ZSTD_MAGIC + b"\x00\x38" + run * blocks + b"\x01\0\0"


def test_bombs_come_in_bounded_pieces():
    bombs = {
        "gzip": streams.Gzip(streams.Disk(fake(gzip.compress(bytes(64 << 20))))),
        "zstd": streams.Zstd(streams.Disk(fake(zstd_bomb(500)))),
    }
    for name, stream in bombs.items():
        sizes = [len(piece) for piece in stream._unpack()]
        assert stream.damage is None, name
        assert max(sizes) <= 256 << 10
        stream.close()
        assert sum(sizes) == (64 << 20 if name == "gzip" else 500 * (128 << 10))


def test_a_window_beyond_the_cap_is_refused(tmp_path):
    path = tmp_path / "a"
    # Window descriptor 0xf8: 2**41 bytes (RFC 8878 section 3.1.1.1.2).
    path.write_bytes(zstd(PLAIN) + streams.ZSTD_MAGIC + b"\x00\xf8" + b"\x01\0\0")
    seen, source = read(path)
    assert len(seen) == 3000
    assert source.warnings[0].reason.startswith("the zstd data are damaged")


def fake(data: bytes) -> io.FileIO:
    """A file of these bytes that has no name."""
    descriptor = os.memfd_create("fake")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return io.FileIO(descriptor)


def test_what_was_peeked_at_is_read():
    read_end, write_end = os.pipe()
    os.write(write_end, PLAIN[:100])
    os.close(write_end)
    disk = streams.Disk(io.FileIO(read_end))
    assert disk.peek(4) == PLAIN[:4]
    assert disk.peek(8) == PLAIN[:8]
    target = bytearray(100)
    got = disk.readinto(target)
    assert target[:got] == PLAIN[:got]
    got += disk.readinto(memoryview(target)[got:])
    assert bytes(target) == PLAIN[:100]
    assert disk.read_bytes == got == 100
    assert disk.readinto(target) == 0
    disk.close()


def test_a_read_error_is_damage():
    stream = streams.unwrap(io.FileIO("/proc/self/mem"))  # its first page is never mapped: reading it is an I/O error
    assert stream.readinto(bytearray(10)) == 0
    assert stream.damage is not None
    assert stream.damage.startswith("cannot be read")
    stream.close()
