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
    from collections.abc import Iterable

    from sensor.model import Evidence

NEW_STATE = "new"


@dataclass(slots=True)
class Head:
    """The latest revision of one episode in one lineage. `view` is loaded for the lineages that are written to."""

    episode_id: str
    lineage_id: int
    subject_id: int
    step: int
    start_ns: int
    end_ns: int
    capped: bool
    listed: bool
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
        self._list(incoming, id_)
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
        for id_ in self.of_subject[incoming.subject_id]:
            head = self.heads[id_].get(lineage_id)
            if head is None or head.merged_into is not None:
                continue
            overlap = head.start_ns <= view.end_ns and view.start_ns <= head.end_ns
            if overlap and (head.capped or view.capped):
                found[id_] += 0
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
        for other in others:
            for head in self.heads[other].values():
                self._set_listed(head, listed=False)
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
        added = [] if merged_into else [item for item in incoming.evidence.items() if item[0] not in keys]
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

    def _list(self, incoming: Incoming, id_: str) -> None:
        """Show the episode under the lineage that judged it last, and hide what that lineage cuts differently."""
        lineage_id = incoming.lineage_id
        view = self._view(id_, lineage_id)
        for head in self.heads[id_].values():
            self._set_listed(head, listed=head.lineage_id == lineage_id)
        for other_lineage in self._other_lineages(incoming):
            for other in self._touched(incoming, view, other_lineage):
                here = self.heads[other].get(lineage_id)
                if (here is None or here.merged_into) and self._covered(other, other_lineage, lineage_id, view):
                    for head in self.heads[other].values():
                        self._set_listed(head, listed=False)

    def _covered(self, id_: str, its_lineage: int, lineage_id: int, view: View) -> bool:
        """Whether all that is known of an episode was judged again in another lineage: else hiding it would lose it."""
        head = self.heads[id_][its_lineage]
        if head.capped and not (view.start_ns <= head.start_ns and head.end_ns <= view.end_ns):
            return False
        return head.capped or all(
            lineage_id in self.links[head.subject_id, packet]
            for member in self.of_subject[head.subject_id]
            if its_lineage in self.heads[member] and self._root(member, its_lineage) == id_
            for packet in self.packets_of[member, its_lineage]
        )

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
