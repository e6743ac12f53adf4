"""Which MAC addresses are taken for routers."""

from __future__ import annotations

import pytest

from tests.kernel.harness import Frame, Loop, datagram, packed

MAC, OTHER = 0x020000000001, 0x020000000002
GLOBAL, PRIVATE, OUTSIDE = "2001:db8::7", "10.0.0.7", "198.51.100.7"


def is_router(*frames: Frame) -> bool:
    loop = Loop()
    loop.run(*packed(list(frames)))
    stations = loop.joiner.stations
    (row,) = stations[stations["mac"] == MAC]
    return bool(row["router"])


def sent(src: str, dst: str, *, ttl: int = 64, port: int = 5000, to: int = OTHER) -> Frame:
    return datagram(1, src, port, dst, 6000, b"x" * 8, ttl=ttl, macs=(MAC, to))


@pytest.mark.parametrize(
    "frames",
    [
        [sent(GLOBAL, "fe80::1", ttl=255)],  # a neighbour advertisement to the router goes this way
        [sent(GLOBAL, "2001:db8::9"), sent(PRIVATE, OUTSIDE)],
        [sent("fe80::7", "fe80::1", ttl=255)],
        [sent(PRIVATE, OUTSIDE), sent("10.0.0.8", OUTSIDE)],
        [sent(PRIVATE, "224.0.0.251", ttl=7, to=0x01005E0000FB)],
    ],
)
def test_a_host(frames: list[Frame]) -> None:
    assert not is_router(*frames)


@pytest.mark.parametrize(
    "frames",
    [
        [sent(OUTSIDE, PRIVATE)],
        [sent(GLOBAL, "fd00::7")],
        [sent(PRIVATE, OUTSIDE, ttl=63)],
        [sent(f"10.0.0.{last}", OUTSIDE, port=5000 + last) for last in (1, 2, 3)],
    ],
)
def test_a_router(frames: list[Frame]) -> None:
    assert is_router(*frames)
