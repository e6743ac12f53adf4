"""An Apple device in a pocket, and FaceTime by Apple's documents: names, ports 3478-3497, 16384-16387 and 16393-16402.

No public capture of a modern FaceTime call exists, so this shape is documented, not proven; the RTP payload type is a guess.
"""

from __future__ import annotations

from pcaps import stun
from pcaps.clinic import outside
from pcaps.stun import BINDING, INTEGRITY, PRIORITY, USERNAME, Leg, ask
from pcaps.tls import Turn
from pcaps.web import SMALL, World
from pcaps.wire import Link, Station

RELAY = outside("apple-relay", "17.252.108.11", 52)
LOCAL_PORT = 16402
VOICE = Leg(26, 50, 90, 104, 640)
VIDEO = Leg(15, 340, 560, 123, 6000, burst=3)


def push(world: World, device: Station, at: float, beats: tuple[float, ...], *, six: bool = False) -> None:
    """The push channel of every Apple device: long, quiet, on port 5223."""
    turns = (Turn(0.05, 500, 700), *(Turn(pause, 40, 60) for pause in beats))
    world.visit(
        device, "12-courier.push.apple.com", at, turns, port=5223, alpn=("apns-security-v3",), six=six, end=False
    )


def renewals(world: World, device: Station, at: float) -> None:
    """What an idle iPhone renews by itself: identity services, iCloud, updates. No call."""
    for index, name in enumerate(("init.ess.apple.com", "identity.ess.apple.com", "query.ess.apple.com")):
        world.visit(device, name, at + index * 41, SMALL, kinds=("HTTPS", "AAAA", "A"))
    world.visit(device, "gateway.icloud.com", at + 140, SMALL, h3=True, six=True, kinds=("HTTPS", "AAAA", "A"))
    world.visit(device, "mesu.apple.com", at + 200, SMALL)


def call(
    world: World, device: Station, at: float, seconds: float, *, video: bool, peer: Station = RELAY, port: int = 3487
) -> None:
    """Key look-up, NAT probes, then media by the relay, or straight to a peer."""
    rng = world.trace.rng(f"facetime/{device.name}/{at}")
    seen_as = ("192.0.2.20", LOCAL_PORT)
    at = world.visit(device, "query.ess.apple.com", at, SMALL)
    for name, ports in (("commnat-main.ess.apple.com", (16384, 16385)), ("commnat-cohort.ess.apple.com", (16386,))):
        at, server = world.resolver.look_up(device, name, at + 0.05)
        for probe in ports:
            at = ask(world.trace, Link(device, LOCAL_PORT, server, probe), rng, at, BINDING, [], seen_as=seen_as)
    link = Link(device, LOCAL_PORT, peer, port, dscp=46)
    for index in range(int(seconds // 10) + 1):
        attributes = [
            (USERNAME, rng.randbytes(6).hex().encode()),
            (PRIORITY, rng.randbytes(4)),
            (INTEGRITY, rng.randbytes(20)),
        ]
        ask(world.trace, link, rng, at + 0.3 + index * 10, BINDING, attributes, answer=[(INTEGRITY, rng.randbytes(20))],
            seen_as=seen_as, marked=True)  # fmt: skip
    legs = [VOICE, VIDEO] if video else [VOICE]
    stun.call(world.trace, link, legs, legs, at + 1.4, seconds, "facetime")


def web_call(world: World, pc: Station, at: float, seconds: float) -> None:
    """A FaceTime link opened in a browser on a PC that is not Apple's."""
    rng = world.trace.rng(f"facetime-web/{pc.name}")
    at = world.visit(pc, "facetime.apple.com", at, (Turn(0.1, 800, 6000), Turn(2.0, 600, 900)))
    link = Link(pc, rng.randrange(50_000, 60_000), RELAY, 3478)
    sign = [(USERNAME, b"8f1c:2b7e"), (PRIORITY, b"\x6e\x00\x1e\xff"), (INTEGRITY, rng.randbytes(20))]
    ask(world.trace, link, rng, at, BINDING, sign, seen_as=("192.0.2.20", link.sport), marked=True)
    stun.call(world.trace, link, [VOICE], [VOICE], at + 0.8, seconds, "facetime-web")
