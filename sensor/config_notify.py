"""Reads `[notify]` of the TOML file. Secrets are never in it: it names the files that hold them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sensor import config_values as values
from sensor.model import Severity
from sensor.notify.formats import FORMATS
from sensor.settings_notify import (
    DIGEST_MINUTE,
    SYSLOG_FACILITY,
    SYSLOG_FORMAT,
    TIMEOUT_S,
    WEBHOOK_FORMAT,
    Channel,
    EmailChannel,
    Language,
    MailSecurity,
    NotifySettings,
    ShownAs,
    SyslogChannel,
    Transport,
    WebhookChannel,
)
from sensor.toml_table import REQUIRED, WrongValueError, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sensor.toml_table import Table

KEYS: Final = ("devices", "language", "tries", "first_wait_s", "longest_wait_s", "email", "webhook", "syslog")
COMMON: Final = ("name", "least_severity", "timeout_s", "ca_file")
EMAIL_KEYS: Final = (
    *COMMON, "to", "from", "server", "port", "security", "user", "password_file", "digest_at", "language",
)  # fmt: skip
WEBHOOK_KEYS: Final = (
    *COMMON, "url", "format", "secret_file", "authorization_file", "allow_http", "allow_private",
)  # fmt: skip
SYSLOG_KEYS: Final = (*COMMON, "host", "port", "transport", "format", "facility", "cert_file", "key_file")
MAIL_PORTS: Final = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
SYSLOG_PORTS: Final = {Transport.TLS: 6514, Transport.TCP: 601, Transport.UDP: 514}
FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
    "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # by their numbers (RFC 5424 6.2.1)  # fmt: skip
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")


def read(table: Table, folder: Path) -> NotifySettings:
    """The settings of `[notify]`; paths are relative to `folder`. Raises ConfigError."""
    default = NotifySettings()
    language = table.one("language", values.choice(Language), Language.ENGLISH)
    first_wait_s = table.one("first_wait_s", values.whole(1, 3600), default.first_wait_s)
    channels: list[tuple[str, Channel]] = [
        *((f"email[{i}]", _email(one, folder, language)) for i, one in enumerate(table.tables("email", EMAIL_KEYS))),
        *((f"webhook[{i}]", _webhook(one, folder)) for i, one in enumerate(table.tables("webhook", WEBHOOK_KEYS))),
        *((f"syslog[{i}]", _syslog(one, folder)) for i, one in enumerate(table.tables("syslog", SYSLOG_KEYS))),
    ]
    for second, (place, channel) in enumerate(channels):
        for first, earlier in channels[:second]:
            if channel.name == earlier.name:
                raise table.wrong(f"{place}.name", f"{channel.name!r} is the name of {first} too")
    return NotifySettings(
        devices=table.one("devices", values.choice(ShownAs), default.devices),
        tries=table.one("tries", values.whole(1, 1000), default.tries),
        first_wait_s=first_wait_s,
        longest_wait_s=table.one(
            "longest_wait_s", values.whole(first_wait_s, 86_400), max(first_wait_s, default.longest_wait_s)
        ),
        channels=tuple(channel for _, channel in channels),
    )


def _email(table: Table, folder: Path, language: Language) -> EmailChannel:
    security = table.one("security", values.choice(MailSecurity), MailSecurity.STARTTLS)
    user = table.one("user", values.text, "")
    password_file = _file(table, "password_file", folder)
    if bool(user) != (password_file is not None):
        raise table.wrong("password_file" if user else "user", "is missing: a login needs user and password_file")
    if user and security is MailSecurity.NONE:
        raise table.wrong("security", "'none' would send the password for everybody to read")
    return EmailChannel(
        name=table.one("name", _name),
        to=table.each("to", _mailbox, REQUIRED),
        sender=table.one("from", _mailbox),
        server=table.one("server", _host),
        port=table.one("port", _port, MAIL_PORTS[security]),
        security=security,
        user=user,
        password_file=password_file,
        ca_file=_file(table, "ca_file", folder),
        digest_minute=table.one("digest_at", values.clock(end=False), DIGEST_MINUTE),
        language=table.one("language", values.choice(Language), language),
        least_severity=_least(table),
        timeout_s=_timeout(table),
        place=table.path,
    )


def _webhook(table: Table, folder: Path) -> WebhookChannel:
    allow_http = table.one("allow_http", values.switch, default=False)
    return WebhookChannel(
        name=table.one("name", _name),
        url=table.one("url", _url(allow_http=allow_http)),
        format=table.one("format", _format, WEBHOOK_FORMAT),
        secret_file=_file(table, "secret_file", folder),
        authorization_file=_file(table, "authorization_file", folder),
        ca_file=_file(table, "ca_file", folder),
        allow_http=allow_http,
        allow_private=table.one("allow_private", values.switch, default=False),
        least_severity=_least(table),
        timeout_s=_timeout(table),
        place=table.path,
    )


def _syslog(table: Table, folder: Path) -> SyslogChannel:
    transport = table.one("transport", values.choice(Transport), Transport.TLS)
    cert_file, key_file = _file(table, "cert_file", folder), _file(table, "key_file", folder)
    if key_file is not None and cert_file is None:
        raise table.wrong("cert_file", "is missing: key_file is the key of a certificate")
    for key in ("ca_file", "cert_file", "key_file"):
        if key in table and transport is not Transport.TLS:
            raise table.wrong(key, f"is of no use with the transport {transport.value!r}")
    return SyslogChannel(
        name=table.one("name", _name),
        host=table.one("host", _host),
        port=table.one("port", _port, SYSLOG_PORTS[transport]),
        transport=transport,
        format=table.one("format", _format, SYSLOG_FORMAT),
        facility=table.one("facility", _facility, SYSLOG_FACILITY),
        ca_file=_file(table, "ca_file", folder),
        cert_file=cert_file,
        key_file=key_file,
        least_severity=_least(table),
        timeout_s=_timeout(table),
        place=table.path,
    )


def _file(table: Table, key: str, folder: Path) -> Path | None:
    """A path, relative to the TOML file; it is read when it is needed, by the process that may read it."""
    text = table.one(key, values.text, "")
    return folder / text if text else None


def _least(table: Table) -> Severity:
    return table.one("least_severity", values.level(Severity), Severity.INFORMATION)


def _timeout(table: Table) -> int:
    return table.one("timeout_s", values.whole(1, 300), TIMEOUT_S)


_port: Callable[[object], int] = values.whole(1, 65_535)


def _name(value: object) -> str:
    word = values.text(value)
    if not _NAME.fullmatch(word):
        raise WrongValueError(f"{word!r} is not a name of up to 40 of a-z, 0-9, '-' and '_', such as 'officer'")
    return word


def _mailbox(value: object) -> str:
    word = values.text(value)
    if not _MAILBOX.fullmatch(word) or ".." in word.rpartition("@")[2]:
        raise WrongValueError(f"{word!r} is not an e-mail address, such as 'officer@clinic.example'")
    return word


def _host(value: object) -> str:
    """A host name or an IP address."""
    word = values.text(value).lower().removesuffix(".")
    try:
        return str(ip_address(word))
    except ValueError:
        if not _HOST.fullmatch(word) or ".." in word:
            raise WrongValueError(f"{value!r} is neither a host name nor an IP address") from None
        return word


def _url(*, allow_http: bool) -> Callable[[object], str]:
    """A URL without a login; what it reaches is checked when it is connected to."""

    def parse(value: object) -> str:
        word = values.text(value)
        try:
            parts = urlsplit(word)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise WrongValueError(f"is not a URL: {error}") from error
        if parts.username is not None or parts.password is not None:
            raise WrongValueError("holds a login; put it into authorization_file")
        if parts.scheme == "http" and not allow_http:
            raise WrongValueError("is not https; allow_http = true sends it in the clear")
        if parts.scheme not in {"http", "https"} or not host or port == 0:
            raise WrongValueError(f"{word!r} is not a URL such as 'https://siem.clinic.example/hook'")
        if not word.isascii() or " " in word or parts.fragment:
            raise WrongValueError(f"{word!r} has characters that a URL must have encoded, or a fragment")
        _host(host)
        return word

    return parse


def _format(value: object) -> str:
    word = values.text(value)
    if word not in FORMATS:
        raise WrongValueError(f"{word!r} is none of {', '.join(FORMATS)}{suggestion(word, FORMATS)}")
    return word


def _facility(value: object) -> int:
    word = values.text(value)
    if word not in FACILITIES:
        raise WrongValueError(f"{word!r} is none of {', '.join(FACILITIES)}")
    return FACILITIES.index(word)
