"""Bytes in file order, whatever they are wrapped in: plain, gzip of several members (RFC 1952), zstd of several frames (RFC 8878).

Every stream here is read by `readinto`, which returns 0 at the end. What ended it early is then in `damage`; nothing
is raised once a stream is open, so what was read before the damage is always used.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

from sensor.capture.limits import COMPRESSED_READ_BYTES, GZIP_PIECE_BYTES, MAX_ZSTD_WINDOW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after one byte of 0x50 to 0x5f (RFC 8878 section 3.1.2)
_ZSTD_MAX_BLOCK_BYTES = 128 << 10  # RFC 8878 section 3.1.1.2.4


class Stream(io.RawIOBase):
    """Bytes to be read once.

    `wrapping`: "", "+gzip" or "+zstd"; `damage`: why it ended before its end, if it did; `read_bytes`: used on disk.
    """

    wrapping = ""
    damage: str | None = None
    read_bytes = 0

    def readable(self) -> bool:
        return True


class Disk(Stream):
    """The bytes of `file` as they lie there."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._head = b""

    def peek(self, count: int) -> bytes:
        """The next `count` bytes (fewer at the end), which stay to be read. Works on a pipe."""
        while len(self._head) < count:
            try:
                more = self._file.read(count - len(self._head))
            except OSError as error:
                self.damage = f"cannot be read: {error.strerror}"
                break
            if not more:
                break
            self._head += more
        return self._head[:count]

    def readinto(self, target: Buffer) -> int:
        view = memoryview(target)
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
        else:
            try:
                count = self._file.readinto(view) or 0
            except OSError as error:
                self.damage = f"cannot be read: {error.strerror}"
                count = 0
        self.read_bytes += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Unpacked(Stream):
    """A stream made of the pieces that a decompressor yields, each of bounded size."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk
        self._pieces = self._unpack()
        self._piece = memoryview(b"")

    def _unpack(self) -> Iterator[bytes]:
        raise NotImplementedError

    def readinto(self, target: Buffer) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            self.read_bytes = self._disk.read_bytes
            if piece is None:
                self.damage = self._disk.damage or self.damage
                return 0
            self._piece = memoryview(piece)
        view = memoryview(target)
        count = min(len(view), len(self._piece))
        view[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        self._disk.close()
        super().close()


class Gzip(_Unpacked):
    """gzip, any number of members; zeros after the last one are padding, as for gzip(1)."""

    wrapping = "+gzip"

    def _unpack(self) -> Iterator[bytes]:
        packed = b""
        while packed := self._member_start(packed):
            inflate = zlib.decompressobj(wbits=31)
            while not inflate.eof:
                data = packed or self._disk.read(COMPRESSED_READ_BYTES) or b""
                before = inflate.copy()
                try:
                    piece = inflate.decompress(data, GZIP_PIECE_BYTES)
                except zlib.error:
                    self.damage = "the gzip data are damaged"
                    yield _up_to_damage(before, data)
                    return
                packed = inflate.unconsumed_tail
                if piece:
                    yield piece
                elif not data:
                    self.damage = "the gzip data end early"
                    return
            packed = inflate.unused_data

    def _member_start(self, packed: bytes) -> bytes:
        """Return bytes that begin a member, or nothing at the end."""
        packed = packed.lstrip(b"\0")
        while len(packed) < len(GZIP_MAGIC) and (more := self._disk.read(COMPRESSED_READ_BYTES)):
            packed = (packed + more).lstrip(b"\0")
        if packed and not packed.startswith(GZIP_MAGIC):
            self.damage = "something other than gzip follows the gzip data"
            return b""
        return packed


def _up_to_damage(inflate: zlib._Decompress, data: bytes) -> bytes:
    """Return what can still be had: zlib drops the output of a call that fails, so give it the most that does not."""
    best, low, high = b"", 0, len(data)
    while low < high:
        middle = (low + high + 1) // 2
        try:
            best = inflate.copy().decompress(data[:middle], GZIP_PIECE_BYTES)
        except zlib.error:
            high = middle - 1
        else:
            low = middle
    return best


class Zstd(_Unpacked):
    """zstd, any number of frames. Fed block by block: that bounds each piece, and keeps all that comes before damage."""

    wrapping = "+zstd"

    def _unpack(self) -> Iterator[bytes]:
        import zstandard  # noqa: PLC0415 - few captures need it

        packed = io.BufferedReader(self._disk, COMPRESSED_READ_BYTES)
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
        try:
            while magic := packed.read(4):
                if _is_skippable(magic):
                    _skip(packed, int.from_bytes(_exactly(packed, 4), "little"))
                elif magic == ZSTD_MAGIC:
                    frame = decompressor.decompressobj()
                    for part in _zstd_parts(packed):
                        yield frame.decompress(part)
                else:
                    self.damage = "something other than zstd follows the zstd data"
                    return
        except zstandard.ZstdError as error:
            self.damage = f"the zstd data are damaged ({error})"
        except EOFError:
            self.damage = "the zstd data end early"


def _is_skippable(magic: bytes) -> bool:
    return magic[1:] == _ZSTD_SKIPPABLE and magic[0] >> 4 == 5


def _exactly(packed: io.BufferedIOBase, count: int) -> bytes:
    data = packed.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _skip(packed: io.BufferedIOBase, count: int) -> None:
    while count:
        count -= len(_exactly(packed, min(count, COMPRESSED_READ_BYTES)))


def _zstd_parts(packed: io.BufferedIOBase) -> Iterator[bytes]:
    """Yield the parts of one frame whose magic was read: header, blocks, checksum (RFC 8878 section 3.1.1)."""
    descriptor = _exactly(packed, 1)
    flags = descriptor[0]
    single = flags >> 5 & 1
    content_size_bytes = (single, 2, 4, 8)[flags >> 6]
    dictionary_bytes = (0, 1, 2, 4)[flags & 3]
    yield ZSTD_MAGIC + descriptor + _exactly(packed, 1 - single + dictionary_bytes + content_size_bytes)
    last = False
    while not last:
        header = _exactly(packed, 3)
        word = int.from_bytes(header, "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        # A run (kind 1) is one byte on disk. A size that no block may have is left to zstd to refuse.
        yield header + _exactly(packed, 1 if kind == 1 else min(size, _ZSTD_MAX_BLOCK_BYTES))
    if flags & 4:
        yield _exactly(packed, 4)


def unwrap(file: io.FileIO) -> Stream:
    """Return a stream of the bytes in `file`, taken out of gzip or zstd if they are in it; told by magic, not by name."""
    disk = Disk(file)
    magic = disk.peek(4)
    if magic.startswith(GZIP_MAGIC):
        return Gzip(disk)
    if magic == ZSTD_MAGIC or _is_skippable(magic):
        return Zstd(disk)
    return disk
