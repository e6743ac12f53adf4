"""Traces made with the helpers of pcaps/, and what a replay says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps import clinic
from pcaps.names import Resolver
from pcaps.web import World
from pcaps.wire import Trace
from sensor import setup
from tests import made

if TYPE_CHECKING:
    from pathlib import Path

    from pcaps.names import Entry


def world(seed: str, *names: Entry) -> World:
    """An empty trace in the small clinic; `names` are known to its resolver beside or in place of the usual ones."""
    trace = Trace(f"tests/{seed}", made.START_S)
    return World(trace, Resolver(trace, clinic.RESOLVER, (*clinic.ENTRIES, *names)))


def told(folder: Path, trace: Trace, settings: str = "") -> made.Seen:
    """What a replay says of the trace under the configuration `settings`."""
    capture, toml = folder / "made.pcap", folder / "made.toml"
    trace.write(capture)
    toml.write_text(settings, "utf-8")
    return made.read(setup.read(str(toml)), [capture])
