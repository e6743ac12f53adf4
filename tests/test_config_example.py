"""The commented example of the TOML file: what it shows is right, whole, and the default where it says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING

from sensor import config
from sensor.model import Activity
from sensor.settings import (
    HiddenOutcome,
    NetworkSettings,
    PolicyException,
    PolicySettings,
    Schedule,
    ScheduleOutcome,
    SensorSettings,
    Settings,
    Variant,
    Watch,
)
from sensor.settings_notify import EmailChannel, MailSecurity, SyslogChannel, WebhookChannel

if TYPE_CHECKING:
    from pathlib import Path

APPS = ("whatsapp", "facetime", "messenger", "zoom", "teams", "webex", "signal")


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def test_the_example_loads_as_it_says():
    settings = config.loads(config.example_text(), known_apps=APPS)
    assert settings.site == config.loads('[site]\nname = "Example Clinic"\ntimezone = "Europe/Madrid"').site
    assert settings.networks == (
        NetworkSettings("Wards", "ward", (ip_network("10.20.0.0/16"), ip_network("2001:db8:20::/48")), (20,)),
        NetworkSettings("Staff", "staff", (ip_network("10.30.0.0/16"), ip_network("2001:db8:30::/48"))),
        NetworkSettings(
            "Guest Wi-Fi", "guest", (ip_network("10.40.0.0/16"), ip_network("2001:db8:40::/48")), (40,), Watch.EXCLUDED
        ),
    )
    assert settings.devices.routers == ("00:00:5e:00:53:01",)
    assert settings.devices.names == (
        ("mac:00:00:5e:00:53:10", "Telemedicine cart, Ward 3"),
        ("ip:10.30.0.7", "Front desk"),
    )
    assert settings.policy == PolicySettings(
        approved=("teams",),
        variants=(
            Variant("zoom", ("example.zoom.us",), "Business associate agreement with the clinic's own Zoom account"),
        ),
        exceptions=(
            PolicyException(
                "Interpreter calls on Ward 3",
                ("whatsapp",),
                "No interpreter on site at night",
                "Head of nursing",
                ("ip:10.20.3.14", "mac:00:00:5e:00:53:10"),
                ("Wards",),
                (Activity.VOICE_CALL, Activity.VIDEO_CALL),
                ns(2026, 2, 28, 23),
                ns(2099, 12, 31, 23),
            ),
        ),
        visibility=(
            ("vpn", HiddenOutcome.REVIEW),
            ("tor", HiddenOutcome.VIOLATION),
            ("chat_proxy", HiddenOutcome.VIOLATION),
            ("outdated", HiddenOutcome.RECORD),
        ),
        schedules=(
            Schedule(
                "Webex in consulting hours",
                ("webex",),
                8 * 60,
                20 * 60,
                ScheduleOutcome.ALLOWED,
                (0, 1, 2, 3, 4),
                ("Staff",),
            ),
        ),
    )


def test_the_example_shows_the_defaults_where_it_has_no_sample():
    settings = config.loads(config.example_text())
    assert (settings.sensor, settings.capture, settings.store, settings.signatures) == (
        Settings().sensor,
        Settings().capture,
        Settings().store,
        Settings().signatures,
    )


def _defaults() -> list[tuple[str, str]]:
    """(key, value) of every `key = value  # ... default value` of the example whose comment ends with a default."""
    lines = config.example_text().splitlines()
    shown = [re.fullmatch(r"(\w+) = (.+?) +#.*default (\S+)", line) for line in lines]
    return [(match[1], match[3]) for match in shown if match]


def test_each_default_that_the_example_names_is_the_default():
    named = dict(_defaults())
    network, policy, sensor = NetworkSettings("x"), PolicySettings(), SensorSettings()
    assert named == {
        "name": '""',
        "timezone": f'"{Settings().site.timezone}"',
        "kind": f'"{network.kind}"',
        "vlans": "[]",
        "watch": f'"{network.watch}"',
        "flow_table_rows": str(sensor.flow_table_rows),
        "dns_memory_rows": str(sensor.dns_memory_rows),
        "drop_duplicates": str(sensor.drop_duplicates).lower(),
        "ring_mebibytes": str(Settings().capture.ring_mebibytes),
        "promiscuous": str(Settings().capture.promiscuous).lower(),
        "evidence_days": str(Settings().retention.evidence_days),
        "violation_days": str(Settings().retention.violation_days),
        "max_mebibytes": str(Settings().retention.max_mebibytes),
        "window_s": str(Settings().metrics.window_s),
        "spool_mebibytes": str(Settings().store.spool_mebibytes),
        "background_s": str(sensor.idle.background_s),
        "messaging_s": str(sensor.idle.messaging_s),
        "file_transfer_s": str(sensor.idle.file_transfer_s),
        "calls_s": str(sensor.idle.calls_s),
        "approved": "[]",
        "unlisted": f'"{policy.unlisted}"',
        "background": f'"{policy.background.label}"',
        "minimum_strength": f'"{policy.minimum_strength.label}"',
        "port": str(Settings().api.port),
        "public_url": '""',
        **dict.fromkeys(("hosts", "proxies", "identities"), "[]"),
        **{
            key: str(getattr(Settings().api, key)).lower()
            for key in (
                "session_hours",
                "idle_minutes",
                "unmask_hours",
                "second_person",
                "requests_per_minute",
                "body_kibibytes",
            )
        },
        **dict.fromkeys(("ech", "encrypted_dns", "private_relay", "tor", "chat_proxy"), '"record"'),
        "outdated": '"ignore"',
        **_defaults_of_notify(),
        "every_s": str(config.loads('[centre]\nurl = "https://x.example"\nkey_file = "k"').centre.every_s),  # type: ignore[union-attr]
    }
    assert not network.vlans
    assert not policy.approved
    assert not policy.visibility


def _defaults_of_notify() -> dict[str, str]:
    """Made of the least that each kind of channel takes."""
    least = """
        [[notify.email]]\nname = "a"\nto = ["o@x.example"]\nfrom = "w@x.example"\nserver = "x"
        [[notify.webhook]]\nname = "b"\nurl = "https://x.example"
        [[notify.syslog]]\nname = "c"\nhost = "x"
    """
    notify = config.loads(least).notify
    mail, hook, log = notify.channels
    assert isinstance(mail, EmailChannel)
    assert isinstance(hook, WebhookChannel)
    assert isinstance(log, SyslogChannel)
    assert (mail.security, mail.user, hook.format) == (MailSecurity.STARTTLS, "", "wardwatch")
    assert hook.secret_file is hook.ca_file is mail.password_file is None
    return {
        "devices": f'"{notify.devices}"',
        "language": f'"{mail.language}"',
        "tries": str(notify.tries),
        "first_wait_s": str(notify.first_wait_s),
        "longest_wait_s": str(notify.longest_wait_s),
        "security": f'"{mail.security}"',
        "digest_at": f'"{mail.digest_minute // 60:02}:{mail.digest_minute % 60:02}"',
        "least_severity": f'"{mail.least_severity.label}"',
        "allow_private": str(hook.allow_private).lower(),
        "allow_http": str(hook.allow_http).lower(),
        "timeout_s": str(hook.timeout_s),
        "transport": f'"{log.transport}"',
        "format": f'"{log.format}"',
        "facility": '"audit"' if log.facility == 13 else "",
    }


ALL_KEYS = """
api address port certificate key public_url hosts proxies session_hours idle_minutes unmask_hours second_person identities
pseudonym_days requests_per_minute body_kibibytes
site name timezone network kind cidrs vlans watch devices routers names
sensor flow_table_rows dns_memory_rows drop_duplicates hash_seed idle background_s messaging_s file_transfer_s calls_s
capture ring_mebibytes promiscuous filter
retention evidence_days violation_days max_mebibytes metrics textfile window_s store url spool spool_mebibytes signatures own proof key captures policy approved disallowed unlisted background minimum_strength
variant app hosts reason exception apps where activities from until owner schedule days to outcome
visibility ech encrypted_dns private_relay vpn tor chat_proxy outdated
notify language tries first_wait_s longest_wait_s email server security port user password_file digest_at least_severity
webhook format secret_file authorization_file allow_private allow_http timeout_s ca_file
syslog host transport facility cert_file key_file
centre every_s orders public_key
"""


def test_the_example_shows_every_key():
    shown = set(re.findall(r"^(?:# )?(\w+) = ", config.example_text(), re.MULTILINE))
    headed = set(re.findall(r"^\[+([a-z.]+)\]+", config.example_text(), re.MULTILINE))
    assert shown | {name.rpartition(".")[2] for name in headed} == set(ALL_KEYS.split())


def test_what_the_example_leaves_commented_is_right_too(tmp_path: Path):
    (tmp_path / "signatures").mkdir()
    (tmp_path / "tls").mkdir()
    for name in ("wardwatch.pem", "wardwatch.key"):
        (tmp_path / "tls" / name).touch()
    path = tmp_path / "clinic.toml"
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", config.example_text(), flags=re.MULTILINE), "utf-8")
    settings = config.load(path, known_apps=APPS)
    assert settings.sensor.hash_seed == 1
    assert settings.capture.filter == ((40, 0, 0, 12), (21, 1, 0, 2054), (6, 0, 0, 262144), (6, 0, 0, 0))
    assert settings.store.url == "sqlite:////var/lib/wardwatch/wardwatch.sqlite"
    assert settings.signatures.own == tmp_path / "signatures"
    assert settings.api.certificate == tmp_path / "tls" / "wardwatch.pem"
