"""Where the commands write, and what happens where nothing can be written: one line, as for everything else."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sensor.errors import UsageError, WardwatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import TextIOWrapper

STDOUT_FD = 1


@contextmanager
def standard_output() -> Iterator[None]:
    """What is printed inside has left this process at the end. Raises WardwatchError, or BrokenPipeError as it comes."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
        raise
    except OSError as error:
        _discard()
        raise WardwatchError(f"standard output: cannot be written: {error.strerror}") from error


def _discard() -> None:
    """What the buffer still holds goes nowhere: at exit Python would try again, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT_FD)
    os.close(nowhere)


class LinesFile:
    """A text file that is written line by line. Every mistake names it."""

    def __init__(self, path: str, *, at_once: bool = False) -> None:
        """`at_once`: each line is written when it comes, for whoever reads along."""
        self._path = path
        buffering = 1 if at_once else -1
        try:
            self._file: TextIOWrapper = Path(path).open("w", encoding="utf-8", buffering=buffering)  # noqa: SIM115 - closed by `__exit__`
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot be written: {_why(error)}") from error

    def write(self, text: str) -> None:
        """Raises WardwatchError."""
        try:
            self._file.write(text)
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            if kind is None:  # else the first mistake is told
                raise self._failed(error) from error

    def _failed(self, error: OSError) -> WardwatchError:
        return WardwatchError(f"{self._path}: cannot be written: {error.strerror}")


def refuse_overwriting(targets: Mapping[str, str | None], kept: Iterable[tuple[str, str | Path]]) -> None:
    """Raises UsageError where an output (option: path) is another one, or a file that must stay (what it is, path)."""
    taken = {_real(path): what for what, path in kept}
    for option, path in targets.items():
        if path is None or _is_device(path):
            continue
        real = _real(path)
        if real in taken:
            raise UsageError(f"{option}: {path} would overwrite {taken[real]}")
        taken[real] = f"what {option} writes"


def _real(path: str | Path) -> tuple[int, int] | str:
    """What two names of one file have in common."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in str(path) else str(path)
    return status.st_dev, status.st_ino


def _is_device(path: str) -> bool:
    try:
        return Path(path).is_char_device()
    except (OSError, ValueError):
        return False


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
