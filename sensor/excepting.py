"""The policy of the configuration with the exceptions that were made from violations: what the sensor and the pages both judge by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sensor.model import Activity
from sensor.policy import Policy
from sensor.settings import PolicyException

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.setup import Setup
    from sensor.store.exceptions import StoredException

# What began while an exception held is judged by it, also where it is judged after its end.
KEPT_NS: Final = 2 * 86_400_000_000_000


def extended(made: Setup, stored: Iterable[StoredException], now_ns: int) -> Setup:
    """With the stored exceptions behind those of the configuration; the same again where there are none."""
    more = tuple(policy_exception(one) for one in stored if one.end_ns > now_ns - KEPT_NS and one.end_ns > one.from_ns)
    if not more:
        return made
    policy = made.settings.policy
    settings = replace(made.settings, policy=replace(policy, exceptions=(*policy.exceptions, *more)))
    return replace(made, settings=settings, policy=Policy(settings, made.networks, made.app_names))


def policy_exception(one: StoredException) -> PolicyException:
    """As the policy has it."""
    activities = {activity.label: activity for activity in Activity}
    return PolicyException(
        name=one.name,
        apps=one.apps,
        reason=one.reason,
        owner=one.owner,
        devices=one.devices,
        where=one.where,
        activities=tuple(activities[label] for label in one.activities),
        from_ns=one.from_ns,
        until_ns=one.end_ns,
    )
