import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.decode.text import host, ipv4, ipv6, labels, text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Web.WhatsApp.NET", "web.whatsapp.net"),
        (b"example.com.", "example.com"),
        (b"a b", r"a\032b"),
        (b"nul\x00.example", r"nul\000.example"),
        (b"esc\x1b[2J", r"esc\027[2j"),
        (b"back\\slash", r"back\\slash"),
        ("аpple.com".encode(), r"\208\176pple.com"),  # noqa: RUF001 - a Cyrillic letter that looks like an a
        (b"", ""),
    ],
)
def test_a_host_is_lower_case_and_escaped(raw, shown):
    assert host(raw) == shown


def test_free_text_keeps_spaces_and_case():
    assert text(b"STUN test client \xff\n") == r"STUN test client \255\010"


@given(st.binary(max_size=60))
def test_whatever_comes_out_is_printable_ascii(raw):
    for shown in (host(raw), text(raw), labels([raw] if raw else [])):
        assert shown.isascii()
        assert shown.isprintable()


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_two_texts_are_never_shown_alike(one, other):
    assert (text(one) == text(other)) == (one == other)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8))
def test_labels_mean_what_a_master_file_reader_understands(parts):
    shown = labels(parts)
    # dnspython reads our text back into the same labels.
    assert dns.name.from_text(shown.replace('"', '\\"'), origin=None).labels == tuple(part.lower() for part in parts)


def test_addresses():
    assert ipv4(b"\xc0\x00\x02\x01") == "192.0.2.1"
    assert ipv6(bytes.fromhex("20010db8000000000000000000000001")) == "2001:db8::1"
