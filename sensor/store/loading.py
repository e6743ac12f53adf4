"""What is stored of the episodes that incoming ones may touch, read inside the transaction that will write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, or_, select

from sensor.store import schema
from sensor.store.ledger import Head, Incoming, Ledger
from sensor.store.rows import view_of_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sensor.store.views import EvidenceKey, View

CHUNK = 500  # values in one IN list; far below what SQLite (32,766) and PostgreSQL (65,535) bind

Spans = dict[int, tuple[int, int]]  # by subject: first and last ns


def chunks(values: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    listed = list(values)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def load(connection: Connection, incoming: Sequence[Incoming], policy_of: dict[int, str]) -> Ledger:
    """All that `incoming` can touch, directly or through what it touches. `policy_of`: policy hash by lineage id."""
    loader = _Loader(connection, policy_of)
    packets = {packet for one in incoming for packet, _ in one.view.keys}
    ids = {one.id for one in incoming} | loader.overlapping(incoming)
    subjects = {one.subject_id for one in incoming}
    loader.fetch(packets, ids, subjects)
    while beside := loader.beside_capped(incoming):
        loader.fetch(set(), beside, subjects)
    return loader.ledger


def _widen(spans: Spans, subject_id: int, first: int, last: int) -> None:
    low, high = spans.get(subject_id, (first, last))
    spans[subject_id] = min(low, first), max(high, last)


class _Loader:
    def __init__(self, connection: Connection, policy_of: dict[int, str]) -> None:
        self.connection = connection
        self.policy_of = policy_of
        self.ledger = Ledger()

    def overlapping(self, incoming: Sequence[Incoming]) -> set[str]:
        """Episodes that overlap in time where evidence was capped: shared packets alone cannot find those."""
        any_capped = any(one.view.capped for one in incoming)
        pending: Spans = {}
        for one in incoming:
            _widen(pending, one.subject_id, one.view.start_ns, one.view.end_ns)
        spans = dict(pending)
        found: set[str] = set()
        while pending:
            found |= {row.episode_id for row in self._in_time(spans, pending, any_capped=any_capped)}
            pending = {subject: spans[subject] for subject in pending if spans[subject] != pending[subject]}
        return found

    def beside_capped(self, incoming: Sequence[Incoming]) -> set[str]:
        """Episodes not loaded yet that overlap in time what is at hand of a subject of which some evidence was capped.

        What is joined with a capped episode is capped over its whole span, so it touches whatever lies there.
        """
        heads = [head for lineages in self.ledger.heads.values() for head in lineages.values()]
        capped = {head.subject_id for head in heads if head.capped}
        capped |= {one.subject_id for one in incoming if one.view.capped}
        spans: Spans = {}
        parts: list[tuple[int, Head | View]] = [(head.subject_id, head) for head in heads]
        parts += [(one.subject_id, one.view) for one in incoming]
        for subject, part in parts:
            if subject in capped:
                _widen(spans, subject, part.start_ns, part.end_ns)
        if not spans:
            return set()
        return {row.episode_id for row in self._in_time(spans, dict(spans), any_capped=True)} - self.ledger.heads.keys()

    def _in_time(self, spans: Spans, pending: Spans, *, any_capped: bool) -> Iterator[Any]:
        heads = schema.heads.c
        low = min(span[0] for span in pending.values())
        high = max(span[1] for span in pending.values())
        for some in chunks(sorted(pending)):
            query = select(heads.episode_id, heads.subject_id, heads.start_ns, heads.end_ns).where(
                heads.subject_id.in_(some), heads.start_ns <= high, heads.end_ns >= low
            )
            for row in self.connection.execute(query if any_capped else query.where(heads.capped == 1)):
                first, last = spans[row.subject_id]
                if row.start_ns <= last and first <= row.end_ns:
                    _widen(spans, row.subject_id, row.start_ns, row.end_ns)
                    yield row

    def fetch(self, packets: set[str], ids: set[str], subjects: set[int]) -> None:
        """Load episodes by packet and by id, then what those lead to, until nothing new comes."""
        seen_packets: set[str] = set()
        seen_ids: set[str] = set()
        while packets or ids:
            ids |= self._linked(packets, subjects) - seen_ids
            seen_packets |= packets
            seen_ids |= ids
            packets = {packet for packet, _ in self._heads(ids)} - seen_packets
            ids = self._kin(ids) - seen_ids

    def _linked(self, packets: set[str], subjects: set[int]) -> set[str]:
        table = schema.evidence.c
        found: set[str] = set()
        for some in chunks(sorted(packets)):
            query = select(table.packet_id, table.subject_id, table.lineage_id, table.episode_id)
            for row in self.connection.execute(query.where(table.packet_id.in_(some))):
                if row.subject_id in subjects:
                    self.ledger.link(row.subject_id, row.lineage_id, row.packet_id, row.episode_id)
                    found.add(row.episode_id)
        return found

    def _kin(self, ids: set[str]) -> set[str]:
        """Episodes merged into these, and those that these were merged into."""
        table = schema.heads.c
        found: set[str] = set()
        for some in chunks(sorted(ids)):
            query = select(table.episode_id, table.merged_into).where(
                table.merged_into.is_not(None), or_(table.merged_into.in_(some), table.episode_id.in_(some))
            )
            for row in self.connection.execute(query):
                found |= {row.episode_id, row.merged_into}
        return found

    def _heads(self, ids: set[str]) -> set[EvidenceKey]:
        """Load heads of all lineages, and the views of those being written to; answers the views' evidence keys."""
        known: set[EvidenceKey] = set()
        for some in chunks(sorted(ids)):
            keys, names = self._keys(some), self._names(some)
            heads, revisions, episodes = schema.heads, schema.revisions, schema.episodes
            query = (
                select(
                    revisions,
                    heads.c.subject_id,
                    heads.c.device_id,
                    heads.c.app_key,
                    heads.c.listed,
                    heads.c.judged,
                    heads.c.state,
                    heads.c.merged_into.label("root"),
                    episodes.c.recorded_ns.label("born_ns"),
                )
                .join_from(
                    heads,
                    revisions,
                    (heads.c.episode_id == revisions.c.episode_id)
                    & (heads.c.lineage_id == revisions.c.lineage_id)
                    & (heads.c.step == revisions.c.step),
                )
                .join(episodes, episodes.c.id == heads.c.episode_id)
                .where(heads.c.episode_id.in_(some))
            )
            for row in self.connection.execute(query):
                self.ledger.know(self._head(row, keys, names), row.born_ns)
            known |= {key for found in keys.values() for key in found}
        return known

    def _head(
        self, row: Any, keys: dict[tuple[str, int], set[EvidenceKey]], names: dict[tuple[str, int], set[str]]
    ) -> Head:
        place = row.episode_id, row.lineage_id
        view = None
        if row.lineage_id in self.policy_of:
            found = frozenset(keys.get(place, ()))
            policy_hash = self.policy_of[row.lineage_id]
            view = view_of_row(row, row.device_id, row.app_key, policy_hash, names.get(place, ()), found)
        return Head(
            row.episode_id,
            row.lineage_id,
            row.subject_id,
            row.step,
            row.start_ns,
            row.end_ns,
            bool(row.capped),
            listed=bool(row.listed),
            judged=row.judged,
            merged_into=row.root,
            state=row.state,
            view=view,
        )

    def _keys(self, ids: Sequence[str]) -> dict[tuple[str, int], set[EvidenceKey]]:
        """Evidence keys by episode and lineage; a merged episode's count for the one it was merged into."""
        table, heads = schema.evidence.c, schema.heads.c
        owner = {}
        for row in self.connection.execute(
            select(heads.episode_id, heads.lineage_id, heads.merged_into).where(heads.merged_into.in_(ids))
        ):
            owner[row.episode_id, row.lineage_id] = row.merged_into
        members = sorted({*ids, *(id_ for id_, _ in owner)})
        found: dict[tuple[str, int], set[EvidenceKey]] = {}
        for some in chunks(members):
            query = select(table.episode_id, table.lineage_id, table.packet_id, table.rule)
            for key in self.connection.execute(query.where(table.episode_id.in_(some))):
                place = key.episode_id, key.lineage_id
                for id_ in {key.episode_id, owner.get(place, key.episode_id)}:
                    found.setdefault((id_, key.lineage_id), set()).add((key.packet_id, key.rule))
        return found

    def _names(self, ids: Sequence[str]) -> dict[tuple[str, int], set[str]]:
        table = schema.names.c
        found: dict[tuple[str, int], set[str]] = {}
        for row in self.connection.execute(
            select(table.episode_id, table.lineage_id, table.name).where(table.episode_id.in_(ids))
        ):
            found.setdefault((row.episode_id, row.lineage_id), set()).add(row.name)
        return found
