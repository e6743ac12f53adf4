"""The list of violations with its facets, and one violation whole."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.pages.filters import MANY, Filters
from api.pages.frame import Frame, SignedFrame
from api.pages.profile import profile
from api.pages.words import DONE, FACETS, KINDS, REASONS, STRENGTHS_MEAN
from sensor.model import Outcome
from sensor.services.errors import NotFoundError
from sensor.services.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.services.records import Detail, Facet, FacetValue, Violation

router = APIRouter()
PAGE: Final = 25
OTHERS: Final = 5  # of the same device, beside one violation
FIRST: Final[Mapping[str, int]] = {"device": 4, "day": 5}  # values of a facet that are shown at once
TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
EXPORTS: Final = (("csv", "CSV"), ("jsonl", "JSON lines"), ("parquet", "Parquet"))
NO_DRAFT: Final[Mapping[str, str]] = {"action": "", "reason": "", "note": "", "related": "", "assignee": ""}


@router.get("/violations")
def listed(request: Request, page: SignedFrame, after: str | None = None) -> Response:
    """Newest first, as the address narrows it."""
    filters = Filters.read(request.query_params)
    found = page.desk.violations.page(page.who, filters.query(page.who.name), limit=PAGE, after=after)
    return page.render(
        "violations.html",
        section="violations",
        filters=filters,
        found=found,
        days=by_day(page, found.rows),
        facets=facets_of(page, filters, found.facets),
        chips=chips_of(page, filters, found.facets),
        closings=closings(page),
        is_later=after is not None,
        exports=EXPORTS,
    )


@router.get("/violations.{form}")
def export(request: Request, page: SignedFrame, form: str) -> Response:
    """What the same address shows as a list, whole, as a file."""
    exports = page.desk.exports
    made = {"csv": exports.as_csv, "jsonl": exports.as_json_lines, "parquet": exports.as_parquet}.get(form)
    if made is None:
        raise NotFoundError("there is no such form")
    found = made(page.who, Filters.read(request.query_params).query(page.who.name))
    headers = {"Content-Disposition": f'attachment; filename="violations.{form}"'}
    return StreamingResponse(found.parts, headers=headers, media_type=TYPES[form])


@router.get("/violations/{id_}")
def one(page: SignedFrame, id_: str) -> Response:
    """One violation; the reading is recorded."""
    return detail_page(page, page.desk.violations.one(page.who, id_))


def detail_page(
    page: Frame,
    detail: Detail,
    *,
    status: int = 200,
    conflict: bool = False,
    mistake: str = "",
    draft: Mapping[str, str] | None = None,
) -> Response:
    """`draft`: what somebody entered that was not written."""
    device = detail.violation.device.pseudonym
    query = Query(devices=(device,), outcomes=tuple(one.value for one in Outcome if one is not Outcome.ALLOWED))
    others = page.desk.violations.page(page.who, query, limit=OTHERS + 1, with_facets=False).rows
    return page.render(
        "violation.html",
        status=status,
        section="violations",
        headers={"ETag": f'"{detail.violation.version}"'} if status == 200 else None,
        detail=detail,
        conflict=conflict,
        mistake=mistake,
        draft={**NO_DRAFT, **(draft or {})},
        profile=profile(detail.profile, page),
        others=[other for other in others if other.id != detail.violation.id][:OTHERS],
        closings=closings(page),
        assignees=page.desk.follow_up.assignees(page.who) if detail.actions else (),
        done=DONE,
        kinds=KINDS,
        strengths_mean=STRENGTHS_MEAN,
    )


def closings(page: Frame) -> list[tuple[str, str]]:
    """Reasons for closing, and how they are called."""
    return [(value, page.words.closing(value)) for value in REASONS]


def by_day(page: Frame, rows: tuple[Violation, ...]) -> list[tuple[str, list[Violation]]]:
    """Rows under the day on which they began, by the clock that is shown."""
    return [(day, list(of_day)) for day, of_day in groupby(rows, lambda row: page.clock.day_of(row.start_ns))]


def facets_of(page: Frame, filters: Filters, facets: tuple[Facet, ...]) -> list[dict[str, Any]]:
    """In the order in which people narrow a list."""
    named = {facet.name: facet for facet in facets}
    made = []
    for name, title in FACETS.items():
        facet = named[name]
        values = [{"label": _label(page, name, one), "count": page.clock.number(one.count), "chosen": one.chosen,
                   "url": filters.toggled(name, one.value)} for one in _ordered(name, facet.values)]  # fmt: skip
        note = ""
        if name == "day" and page.clock.zone != page.site_clock.zone:
            note = page.language.say("Days of the site's clock, {zone}", zone=page.site_clock.zone)
        made.append({"name": name, "title": page.language.gettext(title), "values": values, "more": facet.more,
                     "first": FIRST.get(name, 6), "note": note})  # fmt: skip
    return made


def chips_of(page: Frame, filters: Filters, facets: tuple[Facet, ...]) -> list[dict[str, str]]:
    """What is in force, each with the way to take it away."""
    labels = {(facet.name, one.value): _label(page, facet.name, one) for facet in facets for one in facet.values}
    made = [{"name": page.language.gettext(FACETS[name]), "label": labels.get((name, value), value),
             "url": filters.toggled(name, value)} for name, value in filters.chosen if name in MANY]  # fmt: skip
    if filters.text:
        made.append({"name": page.language.gettext("Search"), "label": filters.text, "url": filters.without_text()})
    if filters.mine:
        made.append(
            {"name": "", "label": page.language.gettext("Assigned to me"), "url": filters.with_mine(mine=False)}
        )
    return made


def _label(page: Frame, name: str, one: FacetValue) -> str:
    return page.words.facet(name, one.value, one.label, page.site_clock)


def _ordered(name: str, values: tuple[FacetValue, ...]) -> tuple[FacetValue, ...]:
    """The gravest first."""
    return values[::-1] if name == "severity" else values
