r"""Syslog (RFC 5424) over TLS (RFC 5425), TCP with octet counts (RFC 6587) or UDP (RFC 5426).

Syslog has no answer that says a message was read. Over TLS and TCP this side therefore ends the conversation and waits
until the receiver has ended it as well, which it does after what was sent before; what breaks off is sent again.
"""

from __future__ import annotations

import os
import socket
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sensor.model import Severity
from sensor.notify import formats
from sensor.notify.connecting import Deadline, connect, reason, resolve
from sensor.notify.farewell import deliver
from sensor.notify.sending import SendError
from sensor.settings_notify import Transport
from sensor.wording import NS, rfc3339

if TYPE_CHECKING:
    import ssl

    from sensor.notify.model import Violation
    from sensor.notify.sending import Message
    from sensor.settings_notify import SyslogChannel

APP_NAME: Final = "wardwatch"
SD_ID: Final = "violation@32473"  # the enterprise number that RFC 5612 keeps for examples: we have none of our own
SEVERITIES: Final = {Severity.HIGH: 4, Severity.MEDIUM: 5, Severity.LOW: 5, Severity.INFORMATION: 6}  # 6.2.1
MAX_HOSTNAME: Final = 255
MAX_VALUE: Final = 255  # characters of one parameter
GOOD_DATAGRAM_BYTES: Final = 2048  # every receiver should take so much (RFC 5426 3.2)
MAX_DATAGRAM_BYTES: Final = 65_000
READ_BYTES: Final = 4096
UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")


def header_field(text: str, longest: int) -> str:
    """PRINTUSASCII without blanks, or the dash that stands for nothing."""
    return "".join(one for one in text if "!" <= one <= "~")[:longest] or "-"


def parameter(text: str) -> str:
    r"""The value of a parameter: '"', "\" and "]" escaped (6.3.3), everything that does not print a blank."""
    clean = "".join(" " if unicodedata.category(one) in UNPRINTABLE else one for one in text[:MAX_VALUE])
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def line(violation: Violation, body: str, *, key: str, facility: int, hostname: str, process: str) -> bytes:
    """One message. `body` is one line in a format of `formats`: UTF-8 without a mark, so that it begins as its readers expect."""
    known = {
        "key": key,
        "episode": violation.id,
        "revision": str(violation.sequence),
        "occasion": violation.occasion.value,
        "severity": violation.severity.label,
        "activity": violation.activity.label,
        "app": violation.app,
        "device": violation.device.label,
        "network": violation.network,
        "site": violation.site,
        "rule": violation.rule,
    }
    data = " ".join([SD_ID, *(f'{name}="{parameter(value)}"' for name, value in known.items() if value)])
    time = f"{rfc3339(violation.recorded_ns // NS * NS)[:19]}.{violation.recorded_ns % NS // 1000:06d}Z"  # 6.2.3: six decimals
    head = " ".join([
        f"<{facility * 8 + SEVERITIES[violation.severity]}>1", time, header_field(hostname, MAX_HOSTNAME), APP_NAME,
        header_field(process, 128), header_field(violation.occasion.value, 32),
    ])  # fmt: skip
    return f"{head} [{data}] {body}".encode("utf-8", "backslashreplace")


def framed(message: bytes) -> bytes:
    """With its length in front (RFC 5425 4.3, RFC 6587 3.4.1)."""
    return f"{len(message)} ".encode() + message


class Syslog:
    """The sender of one channel."""

    def __init__(self, channel: SyslogChannel, context: ssl.SSLContext, *, hostname: str | None = None) -> None:
        self._channel = channel
        self._context = context
        self._hostname = socket.gethostname() if hostname is None else hostname

    def send(self, message: Message) -> None:
        """All of its violations in one conversation. Raises SendError."""
        deadline = Deadline(self._channel.timeout_s)
        if self._channel.transport is Transport.UDP:
            self._datagrams(message, deadline)
            return
        lines = b"".join(framed(self._line(one, message.key)) for one in message.violations)
        channel = self._channel
        connection = connect(resolve(channel.host, channel.port, deadline), channel.port, deadline)
        try:
            with deadline.over(connection):
                connection.settimeout(deadline.left_s())
                if channel.transport is Transport.TLS:
                    deliver(connection, self._context, channel.host, lines)
                else:
                    connection.sendall(lines)
                    _end(connection)
        finally:
            connection.close()

    def _line(self, violation: Violation, key: str) -> bytes:
        body = formats.text(violation, self._channel.format)
        facility, process = self._channel.facility, str(os.getpid())
        return line(violation, body, key=key, facility=facility, hostname=self._hostname, process=process)

    def _datagrams(self, message: Message, deadline: Deadline) -> None:
        addresses = resolve(self._channel.host, self._channel.port, deadline, socket.SOCK_DGRAM)
        family, address = addresses[0]
        with socket.socket(family, socket.SOCK_DGRAM) as outlet:
            outlet.settimeout(deadline.left_s())
            try:
                for violation in message.violations:
                    outlet.sendto(self._fitting(violation, message.key), (str(address), self._channel.port))
            except OSError as error:
                raise SendError(reason(error)) from error

    def _fitting(self, violation: Violation, key: str) -> bytes:
        """With as much of the evidence as a datagram takes that everybody accepts."""
        for count in range(len(violation.proofs), -1, -1):
            found = self._line(replace(violation, proofs=violation.proofs[:count]), key)
            if len(found) <= GOOD_DATAGRAM_BYTES:
                return found
        if len(found) > MAX_DATAGRAM_BYTES:
            raise SendError(f"{len(found)} bytes are too much for a datagram; use tls or tcp")
        return found


def _end(connection: socket.socket) -> None:
    """Says that this was all, and waits until the other side has said so too. Raises OSError where it breaks off."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(READ_BYTES):
        continue
