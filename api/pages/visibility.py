"""When were we blind? One day as a grid of networks and hours, and what hid the use of apps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from api.pages.frame import Frame, SignedFrame
from api.pages.words import BLIND, HIDDEN
from sensor.services.query import day_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.pages.words import Words
    from sensor.services.records import BlindHour

router = APIRouter()
HOUR_NS: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One network in one hour. `kind`: seen, blind or none; `named`: share of bytes whose name could be read, in percent."""

    kind: str
    named: int
    says: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours in a row in which a network could not be seen, for the same reasons."""

    network: str
    begin_ns: int
    end_ns: int
    why: str


@router.get("/visibility")
def visibility(page: SignedFrame, day: str = "") -> Response:
    """One day of the clock that is shown; without one, the last of which something is known."""
    last_ns = page.desk.status.pulse(page.who).last_hour_ns
    current = page.clock.day_of(page.desk.material.now_ns())
    newest = current if last_ns is None else page.clock.day_of(last_ns)
    shown = day or newest
    begin_ns, end_ns = day_span(shown, page.clock.zone)
    found = page.desk.status.visibility(page.who, since_ns=begin_ns, until_ns=end_ns)
    hours = list(range(begin_ns, end_ns, HOUR_NS))
    excluded = [one.name for one in page.desk.setup.settings.networks if one.watch.value == "excluded"]
    names = [one.name for one in page.desk.setup.settings.networks if one.name not in excluded]
    names += sorted({one.network for one in found.hours} - {*names, *excluded})
    known = {(one.network, one.hour_ns // HOUR_NS * HOUR_NS): one for one in found.hours}
    return page.render(
        "visibility.html",
        section="visibility",
        day=shown,
        previous=_moved(shown, -1),
        following=_moved(shown, 1) if shown < max(current, newest) else "",
        newest=newest,
        hours=hours,
        grid=[(name, [_cell(page, known.get((name, hour)), hour) for hour in hours]) for name in names],
        excluded=excluded,
        blind=sum(not one.seen for one in found.hours),
        known=len(found.hours),
        stretches=blind_stretches(page.words, found.hours),
        hidden=found.hidden[:200],
        hidden_kinds=HIDDEN,
    )


def why(words: Words, one: BlindHour) -> str:
    """The reasons in words."""
    return "; ".join(words.of(BLIND, reason) for reason in one.reasons)


def blind_stretches(words: Words, hours: Sequence[BlindHour]) -> list[Stretch]:
    """By network and time."""
    made: list[Stretch] = []
    for one in sorted((hour for hour in hours if not hour.seen), key=lambda hour: (hour.network, hour.hour_ns)):
        last = made[-1] if made else None
        text = why(words, one)
        if last and (last.network, last.end_ns, last.why) == (one.network, one.hour_ns, text):
            made[-1] = Stretch(one.network, last.begin_ns, one.hour_ns + HOUR_NS, text)
        else:
            made.append(Stretch(one.network, one.hour_ns, one.hour_ns + HOUR_NS, text))
    return made


def _cell(page: Frame, one: BlindHour | None, hour_ns: int) -> Cell:
    hour = page.clock.hour(hour_ns)
    if one is None:
        return Cell("none", 0, page.language.say("{hour}: nothing is known", hour=hour))
    named = round(100 * one.bytes_named / one.bytes) if one.bytes else 0
    if not one.seen:
        return Cell(
            "blind", named, page.language.say("{hour}: could not be seen, {why}", hour=hour, why=why(page.words, one))
        )
    text = page.language.say("{hour}: seen; {share} of the bytes had a readable name, in {flows} flows",
                             hour=hour, share=page.clock.percent(named / 100), flows=page.clock.number(one.flows))  # fmt: skip
    return Cell("seen", named, text)


def _moved(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
