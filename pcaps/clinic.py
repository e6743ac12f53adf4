"""The small clinic: its networks, its devices, and the names that its resolver knows.

Clients have private and documentation addresses only. Servers have addresses inside the ranges that their operators
publish, because nothing is ever sent to them. Names and ranges of the apps are those of their vendors' documents.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pcaps.names import Entry
from pcaps.wire import GATEWAY_MAC, Station

SEED = "clinic-morning 1"
START_S = int(datetime(2026, 3, 17, 7, tzinfo=UTC).timestamp())  # Tuesday, 08:00 in Vienna

WARD, STAFF, GUESTS = "Ward 3", "Consulting rooms", "Guest Wi-Fi"
_PLACES = {WARD: (3, 30), STAFF: (4, 40), GUESTS: (99, 99)}  # third octet, VLAN


def _device(name: str, network: str, host: int, mac: str, system: str) -> Station:
    octet, vlan = _PLACES[network]
    six = f"2001:db8:20:{octet}:{int(mac[9:11], 16):x}4f:9ff:fe0{host % 10}:{host:x}"
    ttl = 128 if system == "windows" else 64
    return Station(name, f"10.20.{octet}.{host}", six, mac, vlan, ttl, system, network)


# PCs and appliances: documentation MACs (00-00-5E-00-53-xx); phones and tablets: random ones, locally administered.
WARD_PC = _device("WARD3-PC1", WARD, 21, "00:00:5e:00:53:21", "windows")
WARD_PRINTER = _device("ward3-printer", WARD, 91, "00:00:5e:00:53:91", "linux")
ULTRASOUND = _device("ultrasound-2", WARD, 51, "00:00:5e:00:53:51", "linux")
DESK_PHONE = _device("sip-ward3-01", WARD, 41, "00:00:5e:00:53:41", "linux")
NURSE_PHONE = _device("Pixel-8a", WARD, 132, "da:a1:19:5c:20:32", "android")
WARD_TABLET = _device("Galaxy-Tab-A9", WARD, 131, "3e:7f:04:91:b2:31", "android")
IDLE_IPHONE = _device("iPhone", WARD, 133, "86:0c:5b:e3:71:33", "apple")
ROOM1_PC = _device("ROOM1-PC", STAFF, 21, "00:00:5e:00:53:a1", "windows")
ROOM2_PC = _device("ROOM2-PC", STAFF, 22, "00:00:5e:00:53:a2", "windows")
RECEPTION_PC = _device("RECEPTION-PC", STAFF, 23, "00:00:5e:00:53:a3", "windows")
DOCTOR_IPHONE = _device("iPhone-2", STAFF, 131, "ca:44:9d:10:8e:41", "apple")
MACBOOK = _device("MacBook-Air", STAFF, 132, "5a:e2:70:3b:c9:42", "apple")
STAFF_PHONE = _device("Galaxy-S23", STAFF, 133, "b6:18:2f:64:0d:43", "android")
IDLE_ANDROID = _device("moto-g54", STAFF, 134, "e2:95:d3:7a:16:44", "android")
GUEST_PHONE = _device("Redmi-Note-12", GUESTS, 101, "f6:3b:88:c0:5e:61", "android")
GUEST_LAPTOP = _device("LAPTOP-7F3K", GUESTS, 102, "2a:d7:61:0e:94:62", "windows")
DEVICES = (
    WARD_PC, WARD_PRINTER, ULTRASOUND, DESK_PHONE, NURSE_PHONE, WARD_TABLET, IDLE_IPHONE, ROOM1_PC, ROOM2_PC,
    RECEPTION_PC, DOCTOR_IPHONE, MACBOOK, STAFF_PHONE, IDLE_ANDROID, GUEST_PHONE, GUEST_LAPTOP,
)  # fmt: skip

# The clinic's own servers stand in 10.20.1.0/24, behind the gateway and outside the mirrored networks.
RESOLVER = Station("resolver", "10.20.1.53", "2001:db8:20:1::53", ttl=63)
CLOCK = Station("clock", "10.20.1.123", ttl=63)
INTRANET = Station("intranet", "10.20.1.80", ttl=63)
PACS = Station("pacs", "10.20.1.104", ttl=63)
PBX = Station("pbx", "10.20.1.60", ttl=63)
TRUNK = Station("sip-trunk", "203.0.113.60", ttl=55)


def gateway(network: str) -> Station:
    """The gateway as a station of one network."""
    octet, vlan = _PLACES[network]
    return Station("gateway", f"10.20.{octet}.1", "fe80::200:5eff:fe00:5301", GATEWAY_MAC, vlan, 64, "linux", network)


def outside(name: str, address: str, hops: int = 54) -> Station:
    """A server or a peer beyond the gateway, for which no name is looked up."""
    six = ":" in address
    return Station(name, "" if six else address, address if six else "", ttl=hops)


_META = "2a03:2880:f2{}:{}:face:b00c:0:{}"
_WEB = (
    Entry("www.google.com", ("142.250.201.196",), ("2a00:1450:400d:80d::2004",), ttl=210, hops=117, h3=True),
    Entry("fonts.gstatic.com", ("142.250.201.195",), ("2a00:1450:400d:80e::2003",), ttl=240, hops=117, h3=True),
    Entry("play.googleapis.com", ("142.250.180.234",), ("2a00:1450:400d:802::200a",), ttl=200, hops=117),
    Entry(
        "www.youtube.com",
        ("142.250.201.206",),
        ("2a00:1450:400d:80c::200e",),
        ("youtube-ui.l.google.com",),
        900,
        117,
        True,
    ),
    Entry("en.wikipedia.org", ("185.15.59.224",), ("2a02:ec80:300:ed1a::1",), ("dyna.wikimedia.org",), 3600, 55),
    Entry("www.who.int", ("198.51.100.31",), (), ("www.who.int.edge.example.net",), 600, 56),
    Entry("www.example-pharmacy.example", ("203.0.113.21",), ("2001:db8:f0::21",), (), 3600, 52),
    Entry(
        "news.example.org",
        ("198.51.100.44",),
        ("2001:db8:f0::44",),
        ("news.cdn.example.net", "edge7.cdn.example.net"),
        300,
        57,
        True,
    ),
    Entry(
        "clinic.example-telemed.example",
        ("203.0.113.80",),
        ("2001:db8:f0::80",),
        ("eu1.example-telemed.example",),
        300,
        53,
    ),
    Entry("outlook.office.com", ("52.98.241.2",), (), ("outlook.ha.office365.com",), 180, 112),
    Entry(
        "login.microsoftonline.com", ("20.190.160.17", "20.190.160.131"), (), ("login.mso.msidentity.com",), 300, 112
    ),
    Entry(
        "teams.microsoft.com",
        ("52.113.194.132",),
        ("2603:1063:2000::132",),
        ("teams.office.com", "s-0005.s-msedge.net"),
        600,
        118,
    ),
    Entry(
        "api.flightproxy.teams.microsoft.com", ("52.114.75.24",), (), ("api-flightproxy-teams.example.net",), 120, 113
    ),
    Entry("go.trouter.teams.microsoft.com", ("52.114.76.81",), (), (), 120, 113),
    Entry("intranet.clinic.example", ("10.20.1.80",), (), (), 3600, 63),
    Entry("pacs.clinic.example", ("10.20.1.104",), (), (), 3600, 63),
    Entry("clinic.example", ("10.20.1.80",), (), (), 3600, 63),
    Entry("time.clinic.example", ("10.20.1.123",), (), (), 3600, 63),
)
_APPLE = (
    Entry(
        "12-courier.push.apple.com",
        ("17.57.146.84",),
        ("2620:149:a44:305::9",),
        ("12.courier-push-apple.com.akadns.net",),
        900,
        53,
    ),
    Entry("init.ess.apple.com", ("17.253.53.203",), (), ("init.ess.g.aaplimg.com",), 600, 57),
    Entry("identity.ess.apple.com", ("17.171.8.20",), (), ("identity.ess-apple.com.akadns.net",), 300, 53),
    Entry("query.ess.apple.com", ("17.171.8.17",), (), ("query.ess-apple.com.akadns.net",), 300, 53),
    Entry(
        "gateway.icloud.com", ("17.248.209.66",), ("2620:149:a43:407::b",), ("gateway.fe.apple-dns.net",), 60, 53, True
    ),
    Entry("mesu.apple.com", ("17.253.53.207",), (), ("mesu-cdn.origin-apple.com.akadns.net",), 600, 57),
    Entry("commnat-main.ess.apple.com", ("17.178.104.91",), (), (), 3600, 52),
    Entry("commnat-cohort.ess.apple.com", ("17.178.104.99",), (), (), 3600, 52),
    Entry("facetime.apple.com", ("17.171.8.52",), (), ("facetime-apple.com.akadns.net",), 300, 53),
)
_FACEBOOK = (
    Entry(
        "www.facebook.com",
        ("157.240.214.35",),
        (_META.format(2, 83, "25de"),),
        ("star-mini.c10r.facebook.com",),
        3600,
        56,
        True,
    ),
    Entry(
        "static.xx.fbcdn.net",
        ("157.240.214.13",),
        (_META.format(2, 8, "3"),),
        ("scontent.xx.fbcdn.net",),
        3600,
        56,
        True,
    ),
    Entry("scontent.fvie1-1.fna.fbcdn.net", ("198.51.100.145",), (), (), 3600, 60),
    Entry(
        "graph.facebook.com",
        ("157.240.214.17",),
        (_META.format(2, 12, 2),),
        ("api.facebook.com", "star.c10r.facebook.com"),
        3600,
        56,
    ),
    Entry(
        "edge-mqtt.facebook.com", ("157.240.214.18",), (_META.format(2, 14, 5),), ("mqtt.c10r.facebook.com",), 3600, 56
    ),
    Entry(
        "gateway.messenger.com", ("157.240.214.22",), (_META.format(2, 16, 7),), ("dgw.c10r.facebook.com",), 3600, 56
    ),
    Entry(
        "edge-chat.messenger.com",
        ("157.240.214.15",),
        (_META.format(2, 10, 1),),
        ("edge-chat.facebook.com", "star.c10r.facebook.com"),
        3600,
        56,
    ),
    Entry(
        "rupload.facebook.com", ("157.240.214.20",), (_META.format(2, 15, 6),), ("rupload.c10r.facebook.com",), 3600, 56
    ),
    Entry("stun.fbsbx.com", ("157.240.214.1",), (_META.format(1, 0, "24d9"),), ("stun.c10r.facebook.com",), 3600, 56),
)
_WHATSAPP = (
    Entry(
        "g.whatsapp.net",
        ("157.240.212.60", "157.240.212.61"),
        (_META.format(3, "c8", 167),),
        ("chat.cdn.whatsapp.net",),
        300,
        56,
    ),
    Entry("e7.whatsapp.net", ("157.240.212.61",), (_META.format(3, "c8", 167),), ("chat.cdn.whatsapp.net",), 300, 56),
    Entry("v.whatsapp.net", ("157.240.214.61",), (), ("mmx-ds.cdn.whatsapp.net",), 300, 56),
    Entry(
        "web.whatsapp.com",
        ("157.240.214.60",),
        (_META.format(2, "c5", 167),),
        ("mmx-ds.cdn.whatsapp.net",),
        300,
        56,
        True,
    ),
    Entry(
        "static.whatsapp.net", ("157.240.214.60",), (_META.format(2, "c5", 167),), ("mmx-ds.cdn.whatsapp.net",), 300, 56
    ),
    Entry(
        "mmg.whatsapp.net",
        ("157.240.214.60",),
        (_META.format(2, "c5", 167),),
        ("mmx-ds.cdn.whatsapp.net",),
        300,
        56,
        True,
    ),
    Entry(
        "pps.whatsapp.net", ("157.240.214.60",), (_META.format(2, "c5", 167),), ("mmx-ds.cdn.whatsapp.net",), 300, 56
    ),
    Entry("media-vie1-1.cdn.whatsapp.net", ("157.240.221.60",), (_META.format(1, "c6", 167),), (), 300, 56, True),
)
_ZOOM = (
    Entry("example.zoom.us", ("170.114.52.2",), (), (), 60, 49),
    Entry("us05web.zoom.us", ("170.114.52.5",), (), (), 60, 49),
    Entry("us05xmpp1.zoom.us", ("170.114.45.10",), (), (), 60, 49),
    Entry("zoomfr12zc.fr.zoom.us", ("144.195.33.12",), (), (), 300, 50),
    Entry("zoomfr216mmr.fr.zoom.us", ("206.247.36.216",), (), (), 300, 50),
    Entry("zoomam31zc.am.zoom.us", ("159.124.2.31",), (), (), 300, 50),
    Entry("zoomam88mmr.am.zoom.us", ("159.124.10.88",), (), (), 300, 50),
    Entry("zoomdv7zc.dv.zoom.us", ("134.224.6.7",), (), (), 300, 50),
    Entry("zoomdv45mmr.dv.zoom.us", ("134.224.9.45",), (), (), 300, 50),
)
ENTRIES = (*_WEB, *_APPLE, *_FACEBOOK, *_WHATSAPP, *_ZOOM)
