"""Lists: order, pages, facets that add up, what each role sees of a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sensor.services.errors import ForbiddenError, InvalidError, NotFoundError
from sensor.services.people import Role, Who, somebody
from sensor.services.query import Query
from sensor.store import Filter, chain
from sensor.store.follow_records import Action, Order, Reason, Target
from tests.services.clinic import ADMIN, AUDITOR, BEGIN_NS, HOUR_NS, OFFICER, OTHER, TABLET, VIEWER

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from sensor.services.records import Violation


def ids(desk: Desk, query: Query) -> list[int]:
    return [int(row.id, 16) for row in desk.violations.page(OFFICER, query).rows]


def test_newest_first_in_pages_without_gap_or_repeat(desk: Desk) -> None:
    whole = desk.violations.page(OFFICER, Query())
    assert [int(row.id, 16) for row in whole.rows] == list(range(11, -1, -1))
    assert (whole.total, whole.next) == (12, None)
    seen: list[Violation] = []
    after = None
    while True:
        page = desk.violations.page(OFFICER, Query(), limit=5, after=after)
        seen += page.rows
        after = page.next
        if after is None:
            break
    assert tuple(seen) == whole.rows


def test_a_page_goes_on_where_it_was_though_new_ones_came(desk: Desk) -> None:
    first = desk.violations.page(OFFICER, Query(), limit=4)
    from tests.store.make import episode

    desk.store.append([episode((BEGIN_NS + 90 * HOUR_NS,), id_="f" * 16)])
    second = desk.violations.page(OFFICER, Query(), limit=4, after=first.next)
    assert [int(row.id, 16) for row in second.rows] == [7, 6, 5, 4]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(apps=("zoom",)), [8, 4, 0]),
        (Query(apps=("messenger",)), [5]),
        (Query(networks=("Staff",)), [11, 10, 9]),
        (Query(networks=("Staff", "Ward 3"), severities=("high",)), [11, 9, 7, 5, 3, 1]),
        (Query(activities=("messaging",), apps=("whatsapp",)), [10, 6, 2]),
        (Query(days=("2026-03-16",)), []),
        (Query(days=("2026-03-17",)), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (Query(since_ns=BEGIN_NS + 4 * HOUR_NS, until_ns=BEGIN_NS + 8 * HOUR_NS), [3, 2]),
        (Query(outcomes=("allowed",)), [14, 13, 12]),
        (Query(text="zoo"), [8, 4, 0]),
        (Query(text="staff"), [11, 10, 9]),
        (Query(text="000000000000000a"), [10]),
        (Query(text="nothing like it"), []),
        (Query(states=("closed",)), []),
    ],
)
def test_filters(desk: Desk, query: Query, expected: list[int]) -> None:
    assert ids(desk, query) == expected


def test_each_facet_counts_what_choosing_it_would_show(desk: Desk) -> None:
    desk.follow_up.change(OFFICER, [Target(f"{3:016x}", 0)], Order(Action.CLOSE, Reason.CONFIRMED))
    base = Query(severities=("high",), networks=("Ward 3",))
    fields = {"network": "networks", "app": "apps", "activity": "activities", "severity": "severities",
              "state": "states", "device": "devices", "day": "days"}  # fmt: skip
    facets = desk.violations.facets(OFFICER, base)
    assert [facet.name for facet in facets] == list(fields)
    for facet in facets:
        assert facet.values
        for value in facet.values:
            narrower: dict[str, Any] = {fields[facet.name]: (value.value,)}
            chosen = replace(base, **narrower)
            assert desk.violations.page(OFFICER, chosen).total == value.count, (facet.name, value)


def test_columns_and_the_store_list_the_same(desk: Desk) -> None:
    assert [row.episode.id for row in desk.store.page(Filter(), limit=50)] == [
        row.id for row in desk.violations.page(OFFICER, Query()).rows
    ]


@pytest.mark.parametrize("query", [Query(severities=("loud",)), Query(states=("gone",)), Query(days=("17.3.",)),
                                   Query(outcomes=("",)), Query(text="x" * 999), Query(activities=("x",))])  # fmt: skip
def test_values_that_can_be_none_are_refused(desk: Desk, query: Query) -> None:
    with pytest.raises(InvalidError):
        desk.violations.page(OFFICER, query)


@pytest.mark.parametrize("after", ["", "x", "W10", "WzEsMl0", "bnVsbA", "WyJhIiwiYiJd", "é", "WzFlOTksImEiXQ"])
def test_a_cursor_from_elsewhere_is_refused(desk: Desk, after: str) -> None:
    with pytest.raises(InvalidError):
        desk.violations.page(OFFICER, Query(), after=after)


def test_a_device_is_a_pseudonym_to_whoever_has_not_unmasked_it(desk: Desk) -> None:
    for who in (VIEWER, OFFICER, AUDITOR, ADMIN):
        detail = desk.violations.one(who, f"{1:016x}")
        assert detail.violation.device.is_masked
        assert detail.violation.device.pseudonym.startswith("D-")
        told = repr(detail)
        for secret in ("02:00:00:00:00:01", "10.0.0.1:", "10.0.0.1 ", "Tablet"):
            assert secret not in told
        assert f"tcp {detail.violation.device.pseudonym}:40000 -> 203.0.113.9:443" in told
        for item in detail.evidence:
            assert item.wireshark_flow == "ip.addr == 203.0.113.9 && tcp.port == 40000 && tcp.port == 443"
            assert "D-" not in item.wireshark
    seeing = somebody("otto", Role.OFFICER, unmasked=frozenset({TABLET}))
    unmasked = desk.violations.one(seeing, f"{1:016x}")
    assert unmasked.evidence[0].wireshark_flow.startswith("ip.addr == 10.0.0.1 && ip.addr == 203.0.113.9 && ")
    shown = unmasked.violation.device
    assert (shown.id, shown.label, shown.addresses) == (TABLET, "Tablet of the ward", ("10.0.0.1",))
    assert desk.violations.one(seeing, f"{0:016x}").violation.device.is_masked


def test_pseudonyms_are_stable_and_filter(desk: Desk) -> None:
    rows = desk.violations.page(OFFICER, Query()).rows
    names = {row.device.pseudonym for row in rows}
    assert len(names) == 2
    name = rows[-1].device.pseudonym
    assert ids(desk, Query(devices=(name,))) == [9, 6, 3, 0]
    assert ids(desk, Query(devices=(OTHER,))) == []  # who may not see whose it is cannot ask by it either
    assert ids(desk, Query(text="10.0.0.77")) == []
    seeing = somebody("otto", Role.OFFICER, unmasked=frozenset({OTHER}))
    assert desk.violations.page(seeing, Query(devices=(OTHER,))).total == 4


def test_opening_one_is_recorded_with_whether_its_identity_was_seen(desk: Desk) -> None:
    desk.violations.one(VIEWER, "0000000000000001")
    desk.violations.one(somebody("otto", Role.OFFICER, unmasked=frozenset({TABLET})), "0000000000000001")
    with desk.store._engine.connect() as connection:
        reads = [link.content or "" for link in chain.links(connection, kind="read")]
    assert ['"actor":"vera"' in reads[0], '"identities":false' in reads[0]] == [True, True]
    assert ['"actor":"otto"' in reads[1], '"identities":true' in reads[1]] == [True, True]


def test_no_such_violation_and_no_right(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        desk.violations.one(OFFICER, "ffff")
    with pytest.raises(NotFoundError, match="several"):
        desk.violations.one(OFFICER, "0000")
    nobody = Who("key", Role.OFFICER)
    with pytest.raises(ForbiddenError):
        desk.violations.page(nobody, Query())


def test_only_officers_and_admins_change(desk: Desk) -> None:
    order = Order(Action.ACKNOWLEDGE)
    for who in (VIEWER, AUDITOR):
        with pytest.raises(ForbiddenError):
            desk.follow_up.change(who, [Target(f"{1:016x}", 0)], order)
        assert desk.violations.one(who, f"{1:016x}").actions == ()
    assert desk.follow_up.change(OFFICER, [Target(f"{1:016x}", 0)], order).done == 1
    detail = desk.violations.one(OFFICER, f"{1:016x}")
    assert detail.actions == ("investigate", "close", "assign", "note")
    assert (detail.violation.state, detail.violation.version) == ("acknowledged", 1)
    assert [(change.actor, change.action) for change in detail.history] == [("otto", "acknowledge")]


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (Order(Action.CLOSE), "reason"),
        (Order(Action.ACKNOWLEDGE, Reason.CONFIRMED), "reason"),
        (Order(Action.NOTE, note="  "), "note"),
        (Order(Action.NOTE, note="a\x00b"), "note"),
        (Order(Action.NOTE, note="x" * 5000), "note"),
        (Order(Action.ASSIGN), "assignee"),
        (Order(Action.ASSIGN, assignee="nobody"), "assignee"),
        (Order(Action.CLOSE, Reason.CONFIRMED, related=f"{2:016x}"), "related"),
        (Order(Action.CLOSE, Reason.DUPLICATE, related="ffff"), "related"),
        (Order(Action.UNDO), "action"),
    ],
)
def test_orders_that_make_no_sense_are_refused(desk: Desk, order: Order, field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        desk.follow_up.change(OFFICER, [Target(f"{1:016x}", 0)], order)
    assert refused.value.field == field
