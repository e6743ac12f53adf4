"""Sums: devices, networks, apps, numbers over time, what could be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.services.errors import InvalidError
from sensor.services.query import Query
from sensor.store import Sighting
from sensor.store.follow_records import Action, Order, Reason, Target
from tests.services.clinic import BEGIN_NS, HOUR_NS, OFFICER, made_setup

if TYPE_CHECKING:
    from sensor.services.desk import Desk


def test_devices_with_the_most_violations_come_first(desk: Desk) -> None:
    desk.follow_up.change(OFFICER, [Target(f"{1:016x}", 0)], Order(Action.CLOSE, Reason.CONFIRMED))
    page = desk.overview.devices(OFFICER, Query())
    assert [(one.violations, one.open, one.episodes) for one in page.rows] == [(8, 7, 11), (4, 4, 4)]
    assert page.rows[0].apps == ("Facebook Messenger", "WhatsApp", "Zoom")
    assert page.rows[1].networks == ("Staff", "Ward 3")
    first = desk.overview.devices(OFFICER, Query(), limit=1)
    second = desk.overview.devices(OFFICER, Query(), limit=1, after=first.next)
    assert (*first.rows, *second.rows) == page.rows
    assert second.next is None
    assert desk.overview.device(OFFICER, page.rows[1].device.pseudonym) == page.rows[1]
    assert desk.overview.device(OFFICER, "D-AAAA-AAAA") is None


def test_networks_also_those_of_which_nothing_may_be_stored(desk: Desk) -> None:
    details = {"record": "observation", "kind": "vpn", "network": "Guests", "flows": 7}
    desk.store.observe([Sighting("observation", "vpn", "Guests", "", BEGIN_NS, 7, 700, details)])
    found = {one.name: one for one in desk.overview.networks(OFFICER)}
    assert list(found) == ["Ward 3", "Guests", "Staff"]
    assert (found["Ward 3"].violations, found["Ward 3"].episodes, found["Ward 3"].devices) == (9, 12, 2)
    guests = found["Guests"]
    assert (guests.excluded, guests.episodes, guests.devices, guests.hidden_flows) == (True, 0, 0, 7)


def test_apps_with_what_the_policy_says_of_them(desk: Desk) -> None:
    found = {one.id: (one.standing, one.violations, one.episodes, one.devices) for one in desk.overview.apps(OFFICER)}
    assert found == {
        "whatsapp": ("disallowed", 9, 9, 2), "zoom": ("disallowed", 3, 3, 2), "messenger": ("disallowed", 1, 1, 1),
        "facetime": ("disallowed", 0, 0, 0), "teams": ("approved", 0, 3, 1),
    }  # fmt: skip


@pytest.mark.parametrize("step", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("by", ["app", "network", "activity", "severity", "state"])
def test_numbers_over_time_add_up(desk: Desk, step: str, by: str) -> None:
    found = desk.overview.statistics(OFFICER, Query(), by=by, step=step)
    assert found.total == 12
    counted = sum(sum(one.counts) for one in found.series)
    assert counted == (13 if by == "app" else 12)  # one has two candidates
    assert all(len(one.counts) == len(found.starts_ns) for one in found.series)
    assert found.starts_ns[0] <= BEGIN_NS < BEGIN_NS + 22 * HOUR_NS < found.end_ns


def test_steps_begin_by_the_sites_clock(desk: Desk) -> None:
    found = desk.overview.statistics(OFFICER, Query(), by="severity", step="day")
    assert found.starts_ns == (BEGIN_NS - HOUR_NS // 2,)  # midnight in Vienna
    assert [(one.value, one.counts) for one in found.series] == [("high", (6,)), ("low", (6,))]
    for wrong in ({"by": "owner"}, {"step": "year"}):
        with pytest.raises(InvalidError):
            desk.overview.statistics(OFFICER, Query(), **wrong)
    assert desk.overview.statistics(OFFICER, Query(apps=("teams",))).series == ()


def test_the_first_page(desk: Desk) -> None:
    desk.follow_up.change(OFFICER, [Target(f"{11:016x}", 0)], Order(Action.CLOSE, Reason.CONFIRMED))
    found = desk.overview.summary(OFFICER)
    assert found.day == "2026-03-18"
    assert (found.today.violations, found.last_seven_days.violations, found.last_seven_days.open) == (0, 12, 11)
    assert (found.total.violations, found.total.open) == (12, 11)
    assert [(one.value, one.count) for one in found.by_severity] == [("low", 6), ("high", 5)]
    assert [int(one.id, 16) for one in found.newest] == [10, 9, 8, 7, 6]


def test_when_were_we_blind(desk: Desk) -> None:
    hour = {"record": "hour", "network": "Ward 3", "hour": "2026-03-17T08:00:00.000000000Z", "seen": False,
            "reasons": ["dark"], "flows": 4, "bytes": 100, "bytes_named": 10, "bytes_named_by_dns": 5}  # fmt: skip
    seen = {"record": "observation", "kind": "vpn", "network": "Ward 3", "device_id": "ip:10.0.0.7", "device": "10.0.0.7",
            "hour": "2026-03-17T08:00:00.000000000Z", "flows": 2, "bytes": 9, "strength": "strong", "outcome": "recorded",
            "evidence": [{"src": "10.0.0.7"}]}  # fmt: skip
    desk.store.observe(
        [
            Sighting("hour", "", "Ward 3", "", BEGIN_NS, 4, 100, hour),
            Sighting("observation", "vpn", "Ward 3", "ip:10.0.0.7", BEGIN_NS, 2, 9, seen),
        ]
    )
    found = desk.status.visibility(OFFICER)
    assert [(one.network, one.seen, one.reasons, one.bytes_named) for one in found.hours] == [
        ("Ward 3", False, ("dark",), 15)
    ]
    assert [(one.kind, one.flows) for one in found.hidden] == [("vpn", 2)]
    assert "10.0.0.7" not in repr(found)


def test_health_signatures_policy(desk: Desk) -> None:
    health = desk.status.health(OFFICER)
    assert (health.episodes, health.violations, health.open, health.devices) == (15, 12, 12, 2)
    signatures, policy = desk.status.signatures(OFFICER), desk.status.policy(OFFICER)
    assert signatures.judged_by == "signatures-one"
    assert policy.judged_by == "policy-one"
    assert policy.hash == made_setup().policy.hash
    assert "WhatsApp" in [app.name for app in signatures.apps]
    assert desk.status.snapshot(OFFICER, "policy-one") == {}
