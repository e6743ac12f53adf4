"""`wardwatch report`: a period as a page, as PDF, and as numbers."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sensor import setup
from sensor.commands.output import standard_output
from sensor.errors import UsageError, WardwatchError
from sensor.store import open_store

if TYPE_CHECKING:
    import argparse

VERSION = "0.1.0"
LINK = "report"


def run(options: argparse.Namespace) -> int:
    """Writes report.html, report.pdf and the numbers into a folder. The exit status is 0."""
    from sensor.proof import making
    from sensor.proof.report import numbers, page
    from sensor.proof.report.words import words
    from sensor.services.pseudonyms import SECRET, Pseudonyms

    made = setup.read(options.config)
    zone = made.settings.site.timezone
    first, last = _day("--from", options.first), _day("--to", options.last)
    if last < first:
        raise UsageError(f"--to: {last} is before {first}")
    if (
        options.network
        and made.settings.networks
        and options.network not in {one.name for one in made.settings.networks}
    ):
        raise UsageError(f"--network: no network is called {options.network!r}")
    folder = Path(options.out)
    asked = numbers.Asked(first, last, zone, options.network)
    with open_store(options.store or made.settings.store.url, create=False) as store:
        pseudonym = Pseudonyms(store.lookup.secret(SECRET)).of
        found = numbers.collect(store, made, asked, pseudonym)
        store.link(
            LINK, {"actor": making.actor(), "from": str(first), "to": str(last), "network": options.network or ""}
        )
    about = page.About(
        made.settings.site.name, VERSION, datetime.fromtimestamp(time.time(), UTC).astimezone(ZoneInfo(zone))
    )
    text = page.html(found, words(options.language), about)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "report.html").write_text(text, "utf-8")
        (folder / "report.pdf").write_bytes(page.pdf(text))
    except OSError as error:
        raise WardwatchError(f"{folder}: cannot be written: {error.strerror}") from error
    names = page.write_numbers(found, folder)
    with standard_output():
        print(f"{folder}: report.html, report.pdf, {len(names)} files of numbers; {len(found.violations)} violations")
    return 0


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} is not a day such as 2026-03-01") from error
