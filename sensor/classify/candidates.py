"""Which apps are left where several pieces of evidence speak of a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.model import Evidence

AMBIGUOUS_NS: Final = 10_000_000_000  # two names of one address, asked for within this time: either may be meant
SHAPES: Final = frozenset({"stun", "payload", "media", "tied"})  # what a flow looks like holds for all of it


def decisive(evidence: Iterable[Evidence]) -> list[Evidence]:
    """The strongest evidence; of names only those about as late as the last piece, for a later name replaces an earlier."""
    listed = list(evidence)
    strength = max((one.match.strength for one in listed), default=0)
    latest = max((one.time_ns for one in listed), default=0)
    return [
        one
        for one in listed
        if one.match.strength == strength and (one.kind in SHAPES or latest - one.time_ns <= AMBIGUOUS_NS)
    ]


def candidates(evidence: Iterable[Evidence]) -> tuple[str, ...]:
    """The apps that every piece of evidence leaves; where none does, all that are spoken of. Context speaks of none.

    What two siblings share leaves both, what only one of them has leaves that one: the relay's keep-alive may be WhatsApp's
    or Messenger's, but where the relay was asked for as only WhatsApp does, it is WhatsApp's.
    """
    seen: dict[tuple[str, str, int], dict[str, None]] = {}
    for one in evidence:
        if not one.match.context:
            seen.setdefault((one.kind, one.value, one.frame), {})[one.match.app] = None
    every = dict.fromkeys(app for apps in seen.values() for app in apps)
    left = tuple(app for app in every if all(app in apps for apps in seen.values()))
    return left or tuple(every)
