"""On which real captures each rule is met. `python -m tests.signatures.proofs` writes it into signatures/*.yaml (`proven`).

A capture proves a rule where it was made for the rule's app, or where flows in it are labelled as that app's, and where the
rule fires in it: on a name in a flow or in DNS, on a STUN message, on first bytes, on an address.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from sensor import capture, setup
from sensor.classify import signatures
from sensor.networks import packed
from sensor.pipeline import Pipeline
from tests import captures

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.listing import FlowRow

# What the labels of captures call each app.
IDS = {
    "ApplePush": {"imessage"},
    "Discord": {"discord"},
    "Facebook": {"facebook"},
    "GoogleChat": {"google_chat"},
    "GoogleMeet": {"google_meet"},
    "IMO": {"imo"},
    "Instagram": {"instagram"},
    "KakaoTalk": {"kakaotalk"},
    "LINE": {"line"},
    "Messenger": {"messenger"},
    "Signal": {"signal"},
    "Skype": {"skype", "teams"},
    "Skype/Teams": {"skype", "teams"},
    "Slack": {"slack"},
    "Snapchat": {"snapchat"},
    "Teams": {"skype", "teams"},
    "Telegram": {"telegram"},
    "Threema": {"threema"},
    "Viber": {"viber"},
    "WeChat": {"wechat"},
    "Webex": {"webex"},
    "WhatsApp": {"whatsapp"},
    "Zoom": {"zoom"},
}
LABEL = re.compile(r"([\w/]+)=(\d+)\(")
RULE = re.compile(r"  - id: (\S+)\n")


def of_apps(folder: Path) -> dict[str, tuple[str, set[str]]]:
    """Captures with flows of some app: file -> (public name, app ids)."""
    found = {}
    with (folder / "labels.csv").open(newline="") as manifest:
        for row in csv.DictReader(manifest):
            ids = {id_ for label, count in LABEL.findall(row["apps"]) if int(count) for id_ in IDS[label]}
            if ids and (folder / row["file"]).is_file():
                public = row["file"].partition("__")[2]
                found[row["file"]] = (f"{row['source_repo']} {public}", ids)
    return found


def fired(path: Path, known: signatures.SignatureSet) -> set[str]:
    """The rules that one capture shows, of whatever app."""
    made = setup.read(None)
    rules: set[str] = set()
    pipeline = Pipeline(
        made.settings,
        known,
        made.policy,
        made.networks,
        on_episode=lambda _: None,
        on_flow=lambda row: rules.update(of_flow(row, known)),
        parallel=False,
    )
    pipeline.run(capture.open_paths([path]))
    return rules


def of_flow(row: FlowRow, known: signatures.SignatureSet) -> set[str]:
    rules = {match.rule for kind, name, _ in row.names if kind != "stun" for match in known.match_name(name)}
    for address, port in ((row.key.src, row.key.sport), (row.key.dst, row.key.dport)):
        rules |= {match.rule for match in known.match_address(packed(address), row.key.proto, port)}
    if row.flow is not None:
        rules |= {one.match.rule for one in (*row.flow.own, *row.flow.told)}
    return rules


@lru_cache(maxsize=1)
def proofs() -> dict[str, set[str]]:
    """rule -> public names of the captures of its app that show it."""
    folder, known = captures.folder(), signatures.load()
    found: dict[str, set[str]] = defaultdict(set)
    for file, (public, ids) in of_apps(folder).items():
        for rule in fired(folder / file, known):
            if rule.partition("/")[0] in ids:
                found[rule].add(public)
    return dict(found)


def written(text: str, proven: dict[str, set[str]]) -> str:
    """A signature file with these captures as the `proven` of each rule, by rule id."""
    head, *rules = re.split(r"(?=^  - id: )", text.partition("\nexamples:\n")[0] + "\n", flags=re.MULTILINE)
    out = [head]
    for block in rules:
        bare = re.sub(r"^    proven:\n(?:      - .*\n)+", "", block, flags=re.MULTILINE)
        found = RULE.match(bare)
        assert found is not None
        names = sorted(proven.get(found[1], ()))
        out.append(bare + ("    proven:\n" + "".join(f"      - {name}\n" for name in names) if names else ""))
    return "".join(out) + "examples:\n" + text.partition("\nexamples:\n")[2]


def update() -> list[str]:
    """Writes every file; returns the names of those that changed."""
    changed = []
    for path in sorted(signatures.BUILTIN.glob("*.yaml")):
        own = {rule.partition("/")[2]: names for rule, names in proofs().items() if rule.startswith(f"{path.stem}/")}
        old = path.read_text(encoding="utf-8")
        new = written(old, own)
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    sys.stdout.write(("\n".join(update()) or "nothing changed") + "\n")
