"""From the settings of a channel to its sender: secrets and certificates are read here, once."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from sensor.errors import ConfigError
from sensor.notify import secret_files
from sensor.notify.connecting import tls_context
from sensor.notify.letters import Manner
from sensor.notify.mail import Mail
from sensor.notify.syslog import Syslog
from sensor.notify.webhook import Webhook
from sensor.settings_notify import EmailChannel, WebhookChannel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sensor.notify.sending import Sender
    from sensor.settings_notify import Channel
    from sensor.setup import Setup


def sender(channel: Channel, file: str, made: Setup, say: Callable[[str], None]) -> Sender:
    """The sender of a channel; `file` is what messages call the configuration. Raises ConfigError."""
    place = f"{file}: {channel.place}"
    context = _context(channel.ca_file, f"{place}.ca_file")
    if isinstance(channel, EmailChannel):
        manner = Manner(channel.language, made.settings.site.timezone, made.settings.api.public_url)
        password = None
        if channel.password_file is not None:
            password = secret_files.read(channel.password_file, f"{place}.password_file")
        return Mail(channel, context, manner, password=password, say=say)
    if isinstance(channel, WebhookChannel):
        key = authorization = None
        if channel.secret_file is not None:
            key = secret_files.read_key(channel.secret_file, f"{place}.secret_file")
        if channel.authorization_file is not None:
            authorization = secret_files.read_header(channel.authorization_file, f"{place}.authorization_file")
        return Webhook(channel, context, key=key, authorization=authorization)
    if channel.cert_file is not None:
        _identify(context, channel.cert_file, channel.key_file, place)
    return Syslog(channel, context)


def _context(ca_file: Path | None, place: str) -> ssl.SSLContext:
    try:
        return tls_context(ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"{place}: {ca_file} holds no certificates in PEM") from error
    except OSError as error:
        raise ConfigError(f"{place}: {ca_file} cannot be read: {error.strerror}") from error


def _identify(context: ssl.SSLContext, cert_file: Path, key_file: Path | None, place: str) -> None:
    """With which certificate this side shows who it is. A key that needs a password is refused: nobody is there to type it."""

    def password() -> str:
        raise ConfigError(f"{place}.key_file: {key_file or cert_file} needs a password")

    try:
        context.load_cert_chain(cert_file, key_file, password)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{place}.cert_file: {cert_file} holds no certificate in PEM, or not that of its key"
        ) from error
    except OSError as error:
        key = "cert_file" if key_file is None or not cert_file.exists() else "key_file"
        raise ConfigError(f"{place}.{key}: {error.filename or cert_file} cannot be read: {error.strerror}") from error
