"""What could not be read, in the store: nothing twice, the fullest view of each device and hour, filters."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sensor import statement
from sensor.errors import StoreError
from sensor.store import Sighting, open_store, parts

if TYPE_CHECKING:
    from sensor.store import Store

HOUR_NS = 3_600_000_000_000


def sighting(kind: str = "vpn", *, network: str = "Ward", device: str = "ip:10.0.0.7", hour: int = 5, flows: int = 3,
             file: str = "a.pcap", **more: Any) -> Sighting:  # fmt: skip
    details = {
        "record": "observation",
        "kind": kind,
        "network": network,
        "device_id": device,
        "hour": hour,
        "flows": flows,
        "evidence": [{"file": file, "frame": 7}],
        **more,
    }
    return Sighting("observation", kind, network, device, hour * HOUR_NS, flows, flows * 100, details)


def test_the_same_replay_adds_nothing(store: Store) -> None:
    assert store.observe([sighting(), sighting("tor")]) == 2
    assert store.observe([sighting(), sighting("tor")]) == 0
    assert store.observe([sighting(file="a.pcap.gz")]) == 0  # a copy under another name
    assert len(store.sightings()) == 2


def test_twice_in_one_call_is_once(store: Store) -> None:
    assert store.observe([sighting(), sighting()]) == 1


def test_of_a_slice_and_the_whole_the_whole_is_shown(store: Store) -> None:
    store.observe([sighting(flows=2), sighting(flows=9), sighting(flows=4)])
    assert [one["flows"] for one in store.sightings()] == [9]


def test_of_equal_views_the_latest_judged_is_shown(store: Store) -> None:
    store.observe([sighting(outcome="recorded")])
    time.sleep(0.001)
    store.observe([sighting(outcome="violation")])
    assert [one["outcome"] for one in store.sightings()] == ["violation"]


def test_devices_hours_and_networks_are_kept_apart_in_order(store: Store) -> None:
    store.observe(
        [sighting(hour=6), sighting(), sighting(device="ip:10.0.0.8"), sighting(network="Lab"), sighting("ech")]
    )
    found = [(one["hour"], one["network"], one["kind"], one["device_id"]) for one in store.sightings()]
    assert found == [
        (5, "Lab", "vpn", "ip:10.0.0.7"),
        (5, "Ward", "ech", "ip:10.0.0.7"),
        (5, "Ward", "vpn", "ip:10.0.0.7"),
        (5, "Ward", "vpn", "ip:10.0.0.8"),
        (6, "Ward", "vpn", "ip:10.0.0.7"),
    ]


def test_filters(store: Store) -> None:
    store.observe([sighting(hour=hour, network=network) for hour in (1, 2, 3) for network in ("Lab", "Ward")])
    assert {one["network"] for one in store.sightings(network="Lab")} == {"Lab"}
    assert {one["hour"] for one in store.sightings(since_ns=2 * HOUR_NS, until_ns=3 * HOUR_NS)} == {2}
    assert store.sightings(kind="tor") == []
    assert len(store.sightings(kind="vpn")) == 6


def test_many_at_once(store: Store) -> None:
    many = [sighting(device=f"ip:10.0.{n >> 8}.{n & 255}") for n in range(3000)]
    assert store.observe(many) == 3000
    assert store.observe(many) == 0


def test_hostile_names_are_kept_as_visible_text(store: Store) -> None:
    store.observe([sighting(network="a\0b\udc80")])
    assert len(store.sightings(network="a\0b\udc80")) == 1


def test_what_was_stored_is_there_after_reopening(url: str, store: Store) -> None:
    store.observe([sighting()])
    with open_store(url, read_only=True) as again:
        assert len(again.sightings()) == 1
        with pytest.raises(StoreError):
            again.observe([sighting("tor")])


def part(number: int, *, flows: int, **more: Any) -> Sighting:
    """What a live run tells of an hour in parts."""
    made = sighting(flows=flows)
    details = {"device": "10.0.0.7", "first": f"1{number}", "last": f"2{number}", "strength": "strong", "services": ["a"],
               "outcome": "recorded", "part": f"run-{number}", "evidence": [{"time": f"1{number}", "frame": number}]}  # fmt: skip
    return replace(made, details={**made.details, **details, **more})


def test_parts_of_a_live_run_add_up(store: Store) -> None:
    store.observe(
        [part(1, flows=2), part(2, flows=5, services=["b"], strength="conclusive"), part(3, flows=1, outcome="review")]
    )
    store.observe([part(1, flows=2)])  # written again after a kill
    (one,) = store.sightings()
    assert (one["flows"], one["first"], one["last"], one["services"]) == (8, "11", "23", ["a", "b"])
    assert (one["strength"], one["outcome"], len(one["evidence"])) == ("conclusive", "review", 3)
    assert "part" not in one


@pytest.mark.parametrize("flows", [4, 20])
def test_of_the_sum_of_parts_and_a_capture_of_the_same_hour_the_fuller_is_shown(store: Store, flows: int) -> None:
    store.observe([part(1, flows=6), sighting(flows=flows), part(2, flows=5)])
    assert [one["flows"] for one in store.sightings()] == [max(11, flows)]


def hour(number: int, size: int, *, named: int, reasons: tuple[str, ...] = ()) -> Sighting:
    details = {"record": "hour", "network": "Ward", "hour": 5, "flows": 1, "bytes": size, "bytes_named": named,
               "bytes_named_by_dns": 0, "seen": not reasons, "reasons": list(reasons), "part": f"run-{number}"}  # fmt: skip
    return Sighting("hour", "", "Ward", "", 5 * HOUR_NS, 1, size, details)


@pytest.mark.parametrize(
    ("several", "reasons"),
    [
        ((hour(1, 0, named=0, reasons=("silent",)), hour(2, 10, named=10)), []),
        ((hour(1, 0, named=0, reasons=("silent",)),), ["silent"]),
        ((hour(1, 9_000_000, named=8_000_000), hour(2, 1_000_000, named=0, reasons=("dark",))), []),
        ((hour(1, 900_000, named=0), hour(2, 900_000, named=0)), ["dark"]),
        ((hour(1, 10, named=10, reasons=("lost",)), hour(2, 10, named=10, reasons=("one_way",))), ["one_way", "lost"]),
    ],
)
def test_whether_an_hour_was_seen_follows_from_all_its_parts(
    store: Store, several: tuple[Sighting, ...], reasons: list[str]
) -> None:
    store.observe(several)
    (one,) = store.sightings()
    assert (one["reasons"], one["seen"]) == (reasons, not reasons)


def test_what_makes_an_hour_dark_is_the_same_here_and_in_the_statement() -> None:
    assert (parts.DARK_LEAST_BYTES, parts.DARK_SHARE) == (statement.DARK_LEAST_BYTES, statement.DARK_SHARE)
