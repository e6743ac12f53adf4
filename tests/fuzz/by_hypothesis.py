"""One target by hypothesis: bytes of any kind, and seeds that are cut, damaged, doubled and crossed.

python -m tests.fuzz.by_hypothesis TARGET SECONDS CORPUS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.memory import Flat
from tests.fuzz.targets import TARGETS, Target

ROUND_EXAMPLES = 400
GROWTH_BYTES = 64 << 20
INTERESTING = b"\x00\x01\x02\x06\x16\x3f\x40\x7f\x80\xbf\xc0\xfe\xff"


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with a few changes of the kinds that break parsers."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["byte", "interesting", "insert", "delete", "cut", "repeat", "cross"]))
        if change == "byte" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif change == "interesting" and at < len(data):
            data[at] = draw(st.sampled_from(INTERESTING))
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=12))
        elif change == "delete":
            del data[at : at + draw(st.integers(1, 12))]
        elif change == "cut":
            del data[at:]
        elif change == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 80))] * draw(st.integers(1, 8))
        elif change == "cross":
            other = draw(st.sampled_from(seeds))
            data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


def inputs(target: Target, seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """What is tried on a target."""
    some = [one for one in seeds if one] or [b"\x00"]
    return st.one_of(changed(some), st.binary(max_size=400)).map(lambda data: data[: target.max_bytes])


def run_round(target: Target, seeds: list[bytes], number: int, examples: int, flat: Flat | None = None) -> None:
    """Some examples, the same for the same `number`; an input that breaks a promise is shrunk and raised."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target, seeds))
    def check(data: bytes) -> None:
        target.run(data)
        if flat:
            flat.sample()

    check()


def main(name: str, seconds: float, corpus: Path) -> None:
    target = TARGETS[name]
    seeds = [path.read_bytes() for path in sorted(corpus.iterdir())]
    for one in seeds:
        target.run(one)
    flat = Flat(seconds, GROWTH_BYTES)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        run_round(target, seeds, number, ROUND_EXAMPLES, flat)
        number += 1
    print(f"{name}: {number} rounds, {flat}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
