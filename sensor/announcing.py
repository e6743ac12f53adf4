"""What devices call out to their neighbours: multicast DNS, LLMNR, NetBIOS names. Read, counted, and dropped.

The names are those of devices, often of the people who own them, and say nothing of servers: none is kept, none enters
the memory of DNS answers, none is evidence of an app.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from sensor.decode import dns, nbns
from sensor.kernel import layout
from sensor.model import Malformed

if TYPE_CHECKING:
    from collections import Counter

PROTOCOLS = {layout.PORT_MDNS: "mdns", layout.PORT_LLMNR: "llmnr", layout.PORT_NBNS: "nbns"}
HEADER_BYTES, FLAGS, RECORDS = 12, 2, slice(6, 12)  # RFC 1035, 4.1.1: the flags' first byte, the counts of records
RESPONSE, RECURSION_DESIRED = 0x80, 0x01
LOCAL_ENDS = (".local", ".arpa")  # RFC 6762, 3 and 4


def protocol_of(src_port: int, dst_port: int) -> int:
    """The port that says which of the three it is."""
    return dst_port if dst_port in PROTOCOLS else src_port


def count(port: int, payload: bytes, counts: Counter[str]) -> None:
    """Counts one datagram, and how many names it announces."""
    protocol = PROTOCOLS[port]
    if len(payload) >= HEADER_BYTES and not payload[FLAGS] & RESPONSE and not any(payload[RECORDS]):
        counts[f"{protocol}_messages"] += 1  # a mere question announces nothing, so nobody need read it
        return
    announced = _netbios(payload) if port == layout.PORT_NBNS else _multicast(payload)
    if announced is None:
        counts[f"{protocol}_malformed"] += 1
        return
    counts[f"{protocol}_messages"] += 1
    counts["names_announced"] += announced


def _netbios(payload: bytes) -> int | None:
    found = nbns.message(payload)
    return len(found.announced) if isinstance(found, nbns.NetbiosMessage) else None


def _multicast(payload: bytes) -> int | None:
    found = dns.message(payload)
    if not isinstance(found, dns.DnsMessage):
        return None
    return len({record.name for record in found.answers + found.additional if record.address}) if found.response else 0


def may_be_asked_of_a_server(payload: bytes, port: int) -> bool:
    """Whether `asked_of_a_server` is worth asking."""
    return port == layout.PORT_MDNS and len(payload) >= HEADER_BYTES and bool(payload[FLAGS] & RECURSION_DESIRED)


def asked_of_a_server(payload: bytes, port: int, src: str, dst: str) -> dns.DnsMessage | None:
    """The message, where a resolver is only reached at multicast DNS's port: some offer that beside port 53.

    Then one end has a public address of its own, the client asks for recursion, which multicast DNS never does (RFC 6762, 18.6),
    and the names are none of a local network.
    """
    if port != layout.PORT_MDNS or not any(_is_server(end) for end in (src, dst)):
        return None
    found = dns.message(payload)
    if isinstance(found, Malformed) or found is None or not found.recursion_desired or found.opcode:
        return None
    names = [question.name for question in found.questions]
    local = any(name.startswith("_") or name.endswith(LOCAL_ENDS) or "." not in name for name in names)
    return found if names and not local else None


def _is_server(address: str) -> bool:
    found = ip_address(address)
    return found.is_global and not found.is_multicast
