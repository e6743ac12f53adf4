"""Lists for other programs: CSV that is safe in spreadsheets, JSON lines, Parquet. What is taken out is recorded."""

from __future__ import annotations

import csv
import io
import tempfile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sensor.formulas import harmless
from sensor.records import line
from sensor.services.errors import InvalidError
from sensor.services.people import Right
from sensor.wording import NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from sensor.services.material import Material
    from sensor.services.people import Who
    from sensor.services.query import Query
    from sensor.services.records import Violation
    from sensor.services.violations import Violations

MAX_ROWS: Final = 200_000
PART_ROWS: Final = 500
MEMORY_BYTES: Final = 8 << 20  # of a Parquet file; more goes to the disk
TEXTS: Final = (
    "id", "state", "closing_reason", "assignee", "outcome", "severity", "app", "app_name", "activity", "network",
    "device", "device_id", "start", "end", "strength", "rule", "reason", "policy_hash", "signatures_hash", "recorded",
)  # fmt: skip
NUMBERS: Final = ("version", "bytes_up", "bytes_down", "packets", "flows")
COLUMNS: Final = (*TEXTS, *NUMBERS, "duration_s")


class Export(NamedTuple):
    """How many rows, and the parts of the file."""

    rows: int
    parts: Iterator[bytes]


class Exports:
    """What a query finds, whole."""

    def __init__(self, material: Material, violations: Violations) -> None:
        self._material = material
        self._violations = violations

    def as_csv(self, who: Who, query: Query) -> Export:
        """UTF-8 with a heading. Raises InvalidError for too many rows, ForbiddenError."""
        rows, found = self._found(who, query, "csv")
        return Export(rows, _csv(found))

    def as_json_lines(self, who: Who, query: Query) -> Export:
        """One object a line."""
        rows, found = self._found(who, query, "jsonl")
        return Export(rows, ("".join(map(line, part)).encode() for part in found))

    def as_parquet(self, who: Who, query: Query) -> Export:
        """Compressed by zstd; times are texts as in the others."""
        rows, found = self._found(who, query, "parquet")
        return Export(rows, _parquet(found))

    def _found(self, who: Who, query: Query, form: str) -> tuple[int, Iterator[list[dict[str, Any]]]]:
        who.require(Right.EXPORT)
        rows = self._material.narrowed(who, query)
        mask = rows.all_but()
        places = np.arange(rows.high - rows.low) if mask is None else np.flatnonzero(mask)
        if len(places) > MAX_ROWS:
            raise InvalidError(f"finds {len(places)} rows, more than the {MAX_ROWS} that one file takes", "since")
        devices = rows.texts("device")
        seen = any(who.sees(devices[code]) for code in np.unique(rows.column("device")[places]))
        asked = {name: value for name in query.__slots__ if (value := getattr(query, name))}
        self._material.recorder.read(who, "export", [], identities=seen, form=form, rows=len(places), query=asked)

        def parts() -> Iterator[list[dict[str, Any]]]:
            for start in range(0, len(places), PART_ROWS):
                some = places[::-1][start : start + PART_ROWS]
                yield [record(one) for one in self._violations.of_rows(who, self._material.rows(rows, some))]

        return len(places), parts()


def record(one: Violation) -> dict[str, Any]:
    """A flat row."""
    made: dict[str, Any] = {name: getattr(one, name) for name in (*TEXTS, *NUMBERS) if hasattr(one, name)}
    made |= {
        "app": one.app or " or ".join(one.candidates),
        "device": one.device.text,
        "device_id": one.device.id,
        "start": rfc3339(one.start_ns),
        "end": rfc3339(one.end_ns),
        "recorded": rfc3339(one.recorded_ns),
        "duration_s": round((one.end_ns - one.start_ns) / NS, 3),
    }
    return {name: made[name] for name in COLUMNS}


def _csv(parts: Iterator[list[dict[str, Any]]]) -> Iterator[bytes]:
    yield (",".join(COLUMNS) + "\r\n").encode()
    for part in parts:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writerows({name: harmless(value) for name, value in row.items()} for row in part)
        yield text.getvalue().encode("utf-8", "backslashreplace")


def _parquet(parts: Iterator[list[dict[str, Any]]]) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and seldom needed
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    kinds = [*((name, pa.string()) for name in TEXTS), *((name, pa.int64()) for name in NUMBERS),
             ("duration_s", pa.float64())]  # fmt: skip
    schema = pa.schema(kinds)
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for part in parts:
                writer.write_table(pa.Table.from_pylist(part, schema=schema))
        file.seek(0)
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(1 << 16):
        yield part
