"""What a live run tells of one hour in several parts: packets of one are in no other, so their sums are what was seen.

Views of captures may overlap, and the fullest stands for all of them; see `sightings`.
"""

from __future__ import annotations

from typing import Any

PART = "part"  # the key that says so, and which part of which run it is
MAX_EVIDENCE = 4
STRENGTHS = ("supporting", "strong", "conclusive")
OUTCOMES = ("recorded", "review", "violation")
DARK_LEAST_BYTES, DARK_SHARE = 1_000_000, 0.5  # as in sensor.statement; a test holds them equal


def summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One record of all parts of an hour, in whatever order they are given."""
    ordered = sorted(parts, key=lambda one: str(one[PART]))
    made = {key: value for key, value in ordered[0].items() if key != PART}
    for one in ordered[1:]:
        for key, value in one.items():
            if isinstance(value, int) and not isinstance(value, bool):
                made[key] += value
    if made["record"] == "hour":
        return _hour(made, ordered)
    first = min(ordered, key=lambda one: (one["first"], str(one[PART])))
    made["device"] = first["device"]
    made["first"], made["last"] = first["first"], max(one["last"] for one in ordered)
    made["strength"] = max((one["strength"] for one in ordered), key=STRENGTHS.index)
    made["outcome"] = max((one["outcome"] for one in ordered), key=OUTCOMES.index)
    made["services"] = sorted({service for one in ordered for service in one["services"]})
    evidence = [each for one in ordered for each in one["evidence"]]
    made["evidence"] = sorted(evidence, key=lambda each: (str(each["time"]), each["frame"]))[:MAX_EVIDENCE]
    return made


def _hour(made: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Silent where all parts were, dark by the sums; one way or lost as soon as one part was."""
    reasons = {reason for one in parts for reason in one["reasons"]} - {"silent", "dark"}
    if all("silent" in one["reasons"] for one in parts):
        reasons.add("silent")
    dark = made["bytes"] - made["bytes_named"] - made["bytes_named_by_dns"]
    if made["bytes"] >= DARK_LEAST_BYTES and dark > DARK_SHARE * made["bytes"]:
        reasons.add("dark")
    order = ("silent", "dark", "one_way", "lost")
    made["reasons"] = sorted(reasons, key=order.index)
    made["seen"] = not reasons
    return made
