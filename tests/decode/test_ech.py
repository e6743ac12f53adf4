"""Encrypted ClientHello as the outer hello shows it (RFC 9849, 5)."""

from __future__ import annotations

import pytest

from sensor.decode import dns
from sensor.decode.ech import MAX_CONFIGS, Ech, ech, public_names
from sensor.model import Malformed
from tests import captures
from tests.decode.samples import ECH_CONFIGS, ECH_OUTER, ech_config, vector16
from tests.kernel.harness import payloads
from tests.proofs import proves


def test_an_outer_hello():
    assert ech(ECH_OUTER) == Ech(inner=False, kdf=1, aead=1, config_id=0x2A, enc=bytes(range(32)), payload_bytes=24)


def test_the_second_hello_has_no_enc():
    found = ech(bytes.fromhex("00 0001 0003 07") + vector16(b"") + vector16(b"x" * 200))
    assert found == Ech(inner=False, kdf=1, aead=3, config_id=7, enc=b"", payload_bytes=200)


def test_an_inner_hello():
    assert ech(b"\x01") == Ech(inner=True)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\x02", 0),
        (b"\x01\x00", 1),
        (ECH_OUTER + b"\x00", len(ECH_OUTER)),
        (bytes.fromhex("00 0001 0001 2a") + vector16(b"") + vector16(b""), 8),
    ],
)
def test_what_is_neither(data, offset):
    found = ech(data)
    assert isinstance(found, Malformed)
    assert found.offset == offset


@pytest.mark.parametrize("end", [0, 5, 8, len(ECH_OUTER) - 1])
def test_what_is_cut_short(end):
    assert ech(ECH_OUTER[:end]) is None


@proves("DNS, ech= in HTTPS records", "made by RFC 9849, 4")
def test_the_public_names_of_a_list():
    assert public_names(ECH_CONFIGS) == ("cloudflare-ech.com",)  # the other version's contents mean something else
    assert public_names(vector16(b"")) == ()
    two = ech_config(b"a.example") + ech_config(b"b.example", config_id=8) + ech_config(b"a.example", config_id=9)
    assert public_names(vector16(two)) == ("a.example", "b.example")
    many = b"".join(ech_config(b"%d.example" % number) for number in range(MAX_CONFIGS + 1))
    assert public_names(vector16(many)) == tuple(f"{number}.example" for number in range(MAX_CONFIGS))


def test_a_list_that_is_broken():
    config = ech_config(b"a.example")
    short = config[:3] + bytes([config[3] - 8]) + config[4:-8]
    assert isinstance(public_names(vector16(short)), Malformed)
    assert public_names(ECH_CONFIGS[:-1]) is None


@proves("DNS, ech= in HTTPS records", "zeek__dns-ech.pcap")
@pytest.mark.captures
def test_public_names_in_a_real_capture():
    found = {}
    for _, sport, _, data in payloads(captures.folder() / "zeek__dns-ech.pcap", 1 << 20):
        message = dns.message(data) if sport == 53 else None
        for record in message.answers if isinstance(message, dns.DnsMessage) else ():
            if record.service and record.service.ech:
                found[record.name] = public_names(record.service.ech)
    assert found == {"defo.ie": ("cover.defo.ie",), "cloudflare-ech.com": ("cloudflare-ech.com",)}
