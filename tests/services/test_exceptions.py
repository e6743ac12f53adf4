"""Exceptions made from violations: what they would silence, what they cover once made, and how they end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sensor.excepting import extended
from sensor.model import Activity, Device, Outcome, Strength
from sensor.policy import Facts
from sensor.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from sensor.services.exceptions import Wanted
from sensor.services.people import Role, somebody
from tests.services.clinic import AUDITOR, HOUR_NS, NOW_NS, OFFICER, OTHER, TABLET, VIEWER, made_setup

if TYPE_CHECKING:
    from sensor.services.desk import Desk

DAY_NS = 24 * HOUR_NS
WANTED = Wanted(f"{1:016x}", "interpreter calls at night", NOW_NS + 7 * DAY_NS)


def judged(desk: Desk, start_ns: int, *, device: str = TABLET, now_ns: int = NOW_NS, app: str = "whatsapp") -> Outcome:
    policy = extended(made_setup(), desk.store.exceptions.listed(), now_ns).policy
    return policy.judge(
        Facts(
            app, (app,), (), Device(device), "Ward 3", start_ns, start_ns + 1, Activity.MESSAGING, Strength.CONCLUSIVE
        )
    ).outcome


def test_a_preview_shows_what_it_would_silence_and_makes_nothing(desk: Desk) -> None:
    found = desk.exceptions.preview(OFFICER, WANTED)
    assert [int(row.id, 16) for row in found.examples] == [7, 5, 2, 1]  # WhatsApp on the tablet on the ward
    assert (found.matches, found.last_thirty_days, found.open, found.devices) == (4, 4, 4, 1)
    wider = desk.exceptions.preview(OFFICER, replace(WANTED, same_device=False, same_network=False))
    assert (wider.matches, wider.devices) == (9, 2)
    narrower = desk.exceptions.preview(OFFICER, replace(WANTED, same_activity=True))
    assert [int(row.id, 16) for row in narrower.examples] == [7, 5, 1]
    assert desk.exceptions.listed(OFFICER) == ()


def test_what_begins_while_it_holds_is_allowed(desk: Desk) -> None:
    made = desk.exceptions.make(OFFICER, WANTED)
    assert (made.status, made.made_by, made.apps, made.where) == ("in_force", "otto", ("whatsapp",), ("Ward 3",))
    assert made.devices[0].is_masked
    assert judged(desk, NOW_NS) is Outcome.ALLOWED
    assert judged(desk, NOW_NS - 1) is Outcome.VIOLATION
    assert judged(desk, NOW_NS + 7 * DAY_NS) is Outcome.VIOLATION
    assert judged(desk, NOW_NS, device=OTHER) is Outcome.VIOLATION
    assert judged(desk, NOW_NS, app="zoom") is Outcome.VIOLATION


def test_what_begins_after_it_was_ended_is_not(desk: Desk) -> None:
    made = desk.exceptions.make(OFFICER, replace(WANTED, from_ns=0, until_ns=NOW_NS + 300 * DAY_NS))
    ended = desk.exceptions.end(somebody("ada", Role.ADMIN), made.id, "the interpreter is back")
    assert (ended.status, ended.ended_by, ended.ended_why) == ("ended", "ada", "the interpreter is back")
    assert ended.ended_ns is not None
    assert judged(desk, ended.ended_ns - 1, now_ns=ended.ended_ns) is Outcome.ALLOWED
    assert judged(desk, ended.ended_ns, now_ns=ended.ended_ns) is Outcome.VIOLATION
    with pytest.raises(ConflictError):
        desk.exceptions.end(OFFICER, made.id, "once more, to be sure")
    with pytest.raises(NotFoundError):
        desk.exceptions.end(OFFICER, "none", "there is no such one")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": "because"}, "reason"),
        ({"reason": "two\nlines of reason"}, "reason"),
        ({"until_ns": NOW_NS}, "until"),
        ({"until_ns": NOW_NS + 400 * DAY_NS}, "until"),
        ({"from_ns": NOW_NS + 8 * DAY_NS}, "until"),
        ({"episode_id": f"{12:016x}"}, "violation"),
        ({"name": "x"}, "name"),
    ],
)
def test_exceptions_that_make_no_sense_are_refused(desk: Desk, change: dict[str, object], field: str) -> None:
    wanted = replace(WANTED, **change)  # type: ignore[arg-type]  # by name, in the parameters
    for call in (desk.exceptions.preview, desk.exceptions.make):
        with pytest.raises(InvalidError) as refused:
            call(OFFICER, wanted)
        assert refused.value.field == field


def test_a_name_is_given_once_and_not_by_everybody(desk: Desk) -> None:
    desk.exceptions.make(OFFICER, replace(WANTED, name="Night calls"))
    with pytest.raises(ConflictError):
        desk.exceptions.make(OFFICER, replace(WANTED, name="Night calls"))
    for who in (VIEWER, AUDITOR):
        with pytest.raises(ForbiddenError):
            desk.exceptions.make(who, WANTED)


def test_the_policy_in_force_has_it_and_names_no_masked_device(desk: Desk) -> None:
    before = desk.status.policy(OFFICER)
    desk.exceptions.make(OFFICER, WANTED)
    after = desk.status.policy(OFFICER)
    assert after.hash != before.hash
    assert "02:00:00:00:00:01" not in repr(after)
    assert "D-" in repr(after.document["exceptions"])
    seeing = somebody("otto", Role.OFFICER, unmasked=frozenset({TABLET}))
    assert "Tablet of the ward" in repr(desk.status.policy(seeing).document)
