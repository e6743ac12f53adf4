"""Traffic that is no app's call, made packet by packet."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pcaps.names import Entry
from pcaps.wire import Station
from sensor.classify.flows import UNKNOWN_CALL
from sensor.model import Activity
from tests import worlds
from tests.decode import samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.web import World
    from pcaps.wire import Link, Trace
    from sensor.model import Episode
    from tests.made import Seen

PC = Station("pc", "10.20.4.21", "2001:db8:20:4::21", "00:00:5e:00:53:a1", 40, 128, "windows")
SERVER = Station("server", "198.51.100.80", "2001:db8:f0::80", ttl=52)
NAMES = (
    Entry("app.telehealth.example", ("203.0.113.81",), h3=True),
    Entry("turn.telehealth.example", ("203.0.113.82",)),
    Entry("meet.jit.si", ("198.51.100.83",), ttl=60),
    Entry("vpn.clinic.example", ("203.0.113.84",)),
    Entry("meet.google.com", ("142.250.201.206",), h3=True),
    Entry("us05web.zoom.us", ("170.114.52.2",), h3=True),
)


def world(seed: str) -> World:
    return worlds.world(seed, *NAMES)


def beat(
    trace: Trace, link: Link, payload: Callable[[int], bytes], *, hertz: float, seconds: float, at: float = 0.0
) -> None:
    """Datagrams at a rate, with some jitter; `payload` makes the one with this number."""
    rng = trace.rng(f"beat/{link.src.name}/{link.sport}/{link.dport}/{at}")
    for index in range(int(seconds * hertz)):
        trace.udp(at + index / hertz + rng.uniform(0, 0.3 / hertz), link, payload(index))


def both(
    trace: Trace, link: Link, payload: Callable[[int], bytes], *, hertz: float, seconds: float, at: float = 0.0
) -> None:
    beat(trace, link, payload, hertz=hertz, seconds=seconds, at=at)
    beat(trace, link.turned(), payload, hertz=hertz, seconds=seconds, at=at + 0.013)


def dtls_hello(name: str) -> bytes:
    """A ClientHello of DTLS 1.2; browsers name nobody there."""
    extensions = (samples.server_name(name.encode()),) if name else ()
    return samples.dtls_record(samples.dtls_fragment(samples.dtls_hello(*extensions)))


def rtcp(ssrc: bytes) -> bytes:
    """A receiver report (RFC 3550 6.4.2)."""
    return b"\x81\xc9\0\x07" + ssrc + struct.pack("!I", 7) + bytes(20)


def calls(seen: Seen) -> list[Episode]:
    """Calls and attempts, those of no known app included."""
    return [one for one in seen.episodes if one.activity >= Activity.CALL_ATTEMPT]


def app_calls(seen: Seen) -> list[Episode]:
    return [one for one in calls(seen) if one.candidates != (UNKNOWN_CALL,)]
