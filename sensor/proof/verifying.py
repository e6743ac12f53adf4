"""Checking a pack with nothing but itself and a public key: hashes, what its frames say again, what its policy says again."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor import capture
from sensor.classify import signatures as loading
from sensor.classify import visibility as hiding
from sensor.model import Strength
from sensor.policy import Facts, Policy
from sensor.proof import facts, opinion, packing, snapshots
from sensor.proof.checkpoints import parse, signed_by_its_key
from sensor.proof.deriving import Derived, Ground, derive, key_of
from sensor.store.chain import content_hash, link_hash

if TYPE_CHECKING:
    from collections.abc import Collection

    from sensor.model import Episode, Evidence
    from sensor.proof.opinion import Dissection, Opinion

PROVEN, ATTESTED, WRONG = "proven", "attested", "wrong"
BEYOND: Final = ("times", "bytes, packets and flows", "activity", "device")  # what a few frames cannot prove


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was checked: `how` is proven, attested or wrong."""

    how: str
    what: str


@dataclass(slots=True)
class Report:
    """What was found. It is good where no line is wrong."""

    lines: list[Line] = field(default_factory=list)
    opinions: list[tuple[str, Opinion]] = field(default_factory=list)  # capture, what tshark says
    notes: list[str] = field(default_factory=list)

    def add(self, how: str, what: str) -> None:
        self.lines.append(Line(how, what))

    @property
    def wrong(self) -> list[Line]:
        return [line for line in self.lines if line.how == WRONG]

    def disagreements(self) -> list[tuple[str, Opinion]]:
        return [(name, one) for name, one in self.opinions if one.answer is opinion.Answer.DISAGREE]


class _Checking:
    """One pack under examination."""

    def __init__(self, pack: packing.Pack, report: Report, *, ask: bool, folder: Path) -> None:
        self.pack = pack
        self.report = report
        self._ask = ask
        self._folder = folder
        self._derived: dict[tuple[str, str], Derived] = {}
        self._dissected: dict[str, Dissection] = {}
        self._sets: dict[str, loading.SignatureSet] = {}

    def run(self) -> None:
        for hash_ in self._hashes("policy"):
            snapshots.settings(self._text("policy", hash_), hash_)
        for name in sorted(self.pack.files):
            if name.startswith("episodes/"):
                self._episode(json.loads(self.pack.files[name]))
        self._chain()
        for said in self.pack.manifest.get("missing", ()):
            self.report.notes.append(str(said))

    def _hashes(self, folder: str) -> list[str]:
        names = (name for name in sorted(self.pack.files) if name.startswith(f"{folder}/"))
        return [name.partition("/")[2].removesuffix(".json") for name in names]

    def _text(self, folder: str, hash_: str) -> str:
        return self.pack.files[f"{folder}/{hash_}.json"].decode("utf-8")

    def _ground(self, episode: Episode) -> Ground:
        sensor = json.loads(self.pack.files["sensor.json"])
        policy, hash_ = episode.verdict.policy_hash, episode.signatures_hash
        settings = snapshots.settings(self._text("policy", policy), policy, tuple(sensor["routers"]))
        if hash_ not in self._sets:
            self._sets[hash_] = snapshots.signatures(self._text("signatures", hash_), hash_)
        found = self._sets[hash_]
        if not found.apps.keys() <= {*hiding.KINDS, hiding.WIFI_CALLING}:
            return Ground(settings, found)
        apps = loading.load()
        return Ground(settings, apps, hiding.VisibilitySet(dict(found.apps), apps))

    def _episode(self, said: dict[str, Any]) -> None:
        episode = facts.episode(said["episode"])
        ground = self._ground(episode)
        proven: list[Evidence] = []
        for line, one in zip(said["episode"]["evidence"], episode.evidence, strict=True):
            proof = line["proof"]
            if proof["how"] == PROVEN:
                if self._again(proof["capture"], one, episode, ground):
                    proven.append(one)
                    self.report.add(PROVEN, f"{_shown(episode, one)}: {proof['capture']} frame {proof['frame']}")
                else:
                    self.report.add(WRONG, f"{_shown(episode, one)}: its frames do not say it")
            else:
                self.report.add(ATTESTED, f"{_shown(episode, one)}: no frame of the pack says it by itself")
            if "capture" in proof and self._ask:
                self._second(proof["capture"], int(proof["frame"]), one)
        self._label(episode, proven)
        self._verdict(episode, ground)
        for what in BEYOND:
            self.report.add(ATTESTED, f"episode {episode.id}: {what}")

    def _again(self, member: str, one: Evidence, episode: Episode, ground: Ground) -> bool:
        """Whether the pack's frames give this evidence again, under the pack's own signatures."""
        place = member, episode.signatures_hash
        if place not in self._derived:
            self._derived[place] = derive(capture.open_paths([self._written(member)]), ground)
        found = self._derived[place].evidence.get(key_of(one))
        return found is not None and replace(found.match, media=False) == one.match  # the store keeps no such flag

    def _written(self, member: str) -> Path:
        path = self._folder / member.replace("/", "-")
        if not path.exists():
            path.write_bytes(self.pack.files[member])
        return path

    def _label(self, episode: Episode, proven: list[Evidence]) -> None:
        """Whether what is proven names the app, without any that is attested."""
        what = f"episode {episode.id}: it is {episode.app or ' or '.join(episode.candidates)}"
        telling = [one for one in proven if one.match.strength >= Strength.STRONG and not one.match.context]
        named = {one.match.app for one in telling}
        wanted = {episode.app} if episode.app is not None else set(episode.candidates)
        strongest = max((one.match.strength for one in telling if one.match.app in wanted), default=None)
        if not episode.evidence or not named & wanted:
            self.report.add(ATTESTED, what)
        elif strongest is not None and strongest < episode.strength:
            self.report.add(ATTESTED, f"{what}, {episode.strength.label} (by what is proven: {strongest.label})")
        else:
            self.report.add(PROVEN, f"{what}, {episode.strength.label}")

    def _verdict(self, episode: Episode, ground: Ground) -> None:
        """What the policy in the pack makes of the facts in the pack."""
        contexts = frozenset(app.id for app in ground.signatures.apps.values() if app.context)
        again = Policy(ground.settings).judge(
            Facts(
                episode.app,
                episode.candidates,
                contexts,
                episode.device,
                episode.network,
                episode.start_ns,
                episode.end_ns,
                episode.activity,
                episode.strength,
                episode.names,
            )
        )
        said = episode.verdict
        same = (again.outcome, again.rule, again.kind, again.policy_hash) == (said.outcome, said.rule, said.kind, said.policy_hash)  # fmt: skip
        what = f"episode {episode.id}: verdict {said.outcome.value} by {said.rule}, from these facts"
        self.report.add(PROVEN if same else WRONG, what if same else f"{what}: the policy says {again.outcome.value} by {again.rule}")  # fmt: skip

    def _second(self, member: str, frame: int, one: Evidence) -> None:
        if member not in self._dissected:
            self._dissected[member] = opinion.dissected(self._written(member))
        self.report.opinions.append((member, opinion.opinion(one, frame, self._dissected[member])))

    def _chain(self) -> None:
        said = json.loads(self.pack.files["chain.json"])
        for link in said["links"]:
            made = link_hash(
                link["sequence"], link["recorded_ns"], link["kind"], link["content_sha256"], link["previous"]
            )
            whole = content_hash(link["content"], link["salt"]) == link["content_sha256"]
            self.report.add(
                PROVEN if made == link["hash"] and whole else WRONG, f"link {link['sequence']} of the chain"
            )
        checkpoint = parse(packing.canonical(said["checkpoint"])) if said["checkpoint"] else None
        if checkpoint is not None:
            good = signed_by_its_key(checkpoint) and checkpoint["key"] == self.pack.key
            self.report.add(PROVEN if good else WRONG, f"checkpoint at link {checkpoint['sequence']}")


def _shown(episode: Episode, one: Evidence) -> str:
    return f"episode {episode.id}: {one.kind} {one.value} ({one.match.rule}), frame {one.frame} of {one.file}"


def pack(data: bytes, keys: Collection[str], *, ask: bool) -> Report:
    """Checks a pack. `keys`: public keys that are trusted, none: whose it is stays open. `ask`: tshark too.

    Raises PackError where it was changed, and WardwatchError where tshark fails.
    """
    report = Report()
    opened = packing.opened(data)
    if not keys:
        report.notes.append(f"Signed with key {opened.key}; nobody here vouches for it: give --public-key.")
    elif opened.key not in keys:
        raise packing.PackError(f"is signed with another key than those given: {opened.key}")
    report.add(PROVEN, f"{len(opened.files)} files are as they were signed on {opened.manifest.get('made')}")
    with tempfile.TemporaryDirectory(prefix="wardwatch-") as folder:
        try:
            _Checking(opened, report, ask=ask, folder=Path(folder)).run()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise packing.PackError(f"cannot be understood: {type(error).__name__} {error}") from error
    return report


def captured(path: Path, ground: Ground, *, ask: bool) -> Report:
    """Checks a capture: derives what it says, and asks tshark about each piece of evidence. Raises WardwatchError."""
    report = Report()
    found = derive(capture.open_paths([path]), ground)
    for one in found.evidence.values():
        report.add(PROVEN, f"{one.kind} {one.value} ({one.match.rule}, {one.match.strength.label}), frame {one.frame}")
    if ask and found.evidence:
        asked = list(found.evidence.values())
        frames = {one.frame + more for one in asked for more in (range(12) if one.kind == "tls_cert" else (0,))}
        seen = opinion.dissected(path, frames)
        report.opinions += [(path.name, opinion.opinion(one, one.frame, seen)) for one in asked]
    return report
