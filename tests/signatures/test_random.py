"""What is random is no app: datagrams, streams, STUN of standard making, and names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.classify import signatures

OURS = signatures.load()
PORTS = (53, 80, 123, 443, 500, 521, 1400, 3478, 3480, 5004, 5060, 5222, 8080, 8801, 9000, 16384, 16402, 20610, 50004)
# Where nobody's servers are, and one address of each app's published ranges.
NOWHERE = (bytes(10) + b"\xff\xff\xc6\x33\x64\x07").ljust(16, b"\0")
THERE = [one.low.to_bytes(16, "big") for rule in OURS.first_bytes_rules() for one in rule.ranges[:1]]

payloads = st.one_of(st.binary(max_size=64), st.binary(min_size=1, max_size=1400))
addresses = st.sampled_from([NOWHERE, *dict.fromkeys(THERE)])
label = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=20)
names = st.tuples(
    st.lists(label, min_size=1, max_size=4), st.sampled_from(["com", "net", "org", "us", "me", "example"])
)


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(
    payloads, st.sampled_from(["udp", "tcp"]), st.sampled_from(["client", "server"]), st.sampled_from(PORTS), addresses
)
def test_random_bytes(payload: bytes, proto: str, side: str, port: int, address: bytes) -> None:
    found = OURS.match_first_bytes(proto, "client" if side == "client" else "server", payload, port, address)
    # One byte says little (Telegram's abridged transport), so alone it is but a hint, and only at Telegram's addresses.
    assert {match.rule for match in found} <= {"telegram/abridged"}
    assert not found or (payload[:1] == b"\xef" and address != NOWHERE)


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, 3, 4, 6, 7, 8, 9]),
    st.lists(
        st.tuples(
            st.sampled_from([0x0006, 0x0009, 0x000C, 0x000D, 0x0012, 0x0013, 0x0015, 0x0016, 0x0019, 0x0020, 0x0024,
                             0x0025, 0x8022, 0x8023, 0x8028, 0x8029, 0x802A, 0xC057]),
            st.binary(max_size=20),
        ),
        max_size=8,
    ),
    st.text(string.printable, max_size=30),
)  # fmt: skip
def test_standard_stun_with_anybody(method: int, attributes: list[tuple[int, bytes]], text: str) -> None:
    """RFC 8489, 8656, 8445 and libwebrtc, whatever the order and the texts."""
    ends = [(NOWHERE, 3478), (NOWHERE, 50000)]
    assert OURS.match_stun(text, text, text, method, [*attributes, (0x0008, bytes(20)), (0x8028, bytes(4))], ends) == ()


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(names)
def test_random_names(made: tuple[list[str], str, str]) -> None:
    assert OURS.match_name(".".join([*made[0], *made[1:]])) == ()


@pytest.mark.parametrize("size", [0, 1, 8, 20, 44, 64, 74, 172, 1099, 1200])
@pytest.mark.parametrize("byte", [0x00, 0x16, 0x40, 0x80, 0xFF])
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_padding_and_silence(proto: str, byte: int, size: int) -> None:
    for port in PORTS:
        found = OURS.match_first_bytes(proto, "either", bytes([byte]) * size, port, NOWHERE)
        assert {match.rule for match in found} <= (
            {"telegram/reflector"} if byte == 0xFF and 500 <= port <= 600 else set()
        )
