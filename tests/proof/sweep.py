"""Packs of every episode of every capture there is, verified and shown to tshark: `make evidence-sweep`, some minutes.

`python -m tests.proof.sweep [CAPTURE...]` does so for some. The exit status is 1 where a pack does not hold; every disagreement is printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from sensor import cli, setup
from sensor.errors import WardwatchError
from sensor.proof import keys, making, verifying
from sensor.store import Filter, open_store
from tests import captures


def sweep(paths: list[Path]) -> int:
    made = setup.read(None)
    opinions: Counter[tuple[str, str, str]] = Counter()
    checks: Counter[str] = Counter()
    unproven: Counter[str] = Counter()
    packs = frames = failed = files = 0
    with tempfile.TemporaryDirectory() as folder:
        signer = keys.signer(Path(folder) / "key.pem")
        for number, path in enumerate(paths):
            place = Path(folder) / f"{number}.sqlite"
            with redirect_stdout(StringIO()):
                cli.main(["replay", str(path), "--store", str(place), "--quiet"])
            with open_store(place) as store:
                ids = [row.episode.id for row in store.violations(Filter(outcomes=None))]
                if not ids:
                    continue
                files += 1
                pack = making.pack(making.Request(store, made, signer, actor="sweep"), ids)
            packs, frames = packs + len(ids), frames + pack.frames
            try:
                report = verifying.pack(pack.data, {signer.public}, ask=True)
            except WardwatchError as error:
                failed += 1
                print(f"{path.name}: {error}", flush=True)
                continue
            checks.update(line.how for line in report.lines)
            for line in report.wrong:
                failed += 1
                print(f"{path.name}: WRONG {line.what}", flush=True)
            for line in report.lines:
                if line.how == verifying.ATTESTED and "no frame of the pack" in line.what:
                    unproven[line.what.split(" ")[2]] += 1
                    print(f"{path.name}: attested {line.what}", flush=True)
            for _, one in report.opinions:
                opinions[one.evidence.kind, one.evidence.match.strength.label, one.answer.value] += 1
                if one.answer.value != "agree" and one.evidence.kind not in {"tied", "media"}:
                    shown = f"{one.answer.value}: {one.evidence.kind} {one.evidence.value}, frame {one.evidence.frame}"
                    print(f"{path.name}: tshark: {shown} (shows {one.said})", flush=True)
            place.unlink()
    print(f"{files} captures, {packs} episodes, {frames} frames; {dict(checks)}; not proven: {dict(unproven)}")
    for key, count in sorted(opinions.items()):
        print(f"{' '.join(key):40} {count}")
    return 1 if failed else 0


if __name__ == "__main__":
    chosen = [Path(one) for one in sys.argv[1:]]
    if not chosen:
        folder = captures.find()
        chosen = [] if folder is None else sorted(one for one in folder.iterdir() if one.suffix in {".pcap", ".pcapng"})
    began = time.monotonic()
    status = sweep(chosen)
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(status)
