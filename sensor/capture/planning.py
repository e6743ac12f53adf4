"""Which files the operator means: paths and folders in, captures in order out, with what is passed over and why."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.capture import formats
from sensor.capture.reading import not_a_capture
from sensor.capture.streams import unwrap
from sensor.errors import CaptureError, UsageError
from sensor.model import CaptureWarning

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence

STDIN = Path("-")
_STDIN_FD = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read: `files` in the order given, each folder's by name; `skipped` lists what in folders is not."""

    files: list[Path]
    skipped: list[CaptureWarning]


def shown(path: Path) -> str:
    """The path as text that fits one line of any output: what is not printable is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def open_file(path: Path) -> io.FileIO:
    """Open a path, or standard input for `STDIN`. Raises OSError. A named pipe waits for its writer."""
    if path == STDIN:
        return open(_STDIN_FD, "rb", buffering=0, closefd=False)
    return path.open("rb", buffering=0)


def status_of(path: Path) -> os.stat_result:
    """Return what the file system says of a path, or of standard input for `STDIN`. Raises OSError."""
    return os.fstat(_STDIN_FD) if path == STDIN else path.stat()


def plan(paths: Sequence[str | Path], recursive: bool = False) -> Plan:
    """List the captures that `paths` mean; "-" is standard input.

    Files are told by their first bytes, never by their names. A file met twice is read once. Named pipes and standard
    input are listed without being opened.

    Raises:
        UsageError: no paths, or standard input is a terminal or named twice
        CaptureError: a path named here is missing, unreadable, empty or not a capture, or a folder without captures
    """
    if not paths:
        raise UsageError("no capture was named")
    found = Plan([], [])
    seen: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        if path == STDIN:
            _add_stdin(found)
            continue
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                _add_folder(path, found, seen, recursive=recursive)
            elif reason := _reason_against(path, status):
                raise CaptureError(f"{shown(path)}: {reason}")
            else:
                _add(path, status, found, seen)
        except (OSError, ValueError) as error:
            raise CaptureError(f"{shown(path)}: {in_words(error)}") from error
    return found


def _add_stdin(found: Plan) -> None:
    if STDIN in found.files:
        raise UsageError("standard input can be named only once")
    try:
        os.fstat(_STDIN_FD)
    except OSError as error:
        raise CaptureError("-: standard input is closed") from error
    if os.isatty(_STDIN_FD):
        raise UsageError("standard input is a terminal, not a capture")
    found.files.append(STDIN)


def _add(path: Path, status: os.stat_result, found: Plan, seen: set[tuple[int, int]]) -> None:
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        found.skipped.append(CaptureWarning(shown(path), "the same file is read already"))
        return
    seen.add(identity)
    found.files.append(path)


def _add_folder(folder: Path, found: Plan, seen: set[tuple[int, int]], *, recursive: bool) -> None:
    before = len(found.files)
    for path in sorted(_walk(folder, found, recursive=recursive), key=lambda path: path.parts):
        try:
            status = path.stat()
            reason = "not a regular file" if not stat.S_ISREG(status.st_mode) else _reason_against(path, status)
        except PermissionError:
            # It may well be a capture: reading it will fail, and say so among the warnings rather than pass it over.
            found.files.append(path)
            continue
        except OSError as error:
            reason = in_words(error)
        if reason:
            found.skipped.append(CaptureWarning(shown(path), reason))
        else:
            _add(path, status, found, seen)
    if len(found.files) == before and not any(path.is_relative_to(folder) for path in found.files):
        raise CaptureError(f"{shown(folder)}: no captures in this folder")


def _walk(folder: Path, found: Plan, *, recursive: bool) -> Iterator[Path]:
    """Yield what is in a folder; sub-folders are entered if `recursive`, never through a symbolic link (loops)."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            if here == folder:
                raise
            found.skipped.append(CaptureWarning(shown(here), in_words(error)))
            continue
        for entry in entries:
            if not entry.is_dir():
                yield Path(entry.path)
            elif recursive and not entry.is_symlink():
                waiting.append(Path(entry.path))
            else:
                reason = "a link to a folder is not followed" if recursive else "sub-folders are read only if asked for"
                found.skipped.append(CaptureWarning(shown(Path(entry.path)), reason))


def _reason_against(path: Path, status: os.stat_result) -> str:
    """Return why a file that is no folder is not a capture, "" if it is one. Raises OSError if it cannot be opened."""
    if stat.S_ISFIFO(status.st_mode):
        return ""
    if not stat.S_ISREG(status.st_mode):
        return "a device or a socket, not a capture"
    with unwrap(open_file(path)) as stream:
        return not_a_capture(_head(stream), stream)


def _head(stream: io.RawIOBase) -> bytes:
    head = b""
    while len(head) < formats.SNIFFED_BYTES and (more := stream.read(formats.SNIFFED_BYTES - len(head))):
        head += more
    return head


def in_words(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)
