"""What the compiled loop reads of hellos and requests, beside the decoders on the same bytes: no answer may differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.beginnings import hello_flags
from sensor.decode import http, tls
from sensor.kernel import hello, layout
from sensor.kernel.hello import FOUND, NONE, ODD, PARTIAL
from tests import captures
from tests.decode import samples
from tests.kernel.harness import payloads

DEMO = Path(__file__).resolve().parents[2] / "pcaps" / "clinic-morning.pcap"


def compiled(read: Any, data: bytes) -> tuple[int, str | None]:
    """The answer of one compiled reader and, where it found one, the name as it is kept: lower case."""
    found = np.zeros(layout.F_SIZE, np.int64)
    answer = int(read(np.frombuffer(data, np.uint8), 0, len(data), found))
    start, length = found[[layout.F_NAME, layout.F_NAME_BYTES]].tolist()
    return answer, data[start : start + length].decode("ascii").lower() if answer == FOUND else None


def agrees(read: Any, decoded: Any, data: bytes, name: str) -> int:
    """Checks one reader against what its decoder gave; returns the answer."""
    answer, found = compiled(read, data)
    if answer in {FOUND, NONE}:
        assert decoded is not None
        assert getattr(decoded, name, "malformed") == found
    elif answer == PARTIAL:
        assert decoded is None
    else:
        assert answer == ODD
    return answer


def begins_tls(data: bytes) -> bool:
    """What `clues.first_payload` has seen before it asks."""
    return len(data) >= 6 and data[:2] == b"\x16\x03" and data[5] == 1


def tls_agrees(data: bytes) -> int:
    decoded = tls.first_handshake(data)
    answer = agrees(hello.client_hello, decoded, data, "sni")
    if answer in {FOUND, NONE}:
        assert isinstance(decoded, tls.ClientHello)
        assert hidden(data) == hello_flags(decoded)
    return answer


def hidden(data: bytes) -> tuple[int, int]:
    """What the compiled reader notes of hidden names: layout.HELLO_* and the number of the ECH configuration."""
    found = np.zeros(layout.F_SIZE, np.int64)
    hello.client_hello(np.frombuffer(data, np.uint8), 0, len(data), found)
    return int(found[layout.F_FLAGS]), int(found[layout.F_ECH_CONFIG])


def http_agrees(data: bytes) -> int:
    begins = bool(hello.is_http(np.frombuffer(data, np.uint8), 0, len(data)))
    head = data[: http.MAX_METHOD_BYTES + 1]
    assert begins == any(head.startswith((known + b" ")[: len(head)]) for known in http.METHODS)
    return agrees(hello.http_host, http.request(data), data, "host") if begins else 0


ECH = samples.extension(0xFE0D, samples.ECH_OUTER)
HELLO = samples.client_hello(
    samples.extension(10, samples.vector16(b"\x00\x1d")),
    samples.server_name(b"Www.Example.com"),
    samples.extension(16, samples.vector16(b"\x02h2")),
    samples.extension(43, samples.vector8(b"\x03\x04\x03\x03")),
    samples.extension(13, samples.vector16(b"\x04\x03")),
)


def record(message: bytes, *, length: int | None = None) -> bytes:
    return b"\x16\x03\x01" + samples.u16(len(message) if length is None else length) + message


def with_name(*extensions: bytes) -> bytes:
    return record(samples.client_hello(samples.server_name(b"a.example"), *extensions))


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (record(HELLO), FOUND),
        (record(HELLO) + b"\x14\x03\x03\x00\x01\x01", FOUND),
        (record(HELLO + b"\x0b\x00\x00\x00"), FOUND),
        (record(HELLO, length=18432), FOUND),
        (record(HELLO, length=18433), ODD),
        (record(HELLO, length=0), ODD),
        (record(HELLO)[:40], PARTIAL),
        (record(HELLO)[:7], PARTIAL),
        (record(HELLO[:60]) + record(HELLO[60:]), ODD),
        (record(samples.client_hello()), NONE),
        (record(samples.client_hello(samples.extension(16, b""))), NONE),
        (record(samples.client_hello(samples.extension(0, b""))), NONE),
        (record(samples.client_hello(samples.server_name(b"a.example."))), FOUND),
        (record(samples.client_hello(samples.server_name(b"."))), ODD),
        (record(samples.client_hello(samples.server_name(b""))), ODD),
        (record(samples.client_hello(samples.server_name(b"a b"))), ODD),
        (record(samples.client_hello(samples.server_name(b"192.0.2.1"))), FOUND),
        (record(samples.client_hello(samples.server_name(b"x" * 300))), FOUND),
        (record(samples.client_hello(samples.server_name(b"a"), ciphers=b"\x13\x01\x13")), ODD),
        (record(b"\x01\x00\x00\x02\x03\x03"), ODD),
        (record(HELLO.replace(b"\x03\x03", b"\x04\x03", 1)), ODD),
        (with_name(samples.extension(16, b"\x00\x05\x02h2")), ODD),
        (with_name(samples.extension(16, b"\x00\x03\x05h2")), ODD),
        (with_name(samples.extension(43, b"\x03\x03\x04")), ODD),
        (with_name(samples.extension(10, b"\x00\x03abc")), ODD),
        (with_name(samples.extension(13, b"\x00")), ODD),
        (with_name(samples.server_name(b"b.example")), ODD),
        (with_name(ECH), FOUND),
        (with_name(ECH, samples.extension(0xFFCE, b"draft")), FOUND),
        (with_name(samples.extension(0xFE0D, b"\x01")), FOUND),
        (with_name(ECH, ECH), ODD),
        (with_name(samples.extension(0xFE0D, b"")), ODD),
        (with_name(samples.extension(0xFE0D, b"\x02" * 99)), ODD),
        (with_name(samples.extension(0xFE0D, b"\x01\x00")), ODD),
        (with_name(samples.extension(0xFE0D, b"\x00" * 99)), ODD),
        (with_name(samples.extension(0xFE0D, b"\x00" * 10)), ODD),
        (record(samples.client_hello(ECH)), NONE),
        (with_name(b"\x00\x2b\x00\x40"), ODD),
        (with_name(b"\x00"), ODD),
    ],
)
def test_hellos(data, answer):
    assert tls_agrees(data) == answer


def test_hidden_names_are_noted():
    esni = samples.extension(0xFFCE, b"draft")
    assert hidden(with_name(ECH)) == (layout.HELLO_ECH_OUTER, 0x2A)
    assert hidden(with_name(samples.extension(0xFE0D, b"\x01"))) == (layout.HELLO_ECH_INNER, 0)
    assert hidden(record(samples.client_hello(esni, ECH))) == (layout.HELLO_ECH_OUTER | layout.HELLO_ESNI, 0x2A)
    assert hidden(with_name()) == (0, 0)


def test_the_final_dot_goes():
    assert (
        compiled(hello.client_hello, record(samples.client_hello(samples.server_name(b"A.example."))))[1] == "a.example"
    )


def test_every_prefix_of_a_hello():
    data = record(HELLO)
    answers = [tls_agrees(data[:length]) for length in range(6, len(data) + 1)]
    assert answers == [PARTIAL] * (len(data) - 6) + [FOUND]


REQUEST = samples.HTTP_REQUEST


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (REQUEST, FOUND),
        (b"GET", PARTIAL),
        (b"G", PARTIAL),
        (b"PROPPATCH", PARTIAL),
        (b"GET / HTTP/1.1\r\n\r\n", NONE),
        (b"GET / HTTP/1.0\n\n", NONE),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nhOST:a.example.:80\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nHost:\t a.example \t\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nHost: a.example:\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nHost: a.example\r", PARTIAL),
        (b"GET / HTTP/1.1\r\nHost : a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost:\r\nHost: a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost: u@a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost: a.example:8x\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost: .\r\n", ODD),
        (b"GET / HTTP/1.1\r\nHost\r\nHost: a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\nHost: a.example\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nA: b\r\n Host: folded.example\r\nHost: a.example\r\n", FOUND),
        (b"GET / HTTP/1.1\r\nnothing\r\nHost: a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\n\r\r\nHost: a.example\r\n", ODD),
        (b"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n", ODD),
        (b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n", ODD),
        (b"CONNECT b.example:443 HTTP/1.1\r\n", FOUND),
        (b"CONNECT B.example. HTTP/1.0\r\nHost: a.example\r\n", FOUND),
        (b"CONNECT b.example:443 HTTP/1.1", PARTIAL),
        (b"CONNECT b.example:443\r\n", ODD),
        (b"CONNECT b.example:443 HTTP/2\r\n", ODD),
        (b"CONNECT \tb.example:443 HTTP/1.1\r\n", ODD),
        (b"CONNECT b.example\t HTTP/1.1\r\n", ODD),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n", ODD),
        (b"CONNECT u@b.example:443 HTTP/1.1\r\n", ODD),
        (b"CONNECT /b.example HTTP/1.1\r\nHost: a.example\r\n", ODD),
        (b"COPY /x HTTP/1.1\r\nHost: a.example\r\n", FOUND),
        (b"GET /a b HTTP/1.1\r\nHost: a.example\r\n", FOUND),
        (b"GET / HTTP/2.0\r\nHost: a.example\r\n", ODD),
        (b"GET / HTTP/1\r\nHost: a.example\r\n", ODD),
        (b"GET /\r\nHost: a.example\r\n", ODD),
        (b"GET  / HTTP/1.1\r\nHost: a.example\r\n", ODD),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * http.MAX_HEAD_BYTES, ODD),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * (http.MAX_HEAD_BYTES - 19), ODD),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * (http.MAX_HEAD_BYTES - 20), PARTIAL),
        (b"GETS / HTTP/1.1\r\nHost: a.example\r\n", 0),
        (b"POSTER / HTTP/1.1\r\nHost: a.example\r\n", 0),
        (b"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n", 0),
    ],
)
def test_requests(data, answer):
    assert http_agrees(data) == answer


@pytest.mark.parametrize("method", sorted(http.METHODS - {b"CONNECT"}))
def test_every_method_the_decoder_knows(method):
    assert http_agrees(method + b" / HTTP/1.1\r\nHost: a.example\r\n\r\n") == FOUND


def test_every_prefix_of_a_request():
    end = REQUEST.index(b"8080\r\n") + 6
    answers = [http_agrees(REQUEST[:length]) for length in range(1, len(REQUEST) + 1)]
    assert answers == [PARTIAL] * (end - 1) + [FOUND] * (len(REQUEST) - end + 1)


@st.composite
def damaged(draw, bases: list[bytes]) -> bytes:
    """One of the bases with some bytes put, inserted, repeated or cut; mostly near its structure."""
    data = bytearray(draw(st.sampled_from(bases)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        what = draw(st.sampled_from(["set", "insert", "delete", "bit", "splice", "cut"]))
        if what == "set":
            data[at : at + 1] = draw(
                st.sampled_from([b"\x00", b"\x01", b"\x03", b"\xff", b".", b" ", b":", b"\n", b"\t"])
            )
        elif what == "insert":
            data[at:at] = draw(
                st.sampled_from([b"\x00", b"\r\n", b" ", b":", b"Host: b.example\r\n", b"\x00\x00\x00\x00"])
            )
        elif what == "delete":
            del data[at : at + draw(st.integers(1, 8))]
        elif what == "bit" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "splice":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif what == "cut":
            del data[at + 1 :]
    return bytes(data)


HELLOS = [
    record(HELLO),
    with_name(ECH),
    record(HELLO) * 2,
    with_name(),
    record(samples.client_hello()),
    record(samples.RFC_HELLO),
]
REQUESTS = [
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n",
    REQUEST,
    b"POST /x HTTP/1.0\nA: b\n c\nHost:a.example.\n\n",
    b"OPTIONS http://b.example HTTP/1.1\r\nHost : x\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a:1\r\nHost: b\r\n\r\n",
]


@settings(max_examples=1500, deadline=None)
@given(damaged(HELLOS))
def test_damaged_hellos(data):
    if begins_tls(data):
        tls_agrees(data)


@settings(max_examples=1500, deadline=None)
@given(damaged(REQUESTS))
def test_damaged_requests(data):
    if data:
        http_agrees(data)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 10, 13, 16, 43, 5, 0xFE0D]), st.binary(max_size=12)), max_size=5))
def test_made_up_extensions(parts):
    tls_agrees(record(samples.client_hello(*[samples.extension(kind, body) for kind, body in parts])))


def both_agree(data: bytes, seen: dict[str, int]) -> None:
    """A first payload as the loop would take it, whole and cut and with single bytes changed."""
    if begins_tls(data):
        answer = tls_agrees(data)
        seen["tls found" if answer == FOUND else "tls other"] += 1
        for at in range(6, len(data), max(len(data) // 8, 1)):
            tls_agrees(data[:at])
            tls_agrees(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
    elif answer := http_agrees(data):
        seen["http found" if answer == FOUND else "http other"] += 1
        for at in range(1, min(len(data), 600), 40):
            http_agrees(data[:at])
            http_agrees(data[:at] + bytes([data[at] ^ 0x2A]) + data[at + 1 :])


def counted() -> dict[str, int]:
    return dict.fromkeys(("tls found", "tls other", "http found", "http other"), 0)


def test_the_demo():
    seen = counted()
    for proto, _, _, data in payloads(DEMO, 1 << 20):
        if proto == 6:
            both_agree(data, seen)
    assert seen["tls found"] > 40
    assert seen["tls other"] < seen["tls found"] // 2
    assert seen["http found"] > 4


@pytest.mark.captures
def test_real_captures():
    seen = counted()
    for path in sorted(captures.folder().glob("*.pcap*")):
        for proto, _, _, data in payloads(path, 1 << 20):
            if proto == 6:
                both_agree(data, seen)
    assert seen["tls found"] > 300
    assert seen["tls other"] < seen["tls found"] // 2
    assert seen["http found"] > 300
