"""Random UDP, of any sizes and rates, wherever it goes, is no app and no call."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcaps import stun
from pcaps.wire import Link, Station, Trace
from sensor import setup
from sensor.classify import signatures
from sensor.classify.flows import UNKNOWN_CALL
from tests import made
from tests.negatives.making import PC

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.setup import Setup

PORTS = (53, 80, 123, 443, 500, 521, 596, 1400, 3478, 3480, 3497, 5004, 5060, 8801, 9000, 16384, 16402, 19305, 50004)
# How protocols of calls and their neighbours begin: RTP, ChannelData, DTLS, STUN, Zoom, OpenVPN.
FIRST = (b"", b"\x80", b"\x90\x6f", b"\xc0", b"\x40\0", b"\x16\xfe\xfd", b"\0\1", b"\1\1", b"\5", b"\x38", b"\x84")


def text(address: bytes) -> str:
    address6 = IPv6Address(address)
    return str(address6.ipv4_mapped or address6)


# Where nobody's servers are, and the first address and port of each range that an app publishes.
NOWHERE = st.tuples(
    st.sampled_from(["198.51.100.7", "2001:db8::7"]), st.one_of(st.sampled_from(PORTS), st.integers(1, 65535))
)
PUBLISHED = sorted({(text(first), max(port, 1)) for first, _, _, port, _, _ in signatures.load().ranges()})


@dataclass(frozen=True)
class Stream:
    """A flow in the making."""

    seed: int
    server: tuple[str, int]
    sport: int
    sizes: tuple[int, int]
    hertz: tuple[float, float]  # up, down
    first: bytes  # how each datagram begins
    seconds: float


streams = st.builds(
    Stream,
    seed=st.integers(0, 1 << 32),
    server=st.one_of(NOWHERE, st.sampled_from(PUBLISHED)),
    sport=st.one_of(st.sampled_from(PORTS), st.integers(1024, 65535)),
    sizes=st.tuples(st.integers(0, 1400), st.integers(0, 1400)).map(lambda both: (min(both), max(both))),
    hertz=st.tuples(*[st.sampled_from([0.0, 0.3, 5.0, 20.0, 50.0])] * 2),
    first=st.sampled_from(FIRST),
    seconds=st.floats(0.5, 15.0),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    toml = tmp_path_factory.mktemp("random") / "made.toml"
    toml.write_text("[sensor]\nflow_table_rows = 4096\ndns_memory_rows = 1024\n", "utf-8")
    return setup.read(str(toml))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random") / "made.pcap"


def link_of(stream: Stream) -> Link:
    address, port = stream.server
    six = ":" in address
    return Link(PC, stream.sport, Station("server", "" if six else address, address if six else "", ttl=52), port, six)


def put(trace: Trace, stream: Stream) -> None:
    rng, link = Random(stream.seed), link_of(stream)
    for side, hertz in ((link, stream.hertz[0]), (link.turned(), stream.hertz[1])):
        for index in range(int(hertz * stream.seconds)):
            size = rng.randint(*stream.sizes)
            trace.udp(index / hertz + rng.random() * 0.02, side, (stream.first + rng.randbytes(size))[:size])


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(some=st.lists(streams, min_size=1, max_size=4))
def test_random_datagrams(plain: Setup, capture: Path, some: list[Stream]) -> None:
    trace = Trace("random", made.START_S)
    for stream in some:
        put(trace, stream)
    trace.write(capture)
    assert made.read(plain, [capture]).episodes == []


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    stream=streams.filter(lambda one: one.server not in PUBLISHED), kind=st.integers(0, 63), clock=st.integers(1, 6000)
)
def test_random_media(plain: Setup, capture: Path, stream: Stream, kind: int, clock: int) -> None:
    """RTP of any making with nobody in particular is a call of no known app, if it is one at all."""
    trace = Trace("media", made.START_S)
    legs = [stun.Leg(max(hertz, 1.0), stream.sizes[0], max(stream.sizes[1], 1), kind, clock) for hertz in stream.hertz]
    stun.call(trace, link_of(stream), legs[:1], legs[1:], 0.5, stream.seconds, "media")
    trace.write(capture)
    assert {one.candidates for one in made.read(plain, [capture]).episodes} <= {(UNKNOWN_CALL,)}
