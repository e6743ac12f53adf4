"""`wardwatch explain ID`: why a verdict is what it is, step by step, and how to see each step in Wireshark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor import setup, tables, wording
from sensor.commands.output import standard_output
from sensor.model import Strength
from sensor.store import open_store
from sensor.wireshark import evidence_filter, flow_filter

if TYPE_CHECKING:
    import argparse

    from sensor.model import Episode, Evidence
    from sensor.store import StoredEpisode

STRONG_BY_DNS = "strong: DNS told this device, shortly before, that the server has such a name"
STRENGTHS = {
    Strength.CONCLUSIVE: "conclusive: only this app uses it, and it stands in the flow itself",
    Strength.STRONG: "strong: it stands in the flow itself and points to what is named here, short of proof",
    Strength.SUPPORTING: "supporting: it fits, and proves nothing on its own",
}
MAX_SHOWN = 20


def run(options: argparse.Namespace) -> int:
    """Prints the explanation. Raises StoreError where there is no such episode, or more than one."""
    made = setup.read(options.config)
    with open_store(options.store or made.settings.store.url, create=False, read_only=True) as store:
        stored = store.episode(options.id)
    with standard_output():
        for line in explanation(stored, made):
            print(line)
    return 0


def explanation(stored: StoredEpisode, made: setup.Setup) -> list[str]:
    """The lines of the explanation."""
    episode, verdict = stored.episode, stored.episode.verdict
    zone = made.settings.site.timezone
    label = made.label(episode.device)
    lines = [
        f"{verdict.outcome.value.upper()}  {wording.headline(episode, made.app_names, label)}",
        f"Episode {episode.id}, severity {verdict.severity.label}, state {stored.state}",
        "",
        "1. Who",
        f"   Device {episode.device.id}, address {', '.join(episode.device.addresses)}, on network {episode.network}.",
        *(f"   Note: {note}." for note in episode.device.notes),
        "",
        "2. When and how much",
        (
            f"   {wording.clock(episode.start_ns, zone)} to {wording.clock(episode.end_ns, zone)} ({zone}), "
            f"{wording.length(episode.end_ns - episode.start_ns)}."
        ),
        (
            f"   {_counted(episode.flows, 'flow')}, {_counted(episode.packets, 'packet')}, {wording.size(episode.bytes_up)} from the device, "
            f"{wording.size(episode.bytes_down)} to it."
        ),
        "",
        f"3. Why it is {wording.app_text(episode, made.app_names)}",
    ]
    for number, evidence in enumerate(episode.evidence[:MAX_SHOWN], 1):
        lines += _step(number, evidence, zone)
    hidden = episode.evidence_total - min(len(episode.evidence), MAX_SHOWN)
    if hidden > 0:
        lines.append(f"   ... and {hidden} more of the same kinds.")
    lines += [
        *(f"   Note: {note}." for note in episode.notes),
        f"   Together: {_together(episode)}.",
        f"   Signatures: {episode.signature_version or 'none'}, set {episode.signatures_hash[:16]}.",
        "",
        f"4. Why the policy says {verdict.outcome.value}",
        f"   {verdict.reason}.",
        f"   Rule {verdict.rule}, policy {verdict.policy_hash[:16]}.",
    ]
    if len(stored.revisions) > 1:
        lines += ["", "5. What was said before"]
        lines += [
            f"   {wording.clock(one.recorded_ns, zone)}: {one.verdict.outcome.value} by {one.verdict.rule}, "
            f"signatures {one.signatures_hash[:8]}, policy {one.verdict.policy_hash[:8]}"
            for one in stored.revisions
        ]
    return [tables.escape_plain(line) for line in lines]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _together(episode: Episode) -> str:
    """What the strongest evidence amounts to, in words that are true of it."""
    strongest = {one.kind for one in episode.evidence if one.match.strength == episode.strength}
    by_dns = episode.strength == Strength.STRONG and strongest == {"dns_answer"}
    return STRONG_BY_DNS if by_dns else STRENGTHS[episode.strength]


def _step(number: int, evidence: Evidence, zone: str) -> list[str]:
    return [
        f"   {chr(96 + number) if number < 27 else number}) {evidence.value}",
        (
            f"      is {wording.KINDS.get(evidence.kind, evidence.kind)}, frame {evidence.frame} of {evidence.file}, "
            f"{wording.clock(evidence.time_ns, zone)}."
        ),
        *([f"      {evidence.detail}."] if evidence.detail else []),
        f"      Flow {evidence.flow}.",
        f"      Rule {evidence.match.rule}, {evidence.match.strength.label}.",
        f"      Wireshark: {evidence_filter(evidence)}",
        f"      Its flow:  {flow_filter(evidence.flow)}",
    ]
