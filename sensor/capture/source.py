"""Captures as one source of frames: the room's entry, and each file's state while it is read."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from sensor.capture.limits import CHUNK_BYTES
from sensor.capture.merging import in_time_order
from sensor.capture.planning import STDIN, in_words, open_file, plan, shown, status_of
from sensor.capture.reading import read_frames
from sensor.capture.streams import unwrap
from sensor.capture.window import Damage, NotACapture
from sensor.errors import CaptureError
from sensor.model import Batch, CaptureWarning, FrameSource, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sensor.capture.planning import Plan
    from sensor.capture.streams import Stream

_PEEK_BYTES = 4096
_NO_FRAMES_NS = -1  # sorts before every time


class Capture:
    """One capture file of `owner`. `failed`: nothing of it could be read."""

    def __init__(self, index: int, path: Path, owner: CaptureSource) -> None:
        self.index = index
        self.info = SourceInfo(shown(path))
        self.once = False  # it cannot be opened a second time
        self.failed = False
        self._path = path
        self._owner = owner
        self._read_bytes = 0
        self._warned = False
        self._begun: Iterator[Batch] | None = None
        self._first: Batch | None = None
        try:
            status = status_of(path)
        except OSError:
            return  # it vanished since it was listed; opening it will say so
        self.once = path == STDIN or not stat.S_ISREG(status.st_mode)
        self.info.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None

    def begin(self, chunk_bytes: int) -> None:
        """Read the first frames now, and keep them for `batches`: of what can be opened only once."""
        self._begun = self._read(chunk_bytes)
        self._first = next(self._begun, None)

    def first_ns(self) -> int:
        """Time of the first packet; smaller than any time if there is none."""
        if self._begun:
            return int(self._first.frames[0]["time_ns"]) if self._first else _NO_FRAMES_NS
        try:
            with unwrap(open_file(self._path)) as stream:
                for batch in read_frames(
                    stream, SourceInfo(""), self.index, _PEEK_BYTES, lambda _reason, _offset: None
                ):
                    return int(batch.frames[0]["time_ns"])
        except (OSError, Damage):
            pass  # `batches` meets it again and reports it
        return _NO_FRAMES_NS

    def batches(self, chunk_bytes: int) -> Iterator[Batch]:
        """Yield the capture's frames in file order. Raises CaptureError if a pipe does not carry a capture."""
        if self._begun is None:
            yield from self._read(chunk_bytes)
            return
        if self._first:
            first, self._first = self._first, None
            yield first
        yield from self._begun

    def _read(self, chunk_bytes: int) -> Iterator[Batch]:
        try:
            file = open_file(self._path)
        except OSError as error:
            self._fail(in_words(error))
            return
        with unwrap(file) as stream:
            try:
                for batch in read_frames(stream, self.info, self.index, chunk_bytes, self._warn):
                    self._count(batch, stream)
                    yield batch
            except NotACapture as damage:
                self._fail(damage.reason)
            except Damage as damage:
                self._warn(damage.reason, damage.offset_bytes)
            self._progress(stream.read_bytes if self.info.size_bytes is None else self.info.size_bytes)
        if not self.info.frames and not self._warned:
            self._warn("holds no packets", None)

    def _fail(self, reason: str) -> None:
        """Note that nothing of it can be read. What can be opened only once was named by hand and not tried before."""
        if self.once:
            raise CaptureError(f"{self.info.path}: {reason}")
        self.failed = True
        self._warn(reason, None)

    def _count(self, batch: Batch, stream: Stream) -> None:
        from sensor.capture.frames import time_range  # noqa: PLC0415 - Numba is loaded only when frames are read

        info = self.info
        low, high = time_range(batch.frames)
        info.frames += len(batch.frames)
        info.first_ns = min(int(low), int(low) if info.first_ns is None else info.first_ns)
        info.last_ns = max(int(high), int(high) if info.last_ns is None else info.last_ns)
        self._progress(stream.read_bytes)

    def _progress(self, read_bytes: int) -> None:
        self._owner.read_bytes += read_bytes - self._read_bytes
        self._read_bytes = read_bytes

    def _warn(self, reason: str, offset_bytes: int | None) -> None:
        self._warned = True
        self._owner.warnings.append(CaptureWarning(self.info.path, reason, offset_bytes))


class CaptureSource(FrameSource):
    """The captures of a plan, read once. `skipped` lists what in folders is no capture; `warnings` what went wrong.

    `read_bytes` and `total_bytes` count bytes on disk, before decompression.
    """

    def __init__(self, planned: Plan, *, chunk_bytes: int = CHUNK_BYTES, separate: bool = False) -> None:
        self.skipped = planned.skipped
        self.warnings: list[CaptureWarning] = []
        self.read_bytes = 0
        self._captures = [Capture(index, path, self) for index, path in enumerate(planned.files)]
        self.sources = [capture.info for capture in self._captures]
        sizes = [info.size_bytes for info in self.sources]
        self.total_bytes = None if None in sizes else sum(size for size in sizes if size is not None)
        self._chunk_bytes = chunk_bytes
        self._separate = separate

    def batches(self) -> Iterator[Batch]:
        """Yield batches of at most MAX_FRAMES frames, each valid until the next; to be called once.

        Raises:
            CaptureError: a pipe does not carry a capture, or none of the files could be opened
        """
        for capture in self._captures:
            if capture.once:
                capture.begin(self._chunk_bytes)
        if self._separate:
            for capture in self._captures:
                yield from capture.batches(self._chunk_bytes)
        else:
            yield from in_time_order(self._captures, self._chunk_bytes, self._warn)
        if all(capture.failed for capture in self._captures):
            raise CaptureError(str(self.warnings[0]))

    def _warn(self, reason: str) -> None:
        self.warnings.append(CaptureWarning("captures", reason))


def open_plan(planned: Plan, *, chunk_bytes: int = CHUNK_BYTES, separate: bool = False) -> CaptureSource:
    """Return the frames of captures listed by `plan`; see `open_paths`."""
    return CaptureSource(planned, chunk_bytes=chunk_bytes, separate=separate)


def open_paths(
    paths: Sequence[str | Path],
    *,
    recursive: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
    separate: bool = False,
) -> CaptureSource:
    """Return the frames of all captures that `paths` mean ("-" is standard input), as one timeline.

    Args:
        paths: files, folders, named pipes, "-"
        recursive: enter sub-folders
        chunk_bytes: how much of a file is in memory at a time
        separate: one file after the other in the plan's order instead, each batch with frames of one file only

    Raises:
        UsageError: no paths, or standard input is a terminal
        CaptureError: a path named here is missing, unreadable, empty or not a capture
    """
    return open_plan(plan(paths, recursive), chunk_bytes=chunk_bytes, separate=separate)
