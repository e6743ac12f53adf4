"""`[notify]` of the TOML file: what it means, and the one line that each mistake gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor import config
from sensor.errors import ConfigError
from sensor.model import Severity
from sensor.notify.formats import FORMATS
from sensor.settings_notify import (
    EmailChannel,
    Language,
    MailSecurity,
    NotifySettings,
    ShownAs,
    SyslogChannel,
    Transport,
    WebhookChannel,
)

MAIL = '[[notify.email]]\nname = "m"\nto = ["o@x.example"]\nfrom = "w@x.example"\nserver = "mail.x.example"\n'
HOOK = '[[notify.webhook]]\nname = "h"\nurl = "https://x.example/in"\n'
LOG = '[[notify.syslog]]\nname = "l"\nhost = "log.x.example"\n'


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.loads(text, file="clinic.toml")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix("clinic.toml: ")


def test_without_it_nobody_is_told() -> None:
    assert config.loads("").notify == NotifySettings()
    assert NotifySettings().channels == ()
    assert NotifySettings().devices is ShownAs.PSEUDONYM


def test_the_example_means_what_it_says() -> None:
    notify = config.loads(config.example_text()).notify
    mail, hook, log = notify.channels
    assert mail == EmailChannel(
        "officer",
        ("officer@clinic.example",),
        "wardwatch@clinic.example",
        "mail.clinic.example",
        587,
        MailSecurity.STARTTLS,
        "wardwatch",
        Path("smtp-password"),
        None,
        7 * 60,
        Language.SPANISH,
        Severity.LOW,
        20,
        "notify.email[0]",
    )
    assert hook == WebhookChannel(
        "siem",
        "https://siem.clinic.example/wardwatch",
        "ecs",
        Path("webhook-key"),
        allow_private=True,
        place="notify.webhook[0]",
    )
    assert log == SyslogChannel("log", "log.clinic.example", 6514, place="notify.syslog[0]")


def test_files_are_beside_the_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_text(f'{HOOK}secret_file = "key"\nauthorization_file = "/run/credentials/token"\n', "utf-8")
    (hook,) = config.load(path).notify.channels
    assert isinstance(hook, WebhookChannel)
    assert (hook.secret_file, hook.authorization_file) == (tmp_path / "key", Path("/run/credentials/token"))


@pytest.mark.parametrize(
    ("more", "port"), [("", 587), ('security = "tls"', 465), ('security = "none"', 25), ("port = 2525", 2525)]
)
def test_the_port_of_mail_follows_from_its_security(more: str, port: int) -> None:
    (mail,) = config.loads(MAIL + more).notify.channels
    assert isinstance(mail, EmailChannel)
    assert mail.port == port


@pytest.mark.parametrize(("transport", "port"), [(Transport.TLS, 6514), (Transport.TCP, 601), (Transport.UDP, 514)])
def test_the_port_of_syslog_follows_from_its_transport(transport: Transport, port: int) -> None:
    (log,) = config.loads(f'{LOG}transport = "{transport}"').notify.channels
    assert isinstance(log, SyslogChannel)
    assert log.port == port


def test_a_channels_language_is_that_of_all_unless_it_has_its_own() -> None:
    text = f'[notify]\nlanguage = "es"\n{MAIL}' + MAIL.replace('"m"', '"n"') + 'language = "en"\n'
    first, second = config.loads(text).notify.channels
    assert isinstance(first, EmailChannel)
    assert isinstance(second, EmailChannel)
    assert (first.language, second.language) == (Language.SPANISH, Language.ENGLISH)


def test_a_wait_is_never_longer_than_the_longest() -> None:
    assert config.loads("[notify]\nfirst_wait_s = 3600").notify.longest_wait_s == 3600


@pytest.mark.parametrize("host", ["10.0.0.9", "2001:db8::9", "log", "log.x.example.", "LOG.X.EXAMPLE"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    (log,) = config.loads(LOG.replace("log.x.example", host)).notify.channels
    assert isinstance(log, SyslogChannel)
    assert log.host == host.lower().removesuffix(".")


URL = "notify.webhook[0].url: "
PLAIN = "is not a URL such as 'https://siem.clinic.example/hook'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[notify]\ndevice = 'id'", "notify.device: unknown key (did you mean 'devices'?)"),
        ("[notify]\ndevices = 'mac'", "notify.devices: 'mac' is none of pseudonym, label, id"),
        ("[notify]\nlanguage = 'fr'", "notify.language: 'fr' is none of en, es"),
        ("[notify]\ntries = 0", "notify.tries: 0 is not between 1 and 1000"),
        ("[notify]\nfirst_wait_s = 60\nlongest_wait_s = 30", "notify.longest_wait_s: 30 is not between 60 and 86400"),
        ("[notify.email]", "notify.email: must be a list, not a table"),
        ("[[notify.email]]", "notify.email[0].name: is missing"),
        (MAIL.replace('"m"', '"Officer"'), "notify.email[0].name: 'Officer' is not a name of up to 40 of a-z, 0-9, '-' and '_', such as 'officer'"),
        (MAIL + HOOK.replace('"h"', '"m"'), "notify.webhook[0].name: 'm' is the name of email[0] too"),
        (MAIL.replace('["o@x.example"]', "[]"), "notify.email[0].to: must not be empty"),
        (MAIL.replace("o@x.example", "o@x.example, b@x.example"), "notify.email[0].to[0]: 'o@x.example, b@x.example' is not an e-mail address, such as 'officer@clinic.example'"),
        (MAIL.replace("o@x.example", "o@x.example\\r\\nBcc: s@x.example"), "notify.email[0].to[0]: must be one line of printable characters"),
        (MAIL.replace("w@x.example", "Ward <w@x.example>"), "notify.email[0].from: 'Ward <w@x.example>' is not an e-mail address, such as 'officer@clinic.example'"),
        (MAIL.replace("mail.x.example", "mail:25"), "notify.email[0].server: 'mail:25' is neither a host name nor an IP address"),
        (MAIL + "user = 'w'", "notify.email[0].password_file: is missing: a login needs user and password_file"),
        (MAIL + "password_file = 'p'", "notify.email[0].user: is missing: a login needs user and password_file"),
        (MAIL + "password = 'p'", "notify.email[0].password: unknown key (did you mean 'password_file'?)"),
        (MAIL + "security = 'none'\nuser = 'w'\npassword_file = 'p'", "notify.email[0].security: 'none' would send the password for everybody to read"),
        (MAIL + "security = 'ssl'", "notify.email[0].security: 'ssl' is none of starttls, tls, none"),
        (MAIL + "digest_at = '24:00'", "notify.email[0].digest_at: '24:00' is not a time of day, such as '08:00'"),
        (MAIL + "least_severity = 'grave'", "notify.email[0].least_severity: 'grave' is none of information, low, medium, high"),
        (MAIL + "timeout_s = 0", "notify.email[0].timeout_s: 0 is not between 1 and 300"),
        (MAIL + "port = 65536", "notify.email[0].port: 65536 is not between 1 and 65535"),
        (HOOK.replace("https://x.example/in", "http://x.example/in"), URL + "is not https; allow_http = true sends it in the clear"),
        (HOOK.replace("https://x.example/in", "https://me:word@x.example/in"), URL + "holds a login; put it into authorization_file"),
        (HOOK.replace("https://x.example/in", "file:///etc/passwd"), URL + f"'file:///etc/passwd' {PLAIN}"),
        (HOOK.replace("https://x.example/in", "https:///in"), URL + f"'https:///in' {PLAIN}"),
        (HOOK.replace("x.example/in", "x.example:0/in"), URL + f"'https://x.example:0/in' {PLAIN}"),
        (HOOK.replace("x.example/in", "x.example:99999/in"), URL + "is not a URL: Port out of range 0-65535"),
        (HOOK.replace("x.example/in", "[::1/in"), URL + "is not a URL: Invalid IPv6 URL"),
        (HOOK.replace("x.example/in", "x.example/a b"), URL + "'https://x.example/a b' has characters that a URL must have encoded, or a fragment"),
        (HOOK.replace("x.example/in", "x.example/#a"), URL + "'https://x.example/#a' has characters that a URL must have encoded, or a fragment"),
        (HOOK.replace("x.example/in", "a..b/in"), URL + "'a..b' is neither a host name nor an IP address"),
        (HOOK + "format = 'ecs2'", f"notify.webhook[0].format: 'ecs2' is none of {', '.join(FORMATS)} (did you mean 'ecs'?)"),
        (HOOK + "allow_private = 1", "notify.webhook[0].allow_private: must be true or false, not a whole number"),
        (LOG + "facility = 'local8'", "notify.syslog[0].facility: 'local8' is none of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7"),
        (LOG + "transport = 'udp'\nca_file = 'x'", "notify.syslog[0].ca_file: is of no use with the transport 'udp'"),
        (LOG + "key_file = 'x'", "notify.syslog[0].cert_file: is missing: key_file is the key of a certificate"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(text: str, message: str) -> None:
    assert message_of(text) == message


def test_a_login_in_a_url_is_not_repeated() -> None:
    assert "word" not in message_of(HOOK.replace("https://x", "https://me:word@x"))
