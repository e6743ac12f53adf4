"""A small SMTP server on loopback, with STARTTLS, TLS from the first byte, and login; it keeps what it is sent, or misbehaves."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from tests.notify.running import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage

    from tests.notify.servers import Authority


@dataclass
class Got:
    """One letter: its envelope, and how it came."""

    sender: str
    to: list[str]
    data: bytes
    secure: bool
    login: str

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.data, policy=email.policy.default)

    def part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        assert found is not None
        return str(found.get_content()).replace("\r\n", "\n")


@dataclass
class Post:
    """The server. `instead`: replies by command, in the place of its own; None closes the connection."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    offers: tuple[str, ...] = ("STARTTLS", "AUTH PLAIN")
    instead: dict[str, str | None] = field(default_factory=dict)
    before_reply: Callable[[], None] = lambda: None  # after a letter was taken, before that is said
    end: threading.Event = field(default_factory=threading.Event)


@contextmanager
def post(authority: Authority, *, tls: bool = False) -> Iterator[Post]:
    """Runs it; `tls`: from the first byte."""
    made = Post()
    context = authority.server_context()

    class Handler(socketserver.StreamRequestHandler):
        secure = False
        login = ""
        sender = ""
        to: list[str]

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

        def wrap(self) -> None:
            self.connection = context.wrap_socket(self.request, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = cast("Any", self.connection.makefile("wb", 0))
            self.secure = True

        def handle(self) -> None:
            try:
                if tls:
                    self.wrap()
                self.converse()
            except (OSError, ValueError):
                return
            finally:
                if self.secure:
                    self.rfile.close()
                    self.wfile.close()
                    self.connection.close()

        def converse(self) -> None:
            if "CONNECT" in made.instead:
                reply = made.instead["CONNECT"]
                if reply is None:
                    return
                if reply == "hang":
                    made.end.wait(60)
                    return
                self.say(reply)
            else:
                self.say("220 test")
            while line := self.rfile.readline(2000):
                command = line.decode("latin-1").strip()
                made.commands.append(command)
                verb = command.split(" ")[0].split(":")[0].upper()
                if verb in made.instead:
                    reply = made.instead[verb]
                    if reply is None:
                        return
                    self.say(reply)
                elif not self.obey(verb, command):
                    return

        def obey(self, verb: str, command: str) -> bool:
            if verb in {"EHLO", "HELO"}:
                self.to = []
                offers = [one for one in made.offers if not (one == "STARTTLS" and self.secure)]
                for one in ["test", *offers[:-1]]:
                    self.say(f"250-{one}")
                self.say(f"250 {offers[-1] if offers else 'HELP'}")
            elif verb == "STARTTLS":
                self.say("220 go on")
                self.wrap()
            elif verb == "AUTH":
                _, user, password = base64.b64decode(command.split(" ")[2]).decode().split("\0")
                self.login = user
                self.say("235 good" if password == "secret" else "535 no")
            elif verb == "MAIL":
                self.sender = command[len("MAIL FROM:<") :].partition(">")[0]
                self.say("250 good")
            elif verb == "RCPT":
                place = command[len("RCPT TO:<") :].partition(">")[0]
                if place.startswith("nobody"):
                    self.say("550 no such person\twith \x1b[31m words")
                else:
                    self.to.append(place)
                    self.say("250 good")
            elif verb == "DATA":
                self.say("354 go on")
                self.take()
            else:
                self.say("250 good")
            return verb != "QUIT"

        def take(self) -> None:
            lines = []
            while (line := self.rfile.readline(100_000)) != b".\r\n":
                if not line:
                    return
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            made.got.append(Got(self.sender, self.to, b"".join(lines), self.secure, self.login))
            made.before_reply()
            self.say(made.instead.get("END") or "250 taken")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: Any) -> None:
            pass  # clients that break off are what some tests are about

    with running(Server(("127.0.0.1", 0), Handler), made):
        yield made
