"""Follow-up under the chain: each change is as its link says, none is there without one, and lists show the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, select

from sensor.store import schema
from sensor.store.auditing import said_by
from sensor.store.chain import links
from sensor.store.schema_follow import follow_ups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.store.auditing import Audit

KIND: Final = "follow_up"
NEW: Final = "new"

Place = tuple[str, int]  # episode, version


def check(connection: Connection, found: Audit, removed: Mapping[str, set[str]]) -> None:
    """`removed`: ids that removals name, by table."""
    rows: dict[Place, dict[str, Any]] = {
        (row["episode_id"], row["version"]): dict(row) for row in connection.execute(select(follow_ups)).mappings()
    }
    linked: set[Place] = set()
    for link in links(connection, kind=KIND):
        said = said_by(link)
        place = str(said.get("episode_id")), said.get("version")
        if link.content is not None and isinstance(place[1], int):
            linked.add((place[0], place[1]))
            _check(found, link.sequence, said, rows.get((place[0], place[1])), removed)
    for episode, version in sorted(rows.keys() - linked):
        found.fault(f"change {version} of the follow-up of episode {episode}: inserted: no link has it")
    _check_states(connection, found, rows)


def _check(
    found: Audit, number: int, said: dict[str, Any], row: dict[str, Any] | None, removed: Mapping[str, set[str]]
) -> None:
    what = f"change {said.get('version')} of the follow-up of episode {said.get('episode_id')}"
    if row is None:
        if str(said.get("episode_id")) not in removed.get("episodes", ()):
            found.fault(f"{what}: removed; link {number} has it, and no removal names it")
        return
    wrong = sorted(name for name, value in said.items() if name in row and row[name] != value)
    if wrong:
        found.fault(f"{what}: changed after link {number}: {', '.join(wrong)}")
    else:
        found.rows += 1


def _check_states(connection: Connection, found: Audit, rows: Mapping[Place, dict[str, Any]]) -> None:
    """The copy that lists filter by."""
    last: dict[str, tuple[int, str]] = {}
    for (episode, version), row in rows.items():
        last[episode] = max(last.get(episode, (0, NEW)), (version, row["to_state"]))
    heads = schema.heads.c
    for head in connection.execute(select(heads.episode_id, heads.state).distinct()):
        wanted = last.get(head.episode_id, (0, NEW))[1]
        if head.state != wanted:
            found.fault(
                f"what lists show of episode {head.episode_id}: changed: state {head.state}, its follow-up says {wanted}"
            )
