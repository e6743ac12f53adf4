"""Meetings: Zoom by its documented encapsulation, through the clinic's own host or a foreign one, and Teams, which is approved."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pcaps import stun, tls
from pcaps.clinic import outside
from pcaps.stun import ALLOCATE, BINDING, INTEGRITY, PRIORITY, USERNAME, Leg, ask
from pcaps.tls import Turn
from pcaps.web import SMALL, World
from pcaps.wire import Link, Station

if TYPE_CHECKING:
    from collections.abc import Callable

TEAMS_RELAY = outside("teams-relay", "52.114.20.17", 113)
_ZOOM_AUDIO, _ZOOM_VIDEO = 0x0F, 0x10  # media types of the Zoom dissector's tables
_TOWARDS, _FROM = 0x00, 0x04


def zoom(world: World, pc: Station, at: float, seconds: float, *, host: str, zone: str, router: str) -> None:
    """Join through `host`, then zone controller, multimedia router by TLS, and media on UDP 8801."""
    at = world.visit(pc, host, at, (Turn(0.05, 900, 7000), Turn(1.2, 700, 1800)), profile=tls.CHROME_PQ)
    at = world.visit(pc, zone, at + 1.0, (Turn(0.05, 600, 900),), profile=tls.NATIVE)
    world.visit(
        pc, router, at + 0.4, (Turn(0.05, 700, 900), *(Turn(9.0, 120, 130),) * int(seconds // 9)), profile=tls.NATIVE
    )
    server = world.resolver.entries[router].station()
    link = Link(pc, world.port(pc), server, 8801, dscp=46)
    at = _zoom_opening(world, link, at + 0.9)
    if seconds < 1:
        return
    up = [Leg(14, 60, 90, 112, 640, wrap=_zoom_wrap(_ZOOM_AUDIO, _TOWARDS))]
    down = [Leg(14, 60, 90, 112, 640, wrap=_zoom_wrap(_ZOOM_AUDIO, _FROM)),
            Leg(9, 360, 560, 98, 10000, burst=3, wrap=_zoom_wrap(_ZOOM_VIDEO, _FROM))]  # fmt: skip
    stun.call(world.trace, link, up, down, at, seconds, "zoom")
    for index in range(int(seconds // 5)):
        beat = b"\0\0\0\1" + struct.pack("!II", 0x3A000000 + 5000 * index, 0x005A0E3E)
        world.trace.udp(at + 5 * index + 0.07, link.turned(), b"\3" + beat)
        world.trace.udp(at + 5 * index + 0.0703, link, b"\4" + beat)


def teams(world: World, pc: Station, at: float, seconds: float) -> None:
    """The approved platform: work sign-in, chat, call set-up, media by Microsoft's relay."""
    rng = world.trace.rng(f"teams/{pc.name}")
    at = world.visit(pc, "login.microsoftonline.com", at, SMALL)
    at = world.visit(pc, "teams.microsoft.com", at + 0.1, (Turn(0.1, 900, 8000), Turn(2.0, 700, 1400)))
    at = world.visit(pc, "api.flightproxy.teams.microsoft.com", at + 8.0, (Turn(0.1, 1200, 1500),))
    seen_as = ("192.0.2.20", 50010)
    version = [(0x8008, b"\0\0\0\6"), (0x8070, b"\0\0\0\3"), (0x8055, b"\0\1\0\0")]
    link = Link(pc, 50010, TEAMS_RELAY, 3478, dscp=46)
    at = ask(world.trace, link, rng, at, ALLOCATE, [*version, (USERNAME, rng.randbytes(26))], seen_as=seen_as)
    media = Link(pc, 50010, TEAMS_RELAY, 3479, dscp=46)
    sign = [
        (USERNAME, b"a1b2:c3d4"),
        (PRIORITY, b"\x7e\xff\xff\xfe"),
        (0x8054, rng.randbytes(8)),
        (INTEGRITY, rng.randbytes(20)),
    ]
    ask(world.trace, media, rng, at + 0.05, BINDING, sign, seen_as=seen_as, marked=True)
    voice = Leg(16, 60, 100, 104, 640)
    stun.call(world.trace, media, [voice], [voice], at + 0.6, seconds, "teams")


def _zoom_opening(world: World, link: Link, at: float) -> float:
    """01 00 02 from the client, 02 00 02 from the router."""
    rng = world.trace.rng(f"zoom/{link.src.name}/{link.sport}")
    meeting = rng.randbytes(17)
    for late in (0.0, 0.031):
        world.trace.udp(
            at + late,
            link,
            b"\1\0\2" + meeting + bytes(7) + b"\2" + rng.randbytes(12) + b"\0\0\0\x40" + rng.randbytes(64),
        )
    world.trace.udp(at + 0.034, link.turned(), b"\2\0\2" + meeting + rng.randbytes(8) + bytes(8))
    return at + 0.09


def _zoom_wrap(media: int, direction: int) -> Callable[[int], bytes]:
    """The router's header of 8 bytes, then the media header: 19 bytes before audio, 24 before video."""

    def wrap(index: int) -> bytes:
        router = struct.pack("!BHIB", 5, index & 0xFFFF, 0, direction)
        head = bytearray(19 if media == _ZOOM_AUDIO else 24)
        head[0] = media
        struct.pack_into("!HI", head, 9, index & 0xFFFF, 640 * index)
        if media == _ZOOM_VIDEO:
            head[20] = 2
            struct.pack_into("!HB", head, 21, index // 3 & 0xFFFF, 3)
        return router + bytes(head)

    return wrap
