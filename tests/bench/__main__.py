"""`make bench`. Exit status 1 where wardwatch is less than LEAST_RATIO times as fast as ndpiReader."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.bench.material import DEMO, GIVEN, ROOT, Material, choose
from tests.bench.measure import Failed, Run, run
from tests.bench.report import (
    LEAST_RATIO,
    NDPI,
    READ,
    TOUCH,
    TSHARK,
    WARDWATCH,
    Tool,
    doubts,
    machine,
    passes,
    ratios,
    table,
    versions,
)

RESULT = ROOT / "docs" / "bench" / "latest.json"
FIELDS = ("frame.number", "tls.handshake.extensions_server_name", "dns.qry.name")
WITH_WARNINGS = 3  # wardwatch: done, and something in the capture could not be read


def main() -> int:
    """Measures and prints."""
    options = _options()
    say = partial(print, flush=True)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="wardwatch-bench-") as work:
        try:
            material = choose(options.copies, Path(work), say)
            tools = _measured(material, options.runs, whole=options.tshark_whole)
        except (Failed, FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
    found = ratios(tools)
    _print(material, tools, found, options)
    unsure = doubts(tools, load)
    if unsure:
        print(f"Something else was running, so measure again: {'; '.join(unsure)}.")
    if options.write:
        _write(material, tools, found, unsure)
    if not material.judged:
        return 0
    if not passes(found):
        print(f"Too slow: less than {LEAST_RATIO:g} times as fast as {NDPI} by wall time.")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures wardwatch beside ndpiReader and tshark.",
        epilog=f"${GIVEN} names a capture to use instead of mixing one.",
    )
    copies = int(os.environ.get("WARDWATCH_BENCH_COPIES", "100"))
    parser.add_argument(
        "--copies", type=int, default=copies, help="copies in the mix (100, or $WARDWATCH_BENCH_COPIES)"
    )
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each tool (3)")
    parser.add_argument("--tshark-whole", action="store_true", help="tshark reads the whole capture too: minutes a run")
    parser.add_argument("--write", action="store_true", help="keep the result in docs/bench/latest.json")
    return parser.parse_args()


def _measured(material: Material, runs: int, *, whole: bool) -> dict[str, Tool]:
    """Warms the caches, samples memory in a run that is not timed, then times all tools in turn."""
    capture = material.path
    ours = [str(Path(sys.executable).with_name("wardwatch")), "replay", "--no-store", "--quiet"]
    print("Warming: the compiled loop's cache, then the capture ...", flush=True)
    run([*ours, str(DEMO)], good=(0, WITH_WARNINGS))
    packets = _floor(capture)[0]
    tools = {WARDWATCH: Tool(WARDWATCH, packets)}
    commands = {WARDWATCH: [*ours, str(capture)]}
    if shutil.which(NDPI):
        tools[NDPI] = Tool(NDPI, packets)
        commands[NDPI] = [NDPI, "-q", "-n", "1", "-i", str(capture)]
    else:
        print(f"No {NDPI} (Debian's libndpi-bin): nothing to judge the speed by.")
    small = capture if whole else material.small
    if shutil.which(TSHARK) and small is not None:
        tools[TSHARK] = Tool(TSHARK, packets if small is capture else _floor(small)[0])
        commands[TSHARK] = [TSHARK, "-n", "-r", str(small), "-T", "fields"]
        commands[TSHARK] += [part for name in FIELDS for part in ("-e", name)]
    else:
        print("tshark is left out: it is not there, or there is nothing small enough for it.")
    tools |= {TOUCH: Tool(TOUCH, packets), READ: Tool(READ, packets)}
    good = {WARDWATCH: (0, WITH_WARNINGS)}
    print("Sampling memory, in runs that are not timed ...", flush=True)
    for name, command in commands.items():
        sampled = run(command, sample=True, good=good.get(name, (0,)))
        tools[name].private_bytes, tools[name].pss_bytes = sampled.private_bytes, sampled.pss_bytes
    for number in range(1, runs + 1):
        print(f"Timed runs, {number} of {runs} ...", flush=True)
        for name, command in commands.items():
            tools[name].runs.append(run(command, good=good.get(name, (0,))))
        _, touched, read = _floor(capture)
        tools[TOUCH].runs.append(touched)
        tools[READ].runs.append(read)
    return tools


def _floor(capture: Path) -> tuple[int, Run, Run]:
    """(packets, the touch loop, read()), measured by a child, which leaves the capture in the page cache."""
    command = [sys.executable, "-m", "tests.bench.floor", str(capture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr.strip().rsplit("\n", 1)[-1])
    said = json.loads(done.stdout)
    one, two = (Run(said[key]["wall_s"], said[key]["cpu_s"], 0) for key in ("touch", "read"))
    return said["packets"], one, two


def _print(material: Material, tools: dict[str, Tool], found: dict[str, float], options: argparse.Namespace) -> None:
    about = machine()
    print(
        f"\n{material.title}: {material.path.stat().st_size / 1e6:,.0f} MB"
        if material.path.exists()
        else f"\n{material.title}"
    )
    print(f"{about['cpu']}, {about['cores']} cores; medians of {options.runs} runs in turn, caches warm\n")
    print(table(tools))
    print("\nwardwatch is, times as fast as (packets/s):")
    for name, ratio in found.items():
        print(f"  {name}: {ratio:.2f}")
    if TSHARK in tools and tools[TSHARK].packets != tools[WARDWATCH].packets:
        print(
            f"{TSHARK} read {material.small_title} only; its packets/s are compared (--tshark-whole gives it everything)."
        )
    print(
        "CPU time is of all processes of a tool, with start-up. Peak: the largest process; private, Pss: all together."
    )


def _write(material: Material, tools: dict[str, Tool], found: dict[str, float], unsure: list[str]) -> None:
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "capture": {"title": material.title, "packets": tools[WARDWATCH].packets},
        "doubts": unsure,
        "machine": machine(),
        "versions": versions(),
        "tools": {name: tool.record() for name, tool in tools.items()},
        "wardwatch_times_as_fast": {name: round(ratio, 2) for name, ratio in found.items()},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
