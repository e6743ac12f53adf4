"""The first page: one day, what it brought, what is new of it, what waits, and when nothing could be seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from api.pages.filters import Filters
from api.pages.frame import Frame, SignedFrame
from api.pages.timeline import MOST, timeline
from api.pages.visibility import blind_stretches
from sensor.services.novelty import Novelty, novelty
from sensor.services.query import OPEN, Query, day_span

if TYPE_CHECKING:
    from sensor.services.records import Facet, Page, Violation

router = APIRouter()
MOST_URGENT: Final = 8
COMPARED_NS: Final = 90 * 86_400_000_000_000  # what is new is new against these ninety days
MOST_BARS: Final = 5
AXIS: Final = ("00", "06", "12", "18", "24")  # hours under the timeline
GRAVEST_FIRST: Final = ("high", "medium", "low", "information")


@dataclass(frozen=True, slots=True)
class Share:
    """One bar: `share` of the longest, 0 to 1."""

    label: str
    count: int
    share: float
    url: str


@dataclass(frozen=True, slots=True)
class First:
    """Something of the day that was never seen before it."""

    text: str
    url: str


@router.get("/")
def today(page: SignedFrame, day: str = "") -> Response:
    """Today, or another day of the site's clock."""
    current = page.desk.material.day(page.desk.material.now_ns())
    shown = day or current.isoformat()
    begin_ns, end_ns = day_span(shown, page.desk.material.zone)
    found = _of(page, since_ns=begin_ns, until_ns=end_ns)
    before = _of(
        page, since_ns=day_span(_moved(shown, -1), page.desk.material.zone)[0], until_ns=begin_ns, with_facets=False
    )
    waiting = _of(page, states=OPEN)
    new = novelty(page.desk.material, page.who, (begin_ns, end_ns), COMPARED_NS)
    facets = {facet.name: facet for facet in found.facets}
    severities = {one.value: one.count for one in facets["severity"].values}
    open_today = sum(one.count for one in facets["state"].values if one.value in OPEN)
    visibility = page.desk.status.visibility(page.who, since_ns=begin_ns, until_ns=end_ns)
    stretches = blind_stretches(page.words, visibility.hours)
    newest = next((one.value for one in _facet(waiting, "day").values), "")
    return page.render(
        "today.html",
        section="today",
        day=shown,
        is_today=shown == current.isoformat(),
        previous=_moved(shown, -1),
        following=_moved(shown, 1) if shown < current.isoformat() else "",
        total=found.total,
        before=before.total,
        high=severities.get("high", 0),
        open_today=open_today,
        waiting=waiting.total,
        mine=page.desk.overview.summary(page.who).assigned_to_me,
        newest=newest if newest != shown and not found.total else "",
        urgent=_urgent(page, begin_ns, end_ns),
        wards=_shares(page, shown, facets["network"], "network"),
        apps=_shares(page, shown, facets["app"], "app"),
        is_first_day=not new.earlier,
        firsts=_firsts(page, new, shown) if new.earlier else [],
        timeline=timeline(_rows(page, begin_ns, end_ns), stretches, (begin_ns, end_ns)),
        axis=AXIS,
        hours_known=len(visibility.hours),
        blind=sum(not hour.seen for hour in visibility.hours),
        stretches=stretches,
        pulse=page.desk.status.pulse(page.who),
        filters=_filters(shown),
    )


def _of(page: Frame, *, with_facets: bool = True, **narrowed: Any) -> Page:
    return page.desk.violations.page(page.who, Query(**narrowed), limit=1, with_facets=with_facets)


def _rows(page: Frame, begin_ns: int, end_ns: int) -> tuple[Violation, ...]:
    query = Query(since_ns=begin_ns, until_ns=end_ns)
    return page.desk.violations.page(page.who, query, limit=MOST, with_facets=False).rows


def _facet(found: Page, name: str) -> Facet:
    return next(facet for facet in found.facets if facet.name == name)


def _filters(day: str, *more: tuple[str, str]) -> Filters:
    return Filters((("day", day), *more))


def _moved(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _urgent(page: Frame, begin_ns: int, end_ns: int) -> list[Violation]:
    """What is still open of the day, the gravest first."""
    found: list[Violation] = []
    for severity in GRAVEST_FIRST:
        query = Query(since_ns=begin_ns, until_ns=end_ns, states=OPEN, severities=(severity,))
        wanted = MOST_URGENT - len(found)
        if wanted > 0:
            found += page.desk.violations.page(page.who, query, limit=wanted, with_facets=False).rows
    return found


def _shares(page: Frame, day: str, facet: Facet, name: str) -> list[Share]:
    most = max((one.count for one in facet.values), default=1)
    return [Share(page.words.facet(name, one.value, one.label, page.site_clock), one.count, one.count / most,
                  _filters(day, (name, one.value)).url()) for one in facet.values[:MOST_BARS]]  # fmt: skip


def _firsts(page: Frame, new: Novelty, day: str) -> list[First]:
    """Devices, and apps on a network, that had no violation in the days it is compared with."""
    made = []
    for network, app in new.apps:
        name = page.words.facet("app", app, page.desk.material.app_text(app), page.site_clock)
        text = page.language.say("{app} for the first time on {network}", app=name, network=network)
        made.append(First(text, _filters(day, ("app", app), ("network", network)).url()))
    for device in new.devices:
        text = page.language.say("First violation of the device {device}", device=device.text)
        made.append(First(text, f"/devices/{device.pseudonym}"))
    return made
