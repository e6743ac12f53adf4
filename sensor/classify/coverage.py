"""For each app and activity: which rules can prove it, how strongly, and on which real captures they were met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.model import Activity, Strength

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.classify.rules import App, Kind, Rule

# What of the traffic a kind of rule looks at, by the names that evidence goes by.
_NAMES: Final = ("tls_sni", "quic_sni", "dtls_sni", "http_host", "tls_cert", "dns_answer")
EVIDENCE: Final[dict[Kind, tuple[str, ...]]] = {
    "exact": _NAMES,
    "regex": _NAMES,
    "suffix": _NAMES,
    "ranges": ("ip_range",),
    "stun": ("stun",),
    "first_bytes": ("payload",),
}
NOT_PROVEN: Final = "not proven on a real capture: documents only"


@dataclass(frozen=True, slots=True)
class AppCoverage:
    """One app with its rules, the strongest and best proven first within each activity."""

    app: App
    rules: tuple[Rule, ...]

    @property
    def proven(self) -> tuple[str, ...]:
        """Every capture on which some rule of the app was met."""
        return tuple(sorted({capture for rule in self.rules for capture in rule.proven}))

    @property
    def statement(self) -> str:
        """What may be claimed of the app as a whole."""
        if not self.proven:
            return NOT_PROVEN
        met = sum(bool(rule.proven) for rule in self.rules)
        return f"{met} of {len(self.rules)} rules met on {len(self.proven)} real captures"

    def of(self, activity: Activity) -> tuple[Rule, ...]:
        """The rules that speak of an activity."""
        return tuple(rule for rule in self.rules if rule.match.activity is activity)


def coverage(apps: Iterable[App]) -> list[AppCoverage]:
    """Every app, those that accuse first, by id."""
    return [
        AppCoverage(app, tuple(sorted(app.rules, key=_order)))
        for app in sorted(apps, key=lambda app: (app.context, app.id))
    ]


def _order(rule: Rule) -> tuple[int, int, int, str]:
    return -rule.match.activity, -rule.match.strength, -len(rule.proven), rule.id


def by_dns(rule: Rule) -> Strength | None:
    """How much a name proves where only DNS tells it; None for what is no name."""
    return min(rule.match.strength, Strength.STRONG) if rule.kind in {"exact", "regex", "suffix"} else None
