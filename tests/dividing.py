"""Reads captures in several processes and prints what came of it: a program, for only one that has no threads can be forked.

python -m tests.dividing WORKERS CHUNK_BYTES CAPTURE...
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sensor import records, setup
from sensor.capture.planning import Plan
from sensor.dividing import Divided, Work
from sensor.errors import CaptureError


def main(workers: int, chunk_bytes: int, files: list[Path]) -> None:
    """A digest of each output, the sums, and the warnings; or the error."""
    divided = Divided(Plan(files, []), workers, Work(setup.read(None), flows=True, chunk_bytes=chunk_bytes))
    outputs = {name: hashlib.sha256() for name in ("flows", "episodes", "observations", "sources")}
    warnings: list[str] = []
    flows: list[str] = []
    try:
        for part in divided.parts():
            episodes = "".join(records.line(records.episode_record(one)) for one in part.episodes)
            seen = "".join(records.line(records.observation_record(one)) for one in part.observations)
            outputs["flows"].update("".join(part.flows).encode())
            flows += part.flows
            outputs["episodes"].update(episodes.encode())
            outputs["observations"].update(seen.encode())
            outputs["sources"].update("".join(map(repr, part.sources)).encode())
            warnings += map(str, part.warnings)
    except CaptureError as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
        return
    found = {name: made.hexdigest() for name, made in outputs.items()}
    found["flows in any order"] = hashlib.sha256("".join(sorted(flows)).encode()).hexdigest()
    sys.stdout.write(json.dumps({**found, "warnings": warnings, "totals": asdict(divided.totals)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), list(map(Path, sys.argv[3:])))
