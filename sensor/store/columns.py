"""Everything that lists show, as columns in memory: any filter counts a million rows in milliseconds.

A copy of `heads` where `listed` is 1, brought up to date before each use by what was written since (`changed_ns`).
A `Columns` never changes: the next one replaces it, so whoever still counts in it is not disturbed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, func, select

from sensor.model import Outcome
from sensor.store import schema
from sensor.store.failures import translated
from sensor.store.follow_records import State
from sensor.store.opening import READING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

heads = schema.heads.c
CHUNK_ROWS: Final = 50_000
OUTCOMES: Final = tuple(Outcome)
STATES: Final = tuple(State)
CODED: Final = ("device", "app_key", "network")

ROW = np.dtype(
    [
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),
        ("id", "S32"),
        ("lineage", "<i4"),
        ("device", "<i4"),
        ("app_key", "<i2"),
        ("network", "<i2"),
        ("activity", "i1"),
        ("severity", "i1"),
        ("outcome", "i1"),
        ("state", "i1"),
        ("cell", "<i4"),
    ]
)
CELL: Final = ("network", "app_key", "activity", "severity", "outcome", "state")
NAMES: Final = tuple(ROW.names or ())


@dataclass(frozen=True, slots=True)
class Words:
    """The texts that a coded column's numbers stand for; they are only ever added to."""

    texts: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    def code(self, text: str) -> int:
        found = self.codes.get(text)
        if found is None:
            self.texts.append(text)
            found = self.codes[text] = len(self.texts) - 1
        return found


class Cells:
    """The combinations of values of CELL that there are, numbered: what is counted once by them is summed up by any of them."""

    def __init__(self) -> None:
        self.codes: dict[tuple[int, ...], int] = {}
        self._table = np.zeros((0, len(CELL)), np.int64)

    def code(self, key: tuple[int, ...]) -> int:
        return self.codes.setdefault(key, len(self.codes))

    def table(self) -> dict[str, NDArray[np.int64]]:
        """The values of each combination, by column."""
        if len(self._table) != len(self.codes):
            self._table = np.array(list(self.codes), np.int64).reshape(-1, len(CELL))
        return dict(zip(CELL, self._table.T, strict=True))


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows in the order of start time, then id, oldest first. `outcome` and `state` index OUTCOMES and STATES."""

    data: dict[str, NDArray[Any]]
    words: dict[str, Words]
    cells: Cells
    changed_ns: int = 0
    removed: str = "0"
    version: int = 0  # another one for other contents

    def __len__(self) -> int:
        return len(self.data["start_ns"])


class ColumnCache:
    """The columns of one store, brought up to date by `current`."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        self._lock = threading.Lock()
        self._columns: Columns | None = None

    def current(self) -> Columns:
        """The columns as the store is now. The first call reads it all."""
        with translated(self._place):
            known = self._columns
            if known is not None:
                with self._engine.connect().execution_options(**READING) as connection:
                    if _mark(connection) == (known.changed_ns, known.removed):
                        return known
            # What is looked at begins after the lock is held: an older look would take back what another thread has put in.
            with self._lock, self._engine.connect().execution_options(**READING) as connection:
                known, (changed_ns, removed) = self._columns, _mark(connection)
                if known is None or known.removed != removed:
                    self._columns = _whole(connection, changed_ns, removed, 0 if known is None else known.version + 1)
                elif known.changed_ns != changed_ns:
                    self._columns = _renewed(connection, known, changed_ns)
                made: Columns | None = self._columns
        if made is None:
            raise AssertionError("unreachable")
        return made


def _mark(connection: Connection) -> tuple[int, str]:
    """By what one sees that something was written since."""
    changed_ns = connection.scalar(select(func.max(heads.changed_ns))) or 0
    removed = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "heads_removed")) or "0"
    return int(changed_ns), str(removed)


QUERY: Final = select(
    heads.start_ns, heads.end_ns, heads.episode_id, heads.lineage_id, heads.device_id, heads.app_key, heads.network,
    heads.activity, heads.severity, heads.outcome, heads.state, heads.listed,
)  # fmt: skip


def _whole(connection: Connection, changed_ns: int, removed: str, version: int) -> Columns:
    words, cells = {name: Words() for name in CODED}, Cells()
    query = QUERY.where(heads.listed == 1).order_by(heads.start_ns, heads.episode_id)
    result = connection.execution_options(yield_per=CHUNK_ROWS).execute(query)
    parts = [_rows(some, words, cells) for some in result.partitions(CHUNK_ROWS)]
    return Columns(_joined(parts), words, cells, changed_ns, removed, version)


def _renewed(connection: Connection, known: Columns, changed_ns: int) -> Columns:
    """With what was written since put in its place. What is not touched is shared with `known`."""
    rows = connection.execute(QUERY.where(heads.changed_ns > known.changed_ns)).all()
    # An episode has one listed row at most; what was written of any of its rows is found by its id.
    listed = [row for row in rows if row.listed == 1]
    beside = _listed(connection, sorted({row.episode_id for row in rows} - {row.episode_id for row in listed}))
    fresh = _in_order(_rows([*listed, *beside], known.words, known.cells), 0)
    gone = np.flatnonzero(is_in(known.data["id"], np.array(sorted({row.episode_id.encode() for row in rows}), "S32")))
    data = _replaced(known.data, fresh, gone)
    return replace(known, data=data, changed_ns=changed_ns, version=known.version + 1)


def _replaced(
    data: dict[str, NDArray[Any]], fresh: dict[str, NDArray[Any]], gone: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Rows `gone` taken out and `fresh` put in, both in order. The usual cases copy little: others' states, and new rows at the end."""
    size, count = len(data["start_ns"]), len(fresh["start_ns"])
    if len(gone) == count and all((data[name][gone] == fresh[name]).all() for name in ("start_ns", "id")):
        made = {}
        for name, column in data.items():
            made[name] = column
            if not (column[gone] == fresh[name]).all():
                made[name] = column.copy()
                made[name][gone] = fresh[name]
        return made
    if not len(gone) and (not size or data["start_ns"][-1] < fresh["start_ns"][0]):
        return {name: _appended(column, fresh[name]) for name, column in data.items()}
    stays = np.ones(size, np.bool_)
    stays[gone] = False
    kept = {name: column[stays] for name, column in data.items()} if len(gone) else data
    return _in_order(_joined([kept, fresh]), size - len(gone))


def _appended(column: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    """In the room behind the column, which nobody reads yet: only the newest columns grow. Else in more room."""
    size, needed = len(column), len(column) + len(more)
    room = column.base
    if not isinstance(room, np.ndarray) or room.ndim != 1 or room.dtype != column.dtype or len(room) < needed:
        room = np.zeros(needed + needed // 8 + 1024, column.dtype)
        room[:size] = column
    room[size:needed] = more
    return room[:needed]


def _listed(connection: Connection, ids: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), 500):
        query = QUERY.where(heads.listed == 1, heads.episode_id.in_(ids[start : start + 500]))
        found += connection.execute(query).all()
    return found


def is_in(ids: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `ids` are in `wanted`, which is small and sorted: the first eight bytes decide almost all."""
    if not len(wanted) or not len(ids):
        return np.zeros(len(ids), np.bool_)
    beginnings = np.ascontiguousarray(ids).view("<u8").reshape(len(ids), -1)[:, 0]
    some = np.unique(np.ascontiguousarray(wanted).view("<u8").reshape(len(wanted), -1)[:, 0])
    found: NDArray[np.bool_] = np.isin(beginnings, some)
    places = np.flatnonzero(found)
    found[places] = np.isin(ids[places], wanted)
    return found


def _rows(rows: Sequence[Any], words: dict[str, Words], cells: Cells) -> dict[str, NDArray[Any]]:
    outcomes = {one.value: number for number, one in enumerate(OUTCOMES)}
    states = {one.value: number for number, one in enumerate(STATES)}
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 12
    start, end, id_, lineage, device, app_key, network, activity, severity, outcome, state, _ = columns
    values: dict[str, Iterable[Any]] = {
        "start_ns": start,
        "end_ns": end,
        "id": [text.encode() for text in id_],
        "lineage": lineage,
        "device": map(words["device"].code, device),
        "app_key": list(map(words["app_key"].code, app_key)),
        "network": list(map(words["network"].code, network)),
        "activity": activity,
        "severity": severity,
        "outcome": list(map(outcomes.__getitem__, outcome)),
        "state": [states.get(text, 0) for text in state],
    }
    values["cell"] = map(cells.code, zip(*(values[name] for name in CELL), strict=True))
    return {name: np.array(list(values[name]), ROW[name]) for name in NAMES}


def _joined(parts: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts] or [np.zeros(0, ROW[name])]) for name in NAMES}


def _in_order(data: dict[str, NDArray[Any]], ordered: int) -> dict[str, NDArray[Any]]:
    """Sorted again, where the first `ordered` rows are in order already: only from the earliest new one on."""
    start = data["start_ns"]
    if ordered == len(start):
        return data
    begin = int(np.searchsorted(start[:ordered], start[ordered:].min(), "left"))
    tail = np.lexsort((data["id"][begin:], start[begin:]))
    for column in data.values():
        column[begin:] = column[begin:][tail]
    return data
