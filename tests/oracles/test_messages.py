"""STUN messages as scapy reads them, HTTP requests as dpkt does, NetBIOS names as scapy does: in the demo and in the captures."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dpkt
import pytest

from sensor.decode import http, nbns, stun
from tests import captures
from tests.kernel.harness import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = Path(__file__).resolve().parents[2] / "pcaps" / "clinic-morning.pcap"
PACKETS = 3000
TCP, UDP = 6, 17
NBNS_PORT = 137
COPIES = 40  # of payloads that begin alike


@lru_cache(maxsize=1)
def all_payloads() -> list[tuple[int, set[int], bytes]]:
    """Protocol, ports and payload of packets in the demo, and in the captures where they are."""
    folder = captures.find()
    others = sorted(path for path in folder.iterdir() if path.suffix in {".pcap", ".pcapng"}) if folder else []
    found = []
    seen: dict[bytes, int] = {}
    for path in [DEMO, *others]:
        for proto, source, destination, data in payloads(path, PACKETS):
            seen[data[:4]] = seen.get(data[:4], 0) + 1
            if seen[data[:4]] <= COPIES:
                found.append((proto, {source, destination}, data))
    return found


def stun_messages() -> Iterator[tuple[stun.StunMessage, bytes]]:
    for _, _, data in all_payloads():
        message = stun.message(data)
        if isinstance(message, stun.StunMessage) and message.magic:
            yield message, data


def test_stun_messages_as_scapy_reads_them() -> None:
    from scapy.contrib.stun import STUN

    seen = set()
    for ours, data in stun_messages():
        if not as_scapy_expects(ours, data):
            continue
        theirs = STUN(data)
        addresses = {one.type: one for one in theirs.attributes}
        assert int(theirs.transaction_id).to_bytes(12, "big") == ours.transaction_id
        assert [one.type for one in theirs.attributes] == [number for number, _ in ours.attributes]
        if 0x0006 in addresses and ours.username is not None:
            name = addresses[0x0006].username
            assert name.rstrip(b"\0").decode("latin-1") == plain(ours.username)
        if 0x0020 in addresses and ours.xor_mapped:
            one = addresses[0x0020]
            assert ours.xor_mapped == shown(one.xip, one.xport)
            seen.add("xor_mapped")
        if 0x0001 in addresses and ours.mapped:
            one = addresses[0x0001]
            assert ours.mapped == shown(one.ip, one.port)
        seen.add(data[:2].hex())
    assert {"xor_mapped", "0001", "0101"} <= seen


# Attributes that scapy takes to be of one size, whatever their length says.
FIXED_BYTES = {0x0008: (20,), 0x0024: (4,), 0x8028: (4,), 0x802A: (8,), 0xC057: (4,), 0x0001: (8, 20), 0x0020: (8, 20)}


def as_scapy_expects(message: stun.StunMessage, data: bytes) -> bool:
    """Whether all is padded, nothing follows, and vendors put nothing of their own into the standard's attributes."""
    padded_bytes = sum(4 + len(value) + -len(value) % 4 for _, value in message.attributes)
    fixed = all(len(value) in FIXED_BYTES.get(number, (len(value),)) for number, value in message.attributes)
    return fixed and 20 + padded_bytes == 20 + int.from_bytes(data[2:4], "big") == len(data)


def shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def plain(text: str) -> str:
    """Our escaped text as it was sent."""
    return re.sub(r"\\(\d{3}|.)", lambda found: chr(int(found[1])) if len(found[1]) == 3 else found[1], text)


def test_http_requests_as_dpkt_reads_them() -> None:
    seen = 0
    for proto, _, data in all_payloads():
        if proto != TCP or b"\r\n\r\n" not in data:
            continue
        ours = http.request(data)
        if not isinstance(ours, http.HttpRequest):
            continue
        head = data[: data.index(b"\r\n\r\n") + 4]
        try:
            theirs = dpkt.http.Request(re.sub(rb"(?i)\r\n(content-length|transfer-encoding):[^\r]*", b"", head))
        except dpkt.dpkt.UnpackError:  # it knows fewer methods, and wants fields without odd bytes
            continue
        assert (ours.method, plain(ours.target)) == (theirs.method, theirs.uri)
        host = theirs.headers.get("host")
        if isinstance(host, str) and host and "://" not in theirs.uri and ours.method != "CONNECT" and ours.host:
            assert host.lower().startswith(plain(ours.host)) or host.startswith("[")
            seen += 1
    assert seen > 3


@pytest.mark.captures
def test_netbios_names_as_scapy_reads_them() -> None:
    from scapy.layers.netbios import NBNSHeader, NBNSQueryRequest

    captures.folder()
    seen = 0
    for proto, ports, data in all_payloads():
        if proto != UDP or NBNS_PORT not in ports:
            continue
        ours = nbns.message(data)
        if not isinstance(ours, nbns.NetbiosMessage) or ours.response or ours.opcode != nbns.QUERY or not ours.asked:
            continue
        theirs = NBNSHeader(data)
        if not theirs.haslayer(NBNSQueryRequest):
            continue
        question = theirs[NBNSQueryRequest]
        assert ours.id == theirs.NAME_TRN_ID
        assert plain(ours.asked[0].name).lower() == question.QUESTION_NAME.decode("latin-1").strip().lower()
        high, low = question.SUFFIX.to_bytes(2, "big").upper()  # still as two letters
        assert ours.asked[0].kind == (high - ord("A")) << 4 | low - ord("A")
        seen += 1
    assert seen > 20
