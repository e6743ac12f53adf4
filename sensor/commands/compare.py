"""`wardwatch replay --compare OLD`: what a replay makes of an earlier one, which a store or a file of `--episodes` holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import comparing, tables
from sensor.errors import UsageError
from sensor.store import Filter, open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from sensor.comparing import Comparison, Difference, Told
    from sensor.model import Episode
    from sensor.setup import Setup

SQLITE = b"SQLite format 3\0"
MOST = 200


def old(options: argparse.Namespace) -> list[Told] | None:
    """The earlier run, read before anything is written; None where nothing is to be compared. Raises UsageError."""
    if options.compare is None:
        return None
    if options.json:
        raise UsageError("--compare prints for people, and --json nothing but JSON: use one of them")
    if "://" in options.compare or _is_store(Path(options.compare)):
        with open_store(options.compare, create=False, read_only=True) as store:
            ids = [row.episode.id for row in store.violations(Filter(outcomes=None))]
            return comparing.of_episodes(store.episode(id_).episode for id_ in ids)
    return _lines(Path(options.compare))


def _is_store(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(SQLITE)) == SQLITE
    except OSError as error:
        raise UsageError(f"--compare: {path}: {error.strerror}") from error


def _lines(path: Path) -> list[Told]:
    found: list[Told] = []
    with path.open("r", encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            try:
                found.append(comparing.Told.of(json.loads(line)))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UsageError(
                    f"--compare: {path}: line {number} is none of --episodes, and the file no store"
                ) from error
    return found


def tell(before: list[Told], episodes: Iterable[Episode], made: Setup) -> None:
    """Prints the comparison."""
    found = comparing.compared(before, comparing.of_episodes(episodes))
    for line in lines(found, made):
        print(tables.escape_plain(line))


def lines(found: Comparison, made: Setup) -> list[str]:
    """A head, then for each difference what it was, what it is, and why."""
    counts = found.counts()
    said = ["", f"Compared: {', '.join(f'{count} {name}' for name, count in counts.items())}."]
    for one in found.differences[:MOST]:
        said += _shown(one, made)
    if len(found.differences) > MOST:
        said.append(f"... and {len(found.differences) - MOST} more.")
    return said


def _shown(one: Difference, made: Setup) -> list[str]:
    known = one.new or one.old
    if known is None:
        return []
    record = known.record
    began = record["start"][:19].replace("T", " ") + " UTC"
    head = f"{one.change.value:<8} {began}  {record['device']} on {record['network']}  [{record['id'][: tables.ID_LENGTH]}]"
    return [
        head,
        f"         before: {_told(one.old, made)}",
        f"         now:    {_told(one.new, made)}",
        *(f"         {line}" for line in one.why),
    ]


def _told(one: Told | None, made: Setup) -> str:
    if one is None:
        return "nothing"
    apps = " or ".join(made.app_names.get(app, app) for app in one.apps) or "unknown app"
    activity = one.record["activity"].replace("_", " ")
    return f"{one.record['verdict']}, {apps}, {activity}, {one.record['strength']}, by {one.record['policy_rule']}"
