"""Syslog against real receivers over TLS, TCP and UDP, and names that try to leave their place."""

from __future__ import annotations

import json
import re
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.errors import ConfigError
from sensor.model import Severity
from sensor.notify import formats
from sensor.notify.channels import _identify
from sensor.notify.connecting import tls_context
from sensor.notify.sending import Message, SendError
from sensor.notify.syslog import Syslog, framed, header_field, line, parameter
from sensor.settings_notify import SyslogChannel, Transport
from tests.notify.make import HOSTILE, START_NS, hostile, proof, told
from tests.notify.servers import Authority, make_authority, silent
from tests.notify.syslog_server import datagrams, read_frames, receiver

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.notify.model import Violation

MESSAGE = Message("key-1", START_NS, (told(), told(id="b" * 16)))
SD_PARAM = re.compile(r'([!-<>-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')  # RFC 5424 6: SD-PARAM, read strictly


def channel(port: int, **more: Any) -> SyslogChannel:
    return replace(SyslogChannel("log", "localhost", port, timeout_s=30), **more)


def sender(made: SyslogChannel, authority: Authority | None = None) -> Syslog:
    return Syslog(made, tls_context(authority.ca_file if authority else None), hostname="sensor.clinic.example")


def refused(made: SyslogChannel, authority: Authority | None = None) -> str:
    with pytest.raises(SendError) as caught:
        sender(made, authority).send(MESSAGE)
    return str(caught.value)


def parse(message: bytes) -> tuple[list[str], dict[str, str], str]:
    """Header fields, parameters and text, by a reader written from RFC 5424."""
    text = message.decode("utf-8")
    match = re.match(
        r"<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) \[([!-<>-\\^-~]{1,32}) ", text
    )
    assert match is not None, text
    found: dict[str, str] = {}
    at = match.end()
    while True:
        one = SD_PARAM.match(text, at)
        assert one is not None, text[at:]
        assert one[1] not in found
        found[one[1]] = re.sub(r"\\(.)", r"\1", one[2])
        at = one.end()
        if text[at] == "]":
            break
        assert text[at] == " "
        at += 1
    assert text[at + 1] == " "
    return [*match.groups()], found, text[at + 2 :]


def made_line(violation: Violation, form: str = "cef") -> bytes:
    body = formats.text(violation, form)
    return line(violation, body, key="key-1", facility=13, hostname="sensor.clinic.example", process="77")


@pytest.mark.parametrize("form", formats.FORMATS)
def test_it_arrives_over_tls_with_its_length_in_front(authority: Authority, form: str) -> None:
    with receiver(authority) as log:
        sender(channel(log.port, format=form), authority).send(MESSAGE)
        assert len(log.got) == 2
        head, known, text = parse(log.got[0])
        assert head[:4] == ["108", "2026-03-02T08:14:30.123456Z", "sensor.clinic.example", "wardwatch"]  # 13 * 8 + 4
        assert head[5:] == ["new", "violation@32473"]
        assert (known["key"], known["episode"], known["revision"]) == ("key-1", told().id, "7")
        assert known["site"] == "Clínica del Mar"
        assert text == formats.text(told(), form)
        assert parse(log.got[1])[1]["episode"] == "b" * 16


def test_the_priority_is_facility_and_severity() -> None:
    for severity, number in ((Severity.HIGH, 4), (Severity.MEDIUM, 5), (Severity.LOW, 5), (Severity.INFORMATION, 6)):
        found = line(told(severity=severity), "x", key="k", facility=23, hostname="h", process="1")
        assert found.startswith(f"<{23 * 8 + number}>1 ".encode())


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.TCP])
def test_a_receiver_that_ends_the_conversation_has_it(authority: Authority, transport: Transport) -> None:
    with receiver(authority if transport is Transport.TLS else None) as log:
        sender(channel(log.port, transport=transport), authority).send(MESSAGE)
        assert len(log.got) == 2


def test_over_tls_an_end_without_farewell_is_none(authority: Authority) -> None:
    with receiver(authority) as log:
        log.way = "close"
        assert "without the farewell" in refused(channel(log.port), authority)


def test_old_tls_that_is_still_allowed(authority: Authority) -> None:
    with receiver(authority) as log:
        context = tls_context(authority.ca_file)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        Syslog(channel(log.port), context).send(MESSAGE)
        assert len(log.got) == 2


def test_more_than_any_buffer_holds_arrives_whole(authority: Authority) -> None:
    many = Message("k", 0, tuple(told(id=f"{number:016x}") for number in range(2000)))
    with receiver(authority) as log:
        sender(channel(log.port, format="wardwatch"), authority).send(many)
        assert len(log.got) == 2000


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.TCP])
def test_a_receiver_that_breaks_off_has_not(authority: Authority, transport: Transport) -> None:
    with receiver(authority if transport is Transport.TLS else None) as log:
        log.way = "reset"
        assert refused(channel(log.port, transport=transport), authority)
        assert log.got == []


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.TCP])
def test_a_receiver_that_hangs_is_given_up_in_time(authority: Authority, transport: Transport) -> None:
    with receiver(authority if transport is Transport.TLS else None) as log:
        log.way = "hang"
        began = time.monotonic()
        assert "no answer" in refused(channel(log.port, transport=transport, timeout_s=1), authority)
        assert time.monotonic() - began < 20
    with silent() as port:
        assert "no answer" in refused(channel(port, transport=transport, timeout_s=1), authority)


def test_a_certificate_that_nobody_trusts_or_of_another_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "other", names=("other.test",))
    for running, trusted in ((authority, None), (other, other)):
        with receiver(running) as log:
            assert "certificate is not valid" in refused(channel(log.port), trusted)
            assert log.got == []


def test_a_receiver_may_ask_who_is_sending(authority: Authority) -> None:
    with receiver(authority, ask_for_certificate=True) as log:
        for _ in range(20):  # the refusal comes after the handshake, sooner or later
            assert refused(channel(log.port), authority)
        assert log.got == []
        context = tls_context(authority.ca_file)
        _identify(context, authority.cert_file, authority.key_file, "x")
        Syslog(channel(log.port), context).send(MESSAGE)
        assert len(log.got) == 2
        assert log.peer is not None
        assert log.peer["subject"] == ((("commonName", "localhost"),),)


def test_certificates_that_cannot_be_used_are_told_with_their_key(authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "other")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(LOCKED_KEY)
    for cert, key, said in (
        (tmp_path / "none.pem", authority.key_file, r"p\.cert_file: .*none\.pem cannot be read: No such file"),
        (authority.cert_file, tmp_path / "none.key", r"p\.key_file: .* cannot be read: No such file"),
        (authority.cert_file, other.key_file, r"p\.cert_file: .* or not that of its key"),
        (authority.key_file, None, r"p\.cert_file: .* holds no certificate"),
        (authority.cert_file, locked, r"p\.key_file: .*locked\.pem needs a password"),
    ):
        with pytest.raises(ConfigError, match=said):
            _identify(tls_context(None), cert, key, "p")


def locked_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    encryption = serialization.BestAvailableEncryption(b"x")
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


LOCKED_KEY = locked_key()


def test_a_datagram_holds_one_message_and_as_much_evidence_as_fits() -> None:
    with datagrams() as inlet:
        port = inlet.getsockname()[1]
        made = channel(port, transport=Transport.UDP, format="wardwatch", host="127.0.0.1")
        many = told(proofs=tuple(proof(frame=number) for number in range(10)), proofs_total=10)
        sender(made).send(Message("key-1", 0, (told(proofs=()), many)))
        first, second = inlet.recv(70_000), inlet.recv(70_000)
        assert json.loads(parse(first)[2])["evidence"] == []
        body = json.loads(parse(second)[2])
        assert len(second) <= 2048
        assert body["evidence_total"] == 10
        assert len(body["evidence"]) < 10
        huge = told(names=tuple(f"name-{number}.example" for number in range(5000)))
        with pytest.raises(SendError, match="too much for a datagram"):
            sender(made).send(Message("key-1", 0, (huge,)))


def test_nobody_there() -> None:
    with silent() as port:
        pass
    assert "connection refused" in refused(channel(port, transport=Transport.TCP, host="127.0.0.1"))
    assert "its address was not found" in refused(channel(1, host="no-such-host.invalid"))


@pytest.mark.parametrize("form", formats.FORMATS)
def test_a_hostile_name_stays_in_its_parameter(form: str) -> None:
    found = made_line(hostile(), form)
    assert len(found.decode().splitlines()) == 1
    _, known, text = parse(found)
    usual = parse(made_line(told(), form))[1]
    assert set(known) == set(usual)
    assert known["device"].startswith('a|b\\c=d"e]f')
    assert text == formats.text(hostile(), form)


NASTY = st.text(st.characters(codec=None), max_size=300) | st.text(alphabet='\\"]= \n\r\x00[<>\u2028é', max_size=60)


@given(NASTY)
def test_every_text_stays_in_its_place(text: str) -> None:
    made = told(network=text, site=text, rule=text, apps=((text, text),), reason=text)
    made = replace(made, device=replace(made.device, label=text))
    for form in ("cef", "wardwatch"):
        found = made_line(made, form)
        _, known, rest = parse(found)
        assert set(known) <= set(parse(made_line(told()))[1])
        assert rest == formats.text(made, form)
        assert len(found.decode().splitlines()) == 1
    value = parse(line(told(network=f"a{text}"), "x", key="k", facility=1, hostname="h", process="1"))[1]["network"]
    assert len(value) == min(len(text) + 1, 255)
    for got, given_ in zip(value, f"a{text}", strict=False):
        assert got in {given_, " "}


@given(NASTY)
def test_a_header_field_is_printable_ascii_without_blanks(text: str) -> None:
    found = header_field(text, 48)
    assert re.fullmatch(r"[!-~]{1,48}", found)
    assert set(found) <= {*text, "-"}


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_framing_is_read_back(messages: list[bytes]) -> None:
    import io

    assert list(read_frames(io.BytesIO(b"".join(map(framed, messages))))) == messages


def test_escaping() -> None:
    assert parameter('a"b\\c]d\ne') == 'a\\"b\\\\c\\]d e'
    assert parameter(HOSTILE).count("\n") == 0
