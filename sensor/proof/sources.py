"""Where the frames of evidence may still be found: the capture that was read, known again by its SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sensor.model import Evidence
    from sensor.store.proving import SourceRow


@dataclass(frozen=True, slots=True)
class Found:
    """A source and its file; `path` None and `why` where there is none."""

    source: SourceRow | None
    path: Path | None
    why: str = ""


def found(name: str, evidence: Iterable[Evidence], sources: Sequence[SourceRow], folders: Sequence[Path]) -> Found:
    """The capture that evidence of this file name was read from."""
    times = [one.time_ns for one in evidence]
    of_name = [one for one in sources if Path(one.path).name == name]
    fitting = [one for one in of_name if _holds(one, times)]
    if not fitting:
        why = (
            "was not read to its end, or is live traffic, of which no frames are kept"
            if not of_name
            else "has other times"
        )
        return Found(None, None, f"{name}: the frames were not kept: the source {why}")
    reasons: list[str] = []
    for source in fitting:
        if source.sha256 is None:
            reasons.append("live traffic or a pipe, of which no frames are kept")
            continue
        for path in (Path(source.path), *(folder / name for folder in folders)):
            if not path.is_file():
                continue
            if _sha256(path) == source.sha256:
                return Found(source, path)
            reasons.append(f"{path} is another file now: its SHA-256 differs")
    why = "; ".join(dict.fromkeys(reasons)) or "the capture is not there any more"
    return Found(fitting[0], None, f"{name}: the frames were not kept: {why}")


def _holds(source: SourceRow, times: Sequence[int]) -> bool:
    if source.first_ns is None or source.last_ns is None:
        return False
    return all(source.first_ns <= time_ns <= source.last_ns for time_ns in times)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
