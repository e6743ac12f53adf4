"""Which of the clinic's networks an address belongs to.

A network that names the frame's VLAN goes before one that names none; then the longest prefix wins; then, where only a tag that was
not seen could tell, the excluded one, so that nobody's privacy hangs on a mirror port that strips tags; then the first in the file.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.settings import NetworkSettings, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.settings import IPNetwork, Settings

EVERYWHERE: Final = "(all)"  # the one network there is where none is configured
_MAPPED: Final = 0xFFFF << 32  # ::ffff:0:0/96, where IPv4 addresses are kept
_MAPPED_LAST: Final = _MAPPED | 0xFFFFFFFF
_LAST: Final = (1 << 128) - 1
_OTHER_TAG: Final = -1  # any VLAN that no network names


@dataclass(frozen=True, slots=True)
class Network:
    """One network of the clinic. `index` counts `[[network]]` from 0; it is -1 for "(all)"."""

    name: str
    kind: str
    watch: Watch
    index: int

    @property
    def excluded(self) -> bool:
        """Nothing about its devices may be stored."""
        return self.watch is Watch.EXCLUDED


class AddressRange(NamedTuple):
    """Addresses `low` to `high`, both included, 16 bytes each in network order; `network` indexes `Networks.all`."""

    low: bytes
    high: bytes
    network: int


class _Claim(NamedTuple):
    """One prefix of one network; the least claim wins. Field order is the order of the rules."""

    tag_differs: bool
    negative_prefix: int
    not_excluded: bool
    network: int
    low: int
    high: int


class Networks:
    """Networks by address. Tables are made once per VLAN that is named; a lookup is one bisection."""

    __slots__ = ("_by_name", "_lows", "_ranges", "all")

    def __init__(self, settings: Settings) -> None:
        configured = settings.networks
        self.all: tuple[Network, ...] = tuple(
            Network(network.name, network.kind, network.watch, index) for index, network in enumerate(configured)
        ) or (Network(EVERYWHERE, "", Watch.MONITORED, -1),)
        self._by_name = {network.name: network for network in self.all}
        tags: set[int | None] = {vlan for network in configured for vlan in network.vlans}
        self._ranges = {tag: _flatten(_claims(configured, tag)) for tag in tags | {None, _OTHER_TAG}}
        self._lows = {tag: [each.low for each in ranges] for tag, ranges in self._ranges.items()}

    def find(self, address: str | bytes, vlan: int | None = None) -> Network | None:
        """The network of an address (text, or 16 bytes), seen under `vlan`, the innermost tag, or under none. Raises ValueError: no address."""
        key = packed(address) if isinstance(address, str) else address
        if len(key) != 16:
            raise ValueError(f"an address is 16 bytes, not {len(key)}")
        tag = vlan if vlan in self._ranges else _OTHER_TAG
        ranges = self._ranges[tag]
        at = bisect_right(self._lows[tag], key) - 1
        if at < 0 or key > ranges[at].high:
            return None
        return self.all[ranges[at].network]

    def named(self, name: str) -> Network | None:
        """The network of that name."""
        return self._by_name.get(name)

    def ranges(self, vlan: int | None = None) -> tuple[AddressRange, ...]:
        """What `find` looks up under `vlan`: disjoint, in ascending order; addresses in none of them belong to no network."""
        return self._ranges[vlan if vlan in self._ranges else _OTHER_TAG]

    def tags(self) -> tuple[int, ...]:
        """The VLANs that some network names; all others share one table."""
        return tuple(sorted(tag for tag in self._ranges if tag is not None and tag != _OTHER_TAG))


@lru_cache(maxsize=1 << 16)
def packed(address: str) -> bytes:
    """An address as text -> 16 bytes, IPv4 as ::ffff:a.b.c.d. Raises ValueError."""
    found = ip_address(address.partition("%")[0])
    return found.packed if isinstance(found, IPv6Address) else (_MAPPED | int(found)).to_bytes(16, "big")


def _claims(networks: tuple[NetworkSettings, ...], tag: int | None) -> Iterable[_Claim]:
    """Every prefix that holds under a tag: None for frames without one, _OTHER_TAG for tags that no network names."""
    if not networks:
        yield _Claim(False, 0, True, 0, 0, _LAST)
    for index, network in enumerate(networks):
        named = tag in network.vlans
        if network.vlans and not named and (tag is not None or not network.cidrs):
            continue
        excluded = network.watch is Watch.EXCLUDED
        if not network.cidrs:
            yield _Claim(not named, 0, not excluded, index, 0, _LAST)
        for cidr in network.cidrs:
            for low, high in _spans(cidr):
                yield _Claim(not named, -cidr.prefixlen, not excluded, index, low, high)


def _spans(cidr: IPNetwork) -> Iterable[tuple[int, int]]:
    """First and last address as 128 bits. A short IPv6 prefix such as ::/0 does not take in the IPv4 addresses kept inside it."""
    low, high = int(cidr.network_address), int(cidr.broadcast_address)
    if isinstance(cidr, IPv4Network):
        yield _MAPPED | low, _MAPPED | high
    elif low <= _MAPPED and high >= _MAPPED_LAST:
        if low < _MAPPED:
            yield low, _MAPPED - 1
        if high > _MAPPED_LAST:
            yield _MAPPED_LAST + 1, high
    else:
        yield low, high


def _flatten(claims: Iterable[_Claim]) -> tuple[AddressRange, ...]:
    """Overlapping claims -> disjoint ranges, each with its winner's index; neighbours of one winner are joined."""
    listed = list(claims)
    events = sorted(
        [(claim.low, True, claim) for claim in listed] + [(claim.high + 1, False, claim) for claim in listed]
    )
    found: list[AddressRange] = []
    active: list[_Claim] = []  # few: as many as prefixes are nested
    start = 0
    for at, opens, claim in events:
        if active and at > start:
            _append(found, start, at - 1, min(active).network)
        start = at
        if opens:
            active.append(claim)
        else:
            active.remove(claim)
    return tuple(found)


def _append(found: list[AddressRange], low: int, high: int, index: int) -> None:
    first = low.to_bytes(16, "big")
    if found and found[-1].network == index and int.from_bytes(found[-1].high, "big") + 1 == low:
        first = found.pop().low
    found.append(AddressRange(first, high.to_bytes(16, "big"), index))
