"""`wardwatch verify PACK|CAPTURE`: what holds, what is attested only, what tshark says; for a store, the chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor import setup, tables
from sensor.commands.output import standard_output
from sensor.errors import UsageError
from sensor.proof import keys, opinion, packing, verifying
from sensor.proof.deriving import Ground

if TYPE_CHECKING:
    import argparse

    from sensor.proof.opinion import Opinion
    from sensor.proof.verifying import Report

WITH_WARNINGS, FOUND = 3, 4
ZIP, SQLITE = b"PK\x03\x04", b"SQLite format 3\0"


def run(options: argparse.Namespace) -> int:
    """Returns 0 where all holds, 3 where something could not be looked at, 4 where something is wrong."""
    path = Path(options.path)
    head = _head(path)
    if head.startswith(SQLITE):
        raise UsageError(f"{path}: is a store: wardwatch audit verify --store {path}")
    ask = not options.no_tshark
    if ask and not opinion.available():
        ask = False
    if head.startswith(ZIP) or options.public_key:
        trusted = {keys.public_key(Path(one)) for one in options.public_key}
        try:
            report = verifying.pack(_data(path), trusted, ask=ask)
        except packing.PackError as error:
            raise packing.PackError(f"{path}: {error}") from error
    else:
        made = setup.read(options.config)
        report = verifying.captured(path, Ground(made.settings, made.signatures, made.visibility), ask=ask)
    if not ask and not options.no_tshark:
        report.notes.append("No second opinion: tshark is not installed.")
    with standard_output():
        if options.json:
            print(json.dumps(_record(report)))
        else:
            for line in lines(report):
                print(tables.escape_plain(line))
    if report.wrong or report.disagreements():
        return FOUND
    return WITH_WARNINGS if report.notes else 0


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(16)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _data(path: Path) -> bytes:
    if path.stat().st_size > packing.MAX_PACK_BYTES:
        raise UsageError(f"{path}: is larger than any pack")
    return path.read_bytes()


def lines(report: Report) -> list[str]:
    """For people: what is wrong first, then what holds and what does not follow from the frames."""
    said = [f"WRONG     {line.what}" for line in report.wrong]
    for how in (verifying.PROVEN, verifying.ATTESTED):
        said += [f"{how:<9} {line.what}" for line in report.lines if line.how == how]
    counts = {how: sum(line.how == how for line in report.lines) for how in (verifying.PROVEN, verifying.ATTESTED)}
    answers = {answer: [one for one in report.opinions if one[1].answer is answer] for answer in opinion.Answer}
    for answer in (opinion.Answer.DISAGREE, opinion.Answer.CANNOT_TELL, opinion.Answer.AGREE):
        said += [f"tshark: {answer.value}: {_shown(*one)}" for one in answers[answer]]
    said += report.notes
    said.append(
        f"{counts[verifying.PROVEN]} proven, {counts[verifying.ATTESTED]} attested, {len(report.wrong)} wrong; tshark: "
        f"{', '.join(f'{len(found)} {answer.value}' for answer, found in answers.items())}."
    )
    return said


def _shown(name: str, one: Opinion) -> str:
    return f"{one.evidence.kind} {one.evidence.value}, frame {one.frame} of {name} (shows {one.said})"


def _record(report: Report) -> dict[str, Any]:
    return {
        "checks": [{"how": line.how, "what": line.what} for line in report.lines],
        "tshark": [
            {
                "answer": one.answer.value,
                "capture": name,
                "frame": one.frame,
                "kind": one.evidence.kind,
                "value": one.evidence.value,
                "strength": one.evidence.match.strength.label,
                "shows": one.said,
            }
            for name, one in report.opinions
        ],
        "notes": report.notes,
    }
