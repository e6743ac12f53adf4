"""The first page: one day, what it brought, what is new of it, what waits, and when nothing could be seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from api.pages.filters import Filters
from api.pages.frame import Frame, SignedFrame
from api.pages.visibility import blind_stretches
from sensor.services.query import OPEN, Query, day_span

if TYPE_CHECKING:
    from sensor.services.records import Facet, Page, Violation

router = APIRouter()
MOST_URGENT: Final = 8
COMPARED_NS: Final = 90 * 86_400_000_000_000  # what is new is new against these ninety days
MOST_BARS: Final = 5
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
    earlier = _of(page, since_ns=begin_ns - COMPARED_NS, until_ns=begin_ns, with_facets=False).total
    facets = {facet.name: facet for facet in found.facets}
    severities = {one.value: one.count for one in facets["severity"].values}
    open_today = sum(one.count for one in facets["state"].values if one.value in OPEN)
    visibility = page.desk.status.visibility(page.who, since_ns=begin_ns, until_ns=end_ns)
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
        is_first_day=not earlier,
        firsts=_firsts(page, found, shown, (begin_ns, end_ns)) if found.total and earlier else [],
        hours_known=len(visibility.hours),
        blind=sum(not hour.seen for hour in visibility.hours),
        stretches=blind_stretches(page.words, visibility.hours),
        health=page.desk.status.health(page.who),
        filters=_filters(shown),
    )


def _of(page: Frame, *, with_facets: bool = True, **narrowed: Any) -> Page:
    return page.desk.violations.page(page.who, Query(**narrowed), limit=1, with_facets=with_facets)


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


def _firsts(page: Frame, found: Page, day: str, span_ns: tuple[int, int]) -> list[First]:
    """Devices, and apps on a network, that had no violation in the days it is compared with."""
    made = []
    earlier = Query(since_ns=span_ns[0] - COMPARED_NS, until_ns=span_ns[0])
    names = {name: tuple(one.value for one in _facet(found, name).values) for name in ("device", "network", "app")}
    for network in names["network"]:
        known = _known(page, replace(earlier, networks=(network,)), "app")
        today = page.desk.violations.page(
            page.who, Query(since_ns=span_ns[0], until_ns=span_ns[1], networks=(network,)), limit=1
        )
        for one in _facet(today, "app").values:
            if one.value not in known and one.count:
                app = page.words.facet("app", one.value, one.label, page.site_clock)
                text = page.language.say("{app} for the first time on {network}", app=app, network=network)
                made.append(First(text, _filters(day, ("app", one.value), ("network", network)).url()))
    known = _known(page, replace(earlier, devices=names["device"]), "device")
    for one in _facet(found, "device").values:
        if one.value not in known:
            text = page.language.say("First violation of the device {device}", device=one.label)
            made.append(First(text, f"/devices/{one.value}"))
    return made


def _known(page: Frame, query: Query, name: str) -> set[str]:
    """Values of a facet that there are by other days; a facet's own choice does not narrow it."""
    found = page.desk.violations.page(page.who, replace(query, devices=()), limit=1)
    known = {one.value for one in _facet(found, name).values if one.count}
    if name != "device":
        return known
    # The facet lists the busiest devices only: the others are asked for one by one.
    for device in query.devices:
        if device not in known and page.desk.violations.page(page.who, replace(query, devices=(device,)), limit=1,
                                                              with_facets=False).total:  # fmt: skip
            known.add(device)
    return known
