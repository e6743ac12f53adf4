"""The smallest capture that proves what is claimed: frames are added until the evidence is derived again, and left out while it still is.

A cited frame alone seldom does: a name may be split over several packets, a stream is known from its beginning, a server
is known by what DNS said of it before. So more of the same flow is tried, in steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sensor.proof.deriving import derive, key_of
from sensor.proof.frames import Frame, MemorySource, Pair, pair, taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sensor.model import Evidence
    from sensor.proof.deriving import Ground, Key

AFTER: Final = 400  # frames after the cited one in which the flow of a DNS answer is looked for
STEPS: Final = ((3, 0), (3, 4), (8, 16), (64, 64), (2000, 2000))  # first frames of the flow, last ones before the cited
MAX_TRIES: Final = 300  # derivations while leaving out


@dataclass(slots=True)
class Cut:
    """Frames chosen of one capture, by their numbers there, and which evidence they prove by themselves."""

    path: str = ""
    sha256: str = ""
    frames: dict[int, Frame] = field(default_factory=dict)
    proven: set[Key] = field(default_factory=set)

    def ordered(self) -> list[Frame]:
        return sorted(self.frames.values(), key=lambda frame: (frame.time_ns, frame.number))


def cut(path: Path, evidence: Sequence[Evidence], ground: Ground) -> Cut:
    """Frames of one capture that give all of this evidence again, where its frames can. Raises CaptureError."""
    frames, holding = taken(path, (one.frame for one in evidence), _pairs(evidence))
    made = Cut()
    wanted = {key_of(one): one for one in evidence if one.frame in frames}
    cited = {one.frame for one in wanted.values()}
    chosen = set(cited)
    left = dict(wanted)
    for first, before in ((0, 0), *STEPS):
        for one in left.values():
            chosen |= _more(one, holding, first, before)
        made.proven = wanted.keys() & _derived(chosen, frames, ground)
        left = {key: one for key, one in wanted.items() if key not in made.proven}
        if not left:
            break
    chosen = _least(chosen, cited, frames, ground, made.proven)
    made.frames = {number: frames[number] for number in chosen if number in frames}
    return made


def _pairs(evidence: Iterable[Evidence]) -> dict[Pair, int]:
    """Which addresses are of interest, and up to which frame."""
    pairs: dict[Pair, int] = {}
    for one in evidence:
        ends = pair(one.flow.src, one.flow.dst)
        until = one.frame + (AFTER if one.kind in {"dns_answer", "tied"} else 0)
        pairs[ends] = max(until, pairs.get(ends, 0))
        if one.kind == "tied":  # by other flows of one of its ends, and what DNS said of them
            for end in (one.flow.src, one.flow.dst):
                pairs[pair(end)] = max(until, pairs.get(pair(end), 0))
    return pairs


def _more(one: Evidence, holding: Mapping[Pair, Sequence[int]], first: int, before: int) -> set[int]:
    """Frames of the flow: its first ones, those last before the cited one, and where DNS told of it, its next."""
    numbers = holding[pair(one.flow.src, one.flow.dst)]
    more = _around(numbers, one.frame, first, before)
    if one.kind == "dns_answer":
        more |= set([number for number in numbers if number > one.frame][: first + 1])
    if one.kind == "tied" and before:
        for end in (one.flow.src, one.flow.dst):
            beside = holding[pair(end)]
            more |= _around(beside, one.frame, 0, 4 * before)
            more |= set([number for number in beside if number > one.frame][: 4 * before])
    return more


def _around(numbers: Sequence[int], frame: int, first: int, before: int) -> set[int]:
    earlier = [number for number in numbers if number < frame]
    return {*earlier[:first], *earlier[max(0, len(earlier) - before) :]}


def _derived(chosen: Iterable[int], frames: Mapping[int, Frame], ground: Ground) -> set[Key]:
    picked = sorted(
        (frames[number] for number in chosen if number in frames), key=lambda one: (one.time_ns, one.number)
    )
    return set(derive(MemorySource(picked), ground).evidence)


def _least(
    chosen: set[int], cited: set[int], frames: Mapping[int, Frame], ground: Ground, proven: set[Key]
) -> set[int]:
    """Leaves out what is not needed: half of what is beside the cited frames at once, then ever smaller parts of it."""
    beside = sorted(chosen - cited)
    tries = 0
    size = len(beside)
    while size and tries < MAX_TRIES:
        at = 0
        while at < len(beside) and tries < MAX_TRIES:
            fewer = beside[:at] + beside[at + size :]
            tries += 1
            if proven <= _derived(cited | set(fewer), frames, ground):
                beside = fewer
            else:
                at += size
        size //= 2
    return cited | set(beside)
