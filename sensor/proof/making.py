"""Making a pack: episodes with all that their verdicts rest on, and the few frames that prove them."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sensor import wording
from sensor.errors import StoreError
from sensor.proof import checkpoints, clock, cutting, facts, packing, pcapng, snapshots, sources
from sensor.proof.deriving import Ground, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.classify.signatures import SignatureSet
    from sensor.model import Evidence
    from sensor.proof.keys import Signer
    from sensor.setup import Setup
    from sensor.store import Store, StoredEpisode

VERSION: Final = "wardwatch 0.1.0"
HOUR_NS: Final = 3_600_000_000_000
LINK: Final = "evidence"
FEATURES: Final = (
    "activity, times, bytes, packets, flows, profile, the device's MAC and whatever evidence names below: read from traffic of which this "
    "pack holds a few frames only; they are attested by the signature, and not proven by the frames"
)


@dataclass(slots=True)
class Request:
    """What a pack is made of. `folders`: where captures are looked for besides where they were read."""

    store: Store
    setup: Setup
    signer: Signer
    folders: Sequence[Path] = ()
    actor: str = ""
    now_ns: int | None = None


@dataclass(slots=True)
class _Parts:
    files: dict[str, bytes] = field(default_factory=dict)
    captures: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    sets: dict[str, SignatureSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """A pack's bytes, and what could not be put into it, in words."""

    data: bytes
    ids: tuple[str, ...]
    frames: int
    missing: tuple[str, ...]


def pack(request: Request, ids: Sequence[str]) -> Made:
    """The pack of these episodes, ids or beginnings of them. It is recorded in the chain that it was made, and by whom. Raises StoreError."""
    store = request.store
    stored = list({one.episode.id: one for one in map(store.episode, ids)}.values())
    found = sorted(one.episode.id for one in stored)
    now_ns = time.time_ns() if request.now_ns is None else request.now_ns
    parts = _Parts()
    for one in stored:
        _add_snapshots(request, one, parts)
        _add_episode(request, one, parts)
    parts.files["chain.json"] = packing.canonical(_chain(request, found, now_ns))
    parts.files["sensor.json"] = packing.canonical(_sensor(request))
    about = {
        "made": wording.rfc3339(now_ns),
        "episodes": found,
        "captures": parts.captures,
        "missing": parts.missing,
        "attested": FEATURES,
    }
    data = packing.made(parts.files, about, request.signer)
    digest = hashlib.sha256(data).hexdigest()
    store.link(LINK, {"actor": request.actor or actor(), "episodes": found, "sha256": digest})
    return Made(data, tuple(found), sum(one["frames"] for one in parts.captures), tuple(parts.missing))


def actor() -> str:
    """Who runs this; a container may know a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _add_snapshots(request: Request, stored: StoredEpisode, parts: _Parts) -> None:
    """Every revision's policy and signatures, as they were."""
    for one in stored.revisions:
        policy, signatures = one.policy_hash, one.signatures_hash
        for folder, hash_, text in (
            ("policy", policy, request.store.proofs.policy(policy)),
            ("signatures", signatures, request.store.proofs.signatures(signatures)),
        ):
            if text is None:
                raise StoreError(f"the store has no {folder} {hash_}, which episode {stored.episode.id} cites")
            parts.files[f"{folder}/{hash_}.json"] = text.encode("utf-8")


def _ground(request: Request, stored: StoredEpisode, parts: _Parts) -> Ground:
    """What the verdict was reached under; of what hides apps, our own rules of it too."""
    episode = stored.episode
    hash_ = episode.signatures_hash
    text = parts.files[f"signatures/{hash_}.json"].decode()
    policy = episode.verdict.policy_hash
    settings = snapshots.settings(
        parts.files[f"policy/{policy}.json"].decode(), policy, request.setup.settings.devices.routers
    )
    if hash_ == request.setup.visibility.hash:
        return Ground(settings, request.setup.signatures, request.setup.visibility)
    if hash_ not in parts.sets:
        parts.sets[hash_] = snapshots.signatures(text, hash_)
    return Ground(settings, parts.sets[hash_])


def _add_episode(request: Request, stored: StoredEpisode, parts: _Parts) -> None:
    episode = stored.episode
    ground = _ground(request, stored, parts)
    by_file: defaultdict[str, list[Evidence]] = defaultdict(list)
    for one in episode.evidence:
        by_file[one.file].append(one)
    proofs: dict[tuple[str, str], dict[str, Any]] = {}
    known = request.store.proofs.sources()
    for number, (name, evidence) in enumerate(sorted(by_file.items()), 1):
        place = sources.found(name, evidence, known, request.folders)
        if place.path is None:
            parts.missing.append(f"episode {episode.id}: {place.why}")
            continue
        cut = cutting.cut(place.path, evidence, ground)
        member = f"captures/{episode.id}-{number}.pcapng"
        proofs |= _add_capture(member, cut, evidence, parts)
        parts.captures[-1] |= {"episode": episode.id, "source": asdict(place.source) if place.source else None}
    said = facts.plain(stored)
    for line, one in zip(said["episode"]["evidence"], episode.evidence, strict=True):
        line["proof"] = proofs.get(key_of(one), {"how": "attested"})
    said["follow_up"] = [asdict(change) for change in request.store.follow_up.history([episode.id])]
    said["visibility"] = _visibility(request, stored)
    parts.files[f"episodes/{episode.id}.json"] = json.dumps(said, sort_keys=True, indent=1).encode("ascii")


def _add_capture(
    member: str, cut: cutting.Cut, evidence: Sequence[Evidence], parts: _Parts
) -> dict[tuple[str, str], dict[str, Any]]:
    """Puts the capture into the pack; answers what proves each piece of evidence."""
    frames = cut.ordered()
    places = {frame.number: place for place, frame in enumerate(frames, 1)}
    comments = {place: f"frame {frame.number} of {evidence[0].file}" for place, frame in enumerate(frames, 1)}
    proofs: dict[tuple[str, str], dict[str, Any]] = {}
    for one in evidence:
        if one.frame not in places:
            continue
        place = places[one.frame]
        how = "proven" if key_of(one) in cut.proven else "attested"
        proofs[key_of(one)] = {"how": how, "capture": member, "frame": place}
        what = "proves" if how == "proven" else "was seen with"
        comments[place] += f"; {what} {one.kind} {one.value} ({one.match.rule}, {one.match.strength.label})"
    parts.files[member] = pcapng.written(frames, comments)
    parts.captures.append({"file": member, "frames": len(frames), "of": [frame.number for frame in frames]})
    return proofs


def _visibility(request: Request, stored: StoredEpisode) -> list[dict[str, Any]]:
    """What could not be read on the episode's network in its hours."""
    episode = stored.episode
    return request.store.sightings(
        network=episode.network, since_ns=episode.start_ns - HOUR_NS + 1, until_ns=episode.end_ns + 1
    )


def _chain(request: Request, ids: Sequence[str], now_ns: int) -> dict[str, Any]:
    """The links that judged the episodes, and a checkpoint of where the chain stood."""
    first, last = request.store.chain_ends()
    checkpoint = None
    if first is not None and last is not None:
        checkpoint = checkpoints.make(first, last, request.signer, now_ns=now_ns)
    return {"links": request.store.proofs.links(ids), "checkpoint": checkpoint}


def _sensor(request: Request) -> dict[str, Any]:
    settings = request.setup.settings
    return {
        "application": VERSION,
        "clock_when_made": clock.state(),
        "site": settings.site.name,
        "timezone": settings.site.timezone,
        "routers": list(settings.devices.routers),
    }
