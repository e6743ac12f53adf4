"""What the services' tests and the API's tests look at: episodes of a made-up clinic, and who looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from sensor import config
from sensor.classify import signatures as loading
from sensor.classify import visibility as hiding
from sensor.config_values import to_ns
from sensor.model import Activity, Device, Outcome, Severity, Verdict
from sensor.networks import Networks
from sensor.policy import Policy
from sensor.services.people import Role, somebody
from sensor.setup import Setup
from tests.store.make import POLICIES, episode

if TYPE_CHECKING:
    from sensor.model import Episode

TOML = """
[site]
name = "Test Clinic"
timezone = "Europe/Vienna"

[[network]]
name = "Ward 3"
kind = "ward"
cidrs = ["10.0.0.0/24"]

[[network]]
name = "Guests"
cidrs = ["10.9.0.0/24"]
watch = "excluded"

[devices.names]
"02:00:00:00:00:01" = "Tablet of the ward"

[policy]
approved = ["teams"]
"""
HOUR_NS = 3_600_000_000_000
BEGIN_NS = to_ns(datetime(2026, 3, 16, 23, 30, tzinfo=UTC))  # 00:30 on the 17th in Vienna
NOW_NS = to_ns(datetime(2026, 3, 18, 9, 0, tzinfo=UTC))
TABLET, OTHER = "mac:02:00:00:00:00:01", "ip:10.0.0.77"
VIEWER, OFFICER = somebody("vera", Role.VIEWER), somebody("otto", Role.OFFICER)
AUDITOR, ADMIN = somebody("axel", Role.AUDITOR), somebody("ada", Role.ADMIN)


@cache
def made_setup() -> Setup:
    settings = config.loads(TOML)
    signatures = loading.load()
    networks, visibility = Networks(settings), hiding.load(signatures)
    names = {app.id: app.name for app in (*visibility.apps.values(), *signatures.apps.values())}
    return Setup(settings, signatures, Policy(settings, networks, names), networks, names, visibility)


def morning() -> list[Episode]:
    """Violations 0 to 11, two hours apart; 0 and 1 are on the 17th before noon, the last on the 17th at night."""
    made = []
    for number in range(12):
        start = BEGIN_NS + number * 2 * HOUR_NS
        device = TABLET if number % 3 else OTHER
        app, candidates = (
            (None, ("messenger", "whatsapp")) if number == 5 else ("zoom" if number % 4 == 0 else "whatsapp", ())
        )
        activity = Activity.VIDEO_CALL if number % 2 else Activity.MESSAGING
        severity = Severity.HIGH if number % 2 else Severity.LOW
        verdict = Verdict(
            Outcome.VIOLATION, "policy.disallowed", "It is not allowed", POLICIES[0], severity, "disallowed"
        )
        one = episode(
            (start, start + 1000),
            id_=f"{number:016x}",
            device=device,
            app=app,
            candidates=candidates or (app or "",),
            activity=activity,
            network="Ward 3" if number < 9 else "Staff",
            verdict=verdict,
        )
        made.append(replace(one, device=Device(OTHER, "", "10.0.0.77", ("10.0.0.77",))) if device == OTHER else one)
    for number in range(12, 15):
        start = BEGIN_NS + number * HOUR_NS
        made.append(
            episode(
                (start, start + 1), id_=f"{number:016x}", app="teams", candidates=("teams",), outcome=Outcome.ALLOWED
            )
        )
    return made
