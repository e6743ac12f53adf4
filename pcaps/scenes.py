"""The morning's programme: which device does what, and what a sensor must make of it. Times are minutes after 08:00."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcaps import apple, clinic, lan, meetings, messenger, tls, whatsapp
from pcaps.clinic import outside
from pcaps.tls import Turn
from pcaps.web import PAGE, SMALL, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcaps.wire import Station

ALLOWED, NONE, VIOLATION = "allowed", "none", "violation"
BACKGROUND, MESSAGING, TRANSFER, ATTEMPT = "background", "messaging", "file_transfer", "call_attempt"
VOICE, VIDEO, MEETING = "voice_call", "video_call", "meeting"
HTTPS = ("A", "AAAA", "HTTPS")
APPLE_KINDS = ("HTTPS", "AAAA", "A")


def play(world: World) -> None:
    """Everything, scene by scene; the trace sorts it by time."""
    house(world)
    browsing(world)
    desk_phone(world)
    phones_at_rest(world)
    whatsapp_on_the_ward(world)
    whatsapp_in_consulting(world)
    facetime(world)
    messenger_use(world)
    zoom(world)
    teams(world)
    guests(world)


def house(world: World) -> None:
    """What the networks themselves say."""
    trace, resolver = world.trace, world.resolver
    for network in (clinic.WARD, clinic.STAFF, clinic.GUESTS):
        for minute in (0.2, 50.2, 100.2):
            lan.router_advertisement(trace, network, minute * 60)
    for index, device in enumerate(clinic.DEVICES):
        arrival = 4 + index * 7.3 if index < 10 else 60 + index * 9.1
        lan.dhcp(trace, device, arrival)
        lan.arp(trace, device, clinic.gateway(device.network), arrival + 0.6)
        for minute in (45, 105):
            lan.arp(trace, device, clinic.gateway(device.network), minute * 60 + index * 3.7)
    for device in (
        clinic.WARD_PC,
        clinic.ROOM1_PC,
        clinic.ROOM2_PC,
        clinic.RECEPTION_PC,
        clinic.DESK_PHONE,
        clinic.ULTRASOUND,
    ):
        for minute in (3.0, 67.0, 131.0):
            at, _ = resolver.look_up(device, "time.clinic.example", minute * 60 + device.vlan, ("A",))
            lan.ntp(trace, device, clinic.CLOCK, at)
    for minute, device, service in (
        (4.0, clinic.WARD_PRINTER, "_ipp._tcp"), (9.0, clinic.IDLE_IPHONE, "_companion-link._tcp"),
        (12.0, clinic.MACBOOK, "_airplay._tcp"), (64.0, clinic.WARD_PRINTER, "_ipp._tcp"),
        (71.0, clinic.DOCTOR_IPHONE, "_companion-link._tcp"), (124.0, clinic.WARD_PRINTER, "_ipp._tcp"),
    ):  # fmt: skip
        lan.mdns(trace, device, service, device.name, minute * 60)
    for minute, device in (
        (5.0, clinic.WARD_PC),
        (22.0, clinic.ROOM1_PC),
        (58.0, clinic.WARD_PC),
        (111.0, clinic.RECEPTION_PC),
    ):
        at, _ = resolver.look_up(device, "intranet.clinic.example", minute * 60, ("A",))
        lan.intranet(trace, device, world.port(device), at)
    for minute in (16.0, 93.0):
        lan.arp(trace, clinic.WARD_PC, clinic.WARD_PRINTER, minute * 60 - 0.01)
        lan.print_job(trace, clinic.WARD_PC, world.port(clinic.WARD_PC), minute * 60)
    for minute in (52.0, 118.0):
        at, _ = resolver.look_up(clinic.ULTRASOUND, "pacs.clinic.example", minute * 60, ("A",))
        lan.dicom(trace, clinic.ULTRASOUND, world.port(clinic.ULTRASOUND), at)
    record = "v=spf1 include:mail.clinic.example -all; " + "clinic-site-verification=0123456789abcdef " * 30
    for minute, device in ((14.0, clinic.RECEPTION_PC), (96.0, clinic.ROOM1_PC)):
        resolver.look_up_tcp(device, "clinic.example", record, minute * 60, world.port(device))


def browsing(world: World) -> None:
    """Ordinary web use: TLS 1.2 and 1.3, QUIC, hellos split, out of order and sent twice, IPv4 and IPv6."""
    visits: tuple[tuple[float, Station, str, dict[str, Any]], ...] = (
        (6.0, clinic.WARD_PC, "www.who.int", {"profile": tls.OLD}),
        (6.8, clinic.WARD_PC, "www.google.com", {"h3": True, "kinds": HTTPS, "profile": tls.CHROME}),
        (7.4, clinic.WARD_PC, "en.wikipedia.org", {"six": True, "profile": tls.FIREFOX}),
        (8.3, clinic.ROOM1_PC, "outlook.office.com", {"kinds": ("A",)}),
        (
            9.1,
            clinic.ROOM2_PC,
            "www.google.com",
            {"h3": True, "kinds": HTTPS, "profile": tls.CHROME_PQ, "scrambled": True},
        ),
        (9.9, clinic.ROOM2_PC, "news.example.org", {"profile": tls.CHROME_PQ}),
        (11.2, clinic.RECEPTION_PC, "outlook.office.com", {"kinds": ("A",), "again": 0}),
        (13.0, clinic.RECEPTION_PC, "www.example-pharmacy.example", {"profile": tls.OLD}),
        (18.5, clinic.NURSE_PHONE, "play.googleapis.com", {}),
        (21.0, clinic.ROOM1_PC, "news.example.org", {"profile": tls.CHROME_PQ, "order": (1, 0)}),
        (24.0, clinic.DOCTOR_IPHONE, "news.example.org", {"h3": True, "kinds": APPLE_KINDS}),
        (
            26.5,
            clinic.STAFF_PHONE,
            "www.youtube.com",
            {"h3": True, "six": True, "kinds": HTTPS, "profile": tls.CHROME_PQ},
        ),
        (
            29.0,
            clinic.ROOM1_PC,
            "fonts.gstatic.com",
            {"h3": True, "kinds": HTTPS, "profile": tls.CHROME, "scrambled": True},
        ),
        (33.0, clinic.WARD_PC, "clinic.example-telemed.example", {}),
        (36.0, clinic.MACBOOK, "en.wikipedia.org", {"kinds": APPLE_KINDS}),
        (55.0, clinic.ROOM2_PC, "www.who.int", {"profile": tls.FIREFOX}),
        (63.0, clinic.WARD_PC, "news.example.org", {"profile": tls.FIREFOX, "cuts": (120,)}),
        (76.0, clinic.WARD_TABLET, "play.googleapis.com", {}),
        (82.0, clinic.RECEPTION_PC, "www.google.com", {"profile": tls.FIREFOX, "six": True}),
        (99.0, clinic.ROOM1_PC, "clinic.example-telemed.example", {"six": True}),
        (113.0, clinic.WARD_PC, "www.example-pharmacy.example", {"profile": tls.OLD}),
        (134.0, clinic.ROOM2_PC, "en.wikipedia.org", {"h3": False, "profile": tls.CHROME_PQ, "again": 1}),
        (141.0, clinic.IDLE_ANDROID, "play.googleapis.com", {}),
    )
    for minute, device, name, how in visits:
        world.visit(device, name, minute * 60, PAGE, **how)
    for device, minute in ((clinic.RECEPTION_PC, 65.0), (clinic.WARD_PC, 78.0)):
        note = "Facebook in a browser: names and CDN shared with Messenger and WhatsApp, context only"
        with world.trace.use(device, "facebook", BACKGROUND, NONE, note):
            world.visit(device, "www.facebook.com", minute * 60, PAGE, h3=True, kinds=HTTPS, profile=tls.CHROME_PQ)
            world.visit(
                device,
                "static.xx.fbcdn.net",
                minute * 60 + 0.6,
                PAGE,
                h3=True,
                six=True,
                kinds=HTTPS,
                profile=tls.CHROME,
            )
            world.visit(device, "scontent.fvie1-1.fna.fbcdn.net", minute * 60 + 0.9, PAGE)
            world.visit(device, "graph.facebook.com", minute * 60 + 1.4, SMALL)


def desk_phone(world: World) -> None:
    """SIP and RTP on ports that FaceTime uses too: must not be anybody's call over an app."""
    phone = clinic.DESK_PHONE
    for minute in (1.0, 61.0, 121.0):
        lan.sip_register(world.trace, phone, minute * 60)
    for minute, rtp, trunk in ((12.0, (16396, 16384), False), (104.0, (16402, 16394), True)):
        with world.trace.use(phone, "sip", VOICE, NONE, "desk phone; RTP ports of FaceTime's documented range"):
            lan.sip_call(world.trace, phone, minute * 60, 6.4, rtp=rtp, over_trunk=trunk)


def phones_at_rest(world: World) -> None:
    """Phones in pockets."""
    note = "push and renewals of an idle iPhone; names shared by all of Apple's services"
    with world.trace.use(clinic.IDLE_IPHONE, "apple", BACKGROUND, NONE, note):
        apple.push(world, clinic.IDLE_IPHONE, 5.2 * 60, (900.0,) * 9, six=True)
        for minute in (15.0, 88.0):
            apple.renewals(world, clinic.IDLE_IPHONE, minute * 60)
    with world.trace.use(clinic.DOCTOR_IPHONE, "apple", BACKGROUND, NONE, note):
        apple.push(world, clinic.DOCTOR_IPHONE, 6.1 * 60, (1500.0,) * 5)
    note = "installed and signed in, never opened: severity information, no alert"
    with world.trace.use(clinic.IDLE_ANDROID, "whatsapp", BACKGROUND, VIOLATION, note):
        beats = (Turn(240.0, 22, 34),) * 33
        whatsapp.chat(world, clinic.IDLE_ANDROID, 7.5 * 60, beats, name="e7.whatsapp.net", torn=True)


def whatsapp_on_the_ward(world: World) -> None:
    phone, tablet = clinic.NURSE_PHONE, clinic.WARD_TABLET
    talk = _bursts((4, 9, 21, 7, 33, 12, 55, 18, 8, 26, 14, 61))
    with world.trace.use(phone, "whatsapp", MESSAGING, VIOLATION, "chat without TLS; DNS and handshake bytes"):
        whatsapp.chat(world, phone, 20 * 60, talk)
        world.visit(phone, "pps.whatsapp.net", 20 * 60 + 2, SMALL)
    with world.trace.use(phone, "whatsapp", TRANSFER, VIOLATION, "photo by TLS and by QUIC"):
        whatsapp.upload(world, phone, "mmg.whatsapp.net", 31 * 60, 44_000)
        whatsapp.upload(world, phone, "media-vie1-1.cdn.whatsapp.net", 31.4 * 60, 20_000, h3=True)
    with world.trace.use(phone, "whatsapp", VOICE, VIOLATION, "relay checks, then media straight to the peer"):
        whatsapp.chat(world, phone, 40 * 60, _bursts((1, 2, 11, 60)))
        whatsapp.call(
            world, phone, 40 * 60 + 2.4, whatsapp.Call(58.0, peer=outside("peer", "198.51.100.77", 51), peer_port=41232)
        )
    with world.trace.use(phone, "whatsapp", ATTEMPT, VIOLATION, "rejected: relays probed, no media"):
        whatsapp.chat(world, phone, 115 * 60, _bursts((1, 19)))
        whatsapp.call(world, phone, 115 * 60 + 2.1, whatsapp.Call(0.0))
    with world.trace.use(tablet, "whatsapp", VIDEO, VIOLATION, "video by the relay"):
        whatsapp.chat(world, tablet, 70 * 60, _bursts((1, 2, 8, 50)))
        whatsapp.call(world, tablet, 70 * 60 + 2.2, whatsapp.Call(14.0, video=True))


def whatsapp_in_consulting(world: World) -> None:
    note = "WhatsApp Web on the reception PC, by exception of the policy"
    with world.trace.use(clinic.RECEPTION_PC, "whatsapp", MESSAGING, ALLOWED, note):
        whatsapp.web_chat(world, clinic.RECEPTION_PC, 30 * 60, _bursts((6, 40, 90, 15, 120, 33, 75)))


def facetime(world: World) -> None:
    likely = "documented shape, not proven on a real capture; FaceTime likely"
    with world.trace.use(clinic.DOCTOR_IPHONE, "facetime", VOICE, VIOLATION, f"by the relay; {likely}"):
        apple.call(world, clinic.DOCTOR_IPHONE, 80 * 60, 21.0, video=False)
    peer = outside("peer", "203.0.113.140", 50)
    with world.trace.use(clinic.MACBOOK, "facetime", VIDEO, VIOLATION, f"straight to the peer; {likely}"):
        apple.call(world, clinic.MACBOOK, 106 * 60, 11.0, video=True, peer=peer, port=16402)
    with world.trace.use(
        clinic.ROOM1_PC, "facetime", VOICE, VIOLATION, "a FaceTime link in a browser: its name is seen"
    ):
        apple.web_call(world, clinic.ROOM1_PC, 127 * 60, 11.0)


def messenger_use(world: World) -> None:
    phone = clinic.STAFF_PHONE
    with world.trace.use(phone, "messenger", MESSAGING, VIOLATION, "chat gateways"):
        messenger.chat(world, phone, 84 * 60)
    with world.trace.use(
        phone, "messenger", TRANSFER, VIOLATION, "upload host shared with Facebook, beside Messenger's gateways"
    ):
        messenger.upload(world, phone, 85 * 60, 50_000)
    with world.trace.use(phone, "messenger", VOICE, VIOLATION, "TURN realm and relay user name"):
        messenger.call(world, phone, 89 * 60, 32.0)


def zoom(world: World) -> None:
    with world.trace.use(
        clinic.ROOM1_PC, "zoom", MEETING, ALLOWED, "joined through the clinic's own host: approved variant"
    ):
        meetings.zoom(world, clinic.ROOM1_PC, 60 * 60, 20.0, host="example.zoom.us", zone="zoomfr12zc.fr.zoom.us",
                      router="zoomfr216mmr.fr.zoom.us")  # fmt: skip
    with world.trace.use(clinic.ROOM2_PC, "zoom", MEETING, VIOLATION, "joined through a foreign account's host"):
        meetings.zoom(world, clinic.ROOM2_PC, 95 * 60, 22.0, host="us05web.zoom.us", zone="zoomam31zc.am.zoom.us",
                      router="zoomam88mmr.am.zoom.us")  # fmt: skip
        world.visit(clinic.ROOM2_PC, "us05xmpp1.zoom.us", 95 * 60 + 5, SMALL, profile=tls.NATIVE)
    with world.trace.use(clinic.ROOM2_PC, "zoom", MEETING, ALLOWED, "the weekly case conference, by schedule"):
        meetings.zoom(world, clinic.ROOM2_PC, 136 * 60, 11.0, host="us05web.zoom.us", zone="zoomdv7zc.dv.zoom.us",
                      router="zoomdv45mmr.dv.zoom.us")  # fmt: skip


def teams(world: World) -> None:
    with world.trace.use(clinic.WARD_PC, "teams", MEETING, ALLOWED, "the approved telemedicine platform"):
        meetings.teams(world, clinic.WARD_PC, 45 * 60, 18.0)
        world.visit(
            clinic.WARD_PC,
            "go.trouter.teams.microsoft.com",
            45 * 60 + 4,
            (Turn(0.1, 700, 800), Turn(30.0, 60, 60)),
            kinds=("A",),
        )


def guests(world: World) -> None:
    """The guests' network is excluded: whatever happens there, nothing about devices is stored."""
    excluded = "excluded network: totals only, no device"
    with world.trace.use(clinic.GUEST_PHONE, "whatsapp", VOICE, NONE, excluded):
        whatsapp.chat(world, clinic.GUEST_PHONE, 122 * 60, _bursts((2, 6, 14)))
        whatsapp.call(
            world,
            clinic.GUEST_PHONE,
            122 * 60 + 4,
            whatsapp.Call(11.0, peer=outside("peer", "198.51.100.201", 49), peer_port=52110),
        )
    with world.trace.use(clinic.GUEST_LAPTOP, "zoom", MEETING, NONE, excluded):
        meetings.zoom(world, clinic.GUEST_LAPTOP, 125 * 60, 0.0, host="us05web.zoom.us", zone="zoomfr12zc.fr.zoom.us",
                      router="zoomfr216mmr.fr.zoom.us")  # fmt: skip
    world.visit(clinic.GUEST_LAPTOP, "www.youtube.com", 123 * 60, PAGE, h3=True, kinds=HTTPS, profile=tls.CHROME_PQ)


def _bursts(pauses: Sequence[float]) -> tuple[Turn, ...]:
    """Messages after these pauses, of sizes that differ."""
    return tuple(
        Turn(float(pause), 120 + 37 * (index % 5), 150 + 61 * (index % 4)) for index, pause in enumerate(pauses)
    )
