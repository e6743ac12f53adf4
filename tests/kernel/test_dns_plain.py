"""What the compiled loop reads of DNS messages, beside the decoder on the same bytes: where it accepts one, nothing differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.decode import dns
from sensor.kernel import layout
from sensor.kernel.names import MAX_ANSWERS, TTL_LIMIT_S
from sensor.kernel.state import Joiner, Names
from tests import captures
from tests.decode import samples
from tests.decode.samples import u16, vector16
from tests.kernel.harness import payloads
from tests.kernel.packets import address

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = Path(__file__).resolve().parents[2] / "pcaps" / "clinic-morning.pcap"
DONE, HANDED_OVER, BROKEN = "done", "handed over", "broken"
NAMES = Names(1 << 12, 7)
JOINER = Joiner(64, NAMES, 7, 64)


@dataclass(frozen=True)
class Told:
    """What a message tells: its first question, whether it answers, and (alias, TTL, address) in order."""

    name: str
    response: bool
    answers: tuple[tuple[str, int, str], ...]


def compiled(data: bytes, proto: int = 17) -> tuple[str, Told | None]:
    """What becomes of one message, alone in its array."""
    NAMES.reset()
    broken = NAMES.broken_messages
    clues = np.zeros(1, layout.CLUE)
    clues["kind"], clues["proto"], clues["length"], clues["read"] = (
        layout.KIND_DNS,
        proto,
        len(data),
        layout.READ_PENDING,
    )
    answers, odd = JOINER.read_names(np.frombuffer(data, np.uint8), clues)
    (clue,) = clues
    assert odd == (clue["read"] == layout.READ_HAND_OVER)
    if odd or NAMES.broken_messages > broken:
        assert len(answers) == 0
        assert clue["name_id"] == 0
        return (HANDED_OVER if odd else BROKEN), None
    assert clue["read"] == layout.READ_DONE
    assert all(row["clue"] == 0 and row["name_id"] == clue["name_id"] for row in answers)
    found = tuple(
        (text(row["alias_id"]), int(row["ttl_s"]), address(int(row["high"]), int(row["low"]))) for row in answers
    )
    return DONE, Told(text(clue["name_id"]), bool(clue["sequence"]), found)


def text(number: int) -> str:
    return NAMES.text(int(number)) if number else ""


def decoded(data: bytes) -> Told | None:
    """The same, of what the decoder gives."""
    message = dns.message(data)
    if not isinstance(message, dns.DnsMessage):
        return None
    found = []
    alias = ""
    for record in message.answers if message.response and not message.rcode else ():
        if record.cls == dns.IN and record.type == dns.CNAME and record.target:
            alias = record.target
        if record.cls == dns.IN and record.address:
            found.append((alias, min(record.ttl, TTL_LIMIT_S), record.address))
    return Told(message.questions[0].name if message.questions else "", message.response, tuple(found))


def agrees(data: bytes) -> str:
    """Checks one message; returns what became of it."""
    what, told = compiled(data)
    if what == DONE:
        assert told == decoded(data)
    elif what == BROKEN:
        assert decoded(data) is None
    return what


def name(*labels: bytes) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


QNAME = name(b"Chat", b"example", b"com")
POINTER = b"\xc0\x0c"
V4, V6 = b"\xc0\0\2\7", bytes.fromhex("20010db8") + bytes(11) + b"\7"


def record(kind: int, data: bytes, *, owner: bytes = POINTER, cls: int = 1, ttl: int = 60) -> bytes:
    return owner + u16(kind) + u16(cls) + ttl.to_bytes(4, "big") + vector16(data)


def message(
    *records: bytes,
    flags: int = 0x8180,
    question: bytes = QNAME,
    cls: int = 1,
    questions: int = 1,
    count: int | None = None,
) -> bytes:
    head = u16(7) + u16(flags) + u16(questions) + u16(len(records) if count is None else count) + bytes(4)
    return head + (question + u16(1) + u16(cls)) * questions + b"".join(records)


QUERY = message(flags=0x0100)
A, AAAA = record(1, V4), record(28, V6)
CNAME = record(5, name(b"edge", b"example", b"net"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (QUERY, Told("chat.example.com", False, ())),
        (message(), Told("chat.example.com", True, ())),
        (message(A, AAAA), Told("chat.example.com", True, (("", 60, "192.0.2.7"), ("", 60, "2001:db8::7")))),
        (message(CNAME, A), Told("chat.example.com", True, (("edge.example.net", 60, "192.0.2.7"),))),
        (message(A, CNAME), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),
        (
            message(CNAME, record(5, name(b"LAST", b"example")), A),
            Told("chat.example.com", True, (("last.example", 60, "192.0.2.7"),)),
        ),
        (
            message(record(5, b"\4edge\xc0\x11"), A),
            Told("chat.example.com", True, (("edge.example.com", 60, "192.0.2.7"),)),
        ),
        (message(A, flags=0x8183), Told("chat.example.com", True, ())),  # no such name
        (message(A, flags=0x8380), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),  # cut off by the server
        (
            message(record(1, V4, ttl=TTL_LIMIT_S + 1)),
            Told("chat.example.com", True, (("", TTL_LIMIT_S, "192.0.2.7"),)),
        ),
        (message(record(1, V4, ttl=1 << 31)), Told("chat.example.com", True, (("", 0, "192.0.2.7"),))),  # RFC 2181, 8
        (message(record(16, b"\3abc"), A), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),
        (message(A, count=2), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),  # before the damage
        (message(A, AAAA[:-1]), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),
        (message(A, record(1, V4, owner=b"\x80")), Told("chat.example.com", True, (("", 60, "192.0.2.7"),))),
    ],
)
def test_what_is_read(data, told):
    assert compiled(data) == (DONE, told)
    assert decoded(data) == told


# The classes of messages that are left to the decoder.
ODD = {
    "no question": message(questions=0, flags=0x8180),
    "two questions": message(questions=2),
    "another opcode": message(flags=0x2800),
    "many answers": message(*[A] * (MAX_ANSWERS + 1)),
    "a query with answers": message(A, flags=0x0100),
    "another class, such as mDNS' cache flush": message(cls=0x8001),
    "an answer of another class": message(record(1, V4, cls=3)),
    "odd letters": message(question=name(b"a b", b"example")),
    "a dot in a label": message(question=name(b"a.b", b"example")),
    "not ASCII": message(question=name("münchen".encode(), b"example")),
    "odd letters in an owner": message(record(1, V4, owner=name(b"*"))),
    "odd letters in an alias": message(record(5, name(b"a*"))),
    "a very long name": message(question=name(*[b"a" * 60] * 4, b"abcdefghijk")),
    "the root": message(question=b"\0"),
    "a pointer into the header": message(record(1, V4, owner=b"\xc0\x00")),
    "a pointer to itself": message(question=POINTER),
    "a pointer forward": message(question=b"\xc0\x20"),
    "an owner forward": message(record(1, V4, owner=b"\xc0\xff")),
    "SVCB and HTTPS": message(record(65, b"\0\1\0")),
    "an address of another size": message(record(1, V6)),
    "an alias with bytes behind it": message(record(5, name(b"a") + b"x")),
    "an alias that is the root": message(record(5, b"\0")),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_what_is_handed_over(data):
    assert agrees(data) == HANDED_OVER


BROKEN_MESSAGES = {
    "a reserved label type": message(question=b"\x40abc"),
    "another": message(question=b"\x80abc"),
    "a label cut off": QUERY[:20],
    "a name without end": QUERY[:28],
    "a question without type": QUERY[:-4],
    "a question without class": QUERY[:-1],
    "half a pointer": QUERY[:12] + b"\xc0",
}


@pytest.mark.parametrize("data", BROKEN_MESSAGES.values(), ids=BROKEN_MESSAGES.keys())
def test_what_nobody_can_read(data):
    assert agrees(data) == BROKEN


def chain(length: int) -> bytes:
    """An address whose owner's name is found over so many pointers, which lie in the contents of a record before it."""
    start = len(message()) + 12
    pointers = [POINTER, *(u16(0xC000 | start + 2 * i) for i in range(length - 1))]
    return message(record(16, b"".join(pointers[:-1])), record(1, V4, owner=pointers[-1]))


LONGEST = message(question=name(*[b"a" * 60] * 4, b"b" * 9))


@pytest.mark.parametrize(
    "data",
    [
        LONGEST,  # 255 bytes
        message(question=name(*[b"a" * 60] * 4, b"b" * 10)),
        chain(2),
        chain(126),
        chain(130),
        message(*[record(12, b"\xc0\xff")] * dns.MAX_FAILURES, A),
        message(*[record(12, b"\xc0\xff")] * (dns.MAX_FAILURES + 1), A),
    ],
)
def test_at_the_limits(data):
    agrees(data)


def test_over_tcp():
    """A message that fills its segment is read; several, or a part of one, are the decoder's."""
    one = message(CNAME, A)
    assert compiled(vector16(one), proto=6) == compiled(one)
    for data in (vector16(one) * 2, vector16(one)[:-1], vector16(one) + b"\0", b"\0", b"\0\0"):
        assert compiled(data, proto=6) == (HANDED_OVER, None)


def test_every_prefix():
    data = message(CNAME, A, AAAA)
    became = [agrees(data[:length]) for length in range(12, len(data) + 1)]
    assert became[0] == BROKEN
    assert became[-1] == DONE


LABELS = st.sampled_from([b"a", b"Chat", b"example", b"com", b"x-y_z", b"0", b"a" * 63, b"\xff", b"*"])
OWNERS = st.one_of(
    st.just(POINTER),
    st.lists(LABELS, max_size=5).map(lambda labels: name(*labels)),
    st.sampled_from([b"\xc0\x11", b"\1a\xc0\x0c", b"\xc0\x20"]),
)
KINDS = st.sampled_from([1, 1, 1, 28, 28, 5, 5, 2, 12, 16, 65, 39])
CONTENTS = st.one_of(st.just(V4), st.just(V6), OWNERS, st.binary(max_size=20))


@st.composite
def messages(draw) -> bytes:
    """Mostly sound, with some damage."""
    made = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(KINDS)
        sound = {1: st.just(V4), 28: st.just(V6), 5: OWNERS}.get(kind, CONTENTS)
        data = draw(sound if draw(st.integers(0, 7)) else CONTENTS)
        ttl = draw(st.sampled_from([0, 60, TTL_LIMIT_S, 1 << 31, (1 << 32) - 1]))
        made.append(record(kind, data, owner=draw(OWNERS), cls=draw(st.sampled_from([1] * 9 + [3])), ttl=ttl))
    flags = draw(st.sampled_from([0x8180] * 5 + [0x0100, 0x8183, 0x8580, 0xA180]))
    labels = draw(st.lists(LABELS, min_size=1, max_size=5))
    data = bytearray(
        message(*made, flags=flags, question=name(*labels), count=draw(st.sampled_from([None, None, None, 1, 9])))
    )
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.sampled_from([0, 1, 5, 0x3F, 0x40, 0xC0, 0xFF, data[at] ^ 1]))
    return bytes(data[: draw(st.integers(12, len(data)))]) if draw(st.integers(0, 5)) == 0 else bytes(data)


@settings(max_examples=800, deadline=None)
@given(messages())
def test_made_up_messages(data):
    agrees(data)


@settings(max_examples=500, deadline=None)
@given(st.binary(min_size=12, max_size=80))
def test_garbage(data):
    agrees(data)


def test_the_samples_of_the_decoder():
    assert agrees(samples.dns_response()) == HANDED_OVER  # it has an HTTPS record


def dns_datagrams(path: Path) -> Iterator[bytes]:
    for proto, sport, dport, data in payloads(path, 1 << 20):
        if proto == 17 and 53 in {sport, dport} and len(data) >= 12:
            yield data


def test_the_demo():
    became = Counter(agrees(data) for data in dns_datagrams(DEMO))
    assert became[DONE] > 100
    assert became[HANDED_OVER] < became[DONE] // 2
    assert became[BROKEN] == 0


@pytest.mark.captures
def test_real_captures():
    became: Counter[str] = Counter()
    for path in sorted(captures.folder().glob("*.pcap*")):
        for data in dns_datagrams(path):
            became[agrees(data)] += 1
            for at in range(12, len(data), 17):
                agrees(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
    assert became[DONE] > 1000
    assert became[HANDED_OVER] < became[DONE] // 2
