"""The chain of hashes: what was judged, done and read, each link holding the hash of the one before.

A link's hash covers its number, time, kind, the hash of its content and the previous link's hash. Of the content it
covers the hash only, so that retention can take a content away and the chain still holds: a later link of kind
`removal` says which were taken, and why.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, func, insert, select, update

from sensor.store import schema
from sensor.store.loading import chunks
from sensor.store.texts import printable, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Row

FORMAT: Final = 1  # raise it whenever a hash covers something else than before
NOTHING: Final = "0" * 64  # what the first link holds as the hash before it
BEGIN: Final = "begin"  # the first link: how far the store had come without a chain
REMOVAL: Final = "removal"
LOCK: Final = 0x77617264  # "ward": the advisory lock of the chain's end, PostgreSQL
SALT_BYTES: Final = 16

table = schema.chain.c


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `content` None: retention took it, and only its hash is left."""

    sequence: int
    recorded_ns: int
    kind: str
    content: str | None  # canonical JSON
    salt: str | None
    content_sha256: str
    previous: str
    hash: str


def append(connection: Connection, kind: str, content: Mapping[str, object]) -> Link:
    """Add one link inside the caller's transaction.

    On PostgreSQL the chain's end stays locked until that transaction ends: do this last in it.
    """
    return append_all(connection, [(kind, content)])[-1]


def append_all(connection: Connection, contents: Iterable[tuple[str, Mapping[str, object]]]) -> list[Link]:
    """Add links in this order, as `append` does; answers them. Nothing to add locks nothing."""
    wanted = list(contents)
    if not wanted:
        return []
    begin(connection)
    _lock(connection)
    return _add(connection, wanted)


def _add(connection: Connection, wanted: Sequence[tuple[str, Mapping[str, object]]]) -> list[Link]:
    """The chain's end is locked."""
    end = last(connection)
    sequence, previous = (0, NOTHING) if end is None else (end.sequence, end.hash)
    now_ns = time.time_ns()
    made: list[Link] = []
    for kind, content in wanted:
        sequence += 1
        link = _link(sequence, now_ns, kind, printable(to_json(content)), previous)
        previous = link.hash
        made.append(link)
    connection.execute(insert(schema.chain), [_values(link) for link in made])
    return made


def begin(connection: Connection) -> None:
    """Make the first link where there is none: before the transaction adds what later links are to cover."""
    if last(connection) is None:
        _lock(connection)
        if last(connection) is None:
            _add(connection, [(BEGIN, {"chain": FORMAT, "before": _before(connection)})])


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))  # SQLite's only writer is this one already


def _before(connection: Connection) -> dict[str, int]:
    """What the store held before the chain began: the last revision's number, and the rows of the tables beside."""
    revision = connection.scalar(select(func.max(schema.revisions.c.sequence))) or 0
    tables = schema.policies, schema.signature_sets, schema.sources, schema.sightings
    sizes = {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables}
    return {"revisions": revision} | sizes


def _link(sequence: int, recorded_ns: int, kind: str, content: str, previous: str) -> Link:
    salt = secrets.token_hex(SALT_BYTES)
    digest = content_hash(content, salt)
    return Link(sequence, recorded_ns, kind, content, salt, digest, previous,
                link_hash(sequence, recorded_ns, kind, digest, previous))  # fmt: skip


def content_hash(content: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}\n{content}".encode()).hexdigest()


def link_hash(sequence: int, recorded_ns: int, kind: str, content_sha256: str, previous: str) -> str:
    """SHA-256 of a JSON array of what the link says, in hex."""
    return hashlib.sha256(to_json([FORMAT, sequence, recorded_ns, kind, content_sha256, previous]).encode()).hexdigest()


def remove(connection: Connection, sequences: Sequence[int], reason: str, **more: object) -> Link:
    """Take the contents of these links away, and add the link that says so; `more` is what else was removed, by table.

    The links' hashes stay: `verify` finds that these were removed by this, and any other missing content.
    """
    for some in chunks(sorted(set(sequences))):
        connection.execute(
            update(schema.chain)
            .where(table.sequence.in_(some), table.content.is_not(None))
            .values(content=None, salt=None)
        )
    return append(connection, REMOVAL, {"reason": reason, "links": _ranges(sequences), **more})


def _ranges(sequences: Iterable[int]) -> list[list[int]]:
    """Numbers as first and last of each unbroken run."""
    found: list[list[int]] = []
    for number in sorted(set(sequences)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def links(connection: Connection, *, kind: str | None = None, after: int = 0, size: int = 1000) -> Iterator[Link]:
    """All links after a number, in order, fetched in parts."""
    while True:
        query = select(schema.chain).where(table.sequence > after).order_by(table.sequence).limit(size)
        rows = connection.execute(query if kind is None else query.where(table.kind == kind)).all()
        for row in rows:
            yield link_of(row)
        if len(rows) < size:
            return
        after = rows[-1].sequence


def last(connection: Connection) -> Link | None:
    """The chain's end; None where nothing was linked yet."""
    row = connection.execute(select(schema.chain).order_by(table.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else link_of(row)


def link_of(row: Row[Any]) -> Link:
    return Link(row.sequence, row.recorded_ns, row.kind, row.content, row.salt, row.content_sha256, row.previous, row.hash)  # fmt: skip


def _values(link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in Link.__slots__}
