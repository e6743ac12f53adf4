"""A week by network, app and activity, as pictures and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from api.pages import charts
from api.pages.frame import Frame, SignedFrame
from api.pages.language import N_
from sensor.services.errors import InvalidError, NotFoundError
from sensor.services.query import Query, days_from

if TYPE_CHECKING:
    from sensor.services.records import Statistics

router = APIRouter()
BYS: Final = {"network": N_("By network"), "app": N_("By app"), "activity": N_("By activity")}


@dataclass(frozen=True, slots=True)
class Line:
    """One value of the week: its counts by day, their sum, and that of the week before."""

    value: str
    label: str
    counts: tuple[int, ...]
    total: int
    before: int


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of the site's clock, from Monday on."""

    first: date
    zone: str

    @property
    def name(self) -> str:
        year, week, _ = self.first.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def days(self) -> list[str]:
        return [(self.first + timedelta(days=number)).isoformat() for number in range(7)]

    @property
    def begins_ns(self) -> list[int]:
        return list(days_from(self.first, 7, self.zone))

    def moved(self, weeks: int) -> Week:
        return Week(self.first + timedelta(weeks=weeks), self.zone)


@router.get("/week")
def week_page(page: SignedFrame, week: str = "") -> Response:
    """Without one, the last in which there was anything."""
    current = _of_day(page, page.desk.material.day(page.desk.material.now_ns()))
    shown = _read(page, week) if week else _newest(page, current)
    tables = [(by, page.language.gettext(title), _lines(page, shown, by)) for by, title in BYS.items()]
    totals = [_total(page, one) for one in (shown, shown.moved(-1))]
    return page.render(
        "week.html",
        section="week",
        week=shown,
        number=shown.first.isocalendar().week,
        previous=shown.moved(-1).name,
        following=shown.moved(1).name if shown.first < current.first else "",
        tables=tables,
        total=totals[0],
        before=totals[1],
    )


@router.get("/week/{week}/{by}.svg")
def picture(
    request: Request, page: SignedFrame, week: str, by: str, theme: str = "light", narrow: bool = False
) -> Response:
    """Counts by day, stacked. Kept by whoever asked: what changes it changes its tag."""
    if by not in BYS or theme not in charts.THEMES:
        raise NotFoundError("there is no such picture")
    shown = _read(page, week)
    lines = _lines(page, shown, by)
    others = page.language.gettext("others")
    drawn = charts.Chart(
        tuple(page.site_clock.weekday(day) for day in shown.days),
        tuple((line.label, line.counts) for line in lines),
        others,
        theme,
        narrow,
    )
    tag = f'"{charts.tag(drawn)}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Language"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(charts.svg(drawn), media_type="image/svg+xml", headers=headers)


def _lines(page: Frame, week: Week, by: str) -> list[Line]:
    begins = week.begins_ns
    now, before = _statistics(page, week, by), _statistics(page, week.moved(-1), by)
    earlier = {one.value: sum(one.counts) for one in before.series}
    made = []
    for one in now.series:
        counts = [0] * 7
        for start_ns, count in zip(now.starts_ns, one.counts, strict=True):
            counts[max(at for at in range(7) if begins[at] <= start_ns)] += count
        label = page.words.facet(by, one.value, one.label, page.site_clock)
        made.append(Line(one.value, label, tuple(counts), sum(counts), earlier.get(one.value, 0)))
    return made


def _statistics(page: Frame, week: Week, by: str) -> Statistics:
    begins = week.begins_ns
    return page.desk.overview.statistics(page.who, Query(since_ns=begins[0], until_ns=begins[7]), by=by, step="day")


def _total(page: Frame, week: Week) -> int:
    begins = week.begins_ns
    query = Query(since_ns=begins[0], until_ns=begins[7])
    return page.desk.violations.page(page.who, query, limit=1, with_facets=False).total


def _of_day(page: Frame, day: date) -> Week:
    return Week(day - timedelta(days=day.weekday()), page.desk.material.zone)


def _newest(page: Frame, current: Week) -> Week:
    rows = page.desk.violations.page(page.who, Query(), limit=1, with_facets=False).rows
    return _of_day(page, page.desk.material.day(rows[0].start_ns)) if rows else current


def _read(page: Frame, text: str) -> Week:
    try:
        first = datetime.strptime(f"{text}-1", "%G-W%V-%u").date()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise InvalidError(f"{text!r} is not a week such as 2026-W12", "week") from error
    if not 1971 < first.year < 2261:
        raise InvalidError(f"{text!r} is beyond the times that captures can hold", "week")
    return Week(first, page.desk.material.zone)
