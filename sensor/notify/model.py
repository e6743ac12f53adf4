"""What is told of one violation: the one value that every message and every format is made from.

A device appears here as the configuration lets it: what must not leave the clinic is not in it, so no format can tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Activity, Severity, Strength


class Occasion(StrEnum):
    """Why something is told now: it is new, what was told before has become graver or a call, or turned out to be no violation."""

    NEW = "new"
    RAISED = "raised"
    WITHDRAWN = "withdrawn"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Who:
    """A device. `label` is always there; `id`, `mac` and `addresses` are empty where only labels may leave."""

    label: str
    id: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """One piece of evidence. `device_address` is empty where it may not be told; ports are 0 where there are none."""

    kind: str
    value: str
    time_ns: int
    app: str
    rule: str
    strength: Strength
    file: str
    frame: int
    packet_id: str
    proto: str
    device_address: str
    device_port: int
    server_address: str
    server_port: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """One episode that the policy forbids, as it stands in revision `sequence` of the store."""

    id: str
    sequence: int
    occasion: Occasion
    recorded_ns: int
    site: str
    version: str  # of wardwatch
    device: Who
    network: str
    apps: tuple[tuple[str, str], ...]  # id and name; several where candidates remain
    services: tuple[str, ...]
    activity: Activity
    strength: Strength
    severity: Severity
    start_ns: int
    end_ns: int
    bytes_up: int  # from the device
    bytes_down: int
    packets: int
    flows: int
    closed: bool
    rule: str
    kind: str  # of the verdict, as sensor.model.Verdict has it
    reason: str
    policy_hash: str
    signatures_hash: str
    signature_version: str
    names: tuple[str, ...]
    notes: tuple[str, ...]
    proofs: tuple[Proof, ...]  # the first few, in time order
    proofs_total: int

    @property
    def app(self) -> str:
        """The id of the app; ids of candidates with "or" between."""
        return " or ".join(id_ for id_, _ in self.apps)

    @property
    def app_name(self) -> str:
        """As people call it."""
        return " or ".join(name for _, name in self.apps)
