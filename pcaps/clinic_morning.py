"""Makes clinic-morning.pcap and clinic-morning.truth.json: `python -m pcaps.clinic_morning [OUT]`, OUT a folder.

A Tuesday from 08:00 to 10:30 in a small clinic, as a mirror of the trunk between its switch and its gateway would show
it. Everything is made here; no byte comes from anybody's capture, and each run makes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pcaps import clinic, scenes
from pcaps.names import Resolver
from pcaps.web import World
from pcaps.wire import GATEWAY_MAC, Name, Trace, Use

CAPTURE, TRUTH = "clinic-morning.pcap", "clinic-morning.truth.json"


def build() -> Trace:
    """The whole morning, in memory."""
    trace = Trace(clinic.SEED, clinic.START_S)
    scenes.play(World(trace, Resolver(trace, clinic.RESOLVER, clinic.ENTRIES)))
    return trace


def truth(trace: Trace) -> dict[str, Any]:
    """What is in the capture, as the scenario knows it: devices, uses of apps, names with their frames."""
    numbers = trace.numbers()
    devices = [
        {
            "name": each.name,
            "mac": each.mac,
            "ip4": each.ip4,
            "ip6": each.ip6,
            "network": each.network,
            "vlan": each.vlan,
        }
        for each in clinic.DEVICES
    ]
    uses = sorted((_use(trace, each, numbers) for each in trace.uses), key=lambda row: str(row["start"]))
    names = sorted(
        (_name(trace, each, numbers) for each in trace.names), key=lambda row: (row["frame"], row["kind"], row["name"])
    )
    return {"capture": CAPTURE, "frames": len(trace.frames), "gateway_mac": GATEWAY_MAC, "devices": devices,
            "uses": uses, "names": names}  # fmt: skip


def _use(trace: Trace, use: Use, numbers: list[int]) -> dict[str, Any]:
    times = [trace.frames[ref][0] for ref in use.frames]
    device = use.device
    return {
        "device": {"name": device.name, "mac": device.mac, "ip4": device.ip4},
        "network": device.network,
        "app": use.app,
        "activity": use.activity,
        "start": _clock(min(times)),
        "end": _clock(max(times)),
        "first_frame": min(numbers[ref] for ref in use.frames),
        "frames": len(use.frames),
        "must_be": use.must_be,
        "note": use.note,
    }


def _name(trace: Trace, name: Name, numbers: list[int]) -> dict[str, Any]:
    """`frame` is where the message is complete: the last of its frames in time."""
    frames = sorted(numbers[ref] for ref in name.frames)
    row: dict[str, Any] = {"frame": frames[-1], "kind": name.kind, "name": name.name, "client": name.client}
    if len(frames) > 1:
        row["frames"] = frames
    return row | {"time": _clock(max(trace.frames[ref][0] for ref in name.frames))} | dict(name.extra)


def _rows(facts: dict[str, Any]) -> str:
    """JSON with one line for each device, use and name, so that a change reads well in a diff."""
    parts = []
    for key, value in facts.items():
        rows = ",\n ".join(json.dumps(row) for row in value) if isinstance(value, list) else ""
        parts.append(f"{json.dumps(key)}: [\n {rows}\n]" if rows else f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _clock(time_us: int) -> str:
    return (
        datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_us % 1_000_000:06d}Z"
    )


def write(folder: Path) -> tuple[Path, Path]:
    """Make both files in a folder."""
    trace = build()
    capture, facts = folder / CAPTURE, folder / TRUTH
    trace.write(capture)
    facts.write_text(_rows(truth(trace)), encoding="utf-8")
    return capture, facts


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for path in write(folder):
        data = path.read_bytes()
        print(f"{hashlib.sha256(data).hexdigest()}  {path.name}  {len(data)} bytes")


if __name__ == "__main__":
    main()
