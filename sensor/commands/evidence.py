"""`wardwatch evidence ID... --out PACK`: what an auditor needs of some episodes, in one signed file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import setup, tables, wording
from sensor.commands.output import refuse_overwriting, standard_output
from sensor.errors import WardwatchError
from sensor.proof import keys, making
from sensor.store import open_store

if TYPE_CHECKING:
    import argparse

WITH_WARNINGS = 3


def run(options: argparse.Namespace) -> int:
    """Returns 0, or 3 where frames that evidence cites were not kept."""
    made = setup.read(options.config)
    url = options.store or made.settings.store.url
    kept: list[tuple[str, str | Path]] = [("the store", str(url).removeprefix("sqlite:///"))]
    if options.config:
        kept.append(("the configuration", options.config))
    refuse_overwriting({"--out": options.out}, kept)
    signer = keys.signer(keys.key_path(made.settings, options.store))
    folders = [*map(Path, options.captures), *made.settings.proof.captures]
    with open_store(url, create=False) as store:
        pack = making.pack(making.Request(store, made, signer, folders), options.id)
    _write(Path(options.out), pack.data)
    with standard_output():
        episodes = f"{len(pack.ids)} episode{'s' if len(pack.ids) != 1 else ''}"
        print(
            f"{options.out}: {episodes}, {pack.frames} frames, {wording.size(len(pack.data))}, key {signer.public[:16]}"
        )
        for line in pack.missing:
            print(tables.escape_plain(f"Attested only: {line}."))
    return WITH_WARNINGS if pack.missing else 0


def _write(path: Path, data: bytes) -> None:
    """For the owner only, for it holds what was seen of people; whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WardwatchError(f"{path}: cannot be written: {error.strerror}") from error
