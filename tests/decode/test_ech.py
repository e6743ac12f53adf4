"""Encrypted ClientHello as the outer hello shows it (RFC 9849, 5)."""

from __future__ import annotations

import pytest

from sensor.decode.ech import Ech, ech
from sensor.model import Malformed
from tests.decode.samples import ECH_OUTER, vector16


def test_an_outer_hello():
    assert ech(ECH_OUTER) == Ech(inner=False, kdf=1, aead=1, config_id=0x2A, enc=bytes(range(32)), payload_bytes=24)


def test_the_second_hello_has_no_enc():
    found = ech(bytes.fromhex("00 0001 0003 07") + vector16(b"") + vector16(b"x" * 200))
    assert found == Ech(inner=False, kdf=1, aead=3, config_id=7, enc=b"", payload_bytes=200)


def test_an_inner_hello():
    assert ech(b"\x01") == Ech(inner=True)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\x02", 0),
        (b"\x01\x00", 1),
        (ECH_OUTER + b"\x00", len(ECH_OUTER)),
        (bytes.fromhex("00 0001 0001 2a") + vector16(b"") + vector16(b""), 8),
    ],
)
def test_what_is_neither(data, offset):
    found = ech(data)
    assert isinstance(found, Malformed)
    assert found.offset == offset


@pytest.mark.parametrize("end", [0, 5, 8, len(ECH_OUTER) - 1])
def test_what_is_cut_short(end):
    assert ech(ECH_OUTER[:end]) is None
