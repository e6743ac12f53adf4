"""Which datagrams the compiled loop hands over as QUIC, beside what the decoder opens: none of those may be missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode import gquic, quic
from sensor.decode.quic_keys import INITIAL, VERSIONS, versions
from sensor.kernel.layout import QUIC_CLUES, QUIC_REPLY_CLUES
from sensor.kernel.quic import LEAST_BYTES, is_initial, quic_clues
from tests import captures
from tests.decode import google, samples, sealing
from tests.kernel.harness import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

UDP = 17
RESERVED = [0x0A0A0A0A, 0x1A2A3A4A, 0xFAFAFAFA]


def clues(data: bytes, *, is_client: bool = True, missing: int = 0) -> int:
    if len(data) < LEAST_BYTES or not (data[0] >= 0xC0 or data[0] & 0xCB == 0x09):  # as datagram_clue asks first
        return 0
    return int(quic_clues(np.frombuffer(data, np.uint8), 0, data[0], len(data), missing, is_client))


def hellos() -> Iterator[Any]:
    for version in sealing.SALTS:
        yield pytest.param(sealing.sealed(version, bytes(1200)), id=f"{version:08x}")
    for version in RESERVED:
        yield pytest.param(sealing.sealed(version, bytes(1200), salt=sealing.FORCING), id=f"{version:08x}")
    for version in range(gquic.OLDEST, gquic.NEWEST + 1):
        for number_bytes in (1, 6):
            data = google.plain(
                version, google.stream(0, google.HELLO.ljust(1200, b"\x00"), version), number_bytes=number_bytes
            )
            yield pytest.param(data, id=f"Q0{version} {number_bytes}")


@pytest.mark.parametrize("data", list(hellos()))
def test_every_version_that_is_read_is_handed_over(data):
    assert clues(data) == QUIC_CLUES
    assert clues(data, is_client=False) == QUIC_REPLY_CLUES


@pytest.mark.parametrize("number", [*VERSIONS, *RESERVED])
def test_types_are_those_of_the_decoder(number):
    for first in range(0xC0, 0x100):
        assert bool(is_initial(first, number)) == (versions(number)[0].types[first >> 4 & 3] == INITIAL)


@given(st.integers(0xC0, 0xFF), st.integers(0, 2**32 - 1))
def test_other_versions_are_left_alone(first, number):
    if is_initial(first, number):
        assert versions(number) or gquic.version_number(number) in range(44, 50) or 0xFACEB000 <= number < 0xFACEB020


@pytest.mark.parametrize(
    "data",
    [
        samples.RFC_SERVER_V1,  # short, and to no id
        samples.RFC_SERVER_V1.ljust(1200, b"\x00"),
        samples.initial(bytes(200), dcid=b"12345678"),  # not padded
        samples.initial(bytes(1200), dcid=b"1234567"),  # too short an id for the first one
    ],
)
def test_answers_are_left_alone(data):
    assert clues(data, is_client=False) == 0


def test_padding_that_the_capture_cut_off_counts():
    data = sealing.sealed(1, bytes(1200))
    assert clues(data[:200], is_client=False, missing=len(data) - 200) == QUIC_REPLY_CLUES


@pytest.mark.parametrize("flags", [0x01, 0x08, 0x0B, 0x49, 0x89, 0x0A])
def test_other_public_flags(flags):
    assert clues(bytes([flags]) + google.plain(39, bytes(100))[1:]) == 0


def test_public_flags_without_a_version_of_google():
    data = bytearray(google.plain(39, bytes(100)))
    data[9:13] = b"R039"
    assert clues(bytes(data)) == 0


@pytest.mark.captures
def test_pieces_of_a_hello_are_handed_over():
    seen = 0
    for path in sorted(captures.folder().glob("*quic*.pcap*")):
        for proto, _, _, data in payloads(path, 400):
            if proto != UDP:
                continue
            packets = quic.initials(data)
            plain = gquic.packet(data)
            opened = [*packets] if isinstance(packets, tuple) else []
            if any(one.crypto for one in opened) or (isinstance(plain, gquic.Packet) and plain.crypto):
                seen += 1
                assert clues(data)
    assert seen > 50
