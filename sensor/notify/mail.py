"""E-mail by SMTP: STARTTLS or TLS from the first byte, certificates verified, the same Message-ID in every try."""

from __future__ import annotations

import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sensor.notify.connecting import Deadline, connect, resolve, secured
from sensor.notify.letters import letter
from sensor.notify.sending import SendError
from sensor.settings_notify import MailSecurity
from sensor.wording import NS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sensor.notify.letters import Letter, Manner
    from sensor.notify.sending import Message
    from sensor.settings_notify import EmailChannel

READY: Final = 220
# A subject in ASCII stays on one line: folded before its first word, readers show a blank. Lists of recipients are still folded.
POLICY: Final = SMTP.clone(max_line_length=200)


class Mail:
    """The sender of one channel. `say`: where a single recipient that was refused is told."""

    def __init__(
        self,
        channel: EmailChannel,
        context: ssl.SSLContext,
        manner: Manner,
        *,
        password: str | None,
        say: Callable[[str], None],
    ) -> None:
        self._channel = channel
        self._context = context
        self._manner = manner
        self._password = password
        self._say = say

    def send(self, message: Message) -> None:
        """One letter to all recipients. Raises SendError where none of them got it."""
        made = mail(self._channel, message, letter(message, self._manner), self._manner)
        deadline = Deadline(self._channel.timeout_s)
        connection = connect(resolve(self._channel.server, self._channel.port, deadline), self._channel.port, deadline)
        if self._channel.security is MailSecurity.TLS:
            connection = secured(connection, self._context, self._channel.server, deadline)
        session = _Session(connection, self._channel.server)
        try:
            with deadline.over(connection):
                connection.settimeout(deadline.left_s())
                refused = self._converse(session, made)
        finally:
            session.close()
        for place, (code, _) in refused.items():
            self._say(f"{self._channel.name}: the mail server refuses the recipient {place} ({code}); others got it")

    def _converse(self, session: _Session, made: EmailMessage) -> dict[str, tuple[int, bytes]]:
        try:
            session.begin()
            if self._channel.security is MailSecurity.STARTTLS:
                session.starttls(context=self._context)
                session.ehlo()
            if self._password is not None:
                session.login(self._channel.user, self._password)
            refused = session.send_message(made, self._channel.sender, list(self._channel.to))
        except (smtplib.SMTPException, ssl.SSLCertVerificationError) as error:
            raise SendError(_reason(error)) from error
        session.quit_kindly()
        return refused


class _Session(smtplib.SMTP):
    """SMTP over a connection that is there already."""

    def __init__(self, connection: socket.socket, server: str) -> None:
        super().__init__(local_hostname=_literal(connection))  # its own way to find a name asks the network
        self.sock = connection
        self._host = server  # the name that STARTTLS verifies

    def begin(self) -> None:
        """Wait for the greeting, and greet."""
        code, text = self.getreply()
        if code != READY:
            raise smtplib.SMTPConnectError(code, text)
        self.ehlo_or_helo_if_needed()

    def quit_kindly(self) -> None:
        """The letter has arrived; how the conversation ends is of no importance."""
        try:
            self.quit()
        except (smtplib.SMTPException, OSError):
            return


def _literal(connection: socket.socket) -> str:
    """Our address as EHLO takes it in the place of a name (RFC 5321 4.1.3)."""
    address = ip_address(str(connection.getsockname()[0]).partition("%")[0])
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def mail(channel: EmailChannel, message: Message, made: Letter, manner: Manner) -> EmailMessage:
    """The letter with its headers, in 7-bit lines that every server takes."""
    found = EmailMessage(policy=POLICY)
    found["From"] = Address("wardwatch", addr_spec=channel.sender)
    found["To"] = [Address(addr_spec=place) for place in channel.to]
    found["Subject"] = made.subject
    found["Date"] = format_datetime(datetime.fromtimestamp(message.made_ns // NS, UTC))
    found["Message-ID"] = f"<{message.key}@{channel.sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office notes are not answered to it
    found.set_content(made.text, cte="quoted-printable")
    found.add_alternative(made.html, subtype="html", cte="quoted-printable")
    found["Content-Language"] = manner.language.value  # last: what is there before goes to the first part
    return found


def _reason(error: Exception) -> str:
    """What failed and the server's code, without the server's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refuses every recipient ({', '.join(sorted({str(code) for code, _ in error.recipients.values()}))})"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refuses the login ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server refuses the letter ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server offers no STARTTLS, or no login that is known here"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if isinstance(error.__context__, TimeoutError):
            return "no answer in time"
        return "the mail server closed the connection"
    return f"the mail server speaks no SMTP that is known here: {type(error).__name__}"
