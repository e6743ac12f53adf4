"""One TOML file -> frozen settings. Unknown keys and every other mistake are one ConfigError, `FILE: KEY: reason`.

`config_example.toml` beside this module documents each key, its default and its meaning.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor import config_api, config_centre, config_notify
from sensor import config_values as values
from sensor.model import Activity, Severity, Strength
from sensor.settings import (
    DEFAULT_DISALLOWED,
    CaptureSettings,
    DeviceSettings,
    HiddenOutcome,
    IdleSettings,
    MetricsSettings,
    NetworkSettings,
    PolicyException,
    PolicySettings,
    ProofSettings,
    RetentionSettings,
    Schedule,
    ScheduleOutcome,
    SensorSettings,
    Settings,
    SignatureSettings,
    SiteSettings,
    StoreSettings,
    Unlisted,
    Variant,
    Watch,
    default_store_url,
    unasked,
)
from sensor.toml_table import REQUIRED, Table, parse, read

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Settings", "example_text", "load", "loads"]

HIDING: Final = (
    "ech",
    "encrypted_dns",
    "private_relay",
    "vpn",
    "tor",
    "chat_proxy",
    "outdated",
)  # kinds of signatures/visibility
_EXAMPLE: Final = "config_example.toml"
_SECTIONS: Final = (
    "site",
    "network",
    "devices",
    "sensor",
    "capture",
    "store",
    "metrics",
    "retention",
    "signatures",
    "proof",
    "policy",
    "api",
    "notify",
    "centre",
)


def example_text() -> str:
    """The commented example of `wardwatch config example`; it loads."""
    return resources.files("sensor").joinpath(_EXAMPLE).read_text("utf-8")


def load(path: Path | None, *, known_apps: Collection[str] | None = None, ordered: Path | None = None) -> Settings:
    """The settings of a file, or those that hold without one. `known_apps` None: ids of apps are not looked up. Raises ConfigError.

    `ordered`: a folder with what a centre orders, instead of the one in force.
    """
    if path is None:
        return Settings()
    return _settings(read(path, _SECTIONS), path.parent, known_apps, ordered)


def loads(text: str, *, file: str = "config", known_apps: Collection[str] | None = None) -> Settings:
    """The settings of TOML text; `file` is what the messages call it. Raises ConfigError."""
    return _settings(parse(file, text.encode(), _SECTIONS), Path(), known_apps)


def _settings(top: Table, folder: Path, known_apps: Collection[str] | None, ordered: Path | None = None) -> Settings:
    centre = config_centre.read(top.table("centre", config_centre.KEYS), folder) if "centre" in top else None
    if ordered is None and centre is not None and centre.orders is not None:
        ordered = centre.orders / config_centre.CURRENT
    site = _site(top.table("site", ("name", "timezone")))
    networks = tuple(_network(table) for table in top.tables("network", ("name", "kind", "cidrs", "vlans", "watch")))
    _check_networks(top, networks)
    devices = _devices(top.table("devices", ("routers", "names")))
    return Settings(
        site=site,
        networks=networks,
        devices=devices,
        sensor=_sensor(
            top.table("sensor", ("flow_table_rows", "dns_memory_rows", "drop_duplicates", "hash_seed", "idle"))
        ),
        capture=_capture(top.table("capture", ("ring_mebibytes", "promiscuous", "filter"))),
        store=_store(top.table("store", ("url", "spool", "spool_mebibytes"))),
        retention=_retention(top.table("retention", ("evidence_days", "violation_days", "max_mebibytes"))),
        metrics=_metrics(top.table("metrics", ("textfile", "window_s"))),
        signatures=_signatures(top.table("signatures", ("own",)), folder, ordered),
        proof=_proof(top.table("proof", ("key", "captures")), folder),
        policy=_Policies(site, networks, devices, known_apps).read(config_centre.ordered_policy(ordered) or top),
        api=config_api.read(top.table("api", config_api.KEYS), folder),
        notify=config_notify.read(top.table("notify", config_notify.KEYS), folder),
        centre=centre,
    )


def _site(table: Table) -> SiteSettings:
    return SiteSettings(
        name=table.one("name", values.text, ""),
        timezone=table.one("timezone", values.timezone, "UTC"),
    )


def _network(table: Table) -> NetworkSettings:
    network = NetworkSettings(
        name=table.one("name", values.text),
        kind=table.one("kind", values.text, ""),
        cidrs=table.each("cidrs", values.network),
        vlans=table.each("vlans", values.whole(1, 4094)),  # IEEE 802.1Q: 0 and 4095 are reserved
        watch=table.one("watch", values.choice(Watch), Watch.MONITORED),
    )
    if not network.cidrs and not network.vlans:
        raise table.wrong("", "has neither cidrs nor vlans")
    return network


def _check_networks(top: Table, networks: tuple[NetworkSettings, ...]) -> None:
    """No two of one name, and no address or tag that two claim alike; one inside another is fine, the longer prefix wins."""
    for second, network in enumerate(networks):
        for first, earlier in enumerate(networks[:second]):
            if network.name == earlier.name:
                raise top.wrong(f"network[{second}].name", f"{network.name!r} is the name of network[{first}] too")
            clash = _clash(earlier, network)
            if clash:
                raise top.wrong(f"network[{second}].{clash}", f"belongs to network[{first}] {earlier.name!r} too")


def _clash(earlier: NetworkSettings, network: NetworkSettings) -> str:
    """The key of what both claim alike, or ""."""
    if set(earlier.vlans).isdisjoint(network.vlans) and (earlier.vlans or network.vlans):
        return ""  # told apart by their tags
    for index, cidr in enumerate(network.cidrs):
        if cidr in earlier.cidrs:
            return f"cidrs[{index}]"
    if not earlier.cidrs and not network.cidrs:
        return f"vlans[{next(index for index, vlan in enumerate(network.vlans) if vlan in earlier.vlans)}]"
    return ""


def _devices(table: Table) -> DeviceSettings:
    return DeviceSettings(
        routers=table.each("routers", values.mac),
        names=table.pairs("names", values.device_id, values.text),
    )


def _sensor(table: Table) -> SensorSettings:
    default = SensorSettings()
    return SensorSettings(
        flow_table_rows=table.one("flow_table_rows", values.power_of_two(1 << 10, 1 << 26), default.flow_table_rows),
        dns_memory_rows=table.one("dns_memory_rows", values.whole(1 << 10, 1 << 26), default.dns_memory_rows),
        drop_duplicates=table.one("drop_duplicates", values.switch, default.drop_duplicates),
        hash_seed=table.one("hash_seed", values.whole(0, (1 << 63) - 1), default.hash_seed),
        idle=_idle(table.table("idle", ("background_s", "messaging_s", "file_transfer_s", "calls_s"))),
    )


def _idle(table: Table) -> IdleSettings:
    default, seconds = IdleSettings(), values.whole(1, 86_400)
    return IdleSettings(
        background_s=table.one("background_s", seconds, default.background_s),
        messaging_s=table.one("messaging_s", seconds, default.messaging_s),
        file_transfer_s=table.one("file_transfer_s", seconds, default.file_transfer_s),
        calls_s=table.one("calls_s", seconds, default.calls_s),
    )


def _capture(table: Table) -> CaptureSettings:
    default = CaptureSettings()
    return CaptureSettings(
        ring_mebibytes=table.one("ring_mebibytes", values.whole(2, 4096), default.ring_mebibytes),
        promiscuous=table.one("promiscuous", values.switch, default.promiscuous),
        filter=table.one("filter", values.bpf_program, default.filter),
    )


def _store(table: Table) -> StoreSettings:
    default = StoreSettings()
    return StoreSettings(
        url=table.one("url", values.store_url, default_store_url()),
        spool=table.one("spool", values.text, default.spool),
        spool_mebibytes=table.one("spool_mebibytes", values.whole(1, 65536), default.spool_mebibytes),
    )


def _retention(table: Table) -> RetentionSettings:
    default, days = RetentionSettings(), values.whole(1, 36_500)
    made = RetentionSettings(
        evidence_days=table.one("evidence_days", days, default.evidence_days),
        violation_days=table.one("violation_days", days, default.violation_days),
        max_mebibytes=table.one("max_mebibytes", values.whole(0, 1 << 24), default.max_mebibytes),
    )
    if made.violation_days < made.evidence_days:
        raise table.wrong("violation_days", "is less than evidence_days: violations are kept at least as long")
    return made


def _metrics(table: Table) -> MetricsSettings:
    default = MetricsSettings()
    return MetricsSettings(
        textfile=table.one("textfile", values.text, default.textfile),
        window_s=table.one("window_s", values.whole(1, 3600), default.window_s),
    )


def _signatures(table: Table, folder: Path, ordered: Path | None) -> SignatureSettings:
    own = table.one("own", values.text, "")
    if ordered is not None and any((ordered / config_centre.SIGNATURES).glob("*.yaml")):
        return SignatureSettings(own=ordered / config_centre.SIGNATURES)
    if own and not (folder / own).is_dir():
        raise table.wrong("own", f"{own!r} is not a folder")
    return SignatureSettings(own=folder / own if own else None)


def _proof(table: Table, folder: Path) -> ProofSettings:
    key = table.one("key", values.text, "")
    captures = table.each("captures", values.text)
    return ProofSettings(folder / key if key else None, tuple(folder / each for each in captures))


class _Policies:
    """Reads [policy]; knows what its entries may refer to."""

    def __init__(
        self,
        site: SiteSettings,
        networks: tuple[NetworkSettings, ...],
        devices: DeviceSettings,
        known_apps: Collection[str] | None,
    ) -> None:
        self._app = values.app(known_apps)
        self._any = values.app(None if known_apps is None else (*known_apps, *HIDING))  # exceptions and schedules
        self._where = values.member("network", [network.name for network in networks])
        self._device = values.device(devices.names)
        self._zone = site.timezone

    def read(self, top: Table) -> PolicySettings:
        lists = ("approved", "disallowed", "unlisted", "background", "minimum_strength")
        table = top.table("policy", (*lists, "visibility", "variant", "exception", "schedule"))
        approved = table.each("approved", self._app)
        disallowed = table.each(
            "disallowed", self._app, tuple(app for app in DEFAULT_DISALLOWED if app not in approved)
        )
        for index, app in enumerate(disallowed):
            if app in approved:
                raise table.wrong(f"disallowed[{index}]", f"{app!r} is in policy.approved too")
        exception = ("name", "apps", "devices", "where", "activities", "from", "until", "reason", "owner")
        schedule = ("name", "apps", "where", "days", "from", "to", "outcome")
        policy = PolicySettings(
            approved=approved,
            disallowed=disallowed,
            unlisted=table.one("unlisted", values.choice(Unlisted), Unlisted.UNREVIEWED),
            background=table.one("background", values.level(Severity), Severity.INFORMATION),
            minimum_strength=table.one("minimum_strength", values.level(Strength, Strength.STRONG), Strength.STRONG),
            variants=tuple(self._variant(each) for each in table.tables("variant", ("app", "hosts", "reason"))),
            exceptions=tuple(self._exception(each) for each in table.tables("exception", exception)),
            schedules=tuple(self._schedule(each) for each in table.tables("schedule", schedule)),
            visibility=_visibility(table.table("visibility", HIDING)),
        )
        _check_names(table, "exception", [each.name for each in policy.exceptions])
        _check_names(table, "schedule", [each.name for each in policy.schedules])
        return policy

    def _variant(self, table: Table) -> Variant:
        return Variant(
            app=table.one("app", self._app),
            hosts=table.each("hosts", values.host, REQUIRED),
            reason=table.one("reason", values.text),
        )

    def _exception(self, table: Table) -> PolicyException:
        exception = PolicyException(
            name=table.one("name", values.text),
            apps=table.each("apps", self._any, REQUIRED),
            reason=table.one("reason", values.text),
            owner=table.one("owner", values.text),
            devices=tuple(sorted({each for ids in table.each("devices", self._device) for each in ids})),
            where=table.each("where", self._where),
            activities=table.each("activities", values.level(Activity)),
            from_ns=table.one("from", values.moment(self._zone, end=False), None),
            until_ns=table.one("until", values.moment(self._zone, end=True), None),
        )
        if exception.from_ns is not None and exception.until_ns is not None and exception.from_ns >= exception.until_ns:
            raise table.wrong("until", "is not after from")
        return exception

    def _schedule(self, table: Table) -> Schedule:
        schedule = Schedule(
            name=table.one("name", values.text),
            apps=table.each("apps", self._any, REQUIRED),
            from_minute=table.one("from", values.clock(end=False)),
            to_minute=table.one("to", values.clock(end=True)),
            outcome=table.one("outcome", values.choice(ScheduleOutcome)),
            days=tuple(sorted(table.each("days", values.day, tuple(range(7))))),
            where=table.each("where", self._where),
        )
        if schedule.from_minute == schedule.to_minute:
            raise table.wrong("to", 'is the same as from; a whole day is from = "00:00", to = "24:00"')
        return schedule


def _visibility(table: Table) -> tuple[tuple[str, HiddenOutcome], ...]:
    chosen = ((kind, table.one(kind, values.choice(HiddenOutcome), unasked(kind))) for kind in HIDING)
    return tuple((kind, outcome) for kind, outcome in chosen if outcome is not unasked(kind))


def _check_names(table: Table, key: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise table.wrong(f"{key}[{index}].name", f"{name!r} is the name of {key}[{names.index(name)}] too")
