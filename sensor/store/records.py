"""What the store takes and gives. Nothing here touches a database, so importing it costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Activity, Episode, Outcome, SourceInfo, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

VIOLATIONS_ONLY: tuple[Outcome, ...] = (Outcome.VIOLATION,)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What verdicts cite, kept in the same transaction: JSON texts by hash, and the captures with their SHA-256."""

    policies: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[tuple[SourceInfo, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class AppendResult:
    """How many episodes were new, changed or known already; `ids` are the stored ids, in the order given."""

    added: int = 0
    revised: int = 0
    unchanged: int = 0
    ids: tuple[str, ...] = ()


class Cursor(NamedTuple):
    """Where a page ended: rows are ordered by start time, then id, both descending."""

    start_ns: int
    id: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which episodes to list; None everywhere means no limit. Times are those at which episodes start.

    `app` also finds episodes in which it is one of the candidates. `lineage` is (signatures_hash, policy_hash);
    without it each episode shows under the signatures and the policy that judged it last.
    """

    app: str | None = None
    device: str | None = None
    network: str | None = None
    outcomes: tuple[Outcome, ...] | None = VIOLATIONS_ONLY
    activity: Activity | None = None
    since_ns: int | None = None  # inclusive
    until_ns: int | None = None  # exclusive
    state: str | None = None
    lineage: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list. `episode.evidence` is empty here: `Store.episode` has it."""

    episode: Episode
    state: str
    sequence: int  # of the revision shown
    recorded_ns: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.episode.start_ns, self.episode.id)


@dataclass(frozen=True, slots=True)
class Revision:
    """One thing the store was told of an episode, never changed since. `sequence` grows over the whole store."""

    sequence: int
    recorded_ns: int
    signatures_hash: str
    policy_hash: str
    signature_version: str
    verdict: Verdict
    activity: Activity
    start_ns: int
    end_ns: int
    bytes_up: int
    bytes_down: int
    evidence_total: int
    merged_into: str | None = None  # under these hashes it turned out to be part of that episode


@dataclass(frozen=True, slots=True)
class StoredEpisode:
    """One episode whole: as it is now, with its evidence, and every revision, oldest first."""

    episode: Episode
    state: str
    revisions: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds; `episodes` and `outcomes` count what a list shows now."""

    devices: int
    episodes: int
    violations: int
    revisions: int
    evidence: int
    sources: int
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that could not be read: one kind at one device in one hour, or a network's hour. `details` is the whole record, as JSON."""

    record: str  # observation or hour
    kind: str
    network: str
    device_id: str  # empty for an hour, and in an excluded network
    hour_ns: int
    flows: int
    bytes: int
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody was told what a store holds: the last revision's sequence, the last sighting's time and id."""

    sequence: int = 0
    recorded_ns: int = 0
    sighting: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """What comes after a place, up to `reached`; `more`: and there is more. `cited`: texts behind the hashes of `episodes`."""

    episodes: tuple[Episode, ...]
    sightings: tuple[Sighting, ...]
    cited: Snapshots
    reached: Place
    more: bool


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of a centre. `status` is what it said of itself last, as JSON."""

    id: str
    store_id: str
    first_ns: int
    seen_ns: int
    reached: Place
    episodes: int
    status: Mapping[str, object]
