"""What is fuzzed. Every decoder of tests/decode/test_promise.py is a target by itself; here are their limits and the rest.

A target takes any bytes and raises where a promise is broken: something but a value, None or Malformed comes out, the
offset of a Malformed lies outside, more cursor operations than its limit allows, or the loop's accounts do not add up.
"""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sensor.decode
from sensor.decode import gquic, quic, tls
from sensor.model import Malformed
from tests.decode import google, samples, sealing
from tests.decode.test_promise import DECODERS, answer
from tests.fuzz.counting import counted_cursors
from tests.fuzz.names import KERNEL, PIPELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Cursor operations of one input: at most A for each of its bytes, and B. A read of one byte is an operation, and so is
# every string of a run and every number of a list; a name costs a cursor for each pointer in it.
DEFAULT_LIMIT = (3, 16)
LIMITS: dict[str, tuple[int, int]] = {}

# Modules of sensor/decode that are no decoders: what these make of bytes is decided by their callers.
HELPERS = frozenset({"cursor", "text", "stream"})


class BrokenPromiseError(Exception):
    """A decoder did what it promised not to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz. `run` raises where a promise is broken."""

    name: str
    run: Callable[[bytes], Any]
    seeds: Callable[[], list[bytes]]
    max_bytes: int = 4096
    reads_payloads: bool = False  # whether what packets carry is an input for it as it stands


def _of_decoder(name: str) -> Target:
    def run(data: bytes) -> Any:
        return limited(name, lambda: answer(name, data), len(data))

    return Target(name, run, lambda: list(DECODERS[name][1]), reads_payloads=True)


def limited(name: str, work: Callable[[], Any], size_bytes: int) -> Any:
    """The answer of `work`, whose cursor operations are counted and limited."""
    per_byte, fixed = LIMITS.get(name.partition(" ")[0], DEFAULT_LIMIT)
    with counted_cursors() as count:
        found = work()
    if count.operations > per_byte * size_bytes + fixed:
        raise BrokenPromiseError(f"{name}: {count.operations} cursor operations for {size_bytes} bytes")
    return found


def opened_initial(data: bytes) -> Any:
    """`data` as the frames of an Initial that opens: random bytes never get past the tag."""
    packet = samples.initial(data)
    return limited("quic.initials", lambda: answer("quic.initials", packet), len(packet))


def opened_google(data: bytes) -> Any:
    """`data` as the frames of a sealed packet of Google's, and of one in clear text."""
    packet = sealing.sealed(0x51303530, data)
    limited("quic.initials", lambda: answer("quic.initials", packet), len(packet))
    plain = google.plain(24 + len(data) % 26, data)
    return limited("gquic.packet", lambda: answer("gquic.packet", plain), len(plain))


def crypto_pieces(data: bytes) -> Any:
    """`data` as CRYPTO frames of one connection: each is two bytes of offset, a byte of length, and its bytes."""
    assembler = quic.QuicHello()
    found: Any = None
    at = 0
    while at + 3 <= len(data):
        offset, size = int.from_bytes(data[at : at + 2], "big"), data[at + 2]
        found = assembler.add(samples.initial(samples.crypto(offset, data[at + 3 : at + 3 + size])))
        if not (found is None or isinstance(found, tls.ClientHello | gquic.Chlo | Malformed)):
            raise BrokenPromiseError(f"QuicHello.add gave {found!r}")
        at += 3 + size
    return found


def pieces_of_hello(size: int) -> bytes:
    """A hello as `crypto_pieces` reads it, the last piece first."""
    hello = samples.FULL_HELLO
    cuts = [(at, hello[at : at + size]) for at in range(0, len(hello), size)]
    return b"".join(at.to_bytes(2, "big") + samples.vector8(part) for at, part in reversed(cuts))


def kernel_run(data: bytes) -> Any:
    from tests.fuzz.kernel import run  # needs the loop interpreted

    return run(data)


def kernel_seeds() -> list[bytes]:
    from tests.fuzz.kernel import seeds

    return seeds()


def pipeline_run(data: bytes) -> Any:
    from tests.fuzz.pipeline import run

    return run(data)


def pipeline_seeds() -> list[bytes]:
    from tests.fuzz.pipeline import seeds

    return seeds()


TARGETS: dict[str, Target] = {
    **{name: _of_decoder(name) for name in DECODERS},
    "quic.initials opened": Target(
        "quic.initials opened", opened_initial, lambda: [samples.crypto(0, samples.FULL_HELLO), b"\x02" + bytes(4)]
    ),
    "gquic.packet opened": Target(
        "gquic.packet opened",
        opened_google,
        lambda: [google.crypto(0, google.HELLO), google.ack(46), google.others(46)],
    ),
    "quic.QuicHello pieces": Target(
        "quic.QuicHello pieces", crypto_pieces, lambda: [pieces_of_hello(size) for size in (40, 255)], 2048
    ),
    KERNEL: Target(KERNEL, kernel_run, kernel_seeds, 2048),
    PIPELINE: Target(PIPELINE, pipeline_run, pipeline_seeds, 16 << 10),
}


def decoders() -> Iterator[str]:
    """Every public decoder of sensor/decode: what takes bytes first, or a class that is fed with bytes."""
    for found in pkgutil.iter_modules(sensor.decode.__path__):
        if found.name in HELPERS:
            continue
        module = import_module(f"sensor.decode.{found.name}")
        for name, one in vars(module).items():
            if name.startswith("_") or getattr(one, "__module__", None) != module.__name__:
                continue
            if (inspect.isfunction(one) and _takes_bytes(one)) or (inspect.isclass(one) and _is_fed(one)):
                yield f"{found.name}.{name}"


def _takes_bytes(function: Callable[..., Any]) -> bool:
    names = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    return bool(names) and names[0].annotation == "bytes"


def _is_fed(kind: type) -> bool:
    """A class with a public method that takes bytes first, and says Malformed."""
    return any(
        inspect.isfunction(one)
        and not name.startswith("_")
        and _takes_bytes(one)
        and "Malformed" in str(one.__annotations__.get("return", ""))
        for name, one in vars(kind).items()
    )
