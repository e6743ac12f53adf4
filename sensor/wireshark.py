"""Wireshark display filters that show a piece of evidence or a flow (wireshark.org/docs/dfref)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.model import Evidence, FlowKey

_FIELDS = {
    "tls_sni": ("tls.handshake.extensions_server_name",),
    # Evidence does not say whose QUIC it was; up to Q050 Google's hellos are not those of TLS.
    "quic_sni": ("tls.handshake.extensions_server_name", "gquic.tag.sni"),
    "dtls_sni": ("dtls.handshake.extensions_server_name",),
    "http_host": ("http.host",),
    "dns_answer": ("dns.qry.name",),
    "dns_query": ("dns.qry.name",),
}


# The magic cookie (RFC 8489 5): Wireshark's own dissector leaves out the message types of vendors.
STUN = "udp.payload[4:4] == 21:12:a4:42"
ATTRIBUTE = re.compile(r"\b0x([0-9a-f]{4})\b")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _any(fields: tuple[str, ...], value: str) -> str:
    """One of the fields says this, or is there at all where the value has escaped bytes."""
    exact = "\\" not in value
    parts = [f"lower({field}) == {_quoted(value)}" if exact else field for field in fields]
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"


def evidence_filter(evidence: Evidence) -> str:
    """Shows the frame that carries the evidence, and proves with its field that it says what is claimed.

    A name that goes through several packets stands in the last of them, where Wireshark shows it too. Names are compared
    in lower case, for that is how evidence holds them; one with escaped bytes only by its field being there.
    """
    frame = f"frame.number == {evidence.frame}"
    fields = _FIELDS.get(evidence.kind)
    if fields is not None:
        return f"{frame} && {_any(fields, evidence.value)}"
    if evidence.kind == "user_agent":
        return f"{frame} && http.user_agent contains {_quoted(evidence.value)}"
    if evidence.kind == "tls_version":
        return f"{frame} && tls.handshake.type == 1 && tls.handshake.version < 0x0303"
    if evidence.kind == "tls_cert":
        return _certificate_filter(evidence)
    if evidence.kind == "stun":
        return f"{frame} && {STUN}{_attributes(evidence.value)}"
    return f"{frame} && {flow_filter(evidence.flow)}"


def _certificate_filter(evidence: Evidence) -> str:
    """The name was there in this frame; Wireshark shows a certificate in the frame in which its whole record has arrived."""
    flow = f"frame.number >= {evidence.frame} && {flow_filter(evidence.flow)}"
    if "\\" in evidence.value:
        return f"{flow} && tls.handshake.certificate"
    places = ("x509ce.dNSName", "x509sat.uTF8String", "x509sat.printableString", "x509sat.teletexString")
    return f"{flow} && {_any(places, evidence.value)}"


def _attributes(value: str) -> str:
    """That the types of the attributes that were told are in the message."""
    return "".join(f" && udp.payload contains {kind[:2]}:{kind[2:]}" for kind in ATTRIBUTE.findall(value))


def flow_filter(flow: FlowKey) -> str:
    """Shows every packet of a flow, both directions."""
    version = "ipv6" if ":" in flow.src else "ip"
    ends = f"{version}.addr == {flow.src} && {version}.addr == {flow.dst}"
    if flow.proto in ("tcp", "udp"):
        return f"{ends} && {flow.proto}.port == {flow.sport} && {flow.proto}.port == {flow.dport}"
    return ends
