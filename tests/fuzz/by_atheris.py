"""One target by atheris, guided by which branches of sensor/ an input reaches.

python -m tests.fuzz.by_atheris TARGET SECONDS CORPUS
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import atheris

from tests.fuzz.names import KERNEL, PIPELINE

NAME = sys.argv[1] if len(sys.argv) > 1 else ""
if NAME == PIPELINE:
    # Numba cannot compile what atheris has put its marks into: here the loop is imported without.
    import sensor.kernel

    for found in pkgutil.iter_modules(sensor.kernel.__path__):
        import_module(f"sensor.kernel.{found.name}")
    # It never lets go of what it sees of comparisons of arrays, so neither has what compares whole batches of flows any.
    import_module("sensor.stating")
with atheris.instrument_imports(include=["sensor"]):
    from tests.fuzz.memory import Flat
    from tests.fuzz.targets import TARGETS

    if NAME == KERNEL:
        import tests.fuzz.kernel  # here, so that what it imports is watched too
    elif NAME == PIPELINE:
        import tests.fuzz.pipeline  # noqa: F401 - as above

# libFuzzer keeps its corpus in memory and adds to it all the time; a leak of a few bytes in each input is far more.
GROWTH_BYTES = 256 << 20
SLOWEST_SECONDS = 60  # an input that takes longer hangs


def main(name: str, seconds: float, corpus: Path) -> None:
    target = TARGETS[name]
    flat = Flat(seconds, GROWTH_BYTES)
    broken = corpus.parents[1] / "broken"
    broken.mkdir(exist_ok=True)

    def one(data: bytes) -> None:
        target.run(data)
        flat.sample()

    arguments = [
        sys.argv[0],
        f"-max_total_time={max(int(seconds), 1)}",
        f"-max_len={target.max_bytes}",
        f"-timeout={SLOWEST_SECONDS}",
        f"-artifact_prefix={broken}/{corpus.name}-",
        "-rss_limit_mb=4096",
        "-verbosity=0",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(arguments, one)
    atheris.Fuzz()  # leaves by itself, with status 0 if nothing broke


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
