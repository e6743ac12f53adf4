"""What is known of one episode under one pair of hashes, and how two views of it become one.

`join` is commutative, associative and idempotent (property-tested): whatever slices of a capture are replayed, in
whatever order and however often, they come to the same view. So the span is the hull, totals are the largest that any
one view saw (slices may overlap, adding them up would count packets twice), lists are unions, and the verdict is that
of the view which saw most.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from sensor.model import Activity, Device, Episode, Evidence, Outcome, Strength, Verdict, Window
from sensor.store.texts import printable

EvidenceKey = tuple[str, str]  # packet_id, rule: one packet may be evidence by several rules
CANDIDATES = "?"  # what the key of a set of candidates begins with
CALL = "#call"  # what the key of calls ends with
Basis = tuple[int, int, int, int, int]  # strength, activity, evidence, packets, duration in ns
RANK = {outcome: rank for rank, outcome in enumerate(Outcome)}  # in the model's order, from allowed to violation


@dataclass(frozen=True, slots=True)
class View:
    """An episode without its id and its evidence; lists are sorted and free of repeats."""

    device_id: str
    app: str | None
    candidates: tuple[str, ...]
    start_ns: int
    network: str  # network, address and mac are those of the earliest start
    address: str
    mac: str
    end_ns: int
    closed: bool  # it is over: then span, activity, strength and verdict are those of views that say so
    bytes_up: int
    bytes_down: int
    packets: int
    flows: int
    evidence_total: int
    capped: bool  # some view had more evidence than it kept: shared packets alone cannot tell it again
    activity: Activity
    strength: Strength
    addresses: tuple[str, ...]
    device_notes: tuple[str, ...]
    services: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    signature_version: str
    verdict: Verdict
    basis: Basis  # what the view that gave the verdict had seen
    keys: frozenset[EvidenceKey]
    profile: tuple[Window, ...] = ()

    def episode(self, id_: str, signatures_hash: str, evidence: tuple[Evidence, ...] = ()) -> Episode:
        """The view as the rest of the program knows it."""
        device = Device(self.device_id, self.mac, self.address, self.addresses, self.device_notes)
        return Episode(
            id=id_,
            device=device,
            network=self.network,
            app=self.app,
            candidates=self.candidates,
            services=self.services,
            activity=self.activity,
            strength=self.strength,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            packets=self.packets,
            flows=self.flows,
            evidence=evidence,
            evidence_total=self.evidence_total,
            names=self.names,
            verdict=self.verdict,
            signatures_hash=signatures_hash,
            signature_version=self.signature_version,
            closed=self.closed,
            notes=self.notes,
            profile=self.profile,
        )


def view_of(episode: Episode) -> View:
    """An episode as one view of what happened, its texts as a database takes them."""
    duration_ns = max(0, episode.end_ns - episode.start_ns)
    return View(
        device_id=printable(episode.device.id),
        app=None if episode.app is None else printable(episode.app),
        candidates=_clean(episode.candidates),
        start_ns=episode.start_ns,
        network=printable(episode.network),
        address=printable(episode.device.address),
        mac=printable(episode.device.mac),
        end_ns=episode.end_ns,
        closed=episode.closed,
        bytes_up=episode.bytes_up,
        bytes_down=episode.bytes_down,
        packets=episode.packets,
        flows=episode.flows,
        evidence_total=max(episode.evidence_total, len(episode.evidence)),
        capped=episode.evidence_total > len(episode.evidence),
        activity=episode.activity,
        strength=episode.strength,
        addresses=_clean(episode.device.addresses),
        device_notes=_clean(episode.device.notes),
        services=_clean(episode.services),
        names=_clean(episode.names),
        notes=_clean(episode.notes),
        signature_version=printable(episode.signature_version),
        verdict=_clean_verdict(episode.verdict),
        basis=(episode.strength, episode.activity, episode.evidence_total, episode.packets, duration_ns),
        keys=frozenset(evidence_key(evidence) for evidence in episode.evidence),
        profile=tuple(sorted(episode.profile, key=lambda window: window.start_ns)),
    )


def subject_of(view: View) -> tuple[str, str]:
    """Device id and app key: within one of them a packet is evidence of one episode only."""
    return view.device_id, app_key_of(view.app, view.candidates, view.activity)


def join(one: View, other: View) -> View:
    """Both views of one episode as one."""
    telling = [view for view in (one, other) if view.closed] or [one, other]
    first = min(telling, key=lambda view: (view.start_ns, view.network, view.address, view.mac))
    last = max(telling, key=lambda view: view.end_ns)
    judge = max(telling, key=_weight)
    keys = one.keys | other.keys
    return View(
        device_id=one.device_id,
        app=one.app,
        candidates=_sorted(one.candidates + other.candidates),
        start_ns=first.start_ns,
        network=first.network,
        address=first.address,
        mac=first.mac,
        end_ns=last.end_ns,
        closed=last.closed,
        bytes_up=max(one.bytes_up, other.bytes_up),
        bytes_down=max(one.bytes_down, other.bytes_down),
        packets=max(one.packets, other.packets),
        flows=max(one.flows, other.flows),
        evidence_total=max(one.evidence_total, other.evidence_total, len(keys)),
        capped=one.capped or other.capped,
        activity=max(view.activity for view in telling),
        strength=max(view.strength for view in telling),
        addresses=_sorted(one.addresses + other.addresses),
        device_notes=_sorted(one.device_notes + other.device_notes),
        services=_sorted(one.services + other.services),
        names=_sorted(one.names + other.names),
        notes=_sorted(one.notes + other.notes),
        signature_version=max(one.signature_version, other.signature_version),
        verdict=judge.verdict,
        basis=judge.basis,
        keys=keys,
        profile=_joined_profile(one.profile, other.profile),
    )


def _joined_profile(one: tuple[Window, ...], other: tuple[Window, ...]) -> tuple[Window, ...]:
    """Of each window the most that any view saw, as with the totals."""
    if one == other:
        return one
    most: dict[int, tuple[int, int]] = {}
    for window in (*one, *other):
        up, down = most.get(window.start_ns, (0, 0))
        most[window.start_ns] = max(up, window.bytes_up), max(down, window.bytes_down)
    return tuple(Window(start_ns, *most[start_ns]) for start_ns in sorted(most))


def news(known: View, incoming: View) -> View | None:
    """The joined view where `incoming` adds to `known`, else None.

    Where evidence was capped, other packets of the same stretch are no news: they were seen and left out before.
    """
    if known.capped and join(known, replace(incoming, keys=incoming.keys & known.keys)) == known:
        return None
    joined = join(known, incoming)
    return None if joined == known else joined


def packets(view: View) -> frozenset[str]:
    return frozenset(packet for packet, _ in view.keys)


def evidence_key(evidence: Evidence) -> EvidenceKey:
    """What makes two pieces of evidence the same, in whatever file."""
    return printable(evidence.packet_id) or _digest(evidence), printable(evidence.match.rule)


def app_key_of(app: str | None, candidates: tuple[str, ...], activity: Activity) -> str:
    """The app, or the set of candidates, as one key; calls have keys of their own.

    A call and other use of the same app at the same time are two things that happened, whatever slices they are seen in.
    An app's id holds no "?", "|" and "#".
    """
    key = CANDIDATES + "|".join(_clean(candidates)) if app is None else printable(app)
    return key + CALL if activity >= Activity.CALL_ATTEMPT else key


def app_of(key: str) -> str | None:
    """The app of a key, None where it is a set of candidates."""
    return None if key.startswith(CANDIDATES) else key.removesuffix(CALL)


def concerns(key: str, app: str) -> bool:
    """Whether a key is of this app, or of candidates among which it is."""
    key = key.removesuffix(CALL)
    return key == app or (key.startswith(CANDIDATES) and app in key.removeprefix(CANDIDATES).split("|"))


def _digest(evidence: Evidence) -> str:
    text = f"{evidence.time_ns}\0{evidence.flow}\0{evidence.kind}\0{evidence.value}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _weight(view: View) -> tuple[Basis, int, int, str, str, str]:
    verdict = view.verdict
    return view.basis, RANK[verdict.outcome], verdict.severity, verdict.rule, verdict.kind, verdict.reason


def _clean_verdict(verdict: Verdict) -> Verdict:
    return replace(
        verdict,
        rule=printable(verdict.rule),
        reason=printable(verdict.reason),
        policy_hash=printable(verdict.policy_hash),
        kind=printable(verdict.kind),
    )


def _clean(texts: tuple[str, ...]) -> tuple[str, ...]:
    return _sorted(tuple(map(printable, texts)))


def _sorted(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))
