"""Whole clients and servers of another implementation: what they put on the wire, and what is read of it."""

from __future__ import annotations

import datetime as dt
import ssl
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from sensor.decode.quic import Initial, QuicHello, initials
from sensor.decode.tls import ClientHello
from sensor.model import Malformed
from tests.decode import sealing
from tests.decode.samples import V1, V2
from tests.proofs import proves

if TYPE_CHECKING:
    from aioquic.tls import SessionTicket

CLIENT, SERVER = ("192.0.2.1", 50000), ("192.0.2.2", 443)
NAME = "call.example.net"
AIOQUIC = "aioquic"


def client(version: int = V1, *, hello_bytes: int = 0, tickets: list[SessionTicket] | None = None, **more: Any) -> Any:
    """A client that has been told to connect; a larger hello by names of protocols that nobody speaks."""
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    padding = [f"x{number:0200}" for number in range(hello_bytes // 202)]
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3", *padding],
        server_name=NAME,
        original_version=version,
        verify_mode=ssl.CERT_NONE,
        **more,
    )
    handler = None if tickets is None else tickets.append
    connection = QuicConnection(configuration=configuration, session_ticket_handler=handler)
    connection.connect(SERVER, now=0.0)
    return connection


def server(original_dcid: bytes, **more: Any) -> Any:
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .sign(key, SHA256())
    )
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"], **more)
    configuration.certificate, configuration.private_key = certificate, key
    return QuicConnection(
        configuration=configuration,
        original_destination_connection_id=original_dcid,
        session_ticket_fetcher=lambda _: None,
        session_ticket_handler=lambda _: None,
    )


def sent(connection: Any, now: float = 0.0) -> list[bytes]:
    return [data for data, _ in connection.datagrams_to_send(now=now)]


def name_of(datagrams: list[bytes], assembler: QuicHello | None = None) -> str | None:
    """The name in the first whole hello; no datagram may be malformed."""
    assembler = assembler or QuicHello()
    for data in datagrams:
        found = assembler.add(data)
        assert not isinstance(found, Malformed)
        if found is not None:
            assert isinstance(found, ClientHello)
            assert found.alpn[0] == "h3"
            return found.sni
    return None


@pytest.mark.parametrize(
    "version",
    [pytest.param(V1, marks=proves("QUIC v1", AIOQUIC)), pytest.param(V2, marks=proves("QUIC v2", AIOQUIC))],
)
def test_a_client(version):
    assert name_of(sent(client(version))) == NAME


@proves("QUIC, hello over several datagrams", AIOQUIC)
@proves("QUIC, hello over several Initials", AIOQUIC)
@proves("QUIC, CRYPTO frames out of order", AIOQUIC)
@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("hello_bytes", [1500, 2600, 4000])
@pytest.mark.parametrize("datagram_bytes", [1200, 1350, 1452])
def test_hellos_over_several_datagrams_in_every_order(version, hello_bytes, datagram_bytes):
    datagrams = sent(client(version, hello_bytes=hello_bytes, max_datagram_size=datagram_bytes))
    assert len(datagrams) >= 2
    for order in permutations(datagrams):
        assert name_of(list(order)) == NAME
    assert name_of(datagrams[:-1]) is None
    assert name_of([*datagrams[:-1], *datagrams[:-1], datagrams[-1]]) == NAME  # sent again


@proves("QUIC, changed connection ids", AIOQUIC)
def test_a_client_goes_on_to_the_id_that_the_server_chose():
    """What was lost is sent again to the server's id, under keys that still follow from the first one."""
    one = client(hello_bytes=1500)
    datagrams = sent(one)
    answering = server(one.original_destination_connection_id)
    answering.receive_datagram(datagrams[0], CLIENT, now=0.1)
    replies = sent(answering, 0.1)
    for data in replies:
        one.receive_datagram(data, SERVER, now=0.2)
    one.handle_timer(now=one.get_timer())
    again = sent(one, 2.0)
    assembler = QuicHello()
    assert name_of([datagrams[0], *replies], assembler) is None
    found = initials(again[0], dcid=one.original_destination_connection_id)
    assert isinstance(found, tuple)
    assert found[0].dcid != one.original_destination_connection_id
    assert name_of(again, assembler) == NAME


@proves("QUIC, the server's Initial", AIOQUIC)
@pytest.mark.parametrize("version", [V1, V2])
def test_both_sides_of_a_handshake(version):
    one = client(version)
    dcid = one.original_destination_connection_id
    answering = server(dcid)
    first = sent(one)
    for data in first:
        answering.receive_datagram(data, CLIENT, now=0.1)
    replies = sent(answering, 0.1)
    for data in replies:
        one.receive_datagram(data, SERVER, now=0.2)
    later = sent(one, 0.2)
    # Without the client's first datagram nothing opens, and nothing is claimed.
    for data in replies + later:
        alone = initials(data)
        assert alone is None or isinstance(alone, Malformed | tuple)
        assert not alone if isinstance(alone, tuple) else True
    opened: list[Initial] = []
    for data in replies:
        packets = initials(data, dcid=dcid)
        assert isinstance(packets, tuple)
        opened += packets
    assert opened
    assert not any(packet.from_client for packet in opened)
    # The answer first, as where a capture starts there: it does no harm.
    assembler = QuicHello()
    for data in replies:
        assembler.add(data)
    assert name_of(first + later, assembler) == NAME


@proves("QUIC, Retry", AIOQUIC)
@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("lost_bytes", [0, 1])
def test_a_retry(version, lost_bytes):
    """The client begins anew, with keys that follow from the id in the Retry; its first datagrams may be missing."""
    from aioquic.quic.packet import encode_quic_retry

    one = client(version, hello_bytes=1500)
    before = sent(one)
    retry = encode_quic_retry(
        version=version,
        source_cid=b"retrying",
        destination_cid=one.host_cid,
        original_destination_cid=one.original_destination_connection_id,
        retry_token=b"a token",
    )
    one.receive_datagram(retry, SERVER, now=0.1)
    after = sent(one, 0.1)
    assert len(after) >= 2
    assert name_of([before[0], retry, *after]) == NAME
    assert name_of([retry, *after]) == NAME
    # A copy of the first flight, late, among the second: two lots of pieces that must not be mixed.
    assert name_of([before[0], retry, after[0], before[0], *after[1:]]) == NAME


@proves("QUIC, version negotiation", AIOQUIC)
@pytest.mark.parametrize(("first", "then"), [(V2, V1), (V1, V2)])
def test_a_version_that_the_server_does_not_speak(first, then):
    """RFC 9000, 6: the client begins anew with a version from the server's list."""
    from aioquic.quic.packet import encode_quic_version_negotiation

    one = client(first, hello_bytes=1500)
    before = sent(one)
    offer = encode_quic_version_negotiation(
        source_cid=one.original_destination_connection_id, destination_cid=one.host_cid, supported_versions=[then]
    )
    one.receive_datagram(offer, SERVER, now=0.1)
    after = sent(one, 0.1)
    assert int.from_bytes(after[0][1:5], "big") == then
    assert name_of([before[0], offer, *after]) == NAME
    assert name_of([offer, *after]) == NAME


@proves("QUIC, version negotiation", AIOQUIC)
def test_a_compatible_version_that_both_prefer():
    """RFC 9368, 2.3: the server answers in another version; the client's later Initials follow it."""
    one = client(V1, supported_versions=[V2, V1])
    first = sent(one)
    answering = server(one.original_destination_connection_id)
    for data in first:
        answering.receive_datagram(data, CLIENT, now=0.1)
    replies = sent(answering, 0.1)
    dcid = one.original_destination_connection_id
    opened = initials(replies[0], dcid=dcid)
    assert isinstance(opened, tuple)
    assert (opened[0].version, opened[0].from_client) == (V2, False)
    # What the client sends after that is not taken from aioquic, which goes on with the keys of version 1 (1.7.2).
    followed = sealing.sealed(V2, b"\x01".ljust(30, b"\x00"), key_dcid=dcid, dcid=opened[0].scid)
    opened = initials(followed, dcid=dcid)
    assert isinstance(opened, tuple)
    assert (opened[0].version, opened[0].from_client) == (V2, True)
    assert name_of([*first, *replies, followed]) == NAME


@proves("QUIC, 0-RTT", AIOQUIC)
@pytest.mark.parametrize("version", [V1, V2])
def test_early_data_before_and_after_the_hello(version):
    """Tickets of an earlier connection let a client send before it is answered (RFC 9001, 4.6)."""
    tickets: list[SessionTicket] = []
    one = client(version, tickets=tickets)
    answering = server(one.original_destination_connection_id)
    for turn in range(6):
        for data in sent(one, turn / 10):
            answering.receive_datagram(data, CLIENT, now=turn / 10)
        for data in sent(answering, turn / 10):
            one.receive_datagram(data, SERVER, now=turn / 10)
    assert tickets
    again = client(version, session_ticket=tickets[0], hello_bytes=1500)
    again.send_stream_data(again.get_next_available_stream_id(), bytes(2000))
    datagrams = sent(again)
    kinds = [(data[0] >> 4 & 3) - (version == V2) for data in datagrams]
    assert 0 in kinds
    assert 1 in kinds
    hellos = [data for data, kind in zip(datagrams, kinds, strict=True) if kind == 0]
    early = [data for data, kind in zip(datagrams, kinds, strict=True) if kind == 1]
    assert initials(early[0]) == ()
    assert name_of(hellos + early) == NAME
    assert name_of(early + hellos) == NAME
    assert name_of([hellos[0], *early, *hellos[1:]]) == NAME
