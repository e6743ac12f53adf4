"""WhatsApp by its documented shapes: chat handshake without TLS, web client, media hosts, calls by relay and to the peer.

Handshake: whatsmeow's socket constants and the routing preamble seen in public captures. Calls: Allocate with the
private attribute 0x4000 to several Meta relays at once, Bindings to the peer that hold MESSAGE-INTEGRITY alone, RTP of
payload type 120. The payload type of video is not documented; 97 stands for it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps import stun
from pcaps.clinic import outside
from pcaps.stun import ALLOCATE, BINDING, INTEGRITY, Leg, ask
from pcaps.tcp import Tcp
from pcaps.tls import Turn
from pcaps.web import SMALL, World
from pcaps.wire import Link, Station

if TYPE_CHECKING:
    from random import Random

RELAYS = tuple(
    outside("meta-relay", address, 56)
    for address in ("157.240.212.62", "157.240.253.62", "163.70.151.62", "185.60.217.48", "31.13.84.48")
)
RELAY_TOKEN, RELAY_CLOCK = 0x4000, 0x4002  # private attributes of Meta's relays
VOICE = Leg(12, 60, 110, 120)
VIDEO = Leg(18, 360, 620, 97, 5000, burst=3)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Without a peer the media stay on the relay; `seconds` 0 is a call that nobody took."""

    seconds: float
    video: bool = False
    peer: Station | None = None
    peer_port: int = 0


def chat(world: World, phone: Station, at: float, bursts: tuple[Turn, ...], *, name: str = "g.whatsapp.net",
         torn: bool = False) -> None:  # fmt: skip
    """The app's one long connection on port 5222. `torn`: its preamble arrives in two segments."""
    at, server = world.resolver.look_up(phone, name, at)
    tcp = Tcp(world.trace, phone, world.port(phone), server, 5222, at=at, rtt=0.021)
    rng = tcp.rng
    preamble = b"ED\0\1" + _framed(bytes((8, rng.randrange(1, 16), 8, 2)))
    hello = preamble + b"WA\x06\x03" + _framed(b"\x12\x22\x0a\x20" + rng.randbytes(32))
    refs = tcp.send(hello, up=True, cuts=(4,) if torn else ())
    world.trace.say("payload", "whatsapp chat handshake", phone.ip4, refs, server=server.ip4)
    tcp.send(
        _framed(
            b"\x1a\xf6\1\x0a\x20"
            + rng.randbytes(32)
            + b"\x12\x30"
            + rng.randbytes(48)
            + b"\x1a\x9a\1"
            + rng.randbytes(154)
        ),
        up=False,
    )
    tcp.send(_framed(b"\x22\xc6\2\x0a\x30" + rng.randbytes(48) + b"\x12\x91\2" + rng.randbytes(273)), up=True)
    for turn in bursts:
        tcp.send(_framed(rng.randbytes(turn.up)), up=True, think=turn.think)
        tcp.send(_framed(rng.randbytes(turn.down)), up=False)
    tcp.close(3.0)


def web_chat(world: World, pc: Station, at: float, bursts: tuple[Turn, ...]) -> None:
    """The browser client: a page, its static files, and a WebSocket that stays."""
    at = world.visit(pc, "web.whatsapp.com", at, (Turn(0.03, 700, 9000),), h3=True, kinds=("A", "AAAA", "HTTPS"))
    world.visit(pc, "static.whatsapp.net", at + 0.2, SMALL)
    world.visit(pc, "web.whatsapp.com", at + 0.5, bursts, alpn=("http/1.1",), ask=False)


def upload(world: World, phone: Station, name: str, at: float, size: int, *, h3: bool = False) -> float:
    """A photo to the media hosts; sent bytes far above received ones."""
    return world.visit(phone, name, at, (Turn(0.1, 900, 300), Turn(0.2, size, 600)), h3=h3, scrambled=h3)


def call(world: World, phone: Station, at: float, plan: Call) -> None:
    """Ring five relays at once; then, if it is taken, media by the best relay or straight to the peer."""
    rng = world.trace.rng(f"whatsapp/{phone.name}/{at}")
    port = rng.randrange(33_000, 60_000)
    token = rng.randbytes(102)
    rounds = (0.0, 11.6) if plan.seconds else (0.0, 18.3)
    for late in rounds:
        for index, each in enumerate(RELAYS):
            _allocate(world, Link(phone, port, each, 3478), rng, at + late + index * 0.0006, token)
    if not plan.seconds:
        return
    relay = Link(phone, port, RELAYS[0], 3478)
    legs = [VOICE, VIDEO] if plan.video else [VOICE]
    start = at + 12.4
    for index in range(int(plan.seconds // 8) + 1):
        for kind, size in ((0x0801, 24), (0x0800, 8)):
            world.trace.udp(
                start + index * 8, relay, stun.stun(kind, rng.randbytes(12), [(0x4003, rng.randbytes(size))])
            )
    if plan.peer is None:
        wide = [
            Leg(leg.pps, leg.low, leg.high, leg.payload_type, leg.clock, extended=True, burst=leg.burst) for leg in legs
        ]
        stun.call(world.trace, relay, wide, wide, start, plan.seconds, "whatsapp")
        return
    stun.call(world.trace, relay, [VOICE], [VOICE], start, 1.5, "whatsapp-early")
    direct = Link(phone, port, plan.peer, plan.peer_port)
    for index in range(int(plan.seconds // 15) + 2):
        for link in (direct, direct.turned()):
            sign, back = [(INTEGRITY, rng.randbytes(20))], [(INTEGRITY, rng.randbytes(20))]
            ask(
                world.trace,
                link,
                rng,
                start + 0.4 + index * (0.5 if index < 2 else 15),
                BINDING,
                sign,
                answer=back,
                rtt=0.034,
            )
    stun.call(world.trace, direct, legs, legs, start + 1.6, plan.seconds - 1.6, "whatsapp-direct")


def _allocate(world: World, link: Link, rng: Random, at: float, token: bytes) -> None:
    """Sent twice, answered twice, as these clients do."""
    for again in range(2):
        extra = [(RELAY_CLOCK, b"\0\0\1\x9c" + rng.randbytes(4))]
        moment = at + again * 0.0002
        ask(world.trace, link, rng, moment, ALLOCATE, [(RELAY_TOKEN, token)], answer=extra,
            seen_as=("192.0.2.20", link.sport), rtt=0.019 + rng.uniform(0, 0.012))  # fmt: skip


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data
