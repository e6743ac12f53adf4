"""Which stored episode an incoming one is, and what has to be written. Pure: no database, no clock.

Two views of one device and one app touch if they share a packet, or if they overlap in time and at least one did not
keep all its evidence. Within one lineage (one pair of hashes) what touches is one episode; when an incoming one touches
several, they are merged into the one recorded first. Joining never makes views touch less, so the order in which
episodes come does not decide what becomes one. Across lineages an episode only lends its id: two policies or signature sets
may cut the same packets differently, so each lineage's pieces are matched among themselves first.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensor.store.views import EvidenceKey, View, join, news, packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sensor.model import Evidence

NEW_STATE = "new"


@dataclass(slots=True)
class Head:
    """The latest revision of one episode in one lineage. `view` is loaded for the lineages that are written to.

    `judged` tells of two heads that touch, or that bear one id, which was judged later: there it is the larger.
    """

    episode_id: str
    lineage_id: int
    subject_id: int
    step: int
    start_ns: int
    end_ns: int
    capped: bool
    listed: bool
    judged: int = 0
    merged_into: str | None = None
    state: str = NEW_STATE
    view: View | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """One episode to be stored. `evidence` is by key; `lineage_key` is the text of the hashes."""

    id: str
    subject_id: int
    lineage_id: int
    lineage_key: str
    view: View
    evidence: dict[EvidenceKey, Evidence]


@dataclass(frozen=True, slots=True)
class NewRevision:
    """A row to append, with the evidence and the names that come with it."""

    episode_id: str
    lineage_id: int
    subject_id: int
    step: int
    view: View
    merged_into: str | None
    evidence: tuple[tuple[EvidenceKey, Evidence], ...] = ()
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Ledger:
    """What is stored of the subjects at hand, and what is to be written."""

    heads: dict[str, dict[int, Head]] = field(default_factory=dict)  # by episode, by lineage
    born: dict[str, int] = field(default_factory=dict)  # when each known episode was recorded, ns
    links: dict[tuple[int, str], dict[int, str]] = field(default_factory=dict)  # subject, packet: episode by lineage
    packets_of: defaultdict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    of_subject: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    new_episodes: list[tuple[str, int]] = field(default_factory=list)  # id, subject
    revisions: list[NewRevision] = field(default_factory=list)
    dirty: dict[tuple[str, int], Head] = field(default_factory=dict)

    def know(self, head: Head, recorded_ns: int) -> None:
        self.heads.setdefault(head.episode_id, {})[head.lineage_id] = head
        self.born.setdefault(head.episode_id, recorded_ns)
        self.of_subject[head.subject_id].add(head.episode_id)

    def link(self, subject_id: int, lineage_id: int, packet: str, episode_id: str) -> None:
        self.links.setdefault((subject_id, packet), {})[lineage_id] = episode_id
        self.packets_of[episode_id, lineage_id].add(packet)

    def take(self, incoming: Incoming, now_ns: int) -> tuple[str, str]:
        """Plan what is new of one episode; answers its stored id and "added", "revised" or "unchanged"."""
        group = self._group(incoming)
        if group:
            id_, what = self._extend(incoming, group)
        else:
            id_, what = self._begin(incoming, now_ns)
        self._list(incoming, id_, group)
        return id_, what

    def _group(self, incoming: Incoming) -> list[str]:
        """Episodes of this lineage that are one with `incoming`, the one recorded first in front."""
        group: set[str] = set()
        joined = incoming.view
        while fresh := set(self._touched(incoming, joined, incoming.lineage_id)) - group:
            group |= fresh
            for id_ in fresh:
                joined = join(joined, self._view(id_, incoming.lineage_id))
        return sorted(group, key=self._age)

    def _touched(self, incoming: Incoming, view: View, lineage_id: int) -> Counter[str]:
        """Episodes of a lineage that touch `view`, with the number of packets they share."""
        found: Counter[str] = Counter()
        for packet in packets(view):
            id_ = self.links.get((incoming.subject_id, packet), {}).get(lineage_id)
            if id_ is not None:
                found[self._root(id_, lineage_id)] += 1
        for head in self._live(incoming.subject_id, lineage_id):
            overlap = head.start_ns <= view.end_ns and view.start_ns <= head.end_ns
            if overlap and (head.capped or view.capped):
                found[head.episode_id] += 0
        same = self.heads.get(incoming.id, {}).get(lineage_id)
        if same is not None and same.subject_id == incoming.subject_id and not view.keys:
            found[self._root(incoming.id, lineage_id)] += 0  # no packet to go by; else the id may be a borrowed one
        return found

    def _extend(self, incoming: Incoming, group: list[str]) -> tuple[str, str]:
        survivor, *others = group
        lineage_id = incoming.lineage_id
        known = base = self._view(survivor, lineage_id)
        for other in others:
            base = join(base, self._view(other, lineage_id))
        result = news(base, incoming.view)
        if result is None and not others:
            return survivor, "unchanged"
        for other in others:
            self._append(self.heads[other][lineage_id], self._view(other, lineage_id), incoming, base, survivor)
        self._append(self.heads[survivor][lineage_id], result or base, incoming, base, None, known.names)
        self._follow(others, survivor, lineage_id)
        return survivor, "revised"

    def _begin(self, incoming: Incoming, now_ns: int) -> tuple[str, str]:
        id_ = self._borrowed_id(incoming)
        known = id_ is not None
        if id_ is None:
            id_ = incoming.id if incoming.id not in self.born else _other_id(incoming)
            self.new_episodes.append((id_, incoming.subject_id))
        view = incoming.view
        states = {head.state for head in self.heads.get(id_, {}).values()}
        head = Head(
            id_,
            incoming.lineage_id,
            incoming.subject_id,
            0,
            view.start_ns,
            view.end_ns,
            view.capped,
            listed=True,
            state=min(states, default=NEW_STATE),
            is_new=True,
        )
        self.know(head, now_ns)
        self._append(head, view, incoming, None, None)
        return id_, "revised" if known else "added"

    def _borrowed_id(self, incoming: Incoming) -> str | None:
        """The id of the episode that other hashes made of these packets, unless this lineage has used it."""
        shared: Counter[str] = Counter()
        for lineage_id in self._other_lineages(incoming):
            for id_, count in self._touched(incoming, incoming.view, lineage_id).items():
                if incoming.lineage_id not in self.heads[id_]:
                    shared[id_] = max(shared[id_], count)
        return min(shared, key=lambda id_: (id_ != incoming.id, -shared[id_], *self._age(id_)), default=None)

    def _append(
        self,
        head: Head,
        view: View,
        incoming: Incoming,
        base: View | None,
        merged_into: str | None,
        names: Iterable[str] = (),
    ) -> None:
        """Plan one revision; one that says "merged" brings nothing else."""
        keys = base.keys if base else frozenset()
        fresh = frozenset() if merged_into else view.keys - keys  # the view has none of what was no news to it
        added = [item for item in incoming.evidence.items() if item[0] in fresh]
        fresh_names = () if merged_into else tuple(sorted(set(view.names) - set(names)))
        head.step += 1
        head.view, head.merged_into = view, merged_into
        head.start_ns, head.end_ns, head.capped = view.start_ns, view.end_ns, view.capped
        self.dirty[head.episode_id, head.lineage_id] = head
        self.revisions.append(
            NewRevision(
                head.episode_id,
                head.lineage_id,
                head.subject_id,
                head.step,
                view,
                merged_into,
                tuple(added),
                fresh_names,
            )
        )
        for (packet, _), _evidence in added:
            self.link(head.subject_id, head.lineage_id, packet, head.episode_id)

    def _follow(self, merged: list[str], survivor: str, lineage_id: int) -> None:
        """What was merged into one of `merged` earlier now leads to the survivor in one step."""
        for lineages in self.heads.values():
            head = lineages.get(lineage_id)
            if head is not None and head.merged_into in merged:
                head.merged_into = survivor
                self.dirty[head.episode_id, lineage_id] = head

    def _list(self, incoming: Incoming, id_: str, group: list[str]) -> None:
        """Note that the episode was judged last, and settle anew what lists show of it and of all it bears upon.

        What is shown follows from what is known and from what was judged later than what, never from what was shown
        before. So it does not change when the same captures are replayed again.
        """
        head = self.heads[id_][incoming.lineage_id]
        view = self._view(id_, incoming.lineage_id)
        touched = [
            self.heads[other][lineage_id]
            for lineage_id in self._other_lineages(incoming)
            for other in self._touched(incoming, view, lineage_id)
        ]
        earlier = [one.judged for one in (*self.heads[id_].values(), *touched) if one is not head]
        if head.judged <= max(earlier, default=-1):
            head.judged = max(earlier) + 1
            self.dirty[id_, head.lineage_id] = head
        for one in {id_, *group, *(one.episode_id for one in touched)}:
            self._settle_listed(one)

    def _settle_listed(self, id_: str) -> None:
        """Show the episode under the lineage that judged it last, of those whose part was not judged again since."""
        heads = self.heads[id_].values()
        left = [head for head in heads if head.merged_into is None and not self._covered(head)]
        shown = max(left, key=lambda head: (head.judged, head.lineage_id), default=None)
        for head in heads:
            self._set_listed(head, listed=head is shown)

    def _covered(self, head: Head) -> bool:
        """Whether one other lineage judged again all that is known of an episode: else hiding it would lose it."""
        members = self.of_subject[head.subject_id]
        lineages = {lineage for member in members for lineage in self.heads[member]} - {head.lineage_id}
        if not lineages:
            return False
        if head.capped:
            return any(
                later.judged > head.judged and later.start_ns <= head.start_ns and head.end_ns <= later.end_ns
                for lineage_id in lineages
                for later in self._live(head.subject_id, lineage_id)
            )
        known = self._packets(head)
        return bool(known) and any(
            all(self._judged(head.subject_id, lineage_id, packet) > head.judged for packet in known)
            for lineage_id in lineages
        )

    def _live(self, subject_id: int, lineage_id: int) -> Iterator[Head]:
        for id_ in self.of_subject[subject_id]:
            head = self.heads[id_].get(lineage_id)
            if head is not None and head.merged_into is None:
                yield head

    def _packets(self, head: Head) -> set[str]:
        """All packets of an episode, with those of the episodes merged into it."""
        return {
            packet
            for member in self.of_subject[head.subject_id]
            if head.lineage_id in self.heads[member] and self._root(member, head.lineage_id) == head.episode_id
            for packet in self.packets_of[member, head.lineage_id]
        }

    def _judged(self, subject_id: int, lineage_id: int, packet: str) -> int:
        """When a lineage judged the episode of a packet, -1 where it knows of none."""
        id_ = self.links.get((subject_id, packet), {}).get(lineage_id)
        return -1 if id_ is None else self.heads[self._root(id_, lineage_id)][lineage_id].judged

    def _set_listed(self, head: Head, *, listed: bool) -> None:
        if head.listed != listed:
            head.listed = listed
            self.dirty[head.episode_id, head.lineage_id] = head

    def _other_lineages(self, incoming: Incoming) -> list[int]:
        known = {lineage for id_ in self.of_subject[incoming.subject_id] for lineage in self.heads[id_]}
        return sorted(known - {incoming.lineage_id})

    def _root(self, id_: str, lineage_id: int) -> str:
        return self.heads[id_][lineage_id].merged_into or id_

    def _view(self, id_: str, lineage_id: int) -> View:
        view = self.heads[id_][lineage_id].view
        if view is None:
            raise LookupError(f"episode {id_} was matched but not loaded")
        return view

    def _age(self, id_: str) -> tuple[int, int, str]:
        return self.born[id_], min(head.start_ns for head in self.heads[id_].values()), id_


def _other_id(incoming: Incoming) -> str:
    """An id for a piece whose own id another episode bears, cut differently under other hashes.

    Made of the hashes and its first packet, which in one lineage belongs to one episode only.
    """
    subject = f"{incoming.view.device_id}\0{incoming.view.app}\0{','.join(incoming.view.candidates)}"
    text = f"{incoming.id}\0{incoming.lineage_key}\0{subject}\0{min(incoming.view.keys, default='')}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[: max(16, len(incoming.id))]
