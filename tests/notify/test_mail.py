"""E-mail against a real SMTP server, one that misbehaves, and names that try to be headers."""

from __future__ import annotations

import time
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.notify.connecting import tls_context
from sensor.notify.letters import Manner, letter
from sensor.notify.mail import Mail, mail
from sensor.notify.sending import Message, SendError
from sensor.settings_notify import EmailChannel, Language, MailSecurity
from tests.notify.make import HOSTILE, START_NS, hostile, told
from tests.notify.servers import Authority, make_authority
from tests.notify.smtp_server import Post, post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANNER = Manner(Language.SPANISH, "Europe/Madrid")
MESSAGE = Message("0123456789abcdef", START_NS, (told(),))
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
           "Content-Language"]  # fmt: skip


@pytest.fixture
def server(authority: Authority) -> Iterator[Post]:
    with post(authority) as running:
        yield running


def channel(port: int, **more: Any) -> EmailChannel:
    made = EmailChannel(
        "officer", ("officer@clinic.example", "it@clinic.example"), "wardwatch@clinic.example", "localhost", port,
        timeout_s=30,
    )  # fmt: skip
    return replace(made, **more)


def sender(made: EmailChannel, authority: Authority | None, password: str | None = None, **more: Any) -> Mail:
    context = tls_context(authority.ca_file if authority else None)
    return Mail(made, context, MANNER, **{"password": password, "say": pytest.fail} | more)


def refused(made: EmailChannel, authority: Authority | None, password: str | None = None) -> str:
    with pytest.raises(SendError) as caught:
        sender(made, authority, password).send(MESSAGE)
    said = str(caught.value)
    assert said.isprintable()
    assert "secret" not in said
    return said


def test_a_letter_arrives_by_starttls_with_login(server: Post, authority: Authority) -> None:
    sender(channel(server.port, user="wardwatch"), authority, "secret").send(MESSAGE)
    (got,) = server.got
    assert (got.secure, got.login) == (True, "wardwatch")
    assert (got.sender, got.to) == ("wardwatch@clinic.example", ["officer@clinic.example", "it@clinic.example"])
    expected = letter(MESSAGE, MANNER)
    message = got.message
    assert message["Subject"] == expected.subject == "[wardwatch Clínica del Mar] Videollamada por WhatsApp en Wards"
    assert got.part("plain") == expected.text
    assert got.part("html") == expected.html
    assert message["Message-ID"] == "<0123456789abcdef@clinic.example>"
    assert message["Date"] == "Mon, 02 Mar 2026 08:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "es"
    assert list(message.keys()) == HEADERS
    assert got.data.isascii()
    assert max(map(len, got.data.split(b"\r\n"))) <= 998
    before = server.commands.index("STARTTLS")
    assert [command.split(" ")[0].lower() for command in server.commands[:before]] == ["ehlo"]
    assert "[127.0.0.1]" in server.commands[0] or "[IPv6:::1]" in server.commands[0]


def test_a_letter_arrives_by_tls_from_the_first_byte(authority: Authority) -> None:
    with post(authority, tls=True) as running:
        sender(channel(running.port, security=MailSecurity.TLS), authority).send(MESSAGE)
        assert running.got[0].secure
        assert running.got[0].login == ""


def test_a_relay_on_this_machine_without_anything(server: Post) -> None:
    sender(channel(server.port, security=MailSecurity.NONE), None).send(MESSAGE)
    assert not server.got[0].secure


def test_a_digest_is_one_letter(server: Post, authority: Authority) -> None:
    sender(channel(server.port), authority).send(replace(MESSAGE, violations=(told(), told(id="b" * 16)), digest=True))
    (got,) = server.got
    assert got.message["Subject"] == "[wardwatch Clínica del Mar] 2 infracciones"


def test_a_subject_stays_on_one_line_and_many_recipients_do_not() -> None:
    many = tuple(f"somebody-{number}@clinic.example" for number in range(60))
    message = replace(
        MESSAGE, violations=(told(site="Example Clinic", network="A consulting room of the second floor"),)
    )
    data = mail(channel(25, to=many), message, letter(message, MANNER), MANNER).as_bytes()
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert (
        b"Subject: [wardwatch Example Clinic] Videollamada por WhatsApp en A consulting room of the second floor"
        in lines
    )
    assert max(map(len, lines)) <= 998
    assert message_from_bytes(data, policy=default)["To"].count("@") == 60


def test_each_try_has_the_same_headers(server: Post, authority: Authority) -> None:
    for _ in range(2):
        sender(channel(server.port), authority).send(MESSAGE)
    first, second = ([item for item in one.message.items() if item[0] != "Content-Type"] for one in server.got)
    assert first == second


def test_a_server_without_starttls_gets_no_letter_and_no_password(server: Post, authority: Authority) -> None:
    server.offers = ("AUTH PLAIN",)
    assert "no STARTTLS" in refused(channel(server.port, user="wardwatch"), authority, "secret")
    assert server.got == []
    assert not any(command.startswith("AUTH") for command in server.commands)


def test_a_certificate_that_nobody_trusts_gets_no_letter(server: Post, authority: Authority, tmp_path: Path) -> None:
    assert "certificate is not valid" in refused(channel(server.port), None)
    assert "certificate is not valid" in refused(channel(server.port, security=MailSecurity.STARTTLS), None)
    other = make_authority(tmp_path / "other", names=("other.test",))
    for tls, security in ((False, MailSecurity.STARTTLS), (True, MailSecurity.TLS)):
        with post(other, tls=tls) as running:
            assert "certificate is not valid" in refused(channel(running.port, security=security), other)
            assert running.got == []
    assert server.got == []


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"CONNECT": "554 go away"}, "refuses the letter (554)"),
        ({"CONNECT": None}, "closed the connection"),
        ({"CONNECT": "SSH-2.0-OpenSSH"}, ""),
        ({"EHLO": None}, "closed the connection"),
        ({"EHLO": "550 no", "HELO": "550 no"}, "refuses the letter (550)"),
        ({"STARTTLS": "454 not now"}, "refuses the letter (454)"),
        ({"STARTTLS": "220 go on"}, ""),  # and then no TLS
        ({"STARTTLS": None}, "closed the connection"),
        ({"MAIL": "451 later"}, "refuses the letter (451)"),
        ({"MAIL": "421 closing"}, "refuses the letter (421)"),
        ({"RCPT": "550 no such person"}, "refuses every recipient (550)"),
        ({"RCPT": None}, "closed the connection"),
        ({"DATA": "552 too much"}, "refuses the letter (552)"),
        ({"END": "554 no spam"}, "refuses the letter (554)"),
        ({"AUTH": "535 no"}, "refuses the login (535)"),
    ],
)
def test_every_refusal_is_one_line_without_the_servers_words(
    server: Post, authority: Authority, instead: dict[str, str | None], said: str
) -> None:
    server.instead = instead
    found = refused(channel(server.port, user="wardwatch", timeout_s=5), authority, "secret")
    assert said in found
    for words in ("go away", "later", "person", "spam", "OpenSSH"):
        assert words not in found


def test_a_wrong_password_is_told_and_not_repeated(server: Post, authority: Authority) -> None:
    assert (
        refused(channel(server.port, user="wardwatch"), authority, "wrong") == "the mail server refuses the login (535)"
    )
    assert server.got == []


def test_a_server_that_hangs_is_given_up_in_time(server: Post, authority: Authority) -> None:
    server.instead = {"CONNECT": "hang"}
    began = time.monotonic()
    assert "no answer" in refused(channel(server.port, timeout_s=1), authority)
    assert time.monotonic() - began < 20


def test_one_recipient_that_is_refused_is_told_and_the_others_get_it(server: Post, authority: Authority) -> None:
    said: list[str] = []
    made = channel(server.port, to=("nobody@clinic.example", "it@clinic.example"))
    sender(made, authority, say=said.append).send(MESSAGE)
    assert server.got[0].to == ["it@clinic.example"]
    assert said == ["officer: the mail server refuses the recipient nobody@clinic.example (550); others got it"]


def test_how_the_conversation_ends_is_of_no_importance(server: Post, authority: Authority) -> None:
    server.instead = {"QUIT": None}
    sender(channel(server.port), authority).send(MESSAGE)
    assert len(server.got) == 1


def test_a_hostile_name_is_no_header(server: Post, authority: Authority) -> None:
    for digest in (False, True):
        sender(channel(server.port), authority).send(replace(MESSAGE, violations=(hostile(),), digest=digest))
    for got in server.got:
        assert list(got.message.keys()) == HEADERS
        lines = got.data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert all(line.startswith(b" ") or line.partition(b":")[0].decode() in HEADERS for line in lines)


ATTACKS = ["\r\nBcc: spy@evil.example", "\nBcc: spy@evil.example", "\r\n\r\nbody", "\u2028Bcc: x", "\x85Bcc: x",
           "\x0b\x0cBcc: x", "=?utf-8?q?=0D=0ABcc:_x?=", "\ud800", "\r\n.\r\nMAIL FROM:<x>", HOSTILE]  # fmt: skip


@given(st.sampled_from(ATTACKS) | st.text(st.characters(codec=None), max_size=300), st.booleans())
def test_no_name_adds_a_header_or_breaks_a_letter(name: str, digest: bool) -> None:
    made = told(network=name, apps=((name, name),), site=name, names=(name,), notes=(name,), reason=name, kind="x")
    message = Message("0123456789abcdef", START_NS, (replace(made, device=replace(made.device, label=name)),), digest)
    data = mail(channel(25), message, letter(message, MANNER), MANNER).as_bytes()
    read = message_from_bytes(data, policy=default)
    assert list(read.keys()) == HEADERS
    assert read["To"] == "officer@clinic.example, it@clinic.example"
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert data.isascii()
