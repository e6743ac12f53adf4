"""The names in a capture as tshark reports them, through pyshark, and as wardwatch does; and where the two differ.

`python -m tests.oracles.names` prints the differences of all captures that are not judged, as judged.toml has them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import captures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
JUDGED = Path(__file__).parent / "judged.toml"
SUFFIXES = {".pcap", ".pcapng"}

# tshark's fields, and what kind of name each holds. Names of mDNS, LLMNR and NetBIOS name devices: they are kept apart.
FIELDS = {"tls.handshake.extensions_server_name": "sni", "gquic.tag.sni": "sni", "dns.qry.name": "qname"}
APART = {"mdns", "llmnr", "nbns"}
SOURCES = {"tls_sni": "sni", "quic_sni": "sni", "dtls_sni": "sni", "dns_query": "qname"}

ESCAPE = re.compile(r"\\(\d{3}|.)")
ODD = re.compile(r"[^\x21-\x7e]+")
Names = dict[tuple[str, str], int]  # (kind, name) -> the first frame that has it


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """`found` by one side only, or by both but first in different frames (then `frame` is tshark's)."""

    file: str
    frame: int
    kind: str
    name: str
    found: str  # by "tshark", "wardwatch", or "both"


def comparable(name: str) -> str:
    """A name without what the two sides only write differently: case, the root, and bytes that are no printable ASCII."""
    if name == "<Root>":
        return "."
    plain = ESCAPE.sub(lambda found: found[1] if found[1] in "\\." else "\x00", name)
    return ODD.sub("?", plain.lower()).removesuffix(".") or "."


def chosen() -> list[Path]:
    """The captures to compare; skips the test where there are none."""
    return sorted(path for path in captures.folder().iterdir() if path.suffix in SUFFIXES)


def by_tshark(path: Path) -> Names:
    """Every SNI and every question's name, in messages and in answers to them."""
    import pyshark

    names: Names = {}
    capture = pyshark.FileCapture(
        str(path), display_filter=" || ".join(FIELDS), keep_packets=False, custom_parameters=["-n"]
    )
    # At damage tshark stops with an error, as it should; what it said before that counts.
    with suppress(pyshark.capture.capture.TSharkCrashException):
        for packet in capture:
            for kind, name in _of_packet(packet):
                names.setdefault((kind, comparable(name)), int(packet.number))
    with suppress(pyshark.capture.capture.TSharkCrashException):
        capture.close()
    return names


def _of_packet(packet: Any) -> Iterator[tuple[str, str]]:
    for layer in packet.layers:
        if layer.layer_name in APART:
            continue
        for field, kind in FIELDS.items():
            found = layer._all_fields.get(field)
            for one in found.all_fields if found is not None else ():
                if one.show:
                    yield kind, one.show


def by_wardwatch(paths: Iterable[Path]) -> dict[str, Names]:
    """The same of many captures, each a network of its own, by one replay."""
    names: dict[str, Names] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        flows = Path(folder) / "flows.jsonl"
        command = [sys.executable, "-m", "sensor.cli", "replay", "--separate", "--no-store", "--quiet"]
        command += ["--flows", str(flows), *map(str, paths)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode not in {0, 3}:  # 3: something was damaged
            raise RuntimeError(done.stderr[-2000:])
        with flows.open(encoding="utf-8") as stream:
            for line in stream:
                flow = json.loads(line)
                for one in flow["names"]:
                    if one["source"] in SOURCES:
                        key = SOURCES[one["source"]], comparable(one["name"])
                        seen = names[flow["file"]]
                        seen[key] = min(seen.get(key, one["frame"]), one["frame"])
    return names


def differences(file: str, theirs: Names, ours: Names) -> Iterator[Difference]:
    for key in sorted(theirs.keys() | ours.keys()):
        if key not in ours:
            yield Difference(file, theirs[key], *key, "tshark")
        elif key not in theirs:
            yield Difference(file, ours[key], *key, "wardwatch")
        elif theirs[key] != ours[key]:
            yield Difference(file, theirs[key], *key, "both")


def all_differences(paths: list[Path]) -> tuple[set[Difference], int]:
    """Every difference, and how many names there are that both sides found."""
    ours = by_wardwatch(paths)
    found: set[Difference] = set()
    agreed = 0
    # pyshark's event loop wants a main thread, so each is one of a process of its own.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        all_theirs = list(pool.map(by_tshark, paths, chunksize=8))
    for path, theirs in zip(paths, all_theirs, strict=True):
        agreed += len(theirs.keys() & ours[path.name].keys())
        found |= set(differences(path.name, theirs, ours[path.name]))
    return found, agreed


def judged() -> dict[Difference, tuple[str, str]]:
    """What was looked at: who is right, and why."""
    found: dict[Difference, tuple[str, str]] = {}
    for group in tomllib.loads(JUDGED.read_text("utf-8"))["judged"]:
        for frame, kind, name, by in group["differences"]:
            found[Difference(group["file"], frame, kind, name, by)] = (group["right"], group["why"])
    return found


def main() -> None:
    found, _ = all_differences(chosen())
    for file in sorted({one.file for one in found - judged().keys()}):
        print(f'[[judged]]\nfile = "{file}"\nright = ""\nwhy = ""\ndifferences = [')
        for one in sorted(one for one in found - judged().keys() if one.file == file):
            print("    " + json.dumps([one.frame, one.kind, one.name, one.found]) + ",")
        print("]\n")


if __name__ == "__main__":
    main()
