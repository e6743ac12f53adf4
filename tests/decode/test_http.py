import pytest

from sensor.decode.http import MAX_HEAD_BYTES, METHODS, HttpRequest, request
from sensor.model import Malformed
from tests.decode.samples import HTTP_REQUEST
from tests.proofs import proves


def host_of(raw: bytes) -> str | None:
    found = request(raw)
    assert isinstance(found, HttpRequest)
    return found.host


@proves("HTTP, Host", "bytes made by hand")
def test_a_request():
    assert request(HTTP_REQUEST) == HttpRequest("GET", "/index.html", "www.example.com")


def test_the_host_is_known_as_soon_as_its_line_is_whole():
    end = HTTP_REQUEST.index(b"8080\r\n") + 6
    for cut in range(len(HTTP_REQUEST)):
        found = request(HTTP_REQUEST[:cut])
        assert (found is None) == (cut < end)


@pytest.mark.parametrize("method", sorted(METHODS - {b"CONNECT"}))
def test_every_known_method(method):
    found = request(method + b" / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert found == HttpRequest(method.decode(), "/", "a.example")


@pytest.mark.parametrize(
    ("field", "host"),
    [
        (b"Host: A.Example.", "a.example"),
        (b"hOsT:a.example:80", "a.example"),
        (b"Host:\t a.example \t", "a.example"),
        (b"Host : a.example", "a.example"),
        (b"Host: [2001:DB8::1]:8080", "2001:db8::1"),
        (b"Host: 192.0.2.1:8080", "192.0.2.1"),
        (b"Host: user:secret@a.example:80", "a.example"),
        (b"Host: evil\x1b[2J\xff", r"evil\027[2j\255"),
        (b"Host:", None),
        (b"X-Host: a.example", None),
        (b"X: 1\r\n Host: folded.example\r\nHost: a.example", "a.example"),
        (b"Host: one.example\r\nHost: two.example", "one.example"),
    ],
)
def test_host_fields(field, host):
    assert host_of(b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n") == host
    assert host_of(b"GET / HTTP/1.1\n" + field.replace(b"\r", b"") + b"\n\n") == host


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"CONNECT Mail.Example.com:443 HTTP/1.1", "mail.example.com"),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.0", "2001:db8::1"),
        (b"GET http://A.Example:8080/path?u=http://b.example/ HTTP/1.1", "a.example"),
        (b"GET http://a.example?x HTTP/1.1", "a.example"),
        (b"GET http://u:p@a.example#f HTTP/1.1", "a.example"),
        (b"GET /to?u=http://b.example/ HTTP/1.1", "field.example"),
        (b"OPTIONS * HTTP/1.1", "field.example"),
    ],
)
def test_the_target_counts_before_the_field(line, host):
    assert host_of(line + b"\r\nHost: field.example\r\n\r\n") == host


def test_a_request_without_any_host():
    assert request(b"GET / HTTP/1.0\r\n\r\n") == HttpRequest("GET", "/", None)
    assert request(b"\r\nGET / HTTP/1.0\r\n\r\n") == HttpRequest("GET", "/", None)


def test_a_target_is_shown_harmless():
    found = request(b"GET /a\x00b\xff c HTTP/1.0\r\n\r\n")
    assert found == HttpRequest("GET", r"/a\000b\255 c", None)


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"get / HTTP/1.1\r\n", 0),
        (b"GETX", 0),
        (b"\x16\x03\x01", 0),
        (b"OPTIONS sip:a@b.example SIP/2.0\r\n", 0),
        (b"GET /\r\n", 0),
        (b"GET HTTP/1.1\r\n", 0),
        (b"PRI * HTTP/2.0\r\n", 0),
        (b"\r\nGET /\r\n", 2),
        (b"GET / HTTP/1.1\r\nno colon\r\n", 16),
    ],
)
def test_what_is_no_request(raw, offset):
    found = request(raw)
    assert isinstance(found, Malformed)
    assert found.offset == offset


def test_a_head_has_a_limit():
    start = b"GET / HTTP/1.1\r\n"
    filler = b"X: " + b"x" * 1000 + b"\r\n"
    assert request(start + filler * 10) is None
    endless = start + filler * 20
    assert request(endless + b"Host: late.example\r\n\r\n") == Malformed(
        "the head is longer than 16 KiB", MAX_HEAD_BYTES
    )
    assert request(b"GET /" + b"x" * MAX_HEAD_BYTES) == Malformed("the head is longer than 16 KiB", MAX_HEAD_BYTES)
    last = start + b"X: " + b"x" * (MAX_HEAD_BYTES - len(start) - 3 - 2 - 17) + b"\r\n" + b"Host: a.example\r\n"
    assert len(last) == MAX_HEAD_BYTES
    assert host_of(last) == "a.example"
