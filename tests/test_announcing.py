"""What devices call out to their neighbours is counted and dropped: no name of theirs is kept or matched."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from sensor import announcing, capture, records, setup
from sensor.kernel import layout
from sensor.pipeline import Pipeline
from tests.decode import samples
from tests.proofs import proves

if TYPE_CHECKING:
    from pathlib import Path

PHONE, NEIGHBOUR, SERVER = "192.168.1.7", "192.168.1.8", "157.240.1.60"


def answer(name: str, address: str, *, recursion: bool = False, kind: str = "A") -> bytes:
    made = dns.message.make_response(dns.message.make_query(name, kind), recursion_available=recursion)
    if not recursion:
        made.flags &= ~0x0100
    made.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, address))
    return made.to_wire()


def frame(src: str, sport: int, dst: str, dport: int, payload: bytes) -> Any:
    ip = IPv6(src=src, dst=dst) if ":" in src else IP(src=src, dst=dst)
    return Ether(src="02:00:5e:00:53:07", dst="02:00:5e:00:53:08") / ip / UDP(sport=sport, dport=dport) / payload


def replayed(tmp_path: Path, *frames: Any) -> tuple[list[dict[str, Any]], list[Any], dict[str, int]]:
    """Flows, episodes and what the decoders counted."""
    for number, one in enumerate(frames):
        one.time = 1_700_000_000 + number
    wrpcap(str(tmp_path / "made.pcap"), list(frames))
    made = setup.read(None)
    flows: list[dict[str, Any]] = []
    episodes: list[Any] = []
    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=episodes.append,
        on_flow=lambda row: flows.append(records.flow_record(row)),
        parallel=False,
    )
    totals = pipeline.run(capture.open_paths([tmp_path / "made.pcap"]))
    return flows, episodes, totals.decoders


CASES = [
    pytest.param("mdns", 5353, "224.0.0.251", marks=proves("mDNS, kept apart", "made by dnspython and scapy")),
    pytest.param("llmnr", 5355, "224.0.0.252", marks=proves("LLMNR, kept apart", "made by dnspython and scapy")),
]


@pytest.mark.parametrize(("protocol", "port", "group"), CASES)
def test_a_neighbour_cannot_name_a_server(tmp_path, protocol, port, group):
    """A device that calls WhatsApp's address its own name would else accuse whoever connects there."""
    told = answer("web.whatsapp.com", SERVER)
    flows, episodes, counted = replayed(
        tmp_path,
        frame(NEIGHBOUR, port, group, port, told),
        frame(NEIGHBOUR, port, PHONE, port, told),
        frame(PHONE, 50000, SERVER, 4000, b"\x40" * 40),
    )
    assert counted == {f"{protocol}_messages": 2, "names_announced": 2}  # the first of each flow's side
    assert episodes == []
    # Whose network the server is in is known from its address; it accuses nobody.
    assert all(flow["names"] == [] and flow["app"] in {None, "facebook"} for flow in flows)


def test_the_same_answer_from_a_resolver_does(tmp_path):
    flows, episodes, _ = replayed(
        tmp_path,
        frame("192.168.1.1", 53, PHONE, 40000, answer("web.whatsapp.com", SERVER, recursion=True)),
        frame(PHONE, 50000, SERVER, 4000, b"\x40" * 40),
    )
    assert [one.app for one in episodes] == ["whatsapp"]
    assert {name["source"] for flow in flows for name in flow["names"]} == {"dns_query", "dns_answer"}


def test_netbios_names_are_counted(tmp_path):
    flows, episodes, counted = replayed(
        tmp_path,
        frame(PHONE, 137, "192.168.1.255", 137, samples.NBNS_REGISTRATION),
        frame("192.168.1.9", 137, "192.168.1.255", 137, samples.NBNS_QUERY),
        frame("192.168.1.8", 137, "192.168.1.255", 137, b"\xff" * 40),
    )
    assert counted == {"nbns_messages": 2, "nbns_malformed": 1, "names_announced": 1}
    assert "ANNA" not in str(flows).upper()
    assert episodes == []


@proves("DNS, over UDP", "made by dnspython and scapy")
def test_a_resolver_at_the_port_of_multicast_dns(tmp_path):
    """Some offer that beside port 53; there the client asks for recursion and the resolver has a public address."""
    flows, episodes, counted = replayed(
        tmp_path,
        frame(PHONE, 40000, "208.67.222.222", 5353, dns.message.make_query("web.whatsapp.com", "A").to_wire()),
        frame("208.67.222.222", 5353, PHONE, 40000, answer("web.whatsapp.com", SERVER, recursion=True)),
        frame(PHONE, 50000, SERVER, 4000, b"\x40" * 40),
    )
    assert [one.app for one in episodes] == ["whatsapp"]
    assert {name["source"] for flow in flows for name in flow["names"]} == {"dns_query", "dns_answer"}
    assert counted == {}


@pytest.mark.parametrize(
    ("payload", "src"),
    [
        (answer("web.whatsapp.com", SERVER), "208.67.222.222"),  # nobody asked for recursion
        (answer("printer.local", SERVER, recursion=True), "208.67.222.222"),
        (answer("_airplay._tcp.example.com", SERVER, recursion=True), "208.67.222.222"),
        (answer("web.whatsapp.com", SERVER, recursion=True), NEIGHBOUR),
        (b"\xff" * 30, "208.67.222.222"),
    ],
)
def test_what_is_no_resolver_there(payload, src):
    assert announcing.asked_of_a_server(payload, layout.PORT_MDNS, src, PHONE) is None


def test_only_multicast_dns_shares_its_port_with_resolvers():
    asked = answer("web.whatsapp.com", SERVER, recursion=True)
    assert announcing.asked_of_a_server(asked, layout.PORT_MDNS, "208.67.222.222", PHONE) is not None
    assert announcing.asked_of_a_server(asked, layout.PORT_LLMNR, "208.67.222.222", PHONE) is None


def test_global_addresses_on_one_link(tmp_path):
    """IPv6 gives neighbours public addresses; what they say of themselves stays apart all the same."""
    told = answer("annas-phone.local", "2a00:1450::7", kind="AAAA")
    flows, _, counted = replayed(tmp_path, frame("2a00:1450::7", 5353, "2a00:1450::8", 5353, told))
    assert counted == {"mdns_messages": 1, "names_announced": 1}
    assert flows[0]["names"] == []


def test_a_datagram_that_is_none_of_them():
    counts: Counter[str] = Counter()
    announcing.count(layout.PORT_MDNS, b"\xff" * 20, counts)
    assert counts == {"mdns_malformed": 1}
