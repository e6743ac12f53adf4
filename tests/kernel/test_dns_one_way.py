"""A mirror of one direction shows answers without questions: then the answer says what was asked."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest

from sensor.kernel import layout
from sensor.model import Batch
from tests.kernel.harness import Frame, Loop, datagram, packed
from tests.proofs import proves

CLIENT, SERVER = "10.1.2.3", "192.0.2.53"


def query(name: str) -> bytes:
    return dns.message.make_query(name, "A", id=7).to_wire()


def response(name: str, *, rcode: int = 0) -> bytes:
    message = dns.message.make_response(dns.message.make_query(name, "A", id=7))
    message.set_rcode(dns.rcode.from_text(str(rcode)))
    return message.to_wire()


def to_server(payload: bytes, port: int = 40000) -> Frame:
    return datagram(0, CLIENT, port, SERVER, 53, payload)


def to_client(payload: bytes, port: int = 40000) -> Frame:
    return datagram(0, SERVER, 53, CLIENT, port, payload)


def asked(*frames: Frame) -> list[tuple[int, str]]:
    """Frame number and name of every question that was told."""
    loop = Loop(1 << 10)
    buffer, rows = packed(list(frames))
    found = []
    for clues, kept in loop.scanner.read(Batch(buffer, rows)).parts:
        answers, _ = loop.joiner.read_names(kept, clues)
        _, _, hits = loop.joiner.join(clues, 0, answers, 0)
        found += [(int(one["number"]), loop.names.text(int(one["name_id"]))) for one in hits if is_question(one)]
    return found


def is_question(hit: object) -> bool:
    return int(hit["kind"]) == layout.HIT_DNS_QUERY  # type: ignore[index]


@pytest.mark.parametrize("rcode", [0, 3])
@proves("DNS, answers without questions", "messages made by dnspython")
def test_an_answer_alone_says_what_was_asked(rcode: int) -> None:
    assert asked(to_client(response("Example.org", rcode=rcode))) == [(1, "example.org")]


def test_an_answer_to_a_question_that_was_seen_says_nothing_new() -> None:
    both = to_server(query("example.org")), to_client(response("example.org"))
    assert asked(*both) == [(1, "example.org")]
    assert asked(*both, to_client(response("example.org"))) == [(1, "example.org")]


def test_each_flow_for_itself() -> None:
    frames = to_server(query("a.example"), 40001), to_client(response("b.example"), 40002)
    assert asked(*frames) == [(1, "a.example"), (2, "b.example")]


def test_every_answer_of_a_flow_without_questions_counts() -> None:
    frames = to_client(response("a.example")), to_client(response("b.example"))
    assert asked(*frames) == [(1, "a.example"), (2, "b.example")]


def test_only_a_server_answers() -> None:
    assert asked(to_server(response("example.org"))) == []


def test_a_question_that_cannot_be_read_does_not_count() -> None:
    assert asked(to_server(query("example.org")[:-7]), to_client(response("example.org"))) == [(2, "example.org")]
