"""The settings of `[notify]`: who is told, by which channel, and how devices appear there. `config_notify` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sensor.model import Severity

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S: Final = 20
DIGEST_MINUTE: Final = 7 * 60
WEBHOOK_FORMAT: Final = "wardwatch"
SYSLOG_FORMAT: Final = "cef"
SYSLOG_FACILITY: Final = 13  # log audit (RFC 5424 6.2.1)


class ShownAs(StrEnum):
    """How devices appear in what leaves the sensor: by pseudonym, by their label where they have one, or with id and addresses."""

    PSEUDONYM = "pseudonym"
    LABEL = "label"
    ID = "id"


class Language(StrEnum):
    """Of what people read; the formats for machines are in English."""

    ENGLISH = "en"
    SPANISH = "es"


class MailSecurity(StrEnum):
    """`starttls` refuses a server that does not offer it; `none` is for a relay on the same machine."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Transport(StrEnum):
    """Of syslog: RFC 5425, RFC 6587 with octet counts, RFC 5426."""

    TLS = "tls"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Calls at once, the rest as one digest a day at `digest_minute` of the site's clock. `password_file` is of `user`."""

    name: str
    to: tuple[str, ...]
    sender: str
    server: str
    port: int
    security: MailSecurity = MailSecurity.STARTTLS
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    digest_minute: int = DIGEST_MINUTE
    language: Language = Language.ENGLISH
    least_severity: Severity = Severity.INFORMATION
    timeout_s: int = TIMEOUT_S
    place: str = ""  # in the TOML file, for messages


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """`secret_file` holds the key of the signature, `authorization_file` the value of a header Authorization."""

    name: str
    url: str
    format: str = WEBHOOK_FORMAT
    secret_file: Path | None = None
    authorization_file: Path | None = None
    ca_file: Path | None = None
    allow_http: bool = False
    allow_private: bool = False
    least_severity: Severity = Severity.INFORMATION
    timeout_s: int = TIMEOUT_S
    place: str = ""  # in the TOML file, for messages


@dataclass(frozen=True, slots=True)
class SyslogChannel:
    """`cert_file` and `key_file`: where the receiver wants to know who is sending."""

    name: str
    host: str
    port: int
    transport: Transport = Transport.TLS
    format: str = SYSLOG_FORMAT
    facility: int = SYSLOG_FACILITY
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    least_severity: Severity = Severity.INFORMATION
    timeout_s: int = TIMEOUT_S
    place: str = ""  # in the TOML file, for messages


Channel = EmailChannel | WebhookChannel | SyslogChannel


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """`tries`: after so many a message is a dead letter. They come `first_wait_s` apart, then twice that, up to `longest_wait_s`."""

    devices: ShownAs = ShownAs.PSEUDONYM
    tries: int = 30
    first_wait_s: int = 30
    longest_wait_s: int = 3600
    channels: tuple[Channel, ...] = ()
