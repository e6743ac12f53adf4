"""Sockets and peers of a call: which other flows the joiner ties to it, and for how long.

The call is one that DNS tells of: a name that stands for calls was asked for, and a datagram goes to its address.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from random import Random

import dns.message
import dns.rrset
import pytest

from pcaps.stun import CREATE_PERMISSION, PEER, stun, xor_address
from sensor.kernel import layout
from sensor.kernel.hot import HOT_NS
from tests.kernel.harness import Frame, datagram, segment
from tests.lines import Line

NS = layout.NS
PHONE, RESOLVER, RELAY, ELSEWHERE = "10.0.0.1", "10.0.0.53", "198.51.100.7", "203.0.113.9"
NAME, MATCH = "relay.calls.example", 3
SOCKET = 40000


@cache
def message(name: str) -> bytes:
    made = dns.message.make_response(dns.message.make_query(f"{name}.", "A"))
    made.answer.append(dns.rrset.from_text(f"{name}.", 86400, "IN", "A", RELAY))
    return made.to_wire()


def answer(time_ns: int, *, name: str = NAME, to: str = PHONE) -> Frame:
    return datagram(time_ns, RESOLVER, 53, to, 50053, message(name))


def said(time_ns: int, sport: int, dst: str, dport: int, payload: bytes = b"\x01hello", *, src: str = PHONE) -> Frame:
    return datagram(time_ns, src, sport, dst, dport, payload)


def permission(time_ns: int, sport: int, dst: str, peer: tuple[str, int]) -> Frame:
    """CreatePermission (RFC 8656 10): names a peer to a relay."""
    transaction = Random(time_ns).randbytes(12)
    return said(
        time_ns, sport, dst, 3478, stun(CREATE_PERMISSION, transaction, [(PEER, xor_address(*peer, transaction))])
    )


def tied(*frames: Frame, rows: int = 1 << 12, speaks_of_calls: bool = True) -> list[int]:
    """The numbers of the frames (from 1) with which a flow was tied to a call."""
    line = Line(rows)
    line.loop.names.match[line.loop.names.intern(NAME)] = MATCH
    line.loop.joiner.calls[MATCH] = speaks_of_calls
    return [number for kind, _, number in line.read(list(frames)).names if kind == "tied"]


CALL = [answer(NS), said(2 * NS, SOCKET, RELAY, 3478)]


def test_another_flow_of_the_calls_socket() -> None:
    assert tied(*CALL, said(3 * NS, SOCKET, ELSEWHERE, 5000)) == [3]


def test_what_comes_to_the_socket_is_tied_as_well() -> None:
    assert tied(*CALL, said(3 * NS, 5000, PHONE, SOCKET, src=ELSEWHERE)) == [3]


@pytest.mark.parametrize(
    "frame",
    [
        said(3 * NS, SOCKET + 1, ELSEWHERE, 5000),  # another socket
        said(3 * NS, SOCKET, ELSEWHERE, 5000, src="10.0.0.2"),  # the same port of another device
        segment(3 * NS, PHONE, SOCKET, ELSEWHERE, 5000, b"hello"),  # TCP's ports are others
        said(1 * NS + 1, SOCKET, ELSEWHERE, 5000),  # before the call
    ],
)
def test_what_is_not_tied(frame: Frame) -> None:
    assert tied(*sorted([*CALL, frame])) == []


def test_a_name_that_stands_for_no_call_ties_nothing() -> None:
    assert tied(*CALL, said(3 * NS, SOCKET, ELSEWHERE, 5000), speaks_of_calls=False) == []


def test_a_name_that_nobody_knows_ties_nothing() -> None:
    frames = [answer(NS, name="other.example"), said(2 * NS, SOCKET, RELAY, 3478)]
    assert tied(*frames, said(3 * NS, SOCKET, ELSEWHERE, 5000)) == []


def test_each_flow_is_told_once() -> None:
    flow = [said(3 * NS + i, SOCKET, ELSEWHERE, 5000) for i in range(20)]
    assert tied(*CALL, *flow, said(4 * NS, SOCKET, ELSEWHERE, 5001)) == [3, 23]


# For how long


@pytest.mark.parametrize(("later_ns", "is_tied"), [(HOT_NS - NS, True), (HOT_NS, True), (HOT_NS + 1, False)])
def test_a_socket_cools_down(later_ns: int, is_tied: bool) -> None:
    assert bool(tied(*CALL, said(2 * NS + later_ns, SOCKET, ELSEWHERE, 5000))) == is_tied


def test_a_flow_that_is_tied_keeps_its_socket_warm() -> None:
    step = HOT_NS - NS
    frames = [said(2 * NS + i * step, SOCKET, ELSEWHERE, 5000 + i) for i in range(1, 6)]
    assert tied(*CALL, *frames) == [3, 4, 5, 6, 7]
    assert tied(*CALL, *frames[2:]) == []


# Peers

BEHIND = ("192.0.2.77", 6000)


def test_media_to_a_peer_that_the_call_named() -> None:
    """From whichever socket: a client opens another one for the straight way."""
    frames = [said(3 * NS, SOCKET, ELSEWHERE, 3478), permission(4 * NS, SOCKET, ELSEWHERE, BEHIND)]
    assert tied(*CALL, *frames, said(5 * NS, SOCKET + 7, *BEHIND)) == [3, 5]


def test_a_peer_that_is_named_at_another_port_is_another() -> None:
    frames = [said(3 * NS, SOCKET, ELSEWHERE, 3478), permission(4 * NS, SOCKET, ELSEWHERE, BEHIND)]
    assert tied(*CALL, *frames, said(5 * NS, SOCKET + 7, BEHIND[0], BEHIND[1] + 1)) == [3]


def test_a_peer_that_a_stranger_named_is_nobodys() -> None:
    frames = [permission(3 * NS, SOCKET + 1, ELSEWHERE, BEHIND), said(4 * NS, SOCKET + 7, *BEHIND)]
    assert tied(*CALL, *frames) == []


def test_the_socket_that_reaches_a_peer_is_in_the_call_as_well() -> None:
    frames = [said(3 * NS, SOCKET, ELSEWHERE, 3478), permission(4 * NS, SOCKET, ELSEWHERE, BEHIND)]
    straight = [said(5 * NS, SOCKET + 7, *BEHIND), said(6 * NS, SOCKET + 7, "192.0.2.78", 7000)]
    assert tied(*CALL, *frames, *straight) == [3, 5, 6]


def test_a_peer_cools_down() -> None:
    frames = [said(3 * NS, SOCKET, ELSEWHERE, 3478), permission(4 * NS, SOCKET, ELSEWHERE, BEHIND)]
    assert tied(*CALL, *frames, said(5 * NS + HOT_NS, SOCKET + 7, *BEHIND)) == [3]


# More than there is room for


def test_the_latest_sockets_stay_where_there_are_too_many() -> None:
    """No more than the table holds are remembered, and those that are forgotten are the oldest."""
    devices = [str(ip_address("10.1.0.0") + i) for i in range(60_000)]
    frames: list[Frame] = []
    for i, device in enumerate(devices):
        at = 2 * NS + i * 1_000_000
        frames += [answer(at, to=device), said(at + 1000, SOCKET, RELAY, 3478, src=device)]
    ending = 2 * NS + len(devices) * 1_000_000
    assert ending < HOT_NS  # none has cooled down
    late, early = devices[-500:], devices[:500]
    begin = len(frames)
    frames += [said(ending + i, SOCKET, ELSEWHERE, 5000, src=one) for i, one in enumerate([*late, *early])]
    found = [number - begin for number in tied(*frames, rows=1 << 18)]
    assert sum(number <= len(late) for number in found) >= 0.99 * len(late)
    assert sum(number > len(late) for number in found) <= 0.01 * len(early)
