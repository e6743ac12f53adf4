"""Puts the service in place and takes it away: files, users by systemd-sysusers, units. Done twice is done once.

Everything is planned first, as steps that say what they do; `--dry-run` shows the plan. Below another root only files are
written, for what systemd does is about the machine itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.errors import UsageError, WardwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ETC: Final = "/etc/wardwatch"
UNITS: Final = "/etc/systemd/system"
GROUP: Final = "wardwatch"
# Started and enabled; the others are there for who wants them (docs/admin.md).
ENABLED: Final = ("wardwatch-tune.service", "wardwatch-capture.service", "wardwatch-decoder.service", "wardwatch-api.service",
                  "wardwatch-retention.timer")  # fmt: skip
# From the kernel: IFNAMSIZ, no slash, no blank; and nothing that systemd or a shell reads as more than a name.
INTERFACE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,15}")
CONFIG: Final = """# wardwatch on this box. `wardwatch config example` prints every key with what it means.
# After a change: wardwatch config check {etc}/wardwatch.toml && systemctl reload wardwatch-decoder

[site]
name = "The clinic"
timezone = "UTC"

[store]
url = "sqlite:////var/lib/wardwatch/wardwatch.sqlite"

[metrics]
textfile = "/var/lib/wardwatch/wardwatch.prom"
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it should be."""

    path: str  # below the root
    text: str
    mode: int = 0o644
    keep: bool = False  # one that is there already stays as it is, and stays when the rest is taken away
    group: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A program of the system's; one that may fail says why it matters little."""

    words: tuple[str, ...]
    needed: bool = True


def files(interface: str, program: str) -> list[File]:
    """Everything that is written."""
    if not INTERFACE.fullmatch(interface) or interface in {".", ".."}:
        raise UsageError(f"--interface: {interface!r} is no name of an interface")
    docs = str(resources.files("sensor").joinpath("../docs/admin.md"))
    words = {"@BIN@": program, "@INTERFACE@": interface, "@ETC@": ETC, "@DOCS@": os.path.normpath(docs)}
    found = [File(f"{ETC}/wardwatch.toml", CONFIG.format(etc=ETC), 0o640, keep=True, group=GROUP)]
    places = {".service": f"{UNITS}/{{}}", ".timer": f"{UNITS}/{{}}", ".sysusers": "/etc/sysusers.d/wardwatch.conf",
              ".tmpfiles": "/etc/tmpfiles.d/wardwatch.conf"}  # fmt: skip
    for unit in sorted(resources.files("sensor.ops").joinpath("units").iterdir(), key=lambda one: one.name):
        place = places.get(Path(unit.name).suffix)
        if place is None:
            continue
        text = unit.read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        found.append(File(place.format(unit.name), text))
    return found


def commands(program: str) -> list[Command]:
    """What is done once the files are there."""
    python = str(Path(program).parent / "python")
    return [
        Command((python, "-m", "sensor.ops.warm")),
        Command(("systemd-sysusers", "wardwatch.conf")),
        Command(("systemd-tmpfiles", "--create", "wardwatch.conf")),
        Command(("systemctl", "daemon-reload")),
        Command(("systemctl", "enable", "--now", *ENABLED)),
        Command(("systemctl", "try-restart", *[one for one in ENABLED if one.endswith(".service")])),
    ]


def install(interface: str, *, root: Path, dry_run: bool, program: str | None = None) -> Iterator[str]:
    """Does it, and says each step as it is done. Raises UsageError, WardwatchError."""
    program = program or launcher()
    wanted, real = files(interface, program), root == Path("/")
    if real and not dry_run and os.geteuid() != 0:
        raise UsageError("installing changes the system: run it as root, or see what it would do with --dry-run")
    for one in wanted:
        yield _written(one, root, dry_run=dry_run)
    for command in commands(program) if real else ():
        yield _run(command, dry_run=dry_run)
        if command.words[0] == "systemd-sysusers" and not dry_run:
            _give_to_group(wanted, root)


def uninstall(*, root: Path, dry_run: bool, purge: bool) -> Iterator[str]:
    """Takes away what `install` put in place. The configuration and what was stored stay, unless `purge`."""
    real = root == Path("/")
    if real and not dry_run and os.geteuid() != 0:
        raise UsageError("uninstalling changes the system: run it as root, or see what it would do with --dry-run")
    wanted = files("any", launcher())
    units = [Path(one.path).name for one in wanted if one.path.startswith(UNITS)]
    if real:
        yield _run(Command(("systemctl", "disable", "--now", *units), needed=False), dry_run=dry_run)
    for one in wanted:
        path = root / one.path.lstrip("/")
        if one.keep and not purge:
            if path.exists():
                yield f"stays    {path}"
        elif path.exists():
            if not dry_run:
                path.unlink()
            yield _said("removed ", "would remove", path, dry_run=dry_run)
    for folder in (ETC, "/var/lib/wardwatch") if purge else ():
        path = root / folder.lstrip("/")
        if path.exists():
            if not dry_run:
                shutil.rmtree(path)
            yield _said("removed ", "would remove", path, dry_run=dry_run)
    if real:
        yield _run(Command(("systemctl", "daemon-reload"), needed=False), dry_run=dry_run)


def launcher() -> str:
    """The program that runs now, as units should call it."""
    return str(Path(sys.executable).parent / "wardwatch")


def _written(one: File, root: Path, *, dry_run: bool) -> str:
    path = root / one.path.lstrip("/")
    if path.exists() and (one.keep or path.read_text("utf-8") == one.text):
        return f"as it is {path}"
    words = ("changed ", "would change") if path.exists() else ("made    ", "would make")
    if not dry_run:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(one.text, "utf-8")
            fresh.chmod(one.mode)
            fresh.replace(path)
        except OSError as error:
            raise WardwatchError(f"{path}: cannot be written: {error.strerror}") from error
    return _said(*words, path, dry_run=dry_run)


def _said(done: str, planned: str, path: Path, *, dry_run: bool) -> str:
    return f"{planned if dry_run else done} {path}"


def _give_to_group(wanted: Sequence[File], root: Path) -> None:
    for one in wanted:
        if one.group:
            with contextlib.suppress(LookupError, OSError):
                shutil.chown(root / one.path.lstrip("/"), group=one.group)


def _run(command: Command, *, dry_run: bool) -> str:
    said = " ".join(command.words)
    if dry_run:
        return f"would run {said}"
    try:
        done = subprocess.run(command.words, capture_output=True, text=True, check=False)  # noqa: S603 - fixed programs, checked names
    except OSError as error:
        if command.needed:
            raise WardwatchError(f"{command.words[0]}: cannot be run: {error.strerror}") from error
        return f"skipped  {said}"
    if done.returncode and command.needed:
        raise WardwatchError(f"{said}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return f"ran      {said}"
