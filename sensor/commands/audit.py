"""`wardwatch audit verify` and `wardwatch audit checkpoint`: the chain of hashes, and its ends that leave the box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor import config, tables
from sensor.commands.output import standard_output
from sensor.errors import UsageError, WardwatchError
from sensor.proof import checkpoints, keys, stamping
from sensor.store import open_store

if TYPE_CHECKING:
    import argparse

    from sensor.settings import Settings
    from sensor.store.auditing import Audit

FOUND = 4  # the exit status where something is not as it should be


def run(options: argparse.Namespace) -> int:
    """Returns the exit status."""
    settings = config.load(Path(options.config) if options.config else None)
    return checkpoint(options, settings) if options.action == "checkpoint" else verify(options, settings)


def checkpoint(options: argparse.Namespace, settings: Settings) -> int:
    """Signs where the chain has come to. Raises WardwatchError where it has not begun."""
    signer = keys.signer(keys.key_path(settings, options.store))
    with open_store(options.store or settings.store.url, create=False, read_only=True) as store:
        first, last = store.chain_ends()
    if first is None or last is None:
        raise WardwatchError("the chain has no link yet: there is nothing to sign")
    made = checkpoints.make(first, last, signer)
    if options.timestamp is not None and options.out is None:
        raise UsageError("--timestamp: goes with --out, beside whose file the stamp is written")
    if options.out is None:
        with standard_output():
            print(checkpoints.text(made), end="")
        return 0
    answer = stamping.stamp(checkpoints.text(made).encode(), options.timestamp) if options.timestamp else None
    path = checkpoints.write(made, Path(options.out))
    if answer is not None:
        stamped = path.with_name(path.name + stamping.SUFFIX)
        try:
            stamped.write_bytes(answer)
        except OSError as error:
            raise WardwatchError(f"{stamped}: cannot be written: {error.strerror}") from error
    with standard_output():
        print(f"{path}: link {last.sequence}, signed with key {signer.public[:16]}")
    return 0


def verify(options: argparse.Namespace, settings: Settings) -> int:
    """Checks the chain, the rows it speaks of, and the checkpoints given. Returns 4 where anything is wrong."""
    files = checkpoints.read([Path(place) for place in options.checkpoints])
    trusted = {keys.public_key(Path(path)) for path in options.public_key}
    if files and not trusted:
        own = keys.key_path(settings, options.store)
        trusted = {keys.public_key(own.with_name(own.name + keys.PUBLIC_SUFFIX))}
    with open_store(options.store or settings.store.url, create=False, read_only=True) as store:
        first, _ = store.chain_ends()
        anchors, wrong = checkpoints.anchors(files, first, trusted)
        found = store.audit(anchors)
    stamps = _stamps(files, [Path(one) for one in options.timestamp_root])
    faults = [*wrong, *found.faults, *(text for text, good in stamps if not good)]
    with standard_output():
        if options.json:
            print(json.dumps(_record(found, faults)))
        else:
            for line in (*lines(found, faults), *(text for text, good in stamps if good)):
                print(tables.escape_plain(line))
    return FOUND if faults else 0


def _stamps(files: list[tuple[str, bytes]], roots: list[Path]) -> list[tuple[str, bool]]:
    """What time stamps beside the checkpoints say, and whether they hold."""
    said: list[tuple[str, bool]] = []
    for name, data in files:
        stamp = Path(name + stamping.SUFFIX)
        if not stamp.is_file():
            continue
        if not roots:
            said.append((f"{stamp}: not looked at: no --timestamp-root was given", True))
            continue
        try:
            time = stamping.when(data, stamp.read_bytes(), roots)
            said.append((f"{name}: was there on {time:%Y-%m-%d %H:%M:%S} UTC, says the time stamp", True))
        except UsageError:
            raise
        except WardwatchError as error:
            said.append((f"{stamp}: {error}", False))
    return said


def lines(found: Audit, faults: list[str]) -> list[str]:
    """What was found, for people."""
    said = [*faults]
    if found.last is None:
        return [*said, "The chain has no link yet."]
    said.append(f"{found.links} links, up to {found.last.sequence}; {found.rows} stored rows are as their links say.")
    if found.emptied:
        said.append(f"{found.emptied} contents were removed by retention, each named by a link.")
    if found.uncovered:
        said.append(f"{found.uncovered} revisions are from before the chain began: nothing vouches for them.")
    if found.tail:
        which = f"of the {found.tail} links after {found.anchored}" if found.anchored else "of its links"
        said.append(f"Tail not anchored: no outside checkpoint covers any {which}.")
    said.append(f"{len(faults)} faults." if faults else "No fault found.")
    return said


def _record(found: Audit, faults: list[str]) -> dict[str, Any]:
    return {
        "links": found.links,
        "last": None if found.last is None else {"sequence": found.last.sequence, "hash": found.last.hash},
        "anchored": found.anchored,
        "tail_not_anchored": found.tail,
        "removed_by_retention": found.emptied,
        "rows": found.rows,
        "before_the_chain": found.uncovered,
        "faults": faults,
    }
