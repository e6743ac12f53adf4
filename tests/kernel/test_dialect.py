"""STUN dialects: two messages with the same one fit the same signatures, and real messages have one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.classify import signatures
from sensor.decode import stun
from sensor.kernel.dialect import LONG_BYTES, PREFIX_BYTES, REALM, SOFTWARE, TEXT_LIMIT, USERNAME, stun_dialect
from tests import captures
from tests.kernel.harness import payloads

if TYPE_CHECKING:
    from sensor.model import RuleMatch

KNOWN = signatures.load()
ASKED = [rule.stun for rule in KNOWN.rules.values() if rule.stun]
ATTRIBUTES = sorted({number for one in ASKED for number in one.compared()})


@lru_cache(maxsize=1)
def tables() -> tuple[Any, Any]:
    """`wanted` and `prefixes` as the pipeline makes them."""
    compared = {number: max(one.compared().get(number, 0) for one in ASKED) for number in ATTRIBUTES}
    wanted = np.array(sorted(compared.items()), np.int64).reshape(-1, 2)
    names = sorted({one.username.encode()[:PREFIX_BYTES] for one in ASKED if one.username})
    return wanted, np.frombuffer(b"".join(names), np.uint8).reshape(-1, PREFIX_BYTES)


def dialect(data: bytes, wanted: Any = None, prefixes: Any = None) -> str | None:
    """The dialect of a message that stands alone in its array; None where it has none."""
    text = np.zeros(256, np.uint8)
    wanted = tables()[0] if wanted is None else wanted
    prefixes = tables()[1] if prefixes is None else prefixes
    length = int(stun_dialect(np.frombuffer(data, np.uint8), 0, len(data), wanted, prefixes, text))
    assert length <= TEXT_LIMIT
    return text[:length].tobytes().decode("ascii") if length >= 0 else None


def judged(data: bytes) -> tuple[RuleMatch, ...] | None:
    """What the signatures say of a message, through the decoder; None where it is none."""
    message = stun.message(data)
    if not isinstance(message, stun.StunMessage):
        return None
    return KNOWN.match_stun(message.realm, message.software, message.username, message.method, message.attributes)


def attribute(kind: int, value: bytes, *, padded: bool = True) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + b"\0" * (-len(value) % 4 if padded else 0)


def message(kind: int, *attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(range(12)) + body


RELAY_USER = b"EDGERAY_DEFAULT_USERNAME:EDGERAY_DEFAULT_USERNAME"
REALMS = [b"turner.facebook", b"Turner.Facebook\0", b"signal.org", b"signal.org\0\0", b"example.org", b"viber.com", b""]


def test_the_signatures_are_the_ones_that_are_told_apart():
    assert len(ASKED) > 8
    assert any(one.username.encode() == RELAY_USER for one in ASKED)


def test_what_is_told_apart():
    assert dialect(message(3)) != dialect(message(0x103))
    assert dialect(message(1, attribute(0xDABA, b"1234"))) != dialect(message(1, attribute(0xDABA, b"12345")))
    assert dialect(message(1, attribute(REALM, b"a"))) != dialect(message(1, attribute(REALM, b"b")))
    assert dialect(message(1, attribute(SOFTWARE, b"a"))) != dialect(message(1, attribute(SOFTWARE, b"b")))
    assert dialect(message(1, attribute(USERNAME, RELAY_USER))) != dialect(
        message(1, attribute(USERNAME, RELAY_USER[:-1] + b"e"))
    )


def test_what_is_all_the_same():
    unknown = dialect(message(1, attribute(0x7FFF, b"")))
    assert dialect(message(1, attribute(USERNAME, b"one:two"))) == unknown
    assert dialect(message(1, attribute(0x0020, b"\0\1abcdef"))) == unknown
    assert unknown != dialect(message(1))  # that there is something else is told
    assert dialect(message(1, attribute(0x4000, b"1"))) == dialect(message(1, attribute(0x4000, b"2")))


def test_a_value_is_never_taken_for_an_attribute():
    """With a first value of unknown length, only its end tells where the next attribute begins."""
    wanted = np.array([[USERNAME, 0]], np.int64)
    known = attribute(USERNAME, RELAY_USER[:8])
    faked = message(1, attribute(USERNAME, b"unknown1"), *[attribute(USERNAME, b"12345678")] * 2)
    assert dialect(message(1, known), wanted) != dialect(faked, wanted)


@pytest.mark.parametrize("kind", [REALM, SOFTWARE])
def test_long_texts_have_no_dialect(kind):
    assert dialect(message(1, attribute(kind, b"x" * LONG_BYTES))) is not None
    assert dialect(message(1, attribute(kind, b"x" * (LONG_BYTES + 1)))) is None
    assert dialect(message(1, attribute(kind, b"signal.org".ljust(LONG_BYTES + 1, b"\0")))) is None


def test_only_the_first_name_counts():
    """An unknown user name is not shown, so the one behind it must not be either."""
    other, known = attribute(USERNAME, b"somebody"), attribute(USERNAME, RELAY_USER)
    unknown = attribute(0x7FFF, b"")
    assert dialect(message(1, other, known)) == dialect(message(1, unknown))
    assert dialect(message(1, known, other)) == dialect(message(1, known, unknown)) != dialect(message(1, unknown))


def test_short_user_names():
    short = np.frombuffer(b"bob".ljust(PREFIX_BYTES, b"\0"), np.uint8).reshape(1, PREFIX_BYTES)
    plain = dialect(message(1, attribute(0x7FFF, b"")))
    for name, known in ((b"bob", True), (b"bobby", True), (b"bo", False), (b"", False), (b"rob", False)):
        assert (dialect(message(1, attribute(USERNAME, name)), prefixes=short) != plain) == known


def test_many_attributes_have_no_dialect():
    assert dialect(message(1, *[attribute(0x4000, b"")] * 100)) is None


@pytest.mark.parametrize(
    "data",
    [
        message(3, attribute(0x4000, b"12345", padded=False), attribute(0x4002, b"1", padded=False)),
        message(3, attribute(0x4000, b"123", padded=False), attribute(0xDABA, b"1", padded=False)),
        message(3, attribute(0x4002, b"1", padded=False)),
    ],
)
def test_without_padding(data):
    """As Meta's relays send them."""
    found = stun.message(data)
    assert isinstance(found, stun.StunMessage)
    text = dialect(data)
    assert text is not None
    for number, value in found.attributes:
        assert f"{number:04x}{len(value):04x}".translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop")) in text


@pytest.mark.parametrize(
    "data",
    [
        message(1, attribute(0x4000, b"1234"))[:-1],
        message(1, attribute(0x4000, b"1234"))[:20],
        message(1, b"\x40\x00\x00"),
        message(1, b"\x40\x00\x00\x05abcd"),
        message(1)[:19],
        b"",
    ],
)
def test_cut_off_or_damaged_has_no_dialect(data):
    assert not isinstance(stun.message(data), stun.StunMessage)
    assert dialect(data) is None


def test_bytes_behind_the_message_are_not_its():
    one = message(1, attribute(0x4000, b"1234"))
    assert dialect(one + attribute(0xDABA, b"1234")) == dialect(one)


kinds = st.sampled_from(
    [*ATTRIBUTES, *ATTRIBUTES, REALM, REALM, SOFTWARE, USERNAME, USERNAME, 0x0001, 0x0020, 0x8028, 0xC057]
)
values = st.one_of(
    st.sampled_from([*REALMS, RELAY_USER, RELAY_USER[:-1], RELAY_USER + b"\0", RELAY_USER[:-1] + b"!", b"x" * 70]),
    st.integers(0, 9).map(bytes),
    st.binary(max_size=9),
)


@st.composite
def messages(draw) -> bytes:
    kind = draw(st.sampled_from([1, 3, 0x101, 0x113, 0x103, 0x800, 0x801, 0x802, 0x0016]))
    padded = draw(st.booleans())
    body = [attribute(draw(kinds), draw(values), padded=padded) for _ in range(draw(st.integers(0, 4)))]
    data = message(kind, *body)
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(20, len(data)))
        data = data[:at] + draw(st.sampled_from([b"", b"\0", b"\x40\x00", b"\x00\x01\xff"]))
    return data


JUDGED: dict[str, tuple[RuleMatch, ...] | None] = {}


@settings(max_examples=1200, deadline=None)
@given(messages())
def test_the_same_dialect_is_judged_the_same(data):
    """Whatever message had a dialect first: its answer holds for all that follow."""
    text = dialect(data)
    found = judged(data)
    if text is None:
        return  # each one is handed over
    assert found is not None
    assert JUDGED.setdefault(text, found) == found


@settings(max_examples=400, deadline=None)
@given(messages(), st.data())
def test_one_byte_changed_in_a_value(data, drawn):
    """Either the dialect changes with it, or the answer stays."""
    if len(data) > 20:
        at = drawn.draw(
            st.integers(0, len(data) - 1).filter(lambda at: not 4 <= at < 8)
        )  # the loop has seen the cookie
        other = data[:at] + bytes([data[at] ^ drawn.draw(st.integers(1, 255))]) + data[at + 1 :]
        one, two = dialect(data), dialect(other)
        assert one is None or one != two or judged(data) == judged(other)


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("messenger/relay-user", message(1, attribute(USERNAME, RELAY_USER))),
        ("messenger/relay-mark", message(1, attribute(0xDABA, b"1234"))),
        ("whatsapp/relay-allocate", message(3, attribute(0x4000, b"1", padded=False))),
        ("messenger/relay-allocate", message(3, attribute(0x4000, b"1"), attribute(0x0008, bytes(20)))),
        ("whatsapp/peer-check", message(1, attribute(0x0008, bytes(20)))),
        ("whatsapp/relay-keep-alive", message(0x802)),
        ("signal/turn-realm", message(0x113, attribute(REALM, b"Signal.org\0"))),
        ("teams/stun", message(1, attribute(0x8070, b"\0\0\0\3"))),
    ],
)
def test_every_kind_of_rule_fits_a_message_with_a_dialect(rule, data):
    """What the tests above compare is not empty."""
    assert rule in {match.rule for match in judged(data) or ()}
    assert dialect(data) is not None


def looks_like_stun(data: bytes) -> bool:
    return data[0] < 0x40 and data[4:8] == b"\x21\x12\xa4\x42" and len(data) == 20 + int.from_bytes(data[2:4], "big")


@pytest.mark.captures
def test_messages_of_real_captures():
    """The same dialect is judged the same, and those of calls all have one: handing each over would be slow."""
    texts: dict[str, tuple[RuleMatch, ...] | None] = {}
    without: dict[str, int] = {}
    seen = 0
    for path in sorted(captures.folder().glob("*.pcap*")):
        for proto, _, _, data in payloads(path, 1 << 20):
            if proto == 17 and len(data) >= 20 and looks_like_stun(data):
                seen += 1
                text, found = dialect(data), judged(data)
                if text is None:
                    without[path.name] = without.get(path.name, 0) + 1
                else:
                    assert texts.setdefault(text, found) == found
    assert seen > 1000
    assert not [name for name in without if name.startswith(("wa__", "msgr__", "ndpi__wa"))]
    assert sum(without.values()) <= seen // 100
