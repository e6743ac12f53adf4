"""The visibility statement: how much of the traffic named itself, and in which hours "no violation" means "could not see".

It counts client flows of monitored networks: TCP and UDP between a device there and an address that is in none of the
clinic's networks. DNS and what devices call out to each other are left out, for they name other flows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# What a flow is, each exactly one of these.
ITSELF, BY_DNS, HIDDEN, TUNNEL, UNNAMED = CLASSES = range(5)
CLASS_NAMES: Final = ("named", "named_by_dns", "encrypted_name", "tunnelled", "unnamed")
SERVICE_PORTS: Final = (
    53,
    67,
    68,
    123,
    137,
    138,
    546,
    547,
    1900,
    3702,
    5353,
    5355,
)  # no use of a server that a name tells

# An hour is one that could not be seen where one of these holds. docs/visibility.md explains them.
DARK_SHARE: Final = 0.5  # of its bytes had no readable name
DARK_LEAST_BYTES: Final = 1_000_000
ONE_WAY_SHARE: Final = 0.5  # of its flows with more than one packet showed one side only
ONE_WAY_LEAST_FLOWS: Final = 10
LOST_SHARE: Final = 0.001  # of all frames in the capture


@dataclass(slots=True)
class Sums:
    """Flows and bytes by class, in the order of CLASS_NAMES; `one_way` counts among all of them."""

    flows: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    bytes: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    one_way_flows: int = 0
    one_way_bytes: int = 0
    several_packets: int = 0  # flows of more than one packet: of a single one the answer may just be missing

    def add(self, other: Sums) -> None:
        self.flows = [a + b for a, b in zip(self.flows, other.flows, strict=True)]
        self.bytes = [a + b for a, b in zip(self.bytes, other.bytes, strict=True)]
        self.one_way_flows += other.one_way_flows
        self.one_way_bytes += other.one_way_bytes
        self.several_packets += other.several_packets

    @property
    def all_flows(self) -> int:
        return sum(self.flows)

    @property
    def all_bytes(self) -> int:
        return sum(self.bytes)


@dataclass(frozen=True, slots=True)
class NetworkHour:
    """One network in one hour. `reasons`: why it could not be seen; none where it could."""

    network: str
    hour_ns: int
    sums: Sums
    reasons: tuple[str, ...]  # silent, dark, one_way, lost


@dataclass(frozen=True, slots=True)
class Statement:
    """The whole of it. `frames`, `lost`: of all networks, for a frame that is cut off belongs to none."""

    total: Sums
    hours: tuple[NetworkHour, ...]
    frames: int
    lost: int


def reasons_of(sums: Sums, *, heard: bool, frames: tuple[int, int]) -> tuple[str, ...]:
    """Why an hour could not be seen. `heard`: the network sent or was sent something; `frames`: of all networks, and those lost."""
    dark = sums.all_bytes - sums.bytes[ITSELF] - sums.bytes[BY_DNS]
    holds = {
        "silent": not heard,
        "dark": sums.all_bytes >= DARK_LEAST_BYTES and dark > DARK_SHARE * sums.all_bytes,
        "one_way": sums.several_packets >= ONE_WAY_LEAST_FLOWS
        and sums.one_way_flows > ONE_WAY_SHARE * sums.several_packets,
        "lost": frames[1] > LOST_SHARE * frames[0],
    }
    return tuple(reason for reason, true in holds.items() if true)
