"""`make demo`: replays the small clinic's morning into a store of its own and shows where to look next."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sensor.cli import main

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "demo-output"
CAPTURE, CONFIG = HERE / "clinic-morning.pcap", HERE / "clinic.toml"


def demo() -> int:
    """Starts anew each time: whoever tries something out and runs it again sees the same."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    store = OUTPUT / "demo.sqlite"
    status = main(["replay", str(CAPTURE), "--config", str(CONFIG), "--store", str(store)])
    if status not in {0, 3}:
        return status
    options = f"--config {CONFIG.relative_to(HERE.parent)} --store {store.relative_to(HERE.parent)}"
    print(f"""
Where to look next:
  .venv/bin/wardwatch violations {options}
  .venv/bin/wardwatch explain ID {options}      (ID: the last column above)
  .venv/bin/wardwatch serve {options}
                                                              (prints a link that makes your account; the page
                                                              for officers then is http://127.0.0.1:8080/?day=2026-03-17)
  wireshark {CAPTURE.relative_to(HERE.parent)}                       (each explanation gives the display filters)
  README.md, docs/policy.md, docs/signatures.md""")
    return status


if __name__ == "__main__":
    sys.exit(demo())
