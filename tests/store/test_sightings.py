"""What could not be read, in the store: nothing twice, the fullest view of each device and hour, filters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sensor.errors import StoreError
from sensor.store import Sighting, open_store

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
