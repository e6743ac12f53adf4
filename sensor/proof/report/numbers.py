"""The report's numbers, from the store, as data frames: what is in the CSV and Parquet files, and nothing of whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from sensor.model import Outcome
from sensor.proof.report.exceptions import exceptions
from sensor.store import Filter
from sensor.wording import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.model import Episode
    from sensor.setup import Setup
    from sensor.store import Store
    from sensor.store.records import Row

NS: Final = 1_000_000_000
MAX_APPENDIX: Final = 200
ACTIVE: Final = ("new", "acknowledged", "investigating")
EPISODE_COLUMNS: Final = (
    "id", "start", "week", "day", "hour", "network", "device", "app", "activity", "outcome", "severity", "strength",
    "duration_s", "bytes", "state", "kind", "rule", "signatures", "policy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """The days of the report, both included, by the site's clock; one network, or all."""

    first: date
    last: date
    zone: str
    network: str | None = None

    def bounds_ns(self) -> tuple[int, int]:
        """From (included) and until (excluded)."""
        return _ns(self.first, self.zone), _ns(self.last + timedelta(days=1), self.zone)

    @property
    def by_days(self) -> bool:
        """Whether days are the columns of charts over time; weeks of longer periods."""
        return (self.last - self.first).days < 21


def _ns(day: date, zone: str) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything that the report says in numbers."""

    asked: Asked
    episodes: pd.DataFrame  # all outcomes, EPISODE_COLUMNS; devices by pseudonym
    hours: pd.DataFrame  # network, hour, seen, reasons, bytes, bytes_named
    follow_up: pd.DataFrame  # id, opened, acknowledged_s, closed_s, state, reason
    exceptions: pd.DataFrame  # policy, name, apps, owner, from, until, status, used
    appendix: pd.DataFrame  # violations: id, start, ..., evidence
    versions: pd.DataFrame  # signatures, policy, episodes

    @property
    def violations(self) -> pd.DataFrame:
        found = self.episodes
        return found[found["outcome"] == Outcome.VIOLATION.value]

    def count(self, *by: str) -> pd.DataFrame:
        """Violations by these columns, most first."""
        found = self.violations.groupby(list(by), observed=True).size().reset_index(name="violations")
        return found.sort_values(["violations", *by], ascending=[False, *([True] * len(by))], ignore_index=True)

    def over_time(self, by: str) -> pd.DataFrame:
        """Violations by day or week (rows, none left out) and another column."""
        found = self.violations
        column = "day" if self.asked.by_days else "week"
        table = pd.crosstab(found[column], found[by])
        days = pd.date_range(self.asked.first, self.asked.last, freq="D")
        every = list(dict.fromkeys(_period(day.date(), column) for day in days))
        return table.reindex(every, fill_value=0)

    def repeated(self) -> pd.DataFrame:
        """Devices with more than one violation, most first."""
        found = self.violations
        grouped = found.groupby("device")
        made = pd.DataFrame(
            {
                "violations": grouped.size(),
                "apps": grouped["app"].agg(lambda apps: ", ".join(sorted(set(apps)))),
                "networks": grouped["network"].agg(lambda names: ", ".join(sorted(set(names)))),
                "first": grouped["start"].min(),
                "last": grouped["start"].max(),
            }
        ).reset_index()
        made = made[made["violations"] > 1]
        return made.sort_values(["violations", "device"], ascending=[False, True], ignore_index=True)

    def blind(self) -> pd.DataFrame:
        """Hours by network: all, those that could not be seen, and by which reason."""
        hours = self.hours
        if hours.empty:
            return pd.DataFrame(columns=["network", "hours", "blind", "share_named", *REASONS])
        made = pd.DataFrame(
            {
                "hours": hours.groupby("network").size(),
                "blind": (~hours["seen"]).groupby(hours["network"]).sum(),
                **{one: hours["reasons"].str.contains(one).groupby(hours["network"]).sum() for one in REASONS},
                "bytes": hours.groupby("network")["bytes"].sum(),
                "named": hours.groupby("network")["bytes_named"].sum(),
            }
        ).reset_index()
        made["share_named"] = (made["named"] / made["bytes"].where(made["bytes"] > 0)).fillna(0.0)
        return made.drop(columns=["bytes", "named"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """What is written as CSV and Parquet, by name."""
        return {
            "episodes": self.episodes,
            "violations_by_network_and_app": self.count("network", "app"),
            "violations_by_app_and_activity": self.count("app", "activity"),
            "violations_over_time": self.over_time("network").reset_index(),
            "repeat_devices": self.repeated(),
            "follow_up": self.follow_up,
            "exceptions": self.exceptions,
            "visibility": self.blind(),
            "versions": self.versions,
            "appendix": self.appendix,
        }


REASONS: Final = ("silent", "dark", "one_way", "lost")


def collect(store: Store, setup: Setup, asked: Asked, pseudonym: Callable[[str], str]) -> Numbers:
    """Reads everything that starts in the days asked about."""
    since_ns, until_ns = asked.bounds_ns()
    chosen = Filter(outcomes=None, network=asked.network, since_ns=since_ns, until_ns=until_ns)
    rows = sorted(store.violations(chosen), key=lambda row: (row.episode.start_ns, row.episode.id))
    episodes = pd.DataFrame([_episode(row, setup, asked, pseudonym) for row in rows], columns=list(EPISODE_COLUMNS))
    hours = store.sightings(network=asked.network, since_ns=since_ns, until_ns=until_ns)
    return Numbers(
        asked,
        episodes,
        _hours([one for one in hours if one["record"] == "hour"]),
        _follow_up(store, [row for row in rows if row.episode.verdict.outcome is Outcome.VIOLATION]),
        exceptions(store, episodes, asked, setup.app_names),
        _appendix(store, rows, setup, pseudonym),
        _versions(episodes),
    )


def _app(episode: Episode, setup: Setup) -> str:
    names = (episode.app,) if episode.app is not None else episode.candidates
    return " / ".join(setup.app_names.get(name, name) for name in names if name) or "unknown"


def _episode(row: Row, setup: Setup, asked: Asked, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    episode, verdict = row.episode, row.episode.verdict
    start = _moment(episode.start_ns, asked.zone)
    return {
        "id": episode.id,
        "start": start.isoformat(timespec="seconds"),
        "week": _period(start.date(), "week"),
        "day": _period(start.date(), "day"),
        "hour": start.hour,
        "network": episode.network,
        "device": pseudonym(episode.device.id),
        "app": _app(episode, setup),
        "activity": episode.activity.label,
        "outcome": verdict.outcome.value,
        "severity": verdict.severity.label,
        "strength": episode.strength.label,
        "duration_s": round((episode.end_ns - episode.start_ns) / NS, 1),
        "bytes": episode.bytes_up + episode.bytes_down,
        "state": row.state,
        "kind": verdict.kind,
        "rule": verdict.rule,
        "signatures": episode.signatures_hash,
        "policy": verdict.policy_hash,
    }


def _moment(time_ns: int, zone: str) -> datetime:
    return datetime.fromtimestamp(time_ns // NS, UTC).astimezone(ZoneInfo(zone))


def _period(day: date, column: str) -> str:
    """A day, or the week as ISO 8601 counts it."""
    if column == "day":
        return day.isoformat()
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def _hours(found: list[dict[str, Any]]) -> pd.DataFrame:
    made = [
        {
            "network": one["network"],
            "hour": one["hour"],
            "seen": bool(one["seen"]),
            "reasons": " ".join(one["reasons"]),
            "bytes": one["bytes"],
            "bytes_named": one["bytes_named"] + one["bytes_named_by_dns"],
        }
        for one in found
    ]
    return pd.DataFrame(made, columns=["network", "hour", "seen", "reasons", "bytes", "bytes_named"])


def _follow_up(store: Store, rows: list[Row]) -> pd.DataFrame:
    """Of each violation: when it was first stored, and how long until somebody looked at it, and until it was closed."""
    changes: dict[str, list[Any]] = {}
    for change in store.follow_up.history([row.episode.id for row in rows]):
        changes.setdefault(change.episode_id, []).append(change)
    made = []
    for row in rows:
        mine = changes.get(row.episode.id, [])
        opened = row.recorded_ns if not mine else min(row.recorded_ns, mine[0].recorded_ns)
        looked = next((one.recorded_ns for one in mine if one.from_state == "new" and one.to_state != "new"), None)
        closed = next((one.recorded_ns for one in reversed(mine) if one.to_state == "closed"), None)
        state = mine[-1].to_state if mine else row.state
        made.append(
            {
                "id": row.episode.id,
                "state": state,
                "reason": mine[-1].reason if mine and state == "closed" else "",
                "looked_at_s": None if looked is None else (looked - opened) / NS,
                "closed_s": None if closed is None or state != "closed" else (closed - opened) / NS,
            }
        )
    frame = pd.DataFrame(made, columns=["id", "state", "reason", "looked_at_s", "closed_s"])
    return frame.astype({"looked_at_s": "float64", "closed_s": "float64"})


def _appendix(store: Store, rows: list[Row], setup: Setup, pseudonym: Callable[[str], str]) -> pd.DataFrame:
    zone = setup.settings.site.timezone
    made = []
    for row in [row for row in rows if row.episode.verdict.outcome is Outcome.VIOLATION][:MAX_APPENDIX]:
        episode = store.episode(row.episode.id).episode
        strongest = max(episode.evidence, key=lambda one: (one.match.strength, -one.time_ns), default=None)
        made.append(
            {
                "id": episode.id,
                "start": _moment(episode.start_ns, zone).isoformat(timespec="seconds"),
                "network": episode.network,
                "device": pseudonym(episode.device.id),
                "app": _app(episode, setup),
                "activity": episode.activity.label,
                "strength": episode.strength.label,
                "evidence": 0 if strongest is None else episode.evidence_total,
                "kind": "" if strongest is None else strongest.kind,
                "value": "" if strongest is None else strongest.value,
                "file": "" if strongest is None else strongest.file,
                "frame": 0 if strongest is None else strongest.frame,
            }
        )
    names = [
        "id",
        "start",
        "network",
        "device",
        "app",
        "activity",
        "strength",
        "evidence",
        "kind",
        "value",
        "file",
        "frame",
    ]
    return pd.DataFrame(made, columns=names)


def _versions(episodes: pd.DataFrame) -> pd.DataFrame:
    found = episodes.groupby(["signatures", "policy"]).agg(
        episodes=("id", "size"), first=("start", "min"), last=("start", "max")
    )
    return found.reset_index().sort_values(["first", "signatures", "policy"], ignore_index=True)


def record(numbers: Numbers) -> str:
    """The sums, as one JSON text: what a golden test compares."""
    violations = numbers.violations
    return json.dumps(
        {
            "episodes": numbers.episodes["outcome"].value_counts().sort_index().to_dict(),
            "devices": int(violations["device"].nunique()),
            "network_app": numbers.count("network", "app").to_dict("records"),
            "app_activity": numbers.count("app", "activity").to_dict("records"),
            "over_time": numbers.over_time("network").to_dict("index"),
            "repeated": [int(one) for one in numbers.repeated()["violations"]],
            "states": numbers.follow_up["state"].value_counts().sort_index().to_dict(),
            "exceptions": numbers.exceptions.drop(columns=["policy"]).to_dict("records"),
            "visibility": numbers.blind().to_dict("records"),
            "appendix": numbers.appendix.drop(columns=["device"]).to_dict("records"),
        },
        indent=1,
        sort_keys=True,
        default=float,
    )
