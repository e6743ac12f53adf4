"""Wireshark display filters that show a piece of evidence or a flow (wireshark.org/docs/dfref)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Evidence, FlowKey

_FIELDS = {
    "tls_sni": "tls.handshake.extensions_server_name",
    "quic_sni": "tls.handshake.extensions_server_name",
    "dtls_sni": "dtls.handshake.extensions_server_name",
    "http_host": "http.host",
    "dns_answer": "dns.qry.name",
    "dns_query": "dns.qry.name",
}


# The magic cookie (RFC 8489 5): Wireshark's own dissector leaves out the message types of vendors.
STUN = "udp.payload[4:4] == 21:12:a4:42"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def evidence_filter(evidence: Evidence) -> str:
    """Shows the frame that carries the evidence, and proves with its field that it says what is claimed.

    A name that goes through several packets stands in the last of them, where Wireshark shows it too. Names are compared
    in lower case, for that is how evidence holds them; one with escaped bytes only by its field being there.
    """
    frame = f"frame.number == {evidence.frame}"
    field = _FIELDS.get(evidence.kind)
    if field is not None and "\\" in evidence.value:
        return f"{frame} && {field}"
    if field is not None:
        return f"{frame} && lower({field}) == {_quoted(evidence.value)}"
    if evidence.kind == "tls_cert":
        return _certificate_filter(evidence)
    if evidence.kind == "stun":
        return f"{frame} && {STUN}"
    return f"{frame} && {flow_filter(evidence.flow)}"


def _certificate_filter(evidence: Evidence) -> str:
    """The name was there in this frame; Wireshark shows a certificate in the frame in which its whole record has arrived."""
    flow = f"frame.number >= {evidence.frame} && {flow_filter(evidence.flow)}"
    if "\\" in evidence.value:
        return f"{flow} && tls.handshake.certificate"
    name = _quoted(evidence.value)
    places = ("x509ce.dNSName", "x509sat.uTF8String", "x509sat.printableString", "x509sat.teletexString")
    return f"{flow} && ({' || '.join(f'lower({place}) == {name}' for place in places)})"


def flow_filter(flow: FlowKey) -> str:
    """Shows every packet of a flow, both directions."""
    version = "ipv6" if ":" in flow.src else "ip"
    ends = f"{version}.addr == {flow.src} && {version}.addr == {flow.dst}"
    if flow.proto in ("tcp", "udp"):
        return f"{ends} && {flow.proto}.port == {flow.sport} && {flow.proto}.port == {flow.dport}"
    return ends
