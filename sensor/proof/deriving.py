"""What a few frames say by themselves: the same line that read them first, under signatures and policy given as texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sensor.classify.episodes import packet_id
from sensor.networks import Networks
from sensor.pipeline import Pipeline
from sensor.policy import Policy

if TYPE_CHECKING:
    from sensor.classify.signatures import SignatureSet
    from sensor.classify.visibility import VisibilitySet
    from sensor.model import Episode, Evidence, FrameSource, Observation
    from sensor.settings import Settings

Key = tuple[str, str]  # packet id, rule
FRAME_NUMBER: Final = re.compile(r" in frame \d+$")  # which a tie ends with


def key_of(one: Evidence) -> Key:
    """The same for one piece of evidence in every capture that holds its frame, whatever number it has there."""
    return packet_id(replace(one, value=FRAME_NUMBER.sub("", one.value))), one.match.rule


@dataclass(slots=True)
class Ground:
    """What is derived under."""

    settings: Settings
    signatures: SignatureSet
    visibility: VisibilitySet | None = None


@dataclass(slots=True)
class Derived:
    """What was derived. `evidence`: by packet and rule, its frame counted in the source."""

    episodes: list[Episode] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    evidence: dict[Key, Evidence] = field(default_factory=dict)

    def take(self, found: tuple[Evidence, ...]) -> None:
        for one in found:
            self.evidence.setdefault(key_of(one), one)

    def episode(self, episode: Episode) -> None:
        self.take(episode.evidence)
        self.episodes.append(episode)

    def observation(self, seen: Observation) -> None:
        self.take(seen.evidence)
        self.observations.append(seen)


def derive(source: FrameSource, ground: Ground) -> Derived:
    """Raises what the source raises."""
    found = Derived()
    networks = Networks(ground.settings)
    Pipeline(
        ground.settings,
        ground.signatures,
        Policy(ground.settings, networks),
        networks,
        on_episode=found.episode,
        parallel=False,
        visibility=ground.visibility,
        on_observation=found.observation,
        repeatable=True,
    ).run(source)
    return found
