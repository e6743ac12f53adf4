"""What the services give: frozen, with times in nanoseconds UTC. Devices are pseudonyms unless who asks may see whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Window
    from sensor.store.follow_records import Change


@dataclass(frozen=True, slots=True)
class DeviceRef:
    """A device as who asks may see it: `id`, `label` and `addresses` are empty while it is only a pseudonym."""

    pseudonym: str
    id: str = ""
    label: str = ""
    addresses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What to call it."""
        return self.label or (self.addresses[0] if self.addresses else "") or self.id or self.pseudonym

    @property
    def is_masked(self) -> bool:
        return not self.id


@dataclass(frozen=True, slots=True)
class Violation:
    """One line of a list. `app` is None where candidates remain; `app_name` says "WhatsApp or Messenger" then."""

    id: str
    version: int  # of its follow-up: what a change has to name
    state: str
    closing_reason: str  # "" while it is open
    assignee: str
    outcome: str
    severity: str
    app: str | None
    candidates: tuple[str, ...]
    app_name: str
    activity: str
    network: str
    device: DeviceRef
    start_ns: int
    end_ns: int
    bytes_up: int
    bytes_down: int
    packets: int
    flows: int
    strength: str
    rule: str  # of the policy
    reason: str
    services: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]  # the sensor's, such as that frames were lost meanwhile
    policy_hash: str
    signatures_hash: str
    signature_version: str
    recorded_ns: int


@dataclass(frozen=True, slots=True)
class FacetValue:
    """How many rows there are with this value, as the other filters stand. `value` goes into a `Query`."""

    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """One way to narrow a list: network, app, activity, severity, state, device or day. `more`: values left out."""

    name: str
    values: tuple[FacetValue, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first. `next` goes into the next call; None: this is the end."""

    rows: tuple[Violation, ...]
    total: int
    next: str | None
    facets: tuple[Facet, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One thing that proves it, and how to see it in Wireshark. `kind_text` is English; `kind` is for a catalogue."""

    number: int  # from 1, in time order
    kind: str
    kind_text: str
    value: str
    detail: str
    file: str
    frame: int
    time_ns: int
    flow: str
    app: str
    rule: str
    strength: str
    wireshark: str
    wireshark_flow: str
    packet_id: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One revision: what the sensor said of it, and when."""

    sequence: int
    recorded_ns: int
    outcome: str
    severity: str
    activity: str
    rule: str
    reason: str
    policy_hash: str
    signatures_hash: str
    signature_version: str
    start_ns: int
    end_ns: int
    bytes_up: int
    bytes_down: int
    merged_into: str | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One violation whole. `history` is oldest first; `actions` are what may be done from its state by who asks."""

    violation: Violation
    evidence: tuple[EvidenceItem, ...]
    evidence_total: int
    profile: tuple[Window, ...]  # ten-second windows
    revisions: tuple[Judged, ...]
    history: tuple[Change, ...]
    actions: tuple[str, ...]
    merged: tuple[str, ...] = ()  # ids of episodes that turned out to be part of it


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """What one device did; `apps` are of the violations."""

    device: DeviceRef
    violations: int
    open: int
    episodes: int
    apps: tuple[str, ...]
    networks: tuple[str, ...]
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    rows: tuple[DeviceSummary, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """One network. Of an excluded one there are counts only: `hidden_flows`, of what hides the use of apps."""

    name: str
    kind: str
    excluded: bool
    violations: int
    open: int
    episodes: int
    devices: int
    last_ns: int | None
    hidden_flows: int


@dataclass(frozen=True, slots=True)
class AppSummary:
    """One app; `standing` is what the policy says of it: approved, disallowed or unlisted."""

    id: str
    name: str
    standing: str
    violations: int
    open: int
    episodes: int
    devices: int
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of one value in each step of time."""

    value: str
    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over time. `starts_ns` are when the steps begin, by the site's clock; the last ends at `end_ns`."""

    by: str
    step: str
    starts_ns: tuple[int, ...]
    end_ns: int
    series: tuple[Series, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many and how many still open."""

    violations: int
    open: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What the first page says: the day, the days before it, and what waits."""

    day: str  # of the site's clock
    today: Tally
    last_seven_days: Tally
    total: Tally
    by_severity: tuple[FacetValue, ...]  # of those that are open
    by_state: tuple[FacetValue, ...]
    assigned_to_me: int
    newest: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class BlindHour:
    """One network in one hour, and whether it could be seen."""

    network: str
    hour_ns: int
    seen: bool
    reasons: tuple[str, ...]
    flows: int
    bytes: int
    bytes_named: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """Something that hid the use of apps: one kind at one device in one hour; of an excluded network no device is known."""

    kind: str
    kind_text: str
    network: str
    device: DeviceRef | None
    hour_ns: int
    flows: int
    bytes: int
    strength: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Visibility:
    hours: tuple[BlindHour, ...]
    hidden: tuple[Hidden, ...]
    since_ns: int | None
    until_ns: int | None
    more: bool  # there was more than is shown


@dataclass(frozen=True, slots=True)
class Pulse:
    """When the sensor last wrote of an episode, the last hour of which it is known what could be read, and whether the first is long ago."""

    last_recorded_ns: int | None
    last_hour_ns: int | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Health:
    """How the store is, as seen from here. `last_recorded_ns`: when the sensor last wrote of an episode."""

    status: str  # ok, or stale where the sensor has not written for long
    episodes: int
    violations: int
    open: int
    revisions: int
    evidence: int
    devices: int
    sources: int
    last_recorded_ns: int | None
    last_hour_ns: int | None  # the last hour of which it is known what could be read
    now_ns: int


@dataclass(frozen=True, slots=True)
class SignatureInfo:
    id: str
    name: str
    version: str
    rules: int
    activities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InForce:
    """Signatures or policy: by the configuration here, and by what was judged last. They differ while a sensor has another."""

    hash: str
    judged_by: str | None
    document: dict[str, object]
    apps: tuple[SignatureInfo, ...] = ()
