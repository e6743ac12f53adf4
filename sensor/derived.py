"""What the line takes of settings, policy and signatures in another form."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from sensor.classify import systems
from sensor.classify.systems import OUTDATED
from sensor.classify.visibility import KINDS
from sensor.hourly import KEPT_HOURS, counted
from sensor.kernel import layout
from sensor.outdated import Marker
from sensor.settings import HiddenOutcome
from sensor.totals import Account

if TYPE_CHECKING:
    from sensor.classify.signatures import SignatureSet
    from sensor.kernel.state import Scanner
    from sensor.model import SourceState
    from sensor.policy import Policy
    from sensor.settings import Settings


def seeds(settings: Settings, policy: Policy, *, repeatable: bool) -> list[int]:
    """Seeds of the hashes of scanner, names and joiner, 63 bits each.

    Memories of fixed size forget by hash what there is no room for. A capture that is read again must give the same again: then
    the policy seeds, which who sends packets does not know. On a live port chance does.
    """
    seed = settings.sensor.hash_seed
    if seed is None and not repeatable:
        return [secrets.randbits(63) for _ in range(3)]
    if seed is None:
        seed = int.from_bytes(hashlib.sha256(policy.hash.encode()).digest()[:8], "big")
    return [(seed + i) % (1 << 63) for i in range(3)]


def account(state: SourceState, scanner: Scanner) -> Account:
    """What became of a live source's frames up to here."""
    return Account(
        state,
        dict(zip(layout.COUNTERS, scanner.counters.tolist(), strict=True)),
        counted(scanner.hours, KEPT_HOURS),
        dict(zip(layout.NOTICES, scanner.notices.tolist(), strict=True)),
        scanner.live,
        len(scanner.flows),
    )


def contexts(signatures: SignatureSet) -> frozenset[str]:
    return frozenset(app.id for app in signatures.apps.values() if app.context)


def versions(signatures: SignatureSet) -> dict[str, str]:
    return {app.id: str(app.version) for app in signatures.apps.values()}


def known_of(signatures: SignatureSet) -> tuple[dict[str, str], dict[str, int]]:
    """Names of apps, and by rule how many servers its app asks from one socket."""
    asked = {one.match.rule: one.stun.fan_out for one in signatures.rules.values() if one.stun and one.stun.fan_out}
    return {app.id: app.name for app in signatures.apps.values()}, asked


def routers(settings: Settings) -> frozenset[int]:
    return frozenset(int(mac.replace(":", ""), 16) for mac in settings.devices.routers)


def marker(policy: Policy) -> Marker | None:
    """What marks clues of systems out of support; none where the policy does not ask."""
    wanted = policy.hidden_outcome(OUTDATED) is not HiddenOutcome.IGNORE
    return Marker(systems.load()) if wanted else None


def ignored(policy: Policy) -> list[str]:
    return [kind for kind in KINDS if policy.hidden_outcome(kind) is HiddenOutcome.IGNORE]
