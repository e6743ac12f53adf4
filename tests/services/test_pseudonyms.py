"""Pseudonyms: stable, of this store alone, changing by policy; and addresses hidden wherever they stand."""

from __future__ import annotations

import pytest

from sensor.services.pseudonyms import DAY_NS, FORM, Pseudonyms, hider


def test_they_are_stable_and_differ_by_device_and_by_store() -> None:
    one, other = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    names = {one.of(f"mac:{number}") for number in range(2000)}
    assert len(names) == 2000
    assert all(FORM.fullmatch(name) for name in names)
    assert one.of("mac:1") == Pseudonyms(b"a" * 32).of("mac:1")
    assert one.of("mac:1") != other.of("mac:1")
    assert one.among(one.of("mac:7"), [f"mac:{number}" for number in range(9)]) == ["mac:7"]
    assert one.among("D-", ["mac:7"]) == []


def test_all_change_when_their_period_ends() -> None:
    now = [1000 * DAY_NS]
    names = Pseudonyms(b"a" * 32, 30, lambda: now[0])
    seen = set()
    for _ in range(90):
        seen.add(names.of("mac:1"))
        now[0] += DAY_NS
    assert len(seen) in {3, 4}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("tcp 10.0.0.1:443 -> 10.0.0.12:80", "tcp D:443 -> 10.0.0.12:80"),
        ("10.0.0.1", "D"),
        ("110.0.0.1 and 10.0.0.1.", "110.0.0.1 and D."),
        ("ip.addr == 10.0.0.1 && ip.addr == 10.0.0.100", "ip.addr == D && ip.addr == 10.0.0.100"),
        ("udp [2001:db8::1]:5000 -> [2001:db8::12]:1", "udp [D]:5000 -> [2001:db8::12]:1"),
        ("2001:DB8::1", "D"),
        ("02:00:00:00:00:01", "D"),
        ("02:00:00:00:00:01:02", "02:00:00:00:00:01:02"),
        ("nothing", "nothing"),
    ],
)
def test_an_address_is_hidden_and_no_longer_one(text: str, hidden: str) -> None:
    assert hider(("10.0.0.1", "2001:db8::1", "02:00:00:00:00:01", ""), "D")(text) == hidden


def test_nothing_to_hide() -> None:
    assert hider((), "D")("10.0.0.1") == "10.0.0.1"
