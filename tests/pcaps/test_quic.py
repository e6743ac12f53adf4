"""Our own sealing of QUIC Initials against the standard's vectors and another reader."""

from __future__ import annotations

from random import Random

from pcaps import quic, tls

ORIGINAL = bytes.fromhex("8394c8f03e515708")  # RFC 9001 appendix A


def test_keys_are_those_of_the_standard() -> None:
    """RFC 9001 appendix A.1."""
    client = ("1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2")
    server = ("cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314")
    assert tuple(part.hex() for part in quic.initial_keys(ORIGINAL, client=True)) == client
    assert tuple(part.hex() for part in quic.initial_keys(ORIGINAL, client=False)) == server


def test_lengths_are_written_as_in_the_standard() -> None:
    """RFC 9000 appendix A.1."""
    assert quic.varint(37).hex() == "25"
    assert quic.varint(15_293).hex() == "7bbd"
    assert quic.varint(494_878_333).hex() == "9d7f3e7d"
    assert quic.varint(151_288_809_941_952_652).hex() == "c2197c5eff14e88c"


def test_aioquic_opens_what_we_sealed() -> None:
    from aioquic.quic.crypto import CryptoPair
    from aioquic.quic.packet import QuicProtocolVersion

    frames = quic.crypto(0, Random(1).randbytes(300)).ljust(1162, b"\0")
    packet = quic.seal_initial(ORIGINAL, ORIGINAL, b"", 2, frames, client=True)
    pair = CryptoPair()
    pair.setup_initial(cid=ORIGINAL, is_client=False, version=QuicProtocolVersion.VERSION_1)
    _, plain, number = pair.decrypt_packet(packet, 1 + 4 + 9 + 1 + 1 + 2, 0)
    assert (plain, number) == (frames, 2)


def test_a_post_quantum_hello_takes_two_datagrams() -> None:
    ids = quic.Ends(ORIGINAL, b"12345678")
    for scrambled in (False, True):
        assert [
            len(each) for each in quic.opening(Random(2), "a.example", tls.CHROME_PQ, ids, scrambled=scrambled)
        ] == [quic.DATAGRAM] * 2
        assert [len(each) for each in quic.opening(Random(2), "a.example", tls.CHROME, ids, scrambled=scrambled)] == [
            quic.DATAGRAM
        ]
