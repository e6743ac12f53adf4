"""Webhooks against a real https server, one that misbehaves, and addresses that must not be reached."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.notify import formats
from sensor.notify.connecting import Deadline, allowed, is_public, resolve, tls_context
from sensor.notify.sending import Message, SendError
from sensor.notify.webhook import Webhook, signature
from sensor.settings_notify import WebhookChannel
from tests.notify.make import hostile, told
from tests.notify.servers import Authority, Hook, dripping, hook, make_authority, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

KEY = b"0123456789abcdef0123456789abcdef"
MESSAGE = Message("key-1", 0, (told(),))


@pytest.fixture
def server(authority: Authority) -> Iterator[Hook]:
    with hook(authority) as running:
        yield running


def channel(port: int, **more: Any) -> WebhookChannel:
    return replace(
        WebhookChannel("siem", f"https://localhost:{port}/in?to=wardwatch", allow_private=True, timeout_s=30), **more
    )


def sender(made: WebhookChannel, authority: Authority | None, **more: Any) -> Webhook:
    context = tls_context(authority.ca_file if authority else None)
    return Webhook(made, context, **{"key": KEY, "authorization": None} | more)


def refused(made: WebhookChannel, authority: Authority | None) -> SendError:
    with pytest.raises(SendError) as caught:
        sender(made, authority).send(MESSAGE)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


@pytest.mark.parametrize("form", formats.FORMATS)
def test_what_is_posted_is_the_violation_in_the_form_asked_for(server: Hook, authority: Authority, form: str) -> None:
    sender(channel(server.port, format=form), authority).send(MESSAGE)
    (got,) = server.received
    assert got.path == "/in?to=wardwatch"
    assert got.body.decode() == formats.text(told(), form)
    assert got.headers["Content-Type"] == ("text/plain; charset=utf-8" if form == "cef" else "application/json")
    assert got.headers["Host"] == f"localhost:{server.port}"


def test_the_signature_covers_key_time_and_body(server: Hook, authority: Authority) -> None:
    sender(channel(server.port), authority, now_s=lambda: 1_772_438_400.9).send(MESSAGE)
    (got,) = server.received
    assert got.headers["webhook-id"] == got.headers["Idempotency-Key"] == "key-1"
    assert got.headers["webhook-timestamp"] == "1772438400"
    expected = hmac.new(KEY, b"key-1.1772438400." + got.body, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert json.loads(got.body)["id"] == told().id


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's own libraries.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_key_nothing_is_signed_and_a_login_is_sent(server: Hook, authority: Authority) -> None:
    sender(channel(server.port), authority, key=None, authorization="Splunk abc").send(MESSAGE)
    (got,) = server.received
    assert "webhook-signature" not in got.headers
    assert got.headers["Authorization"] == "Splunk abc"


def test_a_hostile_name_is_in_the_body_and_nowhere_else(server: Hook, authority: Authority) -> None:
    sender(channel(server.port), authority).send(Message("key-1", 0, (hostile(),)))
    (got,) = server.received
    assert json.loads(got.body)["device"]["label"] == hostile().device.label
    assert not any("CEF:0" in value for value in got.headers.values())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_not_followed(server: Hook, authority: Authority, status: int) -> None:
    server.answer = lambda _: status
    assert "redirection" in str(refused(channel(server.port), authority))
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "after", "wait_s"),
    [(500, "", None), (404, "60", None), (503, "60", 60), (429, "7", 7), (429, "-7", None), (503, "Wed, 21 Oct", None),
     (503, "9" * 9, 86_400), (503, "9" * 5000, None), (429, "\u0663", None)],
)  # fmt: skip
def test_any_other_answer_is_a_failure_and_may_say_how_long_to_wait(
    server: Hook, authority: Authority, status: int, after: str, wait_s: int | None
) -> None:
    server.answer = lambda _: status
    server.retry_after = after.encode().decode("latin-1")
    error = refused(channel(server.port), authority)
    assert (str(error), error.wait_s) == (f"answered {status}", wait_s)


def closes(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def garbles(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9\r\n\r\n")


def floods(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n")


def endless_line(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n")


@pytest.mark.parametrize("answer", [closes, garbles, floods, endless_line])
def test_a_server_that_does_not_speak_http_is_a_failure(server: Hook, authority: Authority, answer: Any) -> None:
    server.answer = answer
    error = refused(channel(server.port), authority)
    assert "closed" in str(error) or "broke off" in str(error) or "not HTTP" in str(error) or "TLS" in str(error)


def test_a_long_body_behind_a_good_answer_is_not_waited_for(server: Hook, authority: Authority) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        server.end.wait(60)

    server.answer = answer
    sender(channel(server.port), authority).send(MESSAGE)


def test_a_server_that_hangs_is_given_up_in_time(server: Hook, authority: Authority) -> None:
    def hangs(_: BaseHTTPRequestHandler) -> None:
        server.end.wait(60)

    server.answer = hangs
    began = time.monotonic()
    assert str(refused(channel(server.port, timeout_s=1), authority)) in {"no answer within 1 s", "no answer in time"}
    assert time.monotonic() - began < 20


def test_one_that_never_shakes_hands_is_given_up_in_time(authority: Authority) -> None:
    with silent() as port:
        assert "no answer" in str(refused(channel(port, timeout_s=1), authority))


def test_one_that_speaks_a_byte_at_a_time_is_given_up_in_time() -> None:
    with dripping() as port:
        began = time.monotonic()
        made = channel(port, url=f"http://127.0.0.1:{port}/", timeout_s=1)
        assert str(refused(made, None)) == "no answer within 1 s"
        assert time.monotonic() - began < 20


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert str(refused(channel(port, url=f"https://127.0.0.1:{port}/"), None)) == (
        f"127.0.0.1 port {port}: connection refused"
    )
    assert "its address was not found" in str(refused(channel(1, url="https://no-such-host.invalid/"), None))


def test_a_certificate_that_nobody_trusts_is_refused(server: Hook) -> None:
    assert "certificate is not valid" in str(refused(channel(server.port), None))
    assert server.received == []


def test_a_certificate_of_another_name_or_time_is_refused(tmp_path: Path) -> None:
    for folder, values in (("other", {"names": ("other.test",)}), ("old", {"days": -1})):
        made = make_authority(tmp_path / folder, **values)
        with hook(made) as running:
            assert "certificate is not valid" in str(refused(channel(running.port), made))
            assert running.received == []


def test_plain_http_where_it_is_allowed() -> None:
    with hook(None) as running:
        sender(channel(running.port, url=f"http://127.0.0.1:{running.port}/x", allow_http=True), None).send(MESSAGE)
        assert running.received[0].path == "/x"


# Addresses


INSIDE = (
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "198.18.0.1", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1",
    "fd00::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:102:304::5601:203",
)  # fmt: skip
OUTSIDE = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    found = ip_address(address)
    assert not is_public(found)
    with pytest.raises(SendError, match="is not a public address"):
        allowed("hook.example", [(socket.AF_INET, ip_address("8.8.8.8")), (socket.AF_INET, found)])


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_allowed(address: str) -> None:
    found = [(int(socket.AF_INET), ip_address(address))]
    assert allowed("hook.example", found) == found


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_changes_nothing(address: Any) -> None:
    number = int(address)
    wrapped = [
        f"::ffff:{address}",
        str(ip_address((0x64FF9B << 96) | number)),
        str(ip_address((0x2002 << 112) | (number << 80))),
    ]
    for one in wrapped:
        assert is_public(ip_address(one)) == is_public(address)


LOOPBACK = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]")


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    with hook(None) as running:
        made = channel(running.port, url=f"http://{host}:{running.port}/", allow_private=False, allow_http=True)
        assert "address" in str(refused(made, None))
        assert running.received == []


def test_the_address_that_was_judged_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its answer: public when it is judged, loopback whenever it is asked again."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *arguments: Any, **more: Any) -> Any:
        asked.append(host)
        return real("192.0.2.77" if len(asked) == 1 else "127.0.0.1", port, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with hook(None) as running:
        made = channel(running.port, url=f"http://rebind.example:{running.port}/", allow_http=True, timeout_s=1)
        assert running.port > 0
        error = refused(made, None)
        assert "192.0.2.77" in str(error) or "no answer" in str(error)
        assert running.received == []
    assert asked == ["rebind.example"]


def test_resolving_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        answer.wait(60)
        asked.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(SendError, match="not found in time"):
        resolve("slow.example", 443, Deadline(0.2))
    answer.set()
    assert asked.wait(60)


def test_a_context_takes_no_old_tls() -> None:
    assert tls_context(None).minimum_version >= ssl.TLSVersion.TLSv1_2
    assert tls_context(None).check_hostname
