import dns.exception
import dns.message
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.decode.dns import MAX_FAILURES, MAX_FORWARD, DnsMessage, Question, Record, Service, message, tcp_messages
from sensor.decode.text import labels
from sensor.model import Malformed
from tests.decode.samples import dns_response, u16, vector16
from tests.proofs import proves

QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000") + b"\x04Chat\x07example\x03com\x00\x00\x01\x00\x01"
RESPONSE = dns_response()


def header(questions: int = 0, answers: int = 0, flags: int = 0x8180) -> bytes:
    return u16(7) + u16(flags) + u16(questions) + u16(answers) + bytes(4)


def record(name: bytes, kind: int, data: bytes, cls: int = 1, ttl: int = 60) -> bytes:
    return name + u16(kind) + u16(cls) + ttl.to_bytes(4, "big") + vector16(data)


def read(raw: bytes) -> DnsMessage:
    found = message(raw)
    assert isinstance(found, DnsMessage)
    return found


def test_a_query():
    assert read(QUERY) == DnsMessage(
        id=0x1234,
        response=False,
        opcode=0,
        rcode=0,
        truncated=False,
        questions=(Question("chat.example.com", 1, 1),),
        recursion_desired=True,
    )


@proves("DNS, EDNS", "made by dnspython")
@proves("DNS, CNAME chains", "made by dnspython")
@proves("DNS, HTTPS and SVCB records", "made by dnspython")
@proves("DNS, address hints", "made by dnspython")
def test_a_response_with_every_record_that_is_read():
    edge = "edge.example.net"
    assert read(RESPONSE) == DnsMessage(
        id=4660,
        recursion_desired=True,
        response=True,
        opcode=0,
        rcode=0,
        truncated=False,
        questions=(Question("chat.example.com", 65, 1),),
        answers=(
            Record("chat.example.com", 5, 1, 300, target=edge),
            Record(edge, 1, 1, 60, address="192.0.2.7"),
            Record(edge, 28, 1, 60, address="2001:db8::7"),
            Record(
                edge,
                65,
                1,
                60,
                service=Service(
                    1,
                    ".",
                    ("h3", "h2"),
                    8443,
                    ("192.0.2.8", "192.0.2.9"),
                    ("2001:db8::8",),
                    b"\x00\x04\xfe\x0d\x00\x00",
                ),
            ),
            Record(edge, 16, 1, 60),
        ),
        authority=(Record("example.net", 2, 1, 3600, target="ns1.example.net"),),
        additional=(Record("ns1.example.net", 1, 1, 3600, address="192.0.2.53"), Record(".", 41, 1232, 0)),
    )


def test_flags():
    found = read(header(flags=0x8000 | 5 << 11 | 0x0200 | 3))
    assert (found.response, found.opcode, found.truncated, found.rcode) == (True, 5, True, 3)


FOO = b"\x03foo\x07example\x03com\x00"
FOO_ORG = b"\x03foo\x07example\x03org\x00"


# RFC 9460, appendix D, figures 2 to 10.
@pytest.mark.parametrize(
    ("data", "service"),
    [
        (b"\x00\x00" + FOO, Service(0, "foo.example.com")),
        (b"\x00\x01\x00", Service(1, ".")),
        (b"\x00\x10" + FOO + bytes.fromhex("000300020035"), Service(16, "foo.example.com", port=53)),
        (b"\x00\x01" + FOO + bytes.fromhex("029b000568656c6c6f"), Service(1, "foo.example.com")),
        (b"\x00\x01" + FOO + bytes.fromhex("029b000968656c6c6fd2716f6f"), Service(1, "foo.example.com")),
        (
            b"\x00\x01"
            + FOO
            + bytes.fromhex("0006002020010db800000000000000000000000120010db8000000000000000000530001"),
            Service(1, "foo.example.com", ipv6hint=("2001:db8::1", "2001:db8::53:1")),
        ),
        (
            b"\x00\x01\x07example\x03com\x00" + bytes.fromhex("0006001020010db80122034400000000c0000221"),
            Service(1, "example.com", ipv6hint=("2001:db8:122:344::c000:221",)),
        ),
        (
            b"\x00\x10" + FOO_ORG + bytes.fromhex("0000000400010004000100090268320568332d313900040004c0000201"),
            Service(16, "foo.example.org", alpn=("h2", "h3-19"), ipv4hint=("192.0.2.1",)),
        ),
        (
            b"\x00\x10" + FOO_ORG + bytes.fromhex("0001000c08665c6f6f2c626172026832"),
            Service(16, "foo.example.org", alpn=(r"f\\oo,bar", "h2")),
        ),
    ],
)
@pytest.mark.parametrize("kind", [64, 65])
def test_service_bindings_of_rfc_9460(data, service, kind):
    found = read(header(answers=1) + record(b"\x00", kind, data))
    assert found.answers == (Record(".", kind, 1, 60, service=service),)
    assert found.damaged is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (1, b"\x01\x02\x03"),
        (1, b"\x01\x02\x03\x04\x05"),
        (28, bytes(15)),
        (5, b"\x03ab"),
        (5, b"\x00\x00"),
        (65, b"\x00\x01\x00" + bytes.fromhex("00030002003500010003026832")),  # keys fall
        (65, b"\x00\x01\x00" + bytes.fromhex("000300020035000300020035")),  # a key twice
        (65, b"\x00\x01\x00" + bytes.fromhex("00010003056832")),  # ALPN longer than its value
        (65, b"\x00\x01\x00" + bytes.fromhex("00040003c00002")),
        (65, b"\x00\x01\x00" + bytes.fromhex("0003000135")),
    ],
)
def test_a_record_with_damaged_contents_keeps_its_head_and_its_neighbours(kind, data):
    good = record(b"\x00", 1, b"\xc0\x00\x02\x01")
    found = read(header(answers=3) + good + record(b"\x03bad\x00", kind, data) + good)
    assert [one.address for one in found.answers] == ["192.0.2.1", None, "192.0.2.1"]
    assert found.answers[1] == Record("bad", kind, 1, 60)
    assert found.damaged is not None
    start = 12 + len(good) + 5 + 10
    assert start <= found.damaged.offset <= start + len(data)


def test_a_message_of_damaged_records_is_given_up():
    bad = record(b"\x00", 1, b"")
    found = read(header(answers=100) + bad * 100)
    assert len(found.answers) == MAX_FAILURES
    assert found.damaged == Malformed("4 bytes wanted, 0 left in this field", 12 + len(bad))


def test_records_that_are_cut_off_do_not_cost_the_questions():
    for end in range(len(QUERY), len(RESPONSE)):
        found = message(RESPONSE[:end])
        assert isinstance(found, DnsMessage)
        assert found.questions == read(RESPONSE).questions
        assert found.damaged == Malformed("the message is cut off", end)
        assert read(RESPONSE).answers[: len(found.answers)] == found.answers


def test_the_counter_case_without_all_its_questions_a_message_is_none():
    for end in range(len(QUERY)):
        assert message(QUERY[:end]) is None
    two = bytearray(QUERY)
    two[5] = 2
    assert message(bytes(two)) is None
    assert isinstance(message(header(questions=1) + b"\x80\x00\x01\x00\x01"), Malformed)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\x03WWW\x07Example\x03Com\x00", "www.example.com"),
        (b"\x00", "."),
        (b"\x06a.b\\c \x00", r"a\.b\\c\032"),
        (b"\x04\x00\x1b\xffx\x00", r"\000\027\255x"),
        (b"\x3f" + b"x" * 63 + b"\x00", "x" * 63),
    ],
)
def test_names(name, shown):
    assert read(header(questions=1) + name + b"\x00\x01\x00\x01").questions[0].name == shown


def question(*parts: bytes) -> bytes:
    return header(questions=1) + b"".join(parts) + b"\x00\x01\x00\x01"


def test_a_name_may_have_255_bytes_and_no_more():
    longest = (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"y" * 61 + b"\x00"
    assert len(longest) == 255
    assert len(read(question(longest)).questions[0].name) == 253
    too_long = (b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"y" * 62 + b"\x00"
    assert message(question(too_long)) == Malformed("a name longer than 255 bytes", 12)
    # Through a pointer as well: 254 bytes at offset 12, one label of 1 byte before a pointer to them.
    first = header(questions=2) + longest + b"\x00\x01\x00\x01"
    assert isinstance(message(first + b"\x01a\xc0\x0c" + b"\x00\x01\x00\x01"), Malformed)
    assert len(read(first + b"\xc0\x0c" + b"\x00\x01\x00\x01").questions[1].name) == 253


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        (b"\xc0\x0c", 12),  # to itself
        (b"\x01a\xc0\x0c", 14),  # to the run of labels that it ends
        (b"\xc0\x0d", 12),  # into itself
        (b"\x40\x00", 12),  # extended label types (RFC 6891, 5: obsolete)
        (b"\x80\x00", 12),
    ],
)
@proves("DNS, compression attacks", "made for it")
def test_pointers_only_lead_towards_the_start(name, offset):
    read_ = message(question(name))
    assert isinstance(read_, Malformed)
    assert read_.offset == offset


def test_a_question_may_point_forward():
    """Not allowed (RFC 1035, 4.1.4: a prior occurrence), but resolvers answer it, so a name could hide there."""
    hidden = header(questions=2) + b"\xc0\x12\x00\x01\x00\x01" + b"\x04chat\x07example\x00\x00\x01\x00\x01"
    found = read(hidden)
    assert [one.name for one in found.questions] == ["chat.example", "chat.example"]
    assert found.forward_pointers == 1
    for end in range(len(hidden)):
        assert message(hidden[:end]) is None
    assert read(question(b"\x01a\x00")).forward_pointers == 0
    beyond = message(hidden[:13] + b"\xff" + hidden[14:])
    assert beyond is None
    framed, _ = tcp_messages(vector16(hidden[:13] + b"\xff" + hidden[14:]))
    assert framed == (Malformed("a compression pointer that does not lead towards the start", 14),)
    answer = header(answers=1) + b"\xc0\x20\x00\x01\x00\x01" + bytes(30)
    assert read(answer).damaged == Malformed("a compression pointer that does not lead towards the start", 12)


@proves("DNS, compression attacks", "made for it")
def test_pointers_there_and_back_end():
    """Forward, back, forward again: a loop in all but name."""
    there_and_back = header(questions=1) + b"\xc0\x0e\xc0\x0c" + bytes(20)
    found = message(there_and_back)
    assert isinstance(found, Malformed)
    assert found.reason == "a compression pointer that does not lead towards the start"
    # As many as may be, one to a name: each is followed once.
    names = b"".join(u16(0xC000 | 12 + 6 * (MAX_FORWARD + 1)) + b"\x00\x01\x00\x01" for _ in range(MAX_FORWARD + 1))
    allowed = message(header(questions=MAX_FORWARD) + names + b"\x01x\x00")
    assert isinstance(allowed, DnsMessage)
    assert [one.name for one in allowed.questions] == ["x"] * MAX_FORWARD
    assert isinstance(message(header(questions=MAX_FORWARD + 1) + names + b"\x01x\x00"), Malformed)


@proves("DNS, several questions", "made by dnspython")
def test_pointers_into_the_middle_of_names_and_to_pointers():
    raw = header(questions=4) + b"".join(
        name + b"\x00\x01\x00\x01" for name in (b"\x01a\x01b\x01c\x00", b"\x01x\xc0\x0e", b"\xc0\x17", b"\xc0\x19")
    )
    names = [one.name for one in read(raw).questions]
    assert names == ["a.b.c", "x.b.c", "x.b.c", "b.c"]
    assert [one.name.to_text(omit_final_dot=True) for one in dns.message.from_wire(raw).question] == names


def test_a_tower_of_pointers_is_read_once_per_message():
    """Each record's name points to the one before: without memory this costs the square of its length."""
    raw = header(answers=2000) + record(b"\x01a\x00", 1, bytes(4))
    at = 12
    while len(raw) < 0x3FF0:
        here = len(raw)
        raw += record(u16(0xC000 | at), 1, bytes(4))
        at = here
    found = read(raw)
    assert {one.name for one in found.answers} == {"a"}
    assert len(found.answers) > 900


def test_classes_other_than_internet_are_not_read_as_addresses():
    chaos = read(header(answers=1) + record(b"\x00", 1, b"\x01a\x00\x12\x34", cls=3))
    assert (chaos.answers[0].address, chaos.damaged) == (None, None)
    flushed = read(header(answers=1) + record(b"\x00", 1, b"\xc0\x00\x02\x01", cls=0x8001))  # mDNS, RFC 6762, 10.2
    assert flushed.answers[0].address == "192.0.2.1"
    deleted = read(header(answers=1, flags=0x2800) + record(b"\x00", 5, b"", cls=254))  # RFC 2136, 2.4.3
    assert deleted.damaged is None


def test_a_ttl_with_the_top_bit_is_zero():
    assert read(header(answers=1) + record(b"\x00", 1, bytes(4), ttl=2**31)).answers[0].ttl == 0
    assert read(header(answers=1) + record(b"\x00", 1, bytes(4), ttl=2**31 - 1)).answers[0].ttl == 2**31 - 1


@proves("DNS, over TCP", "made by dnspython")
def test_messages_over_tcp():
    stream = vector16(QUERY) + vector16(RESPONSE)
    assert tcp_messages(stream) == ((read(QUERY), read(RESPONSE)), len(stream))
    for end in range(len(stream)):
        found, taken = tcp_messages(stream[:end])
        assert taken == (0 if end < len(QUERY) + 2 else len(QUERY) + 2)
        assert found == (() if taken == 0 else (read(QUERY),))


def test_a_broken_message_over_tcp_costs_none_of_the_others():
    stream = vector16(QUERY[:20]) + vector16(b"") + vector16(QUERY) + vector16(RESPONSE[:-3])
    found, taken = tcp_messages(stream)
    assert taken == len(stream)
    assert found[0] == Malformed("7 bytes wanted, 2 left in this field", 20)
    assert found[1] == Malformed("12 bytes wanted, 0 left in this field", 24)
    assert found[2] == read(QUERY)
    assert isinstance(found[3], DnsMessage)
    assert found[3].damaged is not None
    assert found[3].questions == read(RESPONSE).questions


def same_as_dnspython(raw: bytes) -> bool:
    """Whether dnspython reads it; if it does, we must have read the same."""
    try:
        theirs = dns.message.from_wire(raw, one_rr_per_rrset=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return False
    ours = read(raw)
    assert ours.damaged is None
    assert (ours.id, ours.opcode) == (theirs.id, theirs.opcode())
    assert [(one.name, one.type) for one in ours.questions] == [
        (labels(list(one.name.labels[:-1])) or ".", int(one.rdtype)) for one in theirs.question
    ]
    if ours.opcode == 5:
        return True  # dnspython gives an update's deletions another form
    expected = [
        (labels(list(rrset.name.labels[:-1])) or ".", int(rrset.rdtype), rdata)
        for section in (theirs.answer, theirs.authority, theirs.additional)
        for rrset in section
        for rdata in rrset
    ]
    mine = [one for one in ours.answers + ours.authority + ours.additional if one.type not in {41, 250}]
    assert [(one.name, one.type) for one in mine] == [(name, kind) for name, kind, _ in expected]
    for one, (_, kind, rdata) in zip(mine, expected, strict=True):
        if kind in {1, 28} and one.cls == 1:
            assert one.address == rdata.address
        elif kind in {2, 5, 12}:
            assert one.target == (labels(list(rdata.target.labels[:-1])) or ".")
    return True


def test_the_sample_as_dnspython_reads_it():
    assert same_as_dnspython(RESPONSE)
    assert same_as_dnspython(QUERY)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(RESPONSE) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_what_dnspython_reads_of_a_damaged_message_we_read_alike(changes):
    raw = bytearray(RESPONSE)
    for at, byte in changes:
        raw[at] = byte
    same_as_dnspython(bytes(raw))
