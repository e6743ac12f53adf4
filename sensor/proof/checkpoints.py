"""Signed checkpoints: the chain's end at a moment, small enough to send anywhere, kept where the sensor cannot change it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.errors import UsageError, WardwatchError
from sensor.proof.keys import is_signed
from sensor.store.auditing import Anchor
from sensor.wording import rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sensor.proof.keys import Signer
    from sensor.store.chain import Link

FORMAT: Final = "wardwatch checkpoint 1"
PATTERN: Final = "checkpoint-*.json"
MAX_BYTES: Final = 100_000
PARTS: Final = {"format": str, "chain": str, "sequence": int, "hash": str, "made": str, "key": str, "signature": str}


def make(first: Link, last: Link, signer: Signer, *, now_ns: int | None = None) -> dict[str, Any]:
    """A checkpoint of the chain that began with `first` and has come to `last`."""
    said = {
        "format": FORMAT,
        "chain": first.hash,
        "sequence": last.sequence,
        "hash": last.hash,
        "made": rfc3339(time.time_ns() if now_ns is None else now_ns),
        "key": signer.public,
    }
    return said | {"signature": signer.sign(_signed(said))}


def _signed(said: dict[str, Any]) -> bytes:
    """What is signed: JSON without the signature, keys sorted, no spaces, ASCII."""
    kept = {key: value for key, value in said.items() if key != "signature"}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode("ascii")


def text(checkpoint: dict[str, Any]) -> str:
    """For a file, a mail or a webhook."""
    return json.dumps(checkpoint, sort_keys=True, separators=(",", ":")) + "\n"


def name(checkpoint: dict[str, Any]) -> str:
    return f"checkpoint-{checkpoint['chain'][:8]}-{checkpoint['sequence']:012d}.json"


def write(checkpoint: dict[str, Any], folder: Path) -> Path:
    """Into a folder, whole or not at all. Raises WardwatchError."""
    path = folder / name(checkpoint)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="ascii") as stream:
            stream.write(text(checkpoint))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise WardwatchError(f"{folder}: the checkpoint cannot be written: {error.strerror}") from error
    return path


def read(places: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Files, or all checkpoints in folders, with their names. Raises UsageError."""
    found: list[tuple[str, bytes]] = []
    for place in places:
        try:
            paths = sorted(place.glob(PATTERN)) if place.is_dir() else [place]
            if not paths:
                raise UsageError(f"{place}: holds no file {PATTERN}")
            for path in paths:
                with path.open("rb") as stream:
                    found.append((str(path), stream.read(MAX_BYTES)))
        except OSError as error:
            raise UsageError(f"{place}: cannot be read: {error.strerror}") from error
    return found


def anchors(files: Sequence[tuple[str, bytes]], first: Link | None, keys: Collection[str]) -> tuple[list[Anchor], list[str]]:  # fmt: skip
    """What checkpoints say of the chain that begins with `first`, and what is wrong with those that do not hold."""
    good: list[Anchor] = []
    wrong: list[str] = []
    for path, data in files:
        said = parse(data)
        if said is None:
            wrong.append(f"{path}: is no checkpoint, or was changed")
        elif said["key"] not in keys:
            wrong.append(f"{path}: signed with a key that is not the sensor's: {said['key'][:16]}")
        elif not signed_by_its_key(said):
            wrong.append(f"{path}: its signature does not hold: it was changed")
        elif first is None or said["chain"] != first.hash:
            wrong.append(f"{path}: of another chain: link 1 was changed, or the chain was begun again")
        else:
            good.append(Anchor(said["sequence"], said["hash"], Path(path).name))
    return good, wrong


def signed_by_its_key(said: dict[str, Any]) -> bool:
    return is_signed(_signed(said), said["signature"], said["key"])


def parse(data: bytes) -> dict[str, Any] | None:
    """A checkpoint; None where it is none."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.keys() != PARTS.keys() or said["format"] != FORMAT:
        return None
    return said if all(type(said[key]) is kind for key, kind in PARTS.items()) else None
