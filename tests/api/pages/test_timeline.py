from __future__ import annotations

from typing import TYPE_CHECKING

from api.pages.timeline import HOUR_NS, LEAST, WIDTH, timeline
from api.pages.visibility import Stretch
from sensor.services.query import Query
from tests.services.clinic import BEGIN_NS, OFFICER

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from tests.api.visiting import Visitor

SPAN_NS = (BEGIN_NS, BEGIN_NS + 24 * HOUR_NS)


def test_marks_stand_where_violations_began_and_are_as_high_as_they_are_grave(desk: Desk):
    rows = desk.violations.page(OFFICER, Query(), limit=100).rows
    blind = Stretch("Ward 3", BEGIN_NS + 6 * HOUR_NS, BEGIN_NS + 9 * HOUR_NS, "lost")
    found = timeline(rows, [blind], SPAN_NS)
    assert found is not None
    assert [lane.network for lane in found.lanes] == ["Staff", "Ward 3"]
    ward = found.lanes[1]
    assert sorted(mark.x for mark in ward.marks) == [number * WIDTH / 12 for number in range(9)]
    assert {(mark.level, mark.height) for mark in ward.marks} == {("high", 24), ("low", 12)}
    assert all(mark.width == LEAST for mark in ward.marks)
    assert [(mark.x, mark.width) for mark in ward.blind] == [(WIDTH / 4, WIDTH / 8)]
    assert (found.busiest_ns, found.busiest) == (BEGIN_NS, 1)


def test_nothing_leaves_the_day(desk: Desk):
    rows = desk.violations.page(OFFICER, Query(), limit=100).rows
    found = timeline(rows, [Stretch("Ward 3", BEGIN_NS - HOUR_NS, BEGIN_NS + 99 * HOUR_NS, "dark")], SPAN_NS)
    assert found is not None
    assert all(
        0 <= mark.x <= mark.x + mark.width <= WIDTH for lane in found.lanes for mark in (*lane.marks, *lane.blind)
    )
    assert timeline((), [], SPAN_NS) is None


def test_the_day_shows_it(officer: Visitor):
    assert officer.get("/?day=2026-03-17").text.count('class="lane"') == 2
    assert 'class="lane"' not in officer.get("/?day=2026-03-20").text
