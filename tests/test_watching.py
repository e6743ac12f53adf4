"""What hides the use of apps: what is told, and what is not."""

from __future__ import annotations

import base64

import pytest

from sensor import setup
from sensor.model import Outcome, Severity, Strength
from tests import captures
from tests.decode import samples
from tests.made import (
    ECH,
    ESNI,
    PHONE,
    PHONE_MAC,
    RESOLVER,
    START_S,
    answer,
    hello,
    packet,
    question,
    read,
    replayed,
    tcp,
    udp,
)
from tests.proofs import proves

SERVER = "203.0.113.60"
GUESTS = '[[network]]\nname = "Guests"\ncidrs = ["192.168.1.0/24"]\nwatch = "excluded"\n'
HOUR_NS = 3_600_000_000_000


def told(seen, kind):
    """The one observation there is, and that it is of this kind."""
    assert seen.kinds() == [kind]
    return seen.observations[0]


def https_record(name: str, public_name: bytes) -> bytes:
    configs = base64.b64encode(samples.vector16(samples.ech_config(public_name))).decode()
    return answer(name, f'1 . alpn="h2" ech="{configs}"', kind="HTTPS")


@proves("ECH, real", "made by RFC 9849")
def test_a_hello_with_a_known_public_name(tmp_path):
    seen = replayed(tmp_path, [tcp(PHONE, 50000, SERVER, 443, hello("cloudflare-ech.com", ECH))])
    one = told(seen, "ech")
    assert one.strength is Strength.CONCLUSIVE
    assert (one.flows, one.packets, one.network) == (1, 1, "(all)")
    assert one.device.id == f"mac:{PHONE_MAC}"
    assert [(each.kind, each.value, each.frame) for each in one.evidence] == [("tls_sni", "cloudflare-ech.com", 1)]
    assert one.hour_ns == START_S * 10**9 // HOUR_NS * HOUR_NS
    assert one.outcome == "recorded"
    assert seen.episodes == []


@proves("ECH, real", "made by RFC 9849")
def test_a_public_name_learned_from_an_https_record(tmp_path):
    learned = udp(RESOLVER, 53, PHONE, 40000, https_record("secret.example", b"cover.example"))
    used = tcp(PHONE, 50000, SERVER, 443, hello("cover.example", ECH), at=1)
    one = told(replayed(tmp_path, [learned, used]), "ech")
    assert one.evidence[0].match.rule == "ech/learned"


def test_what_is_learned_later_tells_nothing_of_before(tmp_path):
    used = tcp(PHONE, 50000, SERVER, 443, hello("cover.example", ECH))
    learned = udp(RESOLVER, 53, PHONE, 40000, https_record("secret.example", b"cover.example"), at=1)
    assert replayed(tmp_path, [used, learned]).observations == []


@proves("ECH, GREASE", "made by RFC 9849, 6.2")
def test_the_extension_alone_proves_nothing(tmp_path):
    """Browsers send it to every server: the name beside it is the real one."""
    frames = [tcp(PHONE, 50000, SERVER, 443, hello("www.example.com", ECH))]
    frames.append(tcp(PHONE, 50001, SERVER, 443, hello("cloudflare-ech.com")))  # without it, the name is just a name
    assert replayed(tmp_path, frames).observations == []


def test_the_drafts_left_the_name_out(tmp_path):
    one = told(replayed(tmp_path, [tcp(PHONE, 50000, SERVER, 443, hello("", ESNI))]), "ech")
    assert one.evidence[0].value == "(no name)"


def test_an_outer_name_does_not_overrule_what_dns_told(tmp_path):
    """The hidden name may well be the one that DNS gave this address for."""
    asked = udp(RESOLVER, 53, PHONE, 40000, answer("web.whatsapp.com", SERVER))
    hidden = tcp(PHONE, 50000, SERVER, 443, hello("cloudflare-ech.com", ECH), at=1)
    plain = tcp(PHONE, 50000, SERVER, 443, hello("cloudflare-ech.com"), at=1)
    assert [one.app for one in replayed(tmp_path, [asked, hidden]).episodes] == ["whatsapp"]
    assert replayed(tmp_path, [asked, plain]).episodes == []


@proves("DNS over HTTPS", "made for it")
def test_a_resolver_by_its_name(tmp_path):
    one = told(replayed(tmp_path, [tcp(PHONE, 50000, "8.8.8.8", 443, hello("dns.google"))]), "encrypted_dns")
    assert one.strength is Strength.CONCLUSIVE
    assert {each.match.rule for each in one.evidence} == {"encrypted_dns/resolvers"}


def test_a_resolver_by_its_address_until_it_names_itself(tmp_path):
    silent = replayed(tmp_path, [tcp(PHONE, 50000, "1.1.1.1", 443, b"\x17\x03\x03")])
    assert told(silent, "encrypted_dns").strength is Strength.SUPPORTING
    assert replayed(tmp_path, [tcp(PHONE, 50000, "1.1.1.1", 443, hello("www.example.com"))]).observations == []
    assert replayed(tmp_path, [udp(PHONE, 50000, "8.8.8.8", 53, question("www.example.com"))]).observations == []


@proves("DNS over TLS", "made for it")
@pytest.mark.parametrize("name", ["", "resolver.example"])
def test_whoever_is_asked_at_port_853(tmp_path, name):
    one = told(replayed(tmp_path, [tcp(PHONE, 50000, SERVER, 853, hello(name))]), "encrypted_dns")
    assert {each.match.rule for each in one.evidence} == {"encrypted_dns/port-853"}


@proves("DNS over QUIC", "made by aioquic")
def test_the_same_over_quic(tmp_path):
    first = samples.initial(
        samples.crypto(0, samples.client_hello(samples.server_name(b"dns.adguard.com"))).ljust(1162)
    )
    one = told(replayed(tmp_path, [udp(PHONE, 50000, SERVER, 853, first)]), "encrypted_dns")
    assert {each.kind for each in one.evidence} == {"ip_range", "quic_sni"}


def test_a_device_asks_whether_it_may_be_asked_encrypted(tmp_path):
    asked = udp(PHONE, 50000, RESOLVER, 53, question("_dns.resolver.arpa", "SVCB"))
    assert told(replayed(tmp_path, [asked]), "encrypted_dns").services == ("question",)
    other = udp(PHONE, 50000, RESOLVER, 53, question("dns.google"))
    assert replayed(tmp_path, [other]).observations == []  # a question about a resolver is no use of it


@proves("iCloud Private Relay", "made for it")
def test_the_relay_by_name_and_by_dns(tmp_path):
    own = [tcp(PHONE, 50000, SERVER, 443, hello("mask-h2.icloud.com"))]
    assert told(replayed(tmp_path, own), "private_relay").strength is Strength.CONCLUSIVE
    asked = udp(RESOLVER, 53, PHONE, 40000, answer("mask.icloud.com", SERVER))
    by_dns = [asked, udp(PHONE, 50000, SERVER, 443, b"\x40" * 60, at=1)]
    one = told(replayed(tmp_path, by_dns), "private_relay")
    assert one.evidence[0].kind == "dns_answer"
    assert one.evidence[0].frame == 1


def test_a_flows_own_name_overrules_what_dns_told(tmp_path):
    """Content networks serve many names at one address."""
    asked = udp(RESOLVER, 53, PHONE, 40000, answer("mask.icloud.com", SERVER))
    other = tcp(PHONE, 50000, SERVER, 443, hello("www.example.com"), at=1)
    assert replayed(tmp_path, [asked, other]).observations == []


@proves("Commercial VPN", "made for it")
def test_a_vpn_by_its_servers_and_by_its_site(tmp_path):
    server = [tcp(PHONE, 50000, SERVER, 443, hello("ams-001.whiskergalaxy.com"))]
    assert told(replayed(tmp_path, server), "vpn").strength is Strength.CONCLUSIVE
    site = [tcp(PHONE, 50000, SERVER, 443, hello("www.nordvpn.com"))]
    one = told(replayed(tmp_path, site), "vpn")
    assert (one.strength, one.services) == (Strength.SUPPORTING, ("website",))


def test_wifi_calling_is_no_vpn(tmp_path):
    ike = [udp(PHONE, 500, SERVER, 500, b"\x11" * 60, at=1), packet(PHONE, SERVER, b"\0" * 40, at=2)]
    ike[1]["IP"].proto = 50
    assert told(replayed(tmp_path, ike), "vpn").flows == 2
    gateway = udp(RESOLVER, 53, PHONE, 40000, answer("epdg.epc.mnc001.mcc232.pub.3gppnetwork.org", SERVER))
    assert replayed(tmp_path, [gateway, *ike]).observations == []


BEGINNINGS = [
    ("vpn/wireguard", udp(PHONE, 51820, SERVER, 51820, b"\x01\0\0\0" + bytes(144))),
    ("vpn/wireguard-answer", udp(SERVER, 51820, PHONE, 40000, b"\x02\0\0\0" + bytes(88))),
    ("vpn/openvpn-udp", udp(PHONE, 40000, SERVER, 1194, b"\x38" + bytes(41))),
    ("vpn/openvpn-tcp", tcp(PHONE, 40000, SERVER, 443, b"\x00\x2a\x38" + bytes(41))),
    ("chat_proxy/whatsapp-bytes", tcp(PHONE, 40000, SERVER, 5222, b"WA\x06\x04" + bytes(9))),
]


@proves("Commercial VPN", "made by the protocols' documents")
@pytest.mark.parametrize(("rule", "frame"), BEGINNINGS)
def test_how_a_tunnel_begins(tmp_path, rule, frame):
    frame.time = START_S
    (one,) = replayed(tmp_path, [frame]).observations
    assert [each.match.rule for each in one.evidence] == [rule]
    assert one.evidence[0].kind == "payload"
    assert one.strength is (Strength.STRONG if one.kind == "vpn" else Strength.SUPPORTING)


def test_what_only_begins_like_one(tmp_path):
    frames = [
        udp(PHONE, 40000, SERVER, 51820, b"\x01\0\0\0" + bytes(145)),
        udp(PHONE, 40001, SERVER, 3000, b"\x38" + bytes(41)),
        tcp(PHONE, 40002, "157.240.1.60", 5222, b"WA\x06\x04" + bytes(9)),
    ]
    assert replayed(tmp_path, frames).observations == []


@proves("Commercial VPN", "ndpi__openvpn_nohmac_tcp.pcapng")
@pytest.mark.captures
def test_openvpn_in_a_real_capture():
    seen = read(setup.read(None), [captures.folder() / "ndpi__openvpn_nohmac_tcp.pcapng"])
    assert {each.match.rule for one in seen.observations for each in one.evidence} == {"vpn/openvpn-tcp"}


@proves("Tor", "made for it")
def test_tor_by_its_names(tmp_path):
    onion = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
    one = told(replayed(tmp_path, [udp(PHONE, 50000, RESOLVER, 53, question(onion))]), "tor")
    assert (one.strength, one.evidence[0].kind) == (Strength.STRONG, "dns_query")
    site = [tcp(PHONE, 50000, SERVER, 443, hello("www.torproject.org"))]
    assert told(replayed(tmp_path, site), "tor").strength is Strength.SUPPORTING


@proves("Chat proxy", "made for it")
def test_whatsapps_name_at_an_address_of_somebody_else(tmp_path):
    said = hello("g.whatsapp.net")
    one = told(replayed(tmp_path, [tcp(PHONE, 50000, SERVER, 443, said)]), "chat_proxy")
    assert one.strength is Strength.SUPPORTING
    assert replayed(tmp_path, [tcp(PHONE, 50000, "157.240.1.60", 443, said)]).observations == []
    cache = [tcp(PHONE, 50000, SERVER, 443, hello("media.fvie1-1.fna.whatsapp.net"))]
    assert replayed(tmp_path, cache).observations == []
    # Where DNS gave this address for the name, it is WhatsApp's own, whatever our list of ranges says.
    asked = udp(RESOLVER, 53, PHONE, 40000, answer("g.whatsapp.net", SERVER))
    assert replayed(tmp_path, [asked, tcp(PHONE, 50000, SERVER, 443, said, at=1)]).observations == []


def test_of_an_excluded_network_nothing_is_kept_of_devices(tmp_path):
    frames = [
        tcp(PHONE, 50000, SERVER, 443, hello("dns.google")),
        tcp("192.168.1.9", 50000, SERVER, 443, hello("dns.google")),
    ]
    one = told(
        replayed(tmp_path, frames, GUESTS + '[policy.visibility]\nencrypted_dns = "violation"\n'), "encrypted_dns"
    )
    assert (one.network, one.device, one.evidence, one.flows) == ("Guests", None, (), 2)
    assert one.outcome == "recorded"
    assert PHONE not in repr(one)
    assert PHONE_MAC not in repr(one)


def test_addresses_of_no_network_are_nobodys_business(tmp_path):
    frames = [tcp(PHONE, 50000, SERVER, 443, hello("dns.google"))]
    elsewhere = '[[network]]\nname = "Ward"\ncidrs = ["10.1.0.0/16"]\n'
    assert replayed(tmp_path, frames, elsewhere).observations == []


def test_one_observation_an_hour(tmp_path):
    """What began in one hour counts there; evidence is the first few."""
    frames = [tcp(PHONE, 50000 + n, SERVER, 443, hello("dns.google"), at=n * 600) for n in range(9)]
    seen = replayed(tmp_path, frames)
    assert [(one.flows, len(one.evidence)) for one in seen.observations] == [(4, 4), (5, 4)]
    assert [one.hour_ns % HOUR_NS for one in seen.observations] == [0, 0]
    first = seen.observations[0]
    assert first.first_ns == START_S * 10**9
    assert first.last_ns == (START_S + 1800) * 10**9
    assert first.bytes_up == sum(len(one) for one in frames[:4])
    assert first.bytes_down == 0


POLICIES = [
    ("violation", "ams-001.whiskergalaxy.com", Outcome.VIOLATION),
    ("review", "ams-001.whiskergalaxy.com", Outcome.REVIEW),
    ("violation", "www.nordvpn.com", Outcome.REVIEW),  # supporting evidence accuses nobody
]


@pytest.mark.parametrize(("says", "name", "outcome"), POLICIES)
def test_the_policy_may_judge(tmp_path, says, name, outcome):
    frames = [tcp(PHONE, 50000, SERVER, 443, hello(name))]
    seen = replayed(tmp_path, frames, f'[policy.visibility]\nvpn = "{says}"\n')
    assert told(seen, "vpn").outcome == outcome.value
    (episode,) = seen.episodes
    assert (episode.app, episode.candidates, episode.device.address) == ("vpn", ("vpn",), PHONE)
    assert episode.verdict.outcome is outcome
    assert episode.verdict.rule == "policy.visibility.vpn"
    assert episode.verdict.severity is Severity.MEDIUM
    assert episode.names == (name,)
    assert "VPN hides which apps are used" in episode.verdict.reason


def test_what_the_policy_ignores_is_not_recorded(tmp_path):
    frames = [
        tcp(PHONE, 50000, SERVER, 443, hello("dns.google")),
        tcp(PHONE, 50001, SERVER, 443, hello("mask.icloud.com")),
    ]
    seen = replayed(tmp_path, frames, '[policy.visibility]\nencrypted_dns = "ignore"\n')
    assert seen.kinds() == ["private_relay"]


def test_an_exception_allows_the_clinics_own_vpn(tmp_path):
    own = (
        '[policy.visibility]\nvpn = "violation"\n'
        '[[policy.exception]]\nname = "Remote work"\napps = ["vpn"]\nreason = "Our own"\nowner = "IT"\n'
    )
    seen = replayed(tmp_path, [tcp(PHONE, 50000, SERVER, 443, hello("ams-001.whiskergalaxy.com"))], own)
    assert [one.verdict.outcome for one in seen.episodes] == [Outcome.ALLOWED]


@proves("ECH, real", "zeek__dns-ech.pcap")
@pytest.mark.captures
def test_the_batches_and_the_worker_change_nothing():
    folder = captures.folder()
    names = (
        *("ndpi__dnscrypt-v2-doh.pcap", "ndpi__no_sni.pcap", "ndpi__esp.pcapng", "ndpi__dns_dot.pcap"),
        *(
            "ndpi__os_detected.pcapng",
            "zeek__dns-ech.pcap",
            "wa__whatsappCall.pcapng",
            "suricata__community-id-ipv6.pcap",
        ),
    )
    made = setup.read(None)
    paths = [folder / name for name in names]
    whole = read(made, paths)
    small = read(made, paths, chunk_bytes=1 << 13)
    assert whole.observations == small.observations
    assert whole.totals is not None
    assert small.totals is not None
    assert whole.totals.statement == small.totals.statement
    assert {"ech", "encrypted_dns", "vpn"} <= set(whole.kinds())
    assert read(made, paths, parallel=True).observations == whole.observations
