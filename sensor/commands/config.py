"""`wardwatch config example` and `wardwatch config check`."""

from __future__ import annotations

import sys
import time
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import accounts, config
from sensor.commands.output import standard_output
from sensor.config_values import from_ns
from sensor.policy import Policy
from sensor.settings import Watch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sensor.settings import NetworkSettings, Settings


def example() -> int:
    """Print the commented example. Returns the exit status, 0."""
    with standard_output():
        print(config.example_text(), end="")
    return 0


def check(path: str | Path, *, known_apps: Collection[str] | None = None, now_ns: int | None = None) -> int:
    """Print what a file says on stdout and warnings on stderr. Returns 0, also with warnings. Raises ConfigError.

    `known_apps` None: ids of apps are not looked up. `now_ns` None: the clock's time.
    """
    settings = config.load(Path(path), known_apps=known_apps)
    for warning in warnings(settings, time.time_ns() if now_ns is None else now_ns):
        print(f"{path}: {warning}", file=sys.stderr)
    with standard_output():
        print(f"{path}: good: {summary(settings)}")
    return 0


def summary(settings: Settings) -> str:
    """One line on what is configured, ending with the hash that verdicts will cite."""
    policy, networks = settings.policy, settings.networks
    excluded = sum(network.watch is Watch.EXCLUDED for network in networks)
    counts = (
        f"{len(networks)} networks ({excluded} excluded)" if networks else "all addresses monitored",
        f"{len(policy.approved)} approved apps",
        f"{len(policy.disallowed)} disallowed",
        f"{len(policy.variants)} variants",
        f"{len(policy.exceptions)} exceptions",
        f"{len(policy.schedules)} schedules",
        f"policy {Policy(settings).hash}",
    )
    return ", ".join(counts)


def warnings(settings: Settings, now_ns: int) -> Iterator[str]:
    """What is no mistake and hardly meant: `KEY: warning: reason`, one line each."""
    yield from _nested(settings.networks)
    for index, rule in enumerate(settings.policy.variants):
        zone = accounts.zone_of(rule.app, rule.hosts)
        for at, host in enumerate(rule.hosts):
            if host in zone.zones or (host.partition(".")[2] in zone.zones and not zone.is_account(host)):
                key = f"policy.variant[{index}].hosts[{at}]"
                yield f"{key}: warning: {host!r} is shared by many accounts, so everybody's use is approved"
    for index, exception in enumerate(settings.policy.exceptions):
        key = f"policy.exception[{index}]"
        if exception.until_ns is None:
            yield f"{key}: warning: {exception.name!r} never ends"
        elif exception.until_ns <= now_ns:
            end = from_ns(exception.until_ns, settings.site.timezone).isoformat(sep=" ", timespec="minutes")
            yield f"{key}.until: warning: {exception.name!r} expired at {end}"
        if not exception.devices and not exception.where:
            yield f"{key}: warning: {exception.name!r} covers every device everywhere"


def _nested(networks: tuple[NetworkSettings, ...]) -> Iterator[str]:
    """Prefixes of one network inside another of a different name."""
    for index, network in enumerate(networks):
        for at, cidr in enumerate(network.cidrs):
            for outer in networks:
                if outer is not network and any(_inside(cidr, other) for other in outer.cidrs):
                    yield f"network[{index}].cidrs[{at}]: warning: {str(cidr)!r} lies inside network {outer.name!r}; {network.name!r} has it"


def _inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner != outer and inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner != outer and inner.subnet_of(outer)
    return False
