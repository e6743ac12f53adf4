"""What the store would not take yet waits here: one file of fixed size, taken from the disk beforehand against a full disk.

The file is a header (magic, generation) and records behind each other (length, CRC-32, generation, bytes). To empty it the
generation is raised; a record counts where its generation is the header's and its sum is right. So what a kill cuts short
was never there, and what was there when `put` returned still is.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import TYPE_CHECKING

from sensor.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAGIC = b"wwspool1"
_HEAD = struct.Struct("<8sQ")
_RECORD = struct.Struct("<IIQ")
MODE = 0o600


class Spool:
    """Records in the order in which they came. One process at a time has it open."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Raises StoreError where the file cannot be made as large as that. A larger one stays as it is."""
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        except OSError as error:
            raise StoreError(f"spool {path} cannot be made: {error.strerror}") from error
        try:
            self.size_bytes = max(size_bytes, os.fstat(self._fd).st_size)
            _take(self._fd, self.size_bytes)
            magic, self._generation = _HEAD.unpack(os.pread(self._fd, _HEAD.size, 0))
            if magic == bytes(len(MAGIC)):
                self._begin(1)
                magic = MAGIC
            self._end = _HEAD.size
            self.records = 0
            for record in self._read():
                self._end += _RECORD.size + len(record)
                self.records += 1
        except OSError as error:
            os.close(self._fd)
            raise StoreError(f"spool {path} cannot be made: {error.strerror}") from error
        if magic != MAGIC:
            os.close(self._fd)
            raise StoreError(f"spool {path} is none: it does not begin as one")

    def put(self, records: Sequence[bytes]) -> int:
        """Keeps as many of these as fit, from the first on; how many are on disk when it returns. Raises StoreError."""
        data, taken = b"", 0
        for record in records:
            whole = _RECORD.pack(len(record), zlib.crc32(record), self._generation) + record
            if self._end + len(data) + len(whole) > self.size_bytes:
                break
            data += whole
            taken += 1
        try:
            if data:
                os.pwrite(self._fd, data, self._end)
                os.fdatasync(self._fd)
        except OSError as error:
            raise StoreError(f"spool {self.path} cannot be written: {error.strerror}") from error
        self._end += len(data)
        self.records += taken
        return taken

    def waiting(self) -> list[bytes]:
        """All that waits. Raises StoreError."""
        try:
            return list(self._read())
        except OSError as error:
            raise StoreError(f"spool {self.path} cannot be read: {error.strerror}") from error

    def clear(self) -> None:
        """Nothing waits any more. Raises StoreError."""
        try:
            self._begin(self._generation + 1)
        except OSError as error:
            raise StoreError(f"spool {self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Lets go of the file; what waits in it waits on."""
        os.close(self._fd)

    def _begin(self, generation: int) -> None:
        os.pwrite(self._fd, _HEAD.pack(MAGIC, generation), 0)
        os.fdatasync(self._fd)
        self._generation, self._end, self.records = generation, _HEAD.size, 0

    def _read(self) -> Iterator[bytes]:
        at = _HEAD.size
        while at + _RECORD.size <= self.size_bytes:
            length, crc, generation = _RECORD.unpack(os.pread(self._fd, _RECORD.size, at))
            if generation != self._generation or at + _RECORD.size + length > self.size_bytes:
                return
            record = os.pread(self._fd, length, at + _RECORD.size)
            if zlib.crc32(record) != crc:
                return
            yield record
            at += _RECORD.size + length


def _take(fd: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
        os.ftruncate(fd, size_bytes)  # a file system that cannot promise room
