"""Rows of other tables under the chain: what a link says of them, and whether they still are so."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, and_, func, select

from sensor.store import covering_follow, schema
from sensor.store.auditing import Audit, check_links, said_by
from sensor.store.chain import BEGIN, REMOVAL, links
from sensor.store.loading import chunks
from sensor.store.texts import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sensor.store.auditing import Anchor
    from sensor.store.chain import Link
    from sensor.store.rows import Values

JUDGED: Final = "judged"  # one revision of an episode, with its evidence and names
ROWS: Final = "rows"  # added to one of these tables, with the key of each
KEYS: Final = {"policies": "hash", "signature_sets": "hash", "sources": "fingerprint", "sightings": "id"}

Content = tuple[str, "Mapping[str, object]"]  # kind of link, and what it says
Owner = tuple[str, str, str, str]
Place = tuple[str, int, int]  # episode, lineage, step
OF_NOBODY: Final = frozenset({"id", "sequence"})  # numbers that the database gives
OF_REVISION: Final = ("network", "outcome", "activity", "severity", "merged_into", "start_ns", "end_ns", "capped")
HEAD_COPIES: Final = (*(name for name in OF_REVISION if name != "merged_into"), "device_id", "app_key", "subject_id")


def judged(
    revision: Mapping[str, Any], evidence: Iterable[Values], names: Iterable[str], owner: Owner
) -> dict[str, object]:
    """What a link says of a revision. `owner`: device id, app key, hashes of signatures and policy."""
    said = [
        {key: value for key, value in revision.items() if key not in OF_NOBODY},
        sorted(to_json({key: value for key, value in one.items() if key not in OF_NOBODY}) for one in evidence),
        sorted(names),
        owner,
    ]
    return {
        "episode": revision["episode_id"],
        "lineage": revision["lineage_id"],
        "step": revision["step"],
        "outcome": revision["outcome"],
        "sha256": hashlib.sha256(to_json(said).encode()).hexdigest(),
    }


def audit(connection: Connection, anchors: Sequence[Anchor]) -> Audit:
    """See Store.audit."""
    found = Audit()
    try:
        check_links(connection, found, anchors)
        check_rows(connection, found)
    except (TypeError, ValueError, OverflowError) as error:
        found.fault(f"a row holds what no wardwatch writes, and the rest was not looked at: {error}")
    return found


def check_rows(connection: Connection, audit: Audit) -> None:
    """Every covered row is as its link says, and none is there without one. Links are taken as they are."""
    removed = _removed(connection)
    known: set[Place] = set()
    wanted: list[Link] = []
    for link in links(connection, kind=JUDGED):
        wanted.append(link)
        if len(wanted) == 200:
            known |= _check_judged(connection, audit, wanted, removed)
            wanted = []
    known |= _check_judged(connection, audit, wanted, removed)
    _check_unlinked(connection, audit, known)
    _check_heads(connection, audit)
    _check_hashed(connection, audit, removed)
    covering_follow.check(connection, audit, removed)


def _removed(connection: Connection) -> dict[str, set[str]]:
    """What removals name, by table."""
    found: dict[str, set[str]] = {}
    for link in links(connection, kind=REMOVAL):
        for table, ids in said_by(link).items():
            if isinstance(ids, list) and table != "links":
                found.setdefault(table, set()).update(str(id_) for id_ in ids)
    return found


def _check_judged(
    connection: Connection, audit: Audit, wanted: Sequence[Link], removed: Mapping[str, set[str]]
) -> set[Place]:
    said = [(link.sequence, said_by(link)) for link in wanted if link.content is not None]
    episodes = sorted({str(one.get("episode")) for _, one in said})
    found = dict(_stored(connection, episodes))
    places: set[Place] = set()
    for number, one in said:
        place = (str(one.get("episode")), int(one.get("lineage", 0)), int(one.get("step", 0)))
        places.add(place)
        what = f"revision {place[2]} of episode {place[0]} under lineage {place[1]}"
        if place not in found:
            if place[0] not in removed.get("episodes", ()):
                audit.fault(f"{what}: removed; link {number} has it, and no removal names it")
        elif found[place]["sha256"] != one.get("sha256"):
            audit.fault(f"{what}: it, its evidence or its names were changed after link {number}")
        else:
            audit.rows += 1
    return places


def _stored(connection: Connection, episodes: Sequence[str]) -> Iterator[tuple[Place, dict[str, object]]]:
    """What links would say of the revisions of these episodes as they are now."""
    revisions, evidence, names = schema.revisions, schema.evidence, schema.names
    lines: dict[Place, list[Values]] = {}
    for row in connection.execute(select(evidence).where(evidence.c.episode_id.in_(episodes))):
        lines.setdefault((row.episode_id, row.lineage_id, row.step), []).append(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    called: dict[Place, list[str]] = {}
    for row in connection.execute(select(names).where(names.c.episode_id.in_(episodes))):
        called.setdefault((row.episode_id, row.lineage_id, row.step), []).append(row.name)
    subjects = _subjects(connection, episodes)
    lineages = {row.id: row for row in connection.execute(select(schema.lineages))}
    for row in connection.execute(select(revisions).where(revisions.c.episode_id.in_(episodes))):
        place = row.episode_id, row.lineage_id, row.step
        lineage = lineages.get(row.lineage_id)
        hashes = ("", "") if lineage is None else (lineage.signatures_hash, lineage.policy_hash)
        owner = *subjects.get(row.episode_id, ("", "")), *hashes
        yield place, judged(dict(row._mapping), lines.get(place, ()), called.get(place, ()), owner)  # noqa: SLF001 - as above


def _subjects(connection: Connection, episodes: Sequence[str]) -> dict[str, tuple[str, str]]:
    subjects = schema.subjects.c
    query = (
        select(schema.episodes.c.id, subjects.device_id, subjects.app_key)
        .join_from(schema.episodes, schema.subjects, subjects.id == schema.episodes.c.subject_id)
        .where(schema.episodes.c.id.in_(episodes))
    )
    return {row.id: (row.device_id, row.app_key) for row in connection.execute(query)}


def _check_unlinked(connection: Connection, audit: Audit, known: set[Place]) -> None:
    """Revisions that no link names: from before the chain began, or inserted behind its back."""
    revisions = schema.revisions.c
    before = int(_before(connection).get("revisions", 0))
    query = select(revisions.sequence, revisions.episode_id, revisions.lineage_id, revisions.step)
    for row in connection.execute(query.order_by(revisions.sequence)):
        if (row.episode_id, row.lineage_id, row.step) in known:
            continue
        if row.sequence <= before:
            audit.uncovered += 1
        else:
            audit.fault(
                f"revision {row.step} of episode {row.episode_id} under lineage {row.lineage_id}: inserted: no link has it"
            )


def _check_heads(connection: Connection, found: Audit) -> None:
    """What lists show is what the latest revision says, and each episode is shown where no later one covers it."""
    rows = connection.execute(_heads_query()).all()
    shown: dict[int, list[tuple[int, int]]] = {}
    often = Counter(row.episode_id for row in rows if row.listed)
    merged: dict[tuple[int, str], str] = {}
    for row in rows:
        if row.listed:
            shown.setdefault(row.subject_id, []).append((row.start_ns, row.end_ns))
        if row.said_merged_into is not None:
            merged[row.lineage_id, row.episode_id] = row.said_merged_into
    for row in rows:
        wrong = [name for name in HEAD_COPIES if getattr(row, name) != getattr(row, f"said_{name}")]
        if row.merged_into != _root(merged, row.lineage_id, row.episode_id):
            wrong.append("merged_into")
        if not row.listed and row.merged_into is None and not _overlaps(shown.get(row.subject_id, ()), row):
            wrong.append("listed")
        if row.listed and often[row.episode_id] > 1:
            wrong.append("listed")
        if wrong:
            place = f"episode {row.episode_id} under lineage {row.lineage_id}"
            found.fault(f"what lists show of {place}: changed: {', '.join(wrong)}")
    every = connection.execute(select(schema.heads.c.episode_id, schema.heads.c.lineage_id))
    matched = {(row.episode_id, row.lineage_id) for row in rows}
    for episode, lineage in sorted({(row.episode_id, row.lineage_id) for row in every} - matched):
        found.fault(f"what lists show of episode {episode} under lineage {lineage}: changed: step")


def _heads_query() -> Select[Any]:
    heads, revisions = schema.heads.c, schema.revisions.c
    subjects, episodes = schema.subjects.c, schema.episodes.c
    later = schema.revisions.alias()
    latest = select(func.max(later.c.step)).where(
        later.c.episode_id == heads.episode_id, later.c.lineage_id == heads.lineage_id
    )
    same = and_(
        heads.episode_id == revisions.episode_id,
        heads.lineage_id == revisions.lineage_id,
        heads.step == revisions.step,
        heads.step == latest.correlate(schema.heads).scalar_subquery(),
    )
    said = {**{name: revisions[name] for name in OF_REVISION}, "device_id": subjects.device_id,
            "app_key": subjects.app_key, "subject_id": episodes.subject_id}  # fmt: skip
    return (
        select(schema.heads, *(column.label(f"said_{name}") for name, column in said.items()))
        .join_from(schema.heads, schema.revisions, same)
        .join(schema.episodes, episodes.id == heads.episode_id)
        .join(schema.subjects, subjects.id == episodes.subject_id)
    )


def _root(merged: Mapping[tuple[int, str], str], lineage: int, episode: str) -> str | None:
    """What an episode became part of in the end."""
    seen = {episode}
    while (into := merged.get((lineage, episode))) is not None and into not in seen:
        seen.add(into)
        episode = into
    return episode if len(seen) > 1 else None


def _overlaps(spans: Iterable[tuple[int, int]], row: Any) -> bool:
    return any(first <= row.end_ns and row.start_ns <= last for first, last in spans)


def _before(connection: Connection) -> dict[str, Any]:
    """What the store held when its chain began."""
    begin = next(links(connection, kind=BEGIN), None)
    said = {} if begin is None else said_by(begin).get("before", {})
    return said if isinstance(said, dict) else {}


def _check_hashed(connection: Connection, audit: Audit, removed: Mapping[str, set[str]]) -> None:
    """Snapshots, sources and sightings: each link's row is there and says the same, and none is there without one."""
    before = _before(connection)
    for name, key in KEYS.items():
        linked: dict[str, str] = {}
        for link in links(connection, kind=ROWS):
            said = said_by(link)
            rows = said.get("rows")
            if said.get("table") == name and isinstance(rows, dict):
                linked |= {str(id_): str(digest) for id_, digest in rows.items()}
        found = _check_table(connection, audit, name, linked)
        for id_ in sorted(linked.keys() - found - removed.get(name, set())):
            audit.fault(f"{name} {id_}: removed, and no removal names it")
        column = schema.metadata.tables[name].c[key]
        unlinked = sorted({str(id_) for id_ in connection.scalars(select(column))} - linked.keys())
        if len(unlinked) > int(before.get(name, 0)):
            which = f": {unlinked[0]}" if len(unlinked) == 1 else f", among them {unlinked[-1]}"
            audit.fault(f"{name}: {len(unlinked) - int(before.get(name, 0))} rows inserted that no link has{which}")


def _check_table(connection: Connection, audit: Audit, name: str, linked: Mapping[str, str]) -> set[str]:
    """Compares each linked row; answers those that are there."""
    found: set[str] = set()
    for some in chunks(sorted(linked)):
        for id_, digest in row_hashes(connection, name, some).items():
            found.add(id_)
            if digest != linked[id_]:
                audit.fault(f"{name} {id_}: changed")
            else:
                audit.rows += 1
    return found


def row_hashes(connection: Connection, name: str, keys: Sequence[str]) -> dict[str, str]:
    """The hash of each of these rows of a table as it is now, by its key."""
    table = schema.metadata.tables[name]
    rows = connection.execute(select(table).where(table.c[KEYS[name]].in_(keys))).mappings()
    return {str(row[KEYS[name]]): hashlib.sha256(to_json(dict(row)).encode()).hexdigest() for row in rows}


def rows_added(connection: Connection, name: str, keys: Sequence[str]) -> list[Content]:
    """What links are to say of rows just added to a table. Read again: another writer may have been first with the same."""
    return [(ROWS, {"table": name, "rows": row_hashes(connection, name, some)}) for some in chunks(sorted(keys))]
