"""Addresses and the networks they belong to, against the standard library's ipaddress."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sensor import config
from sensor.networks import EVERYWHERE, Networks, packed
from sensor.settings import NetworkSettings, Settings, Watch

LAST = (1 << 128) - 1


def networks(*configured: NetworkSettings) -> Networks:
    return Networks(Settings(networks=configured))


def network(name: str, *cidrs: str, vlans=(), excluded=False) -> NetworkSettings:
    watch = Watch.EXCLUDED if excluded else Watch.MONITORED
    return NetworkSettings(name, "", tuple(ip_network(cidr) for cidr in cidrs), vlans, watch)


def name_at(known: Networks, address: str | bytes, vlan: int | None = None) -> str | None:
    found = known.find(address, vlan)
    return found.name if found else None


def test_with_nothing_configured_every_address_is_monitored():
    known = networks()
    for address in ("10.0.0.1", "0.0.0.0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", bytes(16)):
        for vlan in (None, 7):
            found = known.find(address, vlan)
            assert found is not None
            assert (found.name, found.watch, found.excluded, found.index) == (EVERYWHERE, "monitored", False, -1)
    assert [(each.low, each.high) for each in known.ranges()] == [(bytes(16), b"\xff" * 16)]


def test_the_longest_prefix_wins():
    known = networks(network("all", "10.0.0.0/8"), network("ward", "10.20.0.0/16"), network("bed", "10.20.3.7/32"))
    expected = {
        "9.255.255.255": None, "10.0.0.0": "all", "10.19.255.255": "all", "10.20.0.0": "ward", "10.20.3.6": "ward",
        "10.20.3.7": "bed", "10.20.3.8": "ward", "10.20.255.255": "ward", "10.21.0.0": "all", "10.255.255.255": "all",
        "11.0.0.0": None, "::a00:1": None,
    }  # fmt: skip
    assert {address: name_at(known, address) for address in expected} == expected


def test_ipv6_everywhere_is_not_ipv4_everywhere():
    known = networks(network("six", "::/0"), network("four", "0.0.0.0/0"))
    assert name_at(known, "192.0.2.1") == "four"
    assert name_at(known, "::ffff:192.0.2.1") == "four"
    assert name_at(known, "2001:db8::1") == "six"
    only = networks(network("six", "::/0"))
    assert name_at(only, "192.0.2.1") is None
    assert name_at(only, "::fffe:ffff:ffff") == "six"
    assert name_at(only, "::1:0:0:0") == "six"
    assert name_at(networks(network("odd", "::fffe:0:0/95")), "::fffe:0:1") == "odd"
    assert name_at(networks(network("odd", "::fffe:0:0/95")), "0.0.0.1") is None


def test_a_network_that_names_the_tag_goes_first():
    known = networks(
        network("ward", "10.20.3.0/24"),
        network("guest", vlans=(40,), excluded=True),
        network("big", "10.0.0.0/8", vlans=(20,)),
    )
    assert name_at(known, "10.20.3.1") == "ward"
    assert name_at(known, "10.20.3.1", 40) == "guest"
    assert name_at(known, "203.0.113.1", 40) == "guest"
    assert name_at(known, "2001:db8::1", 40) == "guest"
    assert name_at(known, "203.0.113.1") is None
    assert name_at(known, "10.20.3.1", 20) == "big"
    assert name_at(known, "10.9.0.1", 20) == "big"
    assert name_at(known, "203.0.113.1", 20) is None


def test_a_tag_of_another_network_is_not_of_this_one():
    known = networks(network("ward", "10.20.0.0/16", vlans=(20,)))
    assert name_at(known, "10.20.0.1", 20) == "ward"
    assert name_at(known, "10.20.0.1", 30) is None
    assert name_at(known, "10.20.0.1") == "ward"  # a mirror port may strip tags


def test_where_only_a_missing_tag_could_tell_the_excluded_network_has_it():
    known = networks(
        network("ward", "10.0.0.0/8", vlans=(20,)), network("guest", "10.0.0.0/8", vlans=(40,), excluded=True)
    )
    assert name_at(known, "10.1.1.1", 20) == "ward"
    assert name_at(known, "10.1.1.1", 40) == "guest"
    assert name_at(known, "10.1.1.1") == "guest"


def test_vlans_below_an_inner_prefix():
    """A tag outweighs a longer prefix, so ranges of one network may be cut in two by another."""
    known = networks(
        network("inner", "10.0.4.0/24", vlans=(5,)),
        network("outer", "10.0.0.0/16", vlans=(5,)),
        network("plain", "10.0.9.0/24"),
    )
    assert [(str(IPv6Address(each.low).ipv4_mapped), known.all[each.network].name) for each in known.ranges(5)] == [
        ("10.0.0.0", "outer"),
        ("10.0.4.0", "inner"),
        ("10.0.5.0", "outer"),
    ]


def test_ranges_are_named_by_tag():
    known = networks(network("a", "10.0.0.0/8"), network("b", vlans=(7, 3)))
    assert known.tags() == (3, 7)
    assert known.ranges(99) == known.ranges() == known.ranges(-1)
    assert known.ranges(3) == known.ranges(7) != known.ranges()


def test_neighbours_of_one_network_are_one_range():
    known = networks(network("a", "10.0.0.0/9", "10.128.0.0/9", "10.3.0.0/16"))
    assert len(known.ranges()) == 1


def test_networks_by_name():
    known = networks(network("a", "10.0.0.0/8"), network("b", vlans=(7,), excluded=True))
    assert known.named("b") is known.all[1]
    assert known.all[1].excluded
    assert known.named("c") is None


def test_addresses():
    assert packed("192.0.2.1") == IPv6Address("::ffff:192.0.2.1").packed
    assert packed("fe80::1%eth0") == IPv6Address("fe80::1").packed
    for wrong in ("", "192.0.2", "x"):
        with pytest.raises(ValueError, match="does not appear to be"):
            networks().find(wrong)
    with pytest.raises(ValueError, match="16 bytes, not 4"):
        networks().find(b"\x7f\0\0\1")


FOUR = st.builds(
    lambda value, length: f"{IPv4Address(value >> (32 - length) << (32 - length))}/{length}",
    st.sampled_from([0, 0x0A000000, 0x0A140300, 0x0A1403FF, 0xFFFFFFFF]) | st.integers(0, (1 << 32) - 1),
    st.integers(0, 32),
)
SIX = st.builds(
    lambda value, length: f"{IPv6Address(value >> (128 - length) << (128 - length))}/{length}",
    st.sampled_from([0, 0xFFFF << 32, (0xFFFF << 32) - 1, 1 << 48, 0x20010DB8 << 96, LAST]) | st.integers(0, LAST),
    st.integers(0, 128),
)


@given(st.lists(FOUR | SIX, min_size=1, max_size=8, unique=True), st.data())
def test_lookup_is_the_longest_prefix_of_ipaddress(cidrs, data):
    nets = [ip_network(cidr) for cidr in cidrs]
    assume(
        not any(
            isinstance(net, IPv6Network) and net.prefixlen >= 96 and net.network_address.ipv4_mapped for net in nets
        )
    )
    known = networks(*(network(cidr, cidr) for cidr in cidrs))
    edges = [
        int(edge) + step for net in nets for edge in (net.network_address, net.broadcast_address) for step in (-1, 0, 1)
    ]
    for value in [*edges, data.draw(st.integers(0, LAST))]:
        for address in (IPv4Address(value & 0xFFFFFFFF), IPv6Address(value & LAST)):
            if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
                continue
            holders = [net for net in nets if net.version == address.version and address in net]
            expected = str(max(holders, key=lambda net: net.prefixlen)) if holders else None
            assert name_at(known, str(address)) == expected
            assert name_at(known, packed(str(address))) == expected


@given(st.lists(FOUR | SIX, min_size=1, max_size=8, unique=True))
def test_ranges_are_disjoint_ascending_and_what_find_says(cidrs):
    settings = [network(cidr, cidr) for cidr in cidrs]
    known = networks(*settings)
    ranges = known.ranges()
    for each in ranges:
        assert len(each.low) == len(each.high) == 16
        assert each.low <= each.high
        assert known.find(each.low) is known.find(each.high) is known.all[each.network]
    for earlier, later in pairwise(ranges):
        assert earlier.high < later.low


def test_the_example_has_its_networks():
    known = Networks(config.loads(config.example_text()))
    assert name_at(known, "10.20.1.1") == "Wards"
    assert name_at(known, "2001:db8:30::5") == "Staff"
    guest = known.find("10.40.0.1")
    assert guest is not None
    assert guest.excluded
    assert known.find("198.51.100.1") is None
