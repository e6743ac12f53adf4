"""What could be seen, how the store is, and by which signatures and policy it is judged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sensor.config_values import to_ns
from sensor.excepting import extended
from sensor.model import Activity, Outcome
from sensor.services.errors import NotFoundError
from sensor.services.overview import EVERYTHING, violates_and_open
from sensor.services.people import Right
from sensor.services.query import Query
from sensor.services.records import BlindHour, Health, Hidden, InForce, Pulse, SignatureInfo, Visibility

if TYPE_CHECKING:
    from sensor.services.material import Material
    from sensor.services.people import Who

MAX_ROWS: Final = 5000
STALE_NS: Final = 24 * 3_600_000_000_000


class Status:
    """What an auditor asks first."""

    def __init__(self, material: Material) -> None:
        self._material = material

    def visibility(
        self,
        who: Who,
        *,
        network: str | None = None,
        kind: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> Visibility:
        """When networks could be seen, and what hid the use of apps; the latest MAX_ROWS of each, by hour."""
        who.require(Right.READ)
        found = self._material.store.sightings(network=network, kind=kind, since_ns=since_ns, until_ns=until_ns)
        hours = [_hour(one) for one in found if one["record"] == "hour"]
        hidden = [self._hidden(who, one) for one in found if one["record"] == "observation"]
        more = max(len(hours), len(hidden)) > MAX_ROWS
        return Visibility(tuple(hours[-MAX_ROWS:]), tuple(hidden[-MAX_ROWS:]), since_ns, until_ns, more)

    def _hidden(self, who: Who, one: dict[str, Any]) -> Hidden:
        device = one.get("device_id")
        return Hidden(
            one["kind"],
            self._material.app_text(one["kind"]),
            one["network"],
            self._material.device_of_id(who, device) if device else None,
            _ns(one["hour"]),
            int(one["flows"]),
            int(one["bytes"]),
            str(one["strength"]),
            str(one["outcome"]),
        )

    def pulse(self, who: Who) -> Pulse:
        """What of the health costs no counting."""
        who.require(Right.READ)
        lookup = self._material.store.lookup
        last_ns = lookup.last_recorded_ns()
        is_stale = last_ns is None or self._material.now_ns() - last_ns > STALE_NS
        return Pulse(last_ns, lookup.last_sighting_ns(), is_stale)

    def health(self, who: Who) -> Health:
        """How the store is."""
        who.require(Right.READ)
        store, now_ns = self._material.store, self._material.now_ns()
        counts = store.counts()
        rows = self._material.narrowed(who, Query(outcomes=EVERYTHING))
        last_ns = store.lookup.last_recorded_ns()
        is_stale = last_ns is None or now_ns - last_ns > STALE_NS
        return Health(
            status="stale" if is_stale else "ok",
            episodes=counts.episodes,
            violations=counts.outcomes.get(Outcome.VIOLATION.value, 0),
            open=int(violates_and_open(rows, None)[1].sum()),
            revisions=counts.revisions,
            evidence=counts.evidence,
            devices=counts.devices,
            sources=counts.sources,
            last_recorded_ns=last_ns,
            last_hour_ns=store.lookup.last_sighting_ns(),
            now_ns=now_ns,
        )

    def signatures(self, who: Who) -> InForce:
        """The signatures of the configuration here, and the hash of those that judged last."""
        who.require(Right.READ)
        made, last = self._material.setup.signatures, self._material.store.lookup.last_hashes()
        apps = tuple(
            SignatureInfo(app.id, app.name, str(app.version), len(app.rules),
                          tuple(sorted({Activity(rule.match.activity).label for rule in app.rules})))
            for app in sorted(made.apps.values(), key=lambda app: app.name.lower())
        )  # fmt: skip
        return InForce(made.hash, last[0] if last else None, {}, apps)

    def policy(self, who: Who) -> InForce:
        """The policy of the configuration here with the exceptions made from violations, and the hash of the one that judged last."""
        who.require(Right.READ)
        store, now_ns = self._material.store, self._material.now_ns()
        policy = extended(self._material.setup, store.exceptions.listed(), now_ns).policy
        last = store.lookup.last_hashes()
        return InForce(policy.hash, last[1] if last else None, self._masked(who, policy.snapshot()))

    def snapshot(self, who: Who, hash_: str) -> Any:
        """A policy or signature set that some verdict cites, as it was but for masked devices. Raises NotFoundError."""
        who.require(Right.READ)
        found = self._material.store.lookup.snapshot(hash_)
        if found is None:
            raise NotFoundError(f"nothing is stored under the hash {hash_!r}")
        return self._masked(who, found) if isinstance(found, dict) else found

    def _masked(self, who: Who, document: dict[str, Any]) -> dict[str, Any]:
        """A policy whose exceptions name no device that who asks may not see."""
        exceptions = document.get("exceptions")
        if not isinstance(exceptions, list):
            return document
        return {**document, "exceptions": [
            {**one, "devices": [self._material.device_of_id(who, id_).text for id_ in one.get("devices", ())]}
            for one in exceptions
        ]}  # fmt: skip


def _hour(one: dict[str, Any]) -> BlindHour:
    return BlindHour(
        one["network"],
        _ns(one["hour"]),
        bool(one["seen"]),
        tuple(one["reasons"]),
        int(one["flows"]),
        int(one["bytes"]),
        int(one["bytes_named"]) + int(one["bytes_named_by_dns"]),
    )


def _ns(text: str) -> int:
    return to_ns(datetime.fromisoformat(text))
