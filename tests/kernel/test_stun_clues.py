"""Which datagrams the compiled loop takes for STUN."""

from __future__ import annotations

import pytest

from sensor.kernel import layout
from tests.kernel.harness import Loop, datagram, packed

KIND = (layout.CLUE.names or ()).index("kind")


def stun_clues(payload: bytes) -> int:
    loop = Loop()
    loop.run(*packed([datagram(1, "10.0.0.1", 40000, "157.240.0.60", 3478, payload)]))
    return sum(isinstance(said, list) and len(said) > KIND and said[KIND] == layout.KIND_STUN for said in loop.said)


def message(kind: int, *, cookie: int = 0x2112A442, length: int = 0, body: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + length.to_bytes(2, "big") + cookie.to_bytes(4, "big") + bytes(range(12)) + body


@pytest.mark.parametrize("kind", [0x0001, 0x0003, 0x0101, 0x0113, 0x0800, 0x0801, 0x0802, 0x0804, 0x3FFF])
def test_every_type_whose_first_bits_are_zero(kind: int) -> None:
    """Those of Meta's relays, 0x0800 and on, are in no standard."""
    assert stun_clues(message(kind)) == 1


@pytest.mark.parametrize(
    "payload",
    [
        message(0x4001),
        message(0x8001),
        message(0x0001, cookie=0x2112A443),
        message(0x0001, length=4),
        message(0x0001, body=b"1234"),
        message(0x0801, length=4, body=b"123"),
        message(0x0001)[:19],
    ],
)
def test_what_is_none(payload: bytes) -> None:
    assert stun_clues(payload) == 0
