"""Finding what was changed behind the store's back: links, and the rows that links speak of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sensor.store.chain import BEGIN, NOTHING, REMOVAL, content_hash, link_hash, links

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from sensor.store.chain import Link

MAX_FAULTS: Final = 1000
FIRST: Final = -(2**63)  # before any number a row can have


@dataclass(frozen=True, slots=True)
class Anchor:
    """The hash of one link as somebody outside has it; `name` says where it was found."""

    sequence: int
    hash: str
    name: str


@dataclass(slots=True)
class Audit:
    """What was found. `anchored`: the last link that an outside checkpoint covers, 0 for none."""

    links: int = 0
    last: Link | None = None
    anchored: int = 0
    emptied: int = 0  # links whose content retention took, with its receipt
    rows: int = 0  # of other tables that are as their links say
    uncovered: int = 0  # revisions from before the chain began
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)

    @property
    def tail(self) -> int:
        """How many links no outside checkpoint covers."""
        return 0 if self.last is None else max(0, self.last.sequence - self.anchored)


def check_links(connection: Connection, audit: Audit, anchors: Sequence[Anchor]) -> None:
    """Every link by itself, in its place, and against what is known outside."""
    known: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        known.setdefault(anchor.sequence, []).append(anchor)
    before: Link | None = None
    emptied: dict[int, None] = {}
    agreed = 0
    for link in links(connection, after=FIRST):
        _check_place(audit, before, link)
        _check_self(audit, link)
        if link.content is None:
            emptied[link.sequence] = None
        elif link.kind == REMOVAL:
            audit.emptied += _receipt(emptied, link)
        for anchor in known.pop(link.sequence, ()):
            if anchor.hash == link.hash:
                audit.anchored = max(audit.anchored, link.sequence)
                agreed = link.sequence
            else:
                since = f"after link {agreed}, the last that agrees, and " if agreed else ""
                audit.fault(f"link {link.sequence}: not the one of {anchor.name}: changed {since}up to here")
        audit.links += 1
        before = link
    audit.last = before
    end = 0 if before is None else before.sequence
    for sequence, some in sorted(known.items()):
        for anchor in some:
            why = f"the chain ends at link {end}" if sequence > end else "removed"
            audit.fault(f"link {sequence}: missing, {anchor.name} has it: {why}")
    for sequence in emptied:
        audit.fault(f"link {sequence}: its content is gone, and no later link says that it was removed")


def _check_place(audit: Audit, before: Link | None, link: Link) -> None:
    expected = 1 if before is None else before.sequence + 1
    if link.sequence < 1:
        audit.fault(f"link {link.sequence}: inserted: links are numbered from 1")
    elif link.sequence > expected:
        gone = f"link {expected}" if link.sequence == expected + 1 else f"links {expected} to {link.sequence - 1}"
        audit.fault(f"{gone}: removed")
    elif before is None:
        if link.previous != NOTHING or link.kind != BEGIN:
            audit.fault("link 1: not a beginning: what was before it was removed, or it was changed")
    elif link.previous != before.hash:
        audit.fault(
            f"link {before.sequence}: not the one that link {link.sequence} was made after: "
            "one of the two was changed, inserted or put in another place"
        )


def _check_self(audit: Audit, link: Link) -> None:
    if (link.content is None) != (link.salt is None):
        audit.fault(f"link {link.sequence}: its content or its salt was changed")
    if link.content is not None and content_hash(link.content, str(link.salt)) != link.content_sha256:
        audit.fault(f"link {link.sequence}: its content was changed")
    made = link_hash(link.sequence, link.recorded_ns, link.kind, link.content_sha256, link.previous)
    if made != link.hash:
        audit.fault(f"link {link.sequence}: changed, or put in another place")


def _receipt(emptied: dict[int, None], link: Link) -> int:
    """Strikes off what a removal names; how many they were."""
    found = 0
    for first, last in numbered(link):
        for sequence in [one for one in emptied if first <= one <= last]:
            del emptied[sequence]
            found += 1
    return found


def numbered(link: Link) -> Iterable[tuple[int, int]]:
    """The runs of links that a removal names; none where its content was made unreadable."""
    said = said_by(link)
    ranges = said.get("links", [])
    return [(int(one[0]), int(one[1])) for one in ranges] if isinstance(ranges, list) else []


def said_by(link: Link) -> dict[str, Any]:
    """A link's content; empty where it is no JSON object, which a changed one may not be."""
    try:
        said = json.loads(link.content or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
