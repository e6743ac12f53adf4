"""`python -m tests.golden.update` writes what a replay of the demo's capture tells now, as what it has to tell from now on.

Read the difference before it is committed: each line that changed is a verdict that changed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.commands.running import CAPTURE, CONFIG, lines, wardwatch

HERE = Path(__file__).resolve().parent
EPISODES, PROVENANCE = HERE / "clinic-morning.episodes.jsonl", HERE / "clinic-morning.provenance.json"
# Hashes of policy and signatures change with every comment and date in them.
LEFT_OUT = ("policy_hash", "signatures_hash", "signature_version", "reason")
EVIDENCE = ("kind", "value", "frame", "app", "rule", "strength")


def provenance() -> dict[str, Any]:
    """Where the episodes come from."""
    return {
        "capture": f"pcaps/{CAPTURE.name}, made by pcaps/clinic_morning.py; its licence is this project's",
        "capture_sha256": hashlib.sha256(CAPTURE.read_bytes()).hexdigest(),
        "config": f"pcaps/{CONFIG.name}",
        "command": f"wardwatch replay --no-store --config pcaps/{CONFIG.name} --episodes F pcaps/{CAPTURE.name}",
        "left_out": list(LEFT_OUT),
        "of_evidence": list(EVIDENCE),
        "update": "python -m tests.golden.update",
    }


def golden(episodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Episodes with what is to stay, in order of time."""
    made = []
    for one in episodes:
        kept: dict[str, Any] = {key: value for key, value in one.items() if key not in LEFT_OUT}
        kept["evidence"] = [{key: each[key] for key in EVIDENCE} for each in one["evidence"]]
        made.append(kept)
    return sorted(made, key=lambda one: (one["start"], one["id"]))


def replayed() -> list[dict[str, Any]]:
    """What the command tells now."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "episodes"
        done = wardwatch("replay", "--no-store", "--config", CONFIG, "--episodes", path, CAPTURE)
        if done.status:
            raise SystemExit(done.err)
        return golden(lines(path.read_text("utf-8")))


def main() -> None:
    EPISODES.write_text("".join(json.dumps(one) + "\n" for one in replayed()), "utf-8")
    PROVENANCE.write_text(json.dumps(provenance(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
