"""An episode as the pack tells it, and back: every fact of it, as JSON can hold it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sensor.model import (
    Activity,
    Device,
    Episode,
    Evidence,
    FlowKey,
    Outcome,
    RuleMatch,
    Severity,
    Strength,
    Verdict,
    Window,
)

if TYPE_CHECKING:
    from sensor.store import StoredEpisode


def plain(stored: StoredEpisode) -> dict[str, Any]:
    """Enumerations by their names, the rest as it is."""
    episode = stored.episode
    return {
        "episode": {
            **asdict(episode),
            "activity": episode.activity.label,
            "strength": episode.strength.label,
            "verdict": _verdict(episode.verdict),
            "evidence": [_evidence(one) for one in episode.evidence],
        },
        "state": stored.state,
        "revisions": [
            {**asdict(one), "activity": one.activity.label, "verdict": _verdict(one.verdict)}
            for one in stored.revisions
        ],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {**asdict(verdict), "outcome": verdict.outcome.value, "severity": verdict.severity.label}


def _evidence(one: Evidence) -> dict[str, Any]:
    match = {**asdict(one.match), "strength": one.match.strength.label, "activity": one.match.activity.label}
    return {**asdict(one), "match": match}


def episode(said: dict[str, Any]) -> Episode:
    """Raises KeyError, TypeError, ValueError where it is no episode."""
    values = dict(said)
    for name in ("candidates", "services", "names", "notes"):
        values[name] = tuple(values[name])
    device: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in said["device"].items()}
    values["device"] = Device(**device)
    values["activity"] = Activity[said["activity"].upper()]
    values["strength"] = Strength[said["strength"].upper()]
    verdict = dict(said["verdict"])
    verdict |= {"outcome": Outcome(verdict["outcome"]), "severity": Severity[verdict["severity"].upper()]}
    values["verdict"] = Verdict(**verdict)
    values["evidence"] = tuple(map(evidence, said["evidence"]))
    values["profile"] = tuple(Window(**one) for one in said["profile"])
    return Episode(**values)


def evidence(said: dict[str, Any]) -> Evidence:
    """As `episode`."""
    match = dict(said["match"])
    match |= {"strength": Strength[match["strength"].upper()], "activity": Activity[match["activity"].upper()]}
    kept = {key: one for key, one in said.items() if key != "proof"}
    return Evidence(**{**kept, "flow": FlowKey(**said["flow"]), "match": RuleMatch(**match)})
