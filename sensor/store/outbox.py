"""The outbox: what is to be told to whom, what was, and what could not be.

A message is written down in the transaction that moves the channel's mark past the episode it tells of, so a crash
neither loses nor doubles it. It is claimed, with a time after which the claim is void, before it is sent, and marked as
sent afterwards: a crash in between sends it again, under the same key.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select, tuple_, update

from sensor.model import Activity, Outcome, Severity
from sensor.store import reading, schema
from sensor.store.failures import translated
from sensor.store.loading import chunks
from sensor.store.notices import OPEN, News, Notice, NoticeState, Plan
from sensor.store.opening import READING
from sensor.store.retrying import written
from sensor.store.schema_outbox import outbox, outbox_marks
from sensor.store.texts import printable
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sensor.store.records import StoredEpisode

HEADS_AT_ONCE: Final = 200  # the sensor waits while they are written down
MAX_NS: Final = (1 << 63) - 1
KEY_BYTES: Final = 16
MAX_ERROR: Final = 300  # characters
T = TypeVar("T")

table, heads, revisions, marks = outbox.c, schema.heads.c, schema.revisions.c, outbox_marks.c


class Outbox:
    """Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def collect(self, channel: str, decide: Callable[[News, tuple[Notice, ...]], Plan | None]) -> int:
        """Write down what `decide` makes of what is new for a channel since the last call; how many messages there are more.

        `decide` is given the news, and what the channel was or is to be told of that episode. A channel that was not there
        before begins now: it is not told what has long been known.
        """
        added = 0
        while self._read(lambda connection: _has_news(connection, channel)):
            added += self._write(lambda connection: _collect(connection, channel, decide, time.time_ns()))
        return added

    def claim(self, channel: str, now_ns: int, lease_ns: int, most: int | None = None) -> tuple[Notice, ...]:
        """What is to be sent next as one message, if anything is due; nobody else gets it before `lease_ns` have passed.

        Of more than `most` that would each be a message of their own, and that nobody has got yet, one is made.
        """
        if not self._read(lambda connection: connection.scalar(_due(channel, now_ns).limit(1)) is not None):
            return ()  # the sensor, which writes all the time, is not made to wait for nothing
        return self._write(lambda connection: _claim(connection, channel, now_ns, lease_ns, most))

    def sent(self, notices: Sequence[Notice]) -> None:
        """They have arrived."""
        self._settle(notices, state=NoticeState.SENT, error="")

    def failed(self, notices: Sequence[Notice], error: str, next_ns: int | None) -> None:
        """They have not; None: they will not be tried again."""
        if next_ns is None:
            self._settle(notices, state=NoticeState.DEAD, error=error)
        else:
            self._settle(notices, state=NoticeState.WAITING, error=error, next_ns=next_ns)

    def dropped(self, notices: Sequence[Notice], why: str) -> None:
        """There is nothing to tell any more."""
        self._settle(notices, state=NoticeState.DROPPED, error=why)

    def listed(self, state: NoticeState, channel: str | None = None) -> list[Notice]:
        """All in one state, oldest first."""
        query = select(outbox).where(table.state == state.value).order_by(table.id)
        if channel is not None:
            query = query.where(table.channel == channel)
        return self._read(lambda connection: [_notice(row) for row in connection.execute(query)])

    def counts(self) -> dict[tuple[str, str], int]:
        """How many there are, by channel and state."""
        query = select(table.channel, table.state, func.count()).group_by(table.channel, table.state)
        rows = self._read(lambda connection: connection.execute(query).all())
        return {(str(channel), str(state)): int(count) for channel, state, count in rows}

    def resend(self, key: str | None, now_ns: int) -> int:
        """Dead letters are to be tried again, as often as new ones: those whose key begins so, or all. How many they are."""

        def write(connection: Connection) -> int:
            query = select(outbox).where(table.state == NoticeState.DEAD.value)
            dead = [_notice(row) for row in connection.execute(query)]
            chosen = {one.message_key for one in dead if key is None or one.message_key.startswith(key)}
            wanted = [one for one in dead if one.message_key in chosen]
            _set(connection, wanted, state=NoticeState.WAITING.value, tries=0, next_ns=now_ns, changed_ns=now_ns)
            return len(wanted)

        return self._write(write)

    def forget(self, most: int = 1000) -> int:
        """Take away what was sent or dropped, of episodes that are gone; how many rows, `most` at most."""
        gone = ~select(heads.episode_id).where(heads.episode_id == table.episode_id).exists()
        settled = table.state.in_((NoticeState.SENT.value, NoticeState.DROPPED.value))
        query = select(table.id).where(settled, gone).order_by(table.id).limit(most)
        ids = self._read(lambda connection: list(connection.scalars(query)))

        def write(connection: Connection) -> None:
            for some in chunks(ids):
                connection.execute(delete(outbox).where(table.id.in_(some), settled))

        if ids:
            self._write(write)
        return len(ids)

    def episode(self, episode_id: str) -> tuple[StoredEpisode, int, int] | None:
        """An episode whole, with the number of the revision it stands at and when that was stored; None: it is gone."""
        query = select(heads.episode_id).where(heads.episode_id == episode_id).limit(1)
        if self._read(lambda connection: connection.scalar(query)) is None:
            return None
        with translated(self._place):
            stored = reading.episode(self._engine, episode_id)
        hashes = stored.episode.signatures_hash, stored.episode.verdict.policy_hash
        of_it = [one for one in stored.revisions if (one.signatures_hash, one.policy_hash) == hashes]
        last = of_it[-1] if of_it else stored.revisions[-1]
        return stored, last.sequence, last.recorded_ns

    def _settle(self, notices: Sequence[Notice], *, state: NoticeState, error: str, **more: int) -> None:
        values = {"state": state.value, "error": printable(error)[:MAX_ERROR], "changed_ns": time.time_ns(), **more}
        self._write(lambda connection: _set(connection, notices, **values))

    def _read(self, read: Callable[[Connection], T]) -> T:
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return read(connection)

    def _write(self, write: Callable[[Connection], T]) -> T:
        with translated(self._place):
            return written(self._engine, write)


def _has_news(connection: Connection, channel: str) -> bool:
    mark = connection.execute(select(outbox_marks).where(marks.channel == channel)).one_or_none()
    if mark is None:
        return True
    place = tuple_(heads.changed_ns, heads.episode_id, heads.lineage_id)
    new = place > tuple_(mark.changed_ns, mark.episode_id, mark.lineage_id)
    query = select(heads.changed_ns).where(heads.changed_ns >= mark.changed_ns, new).limit(1)
    return connection.scalar(query) is not None


def _collect(
    connection: Connection, channel: str, decide: Callable[[News, tuple[Notice, ...]], Plan | None], now_ns: int
) -> int:
    """How many messages were added."""
    mark = _lock(connection, channel)
    if mark is None:
        last_ns = connection.scalar(select(func.max(heads.changed_ns))) or 0
        begin = {"channel": channel, "changed_ns": last_ns + 1, "episode_id": "", "lineage_id": 0}
        insert_missing(connection, outbox_marks, [begin])
        return 0
    rows = connection.execute(_written_since(mark)).all()
    if not rows:
        return 0
    told = _Told(connection, channel, rows)
    for row in rows:
        if row.merged_into is not None:
            told.merge(row.episode_id, row.merged_into, now_ns)
    added = 0
    for row in sorted(rows, key=lambda row: row.sequence):  # as they came
        if row.merged_into is None:
            severity = Severity(row.severity)
            news = News(row.episode_id, row.sequence, Outcome(row.outcome), Activity(row.activity), severity, row.kind)
            plan = decide(news, told.of(row.episode_id))
            if plan is not None and told.add(news, plan, now_ns):
                added += 1
    last = rows[-1]
    connection.execute(
        update(outbox_marks)
        .where(marks.channel == channel)
        .values(changed_ns=last.changed_ns, episode_id=last.episode_id, lineage_id=last.lineage_id)
    )
    return added


def _lock(connection: Connection, channel: str) -> Any:
    """The channel's mark; of two notifiers one waits here for the other. SQLite has one writer at a time anyway."""
    return connection.execute(select(outbox_marks).where(marks.channel == channel).with_for_update()).one_or_none()


def _written_since(mark: Any) -> Select[Any]:
    """Heads in the order in which they were written (see writing.changed_ns); a replay writes many at one time.

    The last time that is looked at comes first, from the index alone: else all that is new would be sorted for each part.
    """
    place = tuple_(heads.changed_ns, heads.episode_id, heads.lineage_id)
    new = (heads.changed_ns >= mark.changed_ns, place > tuple_(mark.changed_ns, mark.episode_id, mark.lineage_id))
    end = select(heads.changed_ns).where(*new).order_by(heads.changed_ns).offset(HEADS_AT_ONCE).limit(1)
    return (
        select(
            heads.changed_ns, heads.episode_id, heads.lineage_id, heads.merged_into, heads.outcome, heads.activity,
            heads.severity, revisions.sequence, revisions.kind,
        )
        .join_from(
            schema.heads,
            schema.revisions,
            (heads.episode_id == revisions.episode_id)
            & (heads.lineage_id == revisions.lineage_id)
            & (heads.step == revisions.step),
        )
        .where(*new, heads.changed_ns <= func.coalesce(end.scalar_subquery(), MAX_NS))
        .order_by(heads.changed_ns, heads.episode_id, heads.lineage_id)
        .limit(HEADS_AT_ONCE)
    )  # fmt: skip


class _Told:
    """What a channel was or is to be told of some episodes, kept up to date while more is added."""

    def __init__(self, connection: Connection, channel: str, rows: Iterable[Any]) -> None:
        self._connection = connection
        self._channel = channel
        self._by_episode: dict[str, list[Notice]] = {}
        ids = {row.episode_id for row in rows} | {row.merged_into for row in rows if row.merged_into is not None}
        for some in chunks(sorted(ids)):
            query = select(outbox).where(table.channel == channel, table.episode_id.in_(some)).order_by(table.id)
            for row in connection.execute(query):
                self._by_episode.setdefault(row.episode_id, []).append(_notice(row))

    def of(self, episode_id: str) -> tuple[Notice, ...]:
        known = self._by_episode.get(episode_id, [])
        return tuple(one for one in known if one.state is not NoticeState.DROPPED)

    def add(self, news: News, plan: Plan, now_ns: int) -> bool:
        """False where this revision was told already."""
        known = self._by_episode.setdefault(news.episode_id, [])
        if any(one.sequence == news.sequence for one in known):
            return False
        if plan.instead:
            self._drop([one for one in known if one.untouched], "told with what came later", now_ns)
        values: dict[str, Any] = {
            "key": secrets.token_hex(KEY_BYTES),
            "channel": self._channel,
            "episode_id": news.episode_id,
            "sequence": news.sequence,
            "occasion": plan.occasion,
            "activity": news.activity,
            "severity": news.severity,
            "digest": plan.digest,
            "batch": "",
            "state": NoticeState.WAITING,
            "tries": 0,
            "next_ns": plan.due_ns,
            "recorded_ns": now_ns,
            "changed_ns": now_ns,
            "error": "",
        }
        stored = values | {
            "activity": int(news.activity),
            "severity": int(news.severity),
            "digest": int(plan.digest),
            "state": NoticeState.WAITING.value,
        }
        id_ = self._connection.execute(insert(outbox).returning(table.id), stored).scalar_one()
        known.append(Notice(id=id_, **values))
        return True

    def merge(self, part: str, whole: str, now_ns: int) -> None:
        """What was told of a part was told of the whole; of what is still waiting, the gravest is enough, if it is news."""
        moved = self._by_episode.pop(part, [])
        if not moved:
            return
        _set(self._connection, moved, episode_id=whole)
        known = self._by_episode.setdefault(whole, [])
        known += [replace(one, episode_id=whole) for one in moved]
        live = [one for one in known if one.state is not NoticeState.DROPPED]
        told = [one for one in live if not one.untouched]
        waiting = [one for one in live if one.untouched]
        waiting.sort(key=lambda one: (-one.severity, -one.activity, one.next_ns))
        if waiting and not any(
            one.severity >= waiting[0].severity and one.activity >= waiting[0].activity for one in told
        ):
            del waiting[0]
        self._drop(waiting, "told with the episode it is part of", now_ns)

    def _drop(self, notices: Sequence[Notice], why: str, now_ns: int) -> None:
        _set(self._connection, notices, state=NoticeState.DROPPED.value, error=why, changed_ns=now_ns)
        gone = {one.id for one in notices}
        for known in self._by_episode.values():
            known[:] = [replace(one, state=NoticeState.DROPPED) if one.id in gone else one for one in known]


def _due(channel: str, now_ns: int) -> Select[Any]:
    """Also what was being sent so long ago that whoever did is gone."""
    return (
        select(outbox)
        .where(table.channel == channel, table.state.in_(OPEN), table.next_ns <= now_ns)
        .order_by(table.next_ns, table.id)
    )


def _claim(connection: Connection, channel: str, now_ns: int, lease_ns: int, most: int | None) -> tuple[Notice, ...]:
    _lock(connection, channel)
    due = _due(channel, now_ns)
    row = connection.execute(due.limit(1)).one_or_none()
    if row is None:
        return ()
    first = _notice(row)
    chosen, batch = [first], first.batch
    if batch:
        chosen = _notices(connection, due.where(table.batch == batch))
    elif first.digest:
        chosen = _notices(connection, due.where(table.digest == 1, table.batch == ""))
        batch = secrets.token_hex(KEY_BYTES)
    elif most is not None and first.untouched:
        alone = due.where(table.digest == 0, table.batch == "", table.tries == 0)
        if len(_notices(connection, alone.limit(most + 1))) > most:
            chosen, batch = _notices(connection, alone), secrets.token_hex(KEY_BYTES)
    tries, until_ns, sending = first.tries + 1, now_ns + lease_ns, NoticeState.SENDING
    _set(connection, chosen, state=sending.value, tries=tries, next_ns=until_ns, changed_ns=now_ns, batch=batch)
    return tuple(
        replace(one, state=sending, tries=tries, next_ns=until_ns, changed_ns=now_ns, batch=batch) for one in chosen
    )


def _notices(connection: Connection, query: Select[Any]) -> list[Notice]:
    """In the order in which they were written down."""
    return sorted((_notice(row) for row in connection.execute(query)), key=lambda one: one.id)


def _set(connection: Connection, notices: Sequence[Notice], **values: Any) -> None:
    for some in chunks([one.id for one in notices]):
        connection.execute(update(outbox).where(table.id.in_(some)).values(values))


def _notice(row: Any) -> Notice:
    values = {name: getattr(row, name) for name in Notice.__slots__}
    return Notice(
        **values
        | {
            "activity": Activity(row.activity),
            "severity": Severity(row.severity),
            "state": NoticeState(row.state),
            "digest": bool(row.digest),
        }
    )
