"""The settings that one TOML file holds: frozen values, with the default of each. `config` reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.model import Activity, Severity, Strength
from sensor.settings_api import ApiSettings
from sensor.settings_notify import NotifySettings

if TYPE_CHECKING:
    from sensor.settings_centre import CentreSettings

IPNetwork = IPv4Network | IPv6Network

DEFAULT_DISALLOWED: Final = ("whatsapp", "facetime", "messenger", "zoom")


class Watch(StrEnum):
    """Of an excluded network nothing about devices is stored."""

    MONITORED = "monitored"
    EXCLUDED = "excluded"


class Unlisted(StrEnum):
    """What a known app that no list names is."""

    UNREVIEWED = "unreviewed"
    ALLOWED = "allowed"
    VIOLATION = "violation"


class HiddenOutcome(StrEnum):
    """What the policy makes of something that hides the use of apps, such as a VPN."""

    RECORD = "record"
    IGNORE = "ignore"
    REVIEW = "review"
    VIOLATION = "violation"


def unasked(kind: str) -> HiddenOutcome:
    """What is made of a kind of which the policy says nothing: outdated systems are looked for only where it does."""
    return HiddenOutcome.IGNORE if kind == "outdated" else HiddenOutcome.RECORD


class ScheduleOutcome(StrEnum):
    """What a schedule makes of its apps in its hours."""

    ALLOWED = "allowed"
    VIOLATION = "violation"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """`timezone` is an IANA name: schedules, days of exceptions and displayed times are of it."""

    name: str = ""
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Addresses, VLANs, or both, under one name. With both, a frame whose tag is not seen is told by its address."""

    name: str
    kind: str = ""
    cidrs: tuple[IPNetwork, ...] = ()
    vlans: tuple[int, ...] = ()
    watch: Watch = Watch.MONITORED


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`routers`: MACs, lower case with colons. `names`: (device id, label), ids as `model.Device.id` has them."""

    routers: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class IdleSettings:
    """Seconds without a packet after which an episode closes, by its activity."""

    background_s: int = 900
    messaging_s: int = 600
    file_transfer_s: int = 300
    calls_s: int = 120

    def idle_ns(self, activity: Activity) -> int:
        """The idle time of an episode of this activity, in nanoseconds."""
        seconds = {
            Activity.BACKGROUND: self.background_s,
            Activity.MESSAGING: self.messaging_s,
            Activity.FILE_TRANSFER: self.file_transfer_s,
        }.get(activity, self.calls_s)
        return seconds * 1_000_000_000


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """Sizes of what the sensor remembers. `drop_duplicates`: packets that the mirror shows twice. `hash_seed` None: chosen by the pipeline."""

    flow_table_rows: int = 1 << 20
    dns_memory_rows: int = 1 << 18
    drop_duplicates: bool = True
    hash_seed: int | None = None
    idle: IdleSettings = field(default_factory=IdleSettings)


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Of `wardwatch watch`. `filter`: classic BPF, instructions of code, jump if true, jump if false, operand; empty: everything."""

    ring_mebibytes: int = 64
    promiscuous: bool = True
    filter: tuple[tuple[int, int, int, int], ...] = ()


def default_store_url() -> str:
    """SQLite in $STATE_DIRECTORY (systemd's), else in wardwatch/ of $XDG_STATE_HOME, else of ~/.local/state."""
    service = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    home = os.environ.get("XDG_STATE_HOME") or str(Path("~").expanduser() / ".local" / "state")
    folder = Path(service) if service else Path(home) / "wardwatch"
    return f"sqlite:///{folder / 'wardwatch.sqlite'}"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`url` as SQLAlchemy reads it. It may hold a password: print it nowhere. `spool`: a file; empty: beside the store."""

    url: str = field(default_factory=default_store_url, repr=False)
    spool: str = ""
    spool_mebibytes: int = 64


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """`textfile`: written every quarter of a minute for Prometheus; empty: not at all. `window_s`: in which the mirror port is judged."""

    textfile: str = ""
    window_s: int = 60


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long is kept what was seen: what is no violation, and violations; and how much. Mebibytes 0: no bound."""

    evidence_days: int = 30
    violation_days: int = 365
    max_mebibytes: int = 0


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """`own`: the clinic's folder of signatures; relative to the folder of the TOML file."""

    own: Path | None = None


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """`key`: the file of the signing key, None: beside the store. `captures`: where evidence is cut from, besides where it was read."""

    key: Path | None = None
    captures: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """Use of `app` through the clinic's own `hosts` (and names below them) is approved."""

    app: str
    hosts: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyException:
    """What is allowed in spite of the lists. Empty `devices`, `where` or `activities`: any. In force from `from_ns` on, before `until_ns`."""

    name: str
    apps: tuple[str, ...]
    reason: str
    owner: str
    devices: tuple[str, ...] = ()  # device ids, "mac:..." or "ip:..."
    where: tuple[str, ...] = ()  # names of networks
    activities: tuple[Activity, ...] = ()
    from_ns: int | None = None
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of the site's wall clock, [`from_minute`, `to_minute`); across midnight where `to` is not after `from`."""

    name: str
    apps: tuple[str, ...]
    from_minute: int
    to_minute: int
    outcome: ScheduleOutcome
    days: tuple[int, ...] = tuple(range(7))  # on which the hours begin, Monday is 0
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What is allowed. The rules' order is in docs/policy.md."""

    approved: tuple[str, ...] = ()
    disallowed: tuple[str, ...] = DEFAULT_DISALLOWED
    unlisted: Unlisted = Unlisted.UNREVIEWED
    background: Severity = Severity.INFORMATION
    minimum_strength: Strength = Strength.STRONG
    variants: tuple[Variant, ...] = ()
    exceptions: tuple[PolicyException, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    visibility: tuple[tuple[str, HiddenOutcome], ...] = ()  # by kind; what is not here is recorded


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything one TOML file says. `Settings()` is what holds with no file at all."""

    site: SiteSettings = field(default_factory=SiteSettings)
    networks: tuple[NetworkSettings, ...] = ()
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    sensor: SensorSettings = field(default_factory=SensorSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    signatures: SignatureSettings = field(default_factory=SignatureSettings)
    proof: ProofSettings = field(default_factory=ProofSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    centre: CentreSettings | None = None
