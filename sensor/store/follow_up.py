"""Follow-up: changes are appended, and of two who saw the same version one wins, decided by the database in one statement."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, bindparam, func, select, text, update

from sensor.store import chain, schema
from sensor.store.failures import translated
from sensor.store.follow_records import STEPS, Act, Action, Change, Order, Outcome, Result, Standing, State, Target
from sensor.store.loading import chunks
from sensor.store.opening import READING
from sensor.store.retrying import written
from sensor.store.schema_follow import follow_ups
from sensor.store.texts import printable
from sensor.store.writing import changed_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

table = follow_ups.c

# The row goes in only where the episode is there, stands at the version that was seen, and its state allows the step.
# What the row before says of assignee and reason is carried on where the order leaves it (:keeps_...).
APPEND: Final = text(
    """
    INSERT INTO follow_ups (episode_id, version, recorded_ns, actor, action, from_state, to_state, reason, assignee, note,
                            related, act, undoes)
    SELECT e.id, CAST(:version AS INTEGER) + 1, :now_ns, :actor, :action, COALESCE(p.to_state, 'new'),
           CASE WHEN :to_state = '' THEN COALESCE(p.to_state, 'new') ELSE :to_state END,
           CASE WHEN :keeps_reason = 1 THEN COALESCE(p.reason, '') ELSE :reason END,
           CASE WHEN :keeps_assignee = 1 THEN COALESCE(p.assignee, '') ELSE :assignee END,
           :note, :related, :act, CAST(:undoes AS BIGINT)
    FROM episodes e LEFT JOIN follow_ups p ON p.episode_id = e.id AND p.version = CAST(:version AS INTEGER)
    WHERE e.id = :episode_id
      AND (CAST(:version AS INTEGER) = 0 OR p.version IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM follow_ups n WHERE n.episode_id = e.id AND n.version > CAST(:version AS INTEGER))
      AND COALESCE(p.to_state, 'new') IN (:s0, :s1, :s2, :s3)
    ON CONFLICT (episode_id, version) DO NOTHING
    """
)


class FollowUps:
    """What people did about episodes. Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def change(self, targets: Sequence[Target], order: Order, actor: str) -> Act:
        """Do it to exactly these, in one transaction; each target that changed meanwhile is left alone and told."""
        act = secrets.token_hex(8)
        steps = [(target, _values(order, actor, act)) for target in dict.fromkeys(targets)]
        return self._write(lambda connection: Act(act, _append(connection, steps)))

    def undo(self, act: str, actor: str, note: str = "") -> Act:
        """Take back what one act did, by further changes; what changed since is left alone and told. No such act: no outcomes."""
        new = secrets.token_hex(8)

        def write(connection: Connection) -> Act:
            steps = [
                (Target(change.episode_id, change.version), _undoing(connection, change, actor, new, note))
                for change in _changes(connection, table.act == printable(act))
                if change.action != Action.UNDO
            ]
            return Act(new, _append(connection, steps))

        return self._write(write)

    def history(self, episode_ids: Iterable[str]) -> list[Change]:
        """All changes of these episodes, oldest first."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            found = [
                change
                for some in chunks(map(printable, episode_ids))
                for change in _changes(connection, table.episode_id.in_(some))
            ]
        return sorted(found, key=lambda change: change.sequence)

    def standings(self, episode_ids: Iterable[str]) -> dict[str, Standing]:
        """Where these episodes stand; one that nobody touched stands at version 0."""
        ids = list(dict.fromkeys(map(printable, episode_ids)))
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return _standings(connection, ids)

    def assigned(self, assignee: str) -> list[str]:
        """The episodes that this user is to look after now."""
        last = follow_ups.alias()
        newer = (
            select(last.c.sequence)
            .where(last.c.episode_id == table.episode_id, last.c.version > table.version)
            .exists()
        )
        query = select(table.episode_id).where(table.assignee == printable(assignee), ~newer)
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return [str(id_) for id_ in connection.scalars(query)]

    def _write(self, write: Callable[[Connection], Act]) -> Act:
        with translated(self._place):
            return written(self._engine, write)


def _values(order: Order, actor: str, act: str) -> dict[str, Any]:
    before, to_state = STEPS[order.action]
    return {
        "actor": printable(actor),
        "action": order.action.value,
        "to_state": "" if to_state is None else to_state.value,
        "keeps_reason": int(to_state is None),
        "reason": "" if order.reason is None else order.reason.value,
        "keeps_assignee": int(order.assignee is None),
        "assignee": printable(order.assignee or ""),
        "note": printable(order.note),
        "related": printable(order.related),
        "act": act,
        "undoes": None,
        **{f"s{number}": state.value for number, state in enumerate((before * 4)[:4])},
    }


def _undoing(connection: Connection, change: Change, actor: str, act: str, note: str) -> dict[str, Any]:
    """What leads from a change back to what was before it."""
    before = connection.execute(
        select(follow_ups).where(table.episode_id == change.episode_id, table.version == change.version - 1)
    ).one_or_none()
    return {
        "actor": printable(actor),
        "action": Action.UNDO.value,
        "to_state": change.from_state,
        "keeps_reason": 0,
        "reason": "" if before is None else before.reason,
        "keeps_assignee": 0,
        "assignee": "" if before is None else before.assignee,
        "note": printable(note),
        "related": "",
        "act": act,
        "undoes": change.sequence,
        **{f"s{number}": state.value for number, state in enumerate(State)},
    }


def _append(connection: Connection, steps: Sequence[tuple[Target, dict[str, Any]]]) -> tuple[Outcome, ...]:
    """One statement decides each; the copies in `heads` follow in the same transaction."""
    now_ns = time.time_ns()
    ids = [printable(target.episode_id) for target, _ in steps]
    if not ids:
        return ()
    _lock(connection, ids)
    won = set()
    for (target, values), id_ in zip(steps, ids, strict=True):
        done = connection.execute(
            APPEND, {**values, "episode_id": id_, "version": target.version, "now_ns": now_ns}
        ).rowcount
        if done == 1:
            won.add((id_, target.version))
    standings = _standings(connection, ids)
    changed = [id_ for id_, _ in won]
    if changed:
        written_ns = changed_ns(connection, now_ns)
        connection.execute(
            update(schema.heads)
            .where(schema.heads.c.episode_id == bindparam("the_episode"))
            .values(state=bindparam("new_state"), changed_ns=written_ns),
            [{"the_episode": id_, "new_state": standings[id_].state} for id_ in sorted(changed)],
        )
    known = _known(connection, ids)
    made = _last(connection, changed)
    sequences = {change.episode_id: change.sequence for change in made}
    chain.append_all(connection, (("follow_up", asdict(change)) for change in made))
    return tuple(
        Outcome(
            target.episode_id,
            _result(target, id_, standings[id_], known=id_ in known, won=(id_, target.version) in won),
            standings[id_],
            sequences.get(id_) if (id_, target.version) in won else None,
        )
        for (target, _), id_ in zip(steps, ids, strict=True)
    )


def _lock(connection: Connection, ids: Sequence[str]) -> None:
    """What the sensor locks when it writes of the same device and app; SQLite's only writer is this one already."""
    if connection.dialect.name != "postgresql":
        return
    for some in chunks(ids):
        subjects = select(schema.episodes.c.subject_id).where(schema.episodes.c.id.in_(some))
        connection.execute(
            select(schema.subjects.c.id)
            .where(schema.subjects.c.id.in_(subjects))
            .order_by(schema.subjects.c.id)
            .with_for_update()
        )


def _result(target: Target, id_: str, standing: Standing, *, known: bool, won: bool) -> Result:
    if won:
        return Result.DONE
    if not known or not id_:
        return Result.NOT_FOUND
    return Result.NOT_POSSIBLE if standing.version == target.version else Result.CHANGED_MEANWHILE


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in chunks(ids):
        found |= set(connection.scalars(select(schema.episodes.c.id).where(schema.episodes.c.id.in_(some))))
    return found


def _last(connection: Connection, ids: Sequence[str]) -> list[Change]:
    """The last change of each of these episodes."""
    found = []
    for some in chunks(ids):
        newest = (
            select(table.episode_id, func.max(table.version).label("version"))
            .where(table.episode_id.in_(some))
            .group_by(table.episode_id)
            .subquery()
        )
        query = select(follow_ups).join(
            newest, (newest.c.episode_id == table.episode_id) & (newest.c.version == table.version)
        )
        found += [_change(row) for row in connection.execute(query)]
    return found


def _standings(connection: Connection, ids: Sequence[str]) -> dict[str, Standing]:
    found = {id_: Standing() for id_ in ids}
    for one in _last(connection, ids):
        found[one.episode_id] = Standing(one.version, one.to_state, one.reason, one.assignee)
    return found


def _changes(connection: Connection, condition: Any) -> list[Change]:
    query = select(follow_ups).where(condition).order_by(table.sequence)
    return [_change(row) for row in connection.execute(query)]


def _change(row: Any) -> Change:
    return Change(**{name: getattr(row, name) for name in Change.__slots__})
