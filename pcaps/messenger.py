"""Messenger by its documented shapes: gateways over TLS, uploads, and a call set up with STUN, TURN and the relay's user name."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pcaps import stun
from pcaps.clinic import outside
from pcaps.stun import ALLOCATE, BINDING, CONTROLLED, FAILURE, INTEGRITY, PRIORITY, REALM, USERNAME, Attribute, Leg, ask
from pcaps.tls import Turn
from pcaps.wire import Link, Station

if TYPE_CHECKING:
    from random import Random

    from pcaps.web import World

TURN_SERVER = outside("meta-turn", "157.240.214.54", 56)
EDGE = outside("meta-edgeray", "157.240.253.49", 56)
PORT_TURN = 40003
REALM_NAME = b"turner.facebook"
RELAY_USER = b"EDGERAY_DEFAULT_USERNAME:EDGERAY_DEFAULT_USERNAME"
META_PRIVATE, NETWORK_COST = 0xDABA, 0xC057
VOICE = Leg(16, 50, 90, 96, extended=True)


def chat(world: World, phone: Station, at: float) -> None:
    """Push channel, chat gateways, a few messages."""
    world.visit(
        phone, "edge-mqtt.facebook.com", at, (Turn(0.1, 600, 800), *(Turn(60.0, 60, 90),) * 8), alpn=("http/1.1",)
    )
    bursts = (Turn(3.0, 420, 610), Turn(11.0, 380, 350), Turn(19.0, 510, 720), Turn(42.0, 300, 290))
    world.visit(phone, "gateway.messenger.com", at + 1.2, bursts, rtt=0.02)
    world.visit(phone, "edge-chat.messenger.com", at + 1.9, bursts[:2])


def upload(world: World, phone: Station, at: float, size: int) -> None:
    world.visit(phone, "rupload.facebook.com", at, (Turn(0.05, 700, 250), Turn(0.1, size, 500)))


def call(world: World, phone: Station, at: float, seconds: float) -> None:
    """A voice call by the relay."""
    rng = world.trace.rng(f"messenger/{phone.name}/{at}")
    at, server = world.resolver.look_up(phone, "stun.fbsbx.com", at)
    port, mapped = rng.randrange(40_000, 60_000), "192.0.2.20"
    at = ask(world.trace, Link(phone, port, server, 3478), rng, at, BINDING, [], seen_as=(mapped, port))
    at = _turn(world, Link(phone, port, TURN_SERVER, PORT_TURN), rng, at + 0.02, (mapped, port))
    edge = Link(phone, port, EDGE, 3478)
    token: list[Attribute] = [(INTEGRITY, rng.randbytes(20)), (0x4000, rng.randbytes(102))]
    at = ask(
        world.trace,
        edge,
        rng,
        at + 0.01,
        ALLOCATE,
        token,
        answer=[(INTEGRITY, rng.randbytes(20))],
        seen_as=(mapped, port),
    )
    for index in range(int(seconds // 10) + 3):
        _bind(world, edge, rng, at + (index * 0.4 if index < 2 else 5.0 + 10 * (index - 2)))
    stun.call(world.trace, edge, [VOICE], [VOICE], at + 6.2, seconds, "messenger")


def _turn(world: World, link: Link, rng: Random, at: float, mapped: tuple[str, int]) -> float:
    """Allocate, be refused for want of a name, allocate again (RFC 8656 section 7)."""
    transaction, nonce = rng.randbytes(12), rng.randbytes(12).hex().encode()
    world.trace.udp(at, link, stun.stun(ALLOCATE, transaction, [(stun.TRANSPORT, stun.UDP_TRANSPORT)]))
    refusal: list[Attribute] = [(stun.ERROR, b"\0\0\4\1Unauthorized"), (stun.NONCE, nonce), (REALM, REALM_NAME)]
    world.trace.udp(at + 0.017, link.turned(), stun.stun(ALLOCATE | FAILURE, transaction, refusal))
    sign: list[Attribute] = [(USERNAME, rng.randbytes(8).hex().encode()), (REALM, REALM_NAME), (stun.NONCE, nonce),
                             (INTEGRITY, rng.randbytes(20))]  # fmt: skip
    transaction = rng.randbytes(12)
    world.trace.udp(at + 0.018, link, stun.stun(ALLOCATE, transaction, [(stun.TRANSPORT, stun.UDP_TRANSPORT), *sign]))
    relayed = stun.xor_address(link.dst.ip4, 40123, transaction)
    given: list[Attribute] = [(stun.RELAYED, relayed), (stun.MAPPED, stun.xor_address(*mapped, transaction)),
                              (stun.LIFETIME, struct.pack("!I", 600)), (INTEGRITY, rng.randbytes(20))]  # fmt: skip
    world.trace.udp(at + 0.036, link.turned(), stun.stun(ALLOCATE | stun.SUCCESS, transaction, given))
    permit: list[Attribute] = [(stun.PEER, stun.xor_address("198.51.100.90", 51000, transaction)), *sign]
    return ask(
        world.trace, link, rng, at + 0.05, stun.CREATE_PERMISSION, permit, answer=[(INTEGRITY, rng.randbytes(20))]
    )


def _bind(world: World, link: Link, rng: Random, at: float) -> None:
    attributes: list[Attribute] = [
        (USERNAME, RELAY_USER),
        (META_PRIVATE, struct.pack("!I", rng.randrange(1, 500))),
        (NETWORK_COST, b"\0\2\0\x0a"),
        (CONTROLLED, rng.randbytes(8)),
        (PRIORITY, b"\x6e\x7f\x28\xff"),
        (INTEGRITY, rng.randbytes(20)),
    ]
    ask(world.trace, link, rng, at, BINDING, attributes, answer=[(INTEGRITY, rng.randbytes(20))],
        seen_as=("192.0.2.20", link.sport), marked=True)  # fmt: skip
