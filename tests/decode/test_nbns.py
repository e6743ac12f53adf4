"""NetBIOS names (RFC 1001, 14; RFC 1002, 4.2)."""

from __future__ import annotations

import pytest

from sensor.decode import nbns
from sensor.decode.nbns import NetbiosMessage, NetbiosName, message
from sensor.model import Malformed
from tests import captures
from tests.decode.samples import NBNS_QUERY, NBNS_REGISTRATION, NBNS_RESPONSE, netbios, u16
from tests.kernel.harness import payloads
from tests.proofs import proves


def read(raw: bytes) -> NetbiosMessage:
    found = message(raw)
    assert isinstance(found, NetbiosMessage)
    return found


def test_the_name_of_the_standard():
    """RFC 1001, 14.1: "The NetBIOS name" in the scope SCOPE.ID.COM; its last letter stands where the kind does today."""
    written = b"\x20FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF\x05SCOPE\x02ID\x03COM\x00"
    found = read(u16(7) + u16(0x0110) + u16(1) + bytes(6) + written + b"\x00\x20\x00\x01")
    assert found.asked == (NetbiosName("The NetBIOS nam", ord("e"), "scope.id.com"),)


def test_a_question():
    found = read(NBNS_QUERY)
    assert found.asked == (NetbiosName("WARD3-PC", 0x20),)
    assert (found.response, found.opcode, found.announced) == (False, nbns.QUERY, ())


def test_who_registers_a_name_announces_it():
    found = read(NBNS_REGISTRATION)
    assert found.opcode == nbns.REGISTRATION
    assert found.announced == (NetbiosName("ANNA-LAPTOP", 0),)


def test_who_answers_announces_itself():
    found = read(NBNS_RESPONSE)
    assert (found.response, found.rcode) == (True, 0)
    assert found.announced == (NetbiosName("WARD3-PC", 0x20),)


def test_who_is_refused_or_leaves_announces_nothing():
    refused = bytearray(NBNS_RESPONSE)
    refused[3] |= 6  # ACT_ERR
    assert read(bytes(refused)).announced == ()
    released = bytearray(NBNS_REGISTRATION)
    released[2] = released[2] & 0x87 | nbns.RELEASE << 3
    assert read(bytes(released)).announced == ()


@pytest.mark.parametrize("label", [b"\x04host", b"\x20" + b"z" * 32, b"\x1f" + b"a" * 31])
def test_ordinary_names_are_no_netbios_names(label):
    found = message(u16(7) + u16(0x0110) + u16(1) + bytes(6) + label + b"\x00\x00\x20\x00\x01")
    assert found == Malformed("a label that is no encoded NetBIOS name", 12)


def test_names_come_out_safe_to_show():
    assert read(NBNS_QUERY.replace(netbios(b"WARD3-PC", 0x20), netbios(b"\x1b[2Jx", 0))).asked[0].name == r"\027[2Jx"


@proves("NBNS, kept apart", "ndpi__telegram.pcap")
@pytest.mark.captures
def test_a_real_capture():
    names = set()
    for proto, _, dport, data in payloads(captures.folder() / "ndpi__telegram.pcap", 1 << 20):
        if proto == 17 and dport == 137:
            names |= {one.name for one in read(data).asked}
    assert names
    assert all(name.isprintable() for name in names)
