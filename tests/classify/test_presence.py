"""Whose call it is where the call alone does not say: what else its device was seen to use, and how it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pcaps import clinic, lan, meetings, messenger, stun, whatsapp
from pcaps.stun import ALLOCATE, INTEGRITY, ask
from pcaps.tls import Turn
from pcaps.web import SMALL
from pcaps.wire import Link, Station
from sensor.classify.flows import UNKNOWN_CALL
from sensor.model import Activity, Outcome
from tests.worlds import told, world

if TYPE_CHECKING:
    from pathlib import Path

    from pcaps.web import World
    from sensor.model import Episode

PHONE, OTHER = clinic.NURSE_PHONE, clinic.WARD_TABLET
BOTH = ("messenger", "whatsapp")
MINUTE, HOUR = 60.0, 3600.0
TALK = (Turn(5.0, 300, 300), Turn(9.0, 300, 300))


def shared_call(
    made: World, at: float, *, relays: tuple[Station, ...] = (messenger.EDGE,), seconds: float = 10.0
) -> None:
    """A call by Meta's relays in the dialect that WhatsApp and Messenger share."""
    rng = made.trace.rng(f"shared/{at}")
    links = [Link(PHONE, 45678, relay, 3478) for relay in relays]
    for link in links:
        token = [(INTEGRITY, rng.randbytes(20)), (0x4000, rng.randbytes(102))]
        ask(made.trace, link, rng, at, ALLOCATE, token, answer=[(INTEGRITY, rng.randbytes(20))],
            seen_as=("192.0.2.20", 45678))  # fmt: skip
    stun.call(made.trace, links[0], [messenger.VOICE], [messenger.VOICE], at + 1.0, seconds, "shared")


def meanwhile(made: World, until: float) -> None:
    for index in range(int(until // 30)):
        made.resolver.look_up(clinic.WARD_PC, "www.who.int", index * 30.0, ("A",))


def the_call(folder: Path, made: World) -> Episode:
    (call,) = [one for one in told(folder, made.trace).episodes if one.activity >= Activity.CALL_ATTEMPT]
    assert call.activity is Activity.VOICE_CALL
    return call


def test_two_candidates_stay_two_where_nothing_settles_it(tmp_path: Path) -> None:
    made = world("nothing")
    shared_call(made, 0.0)
    call = the_call(tmp_path, made)
    assert (call.app, call.candidates, call.notes) == (None, BOTH, ())
    assert call.verdict.outcome is Outcome.VIOLATION  # both are on the list


@pytest.mark.parametrize("app", ["whatsapp", "messenger"])
@pytest.mark.parametrize("when", ["before", "during"])
def test_the_only_one_in_use_on_this_device_made_it(tmp_path: Path, app: str, when: str) -> None:
    made = world("only")
    at = 5 * MINUTE if when == "before" else 0.0
    if app == "whatsapp":
        whatsapp.chat(made, PHONE, 2.0, TALK)
    else:
        messenger.chat(made, PHONE, 2.0)
    shared_call(made, at)
    call = the_call(tmp_path, made)
    assert (call.app, call.candidates) == (app, (app,))
    (note,) = call.notes
    assert "the same device showed" in note


def test_both_in_use_settle_nothing(tmp_path: Path) -> None:
    made = world("both")
    whatsapp.chat(made, PHONE, 0.0, TALK)
    messenger.chat(made, PHONE, 10.0)
    shared_call(made, 2 * MINUTE)
    assert the_call(tmp_path, made).candidates == BOTH


def test_what_another_device_uses_settles_nothing(tmp_path: Path) -> None:
    made = world("another")
    whatsapp.chat(made, OTHER, 0.0, TALK)
    shared_call(made, MINUTE)
    assert the_call(tmp_path, made).candidates == BOTH


def test_what_is_used_afterwards_settles_nothing(tmp_path: Path) -> None:
    made = world("afterwards")
    shared_call(made, 0.0)
    whatsapp.chat(made, PHONE, 40.0, TALK)
    assert the_call(tmp_path, made).candidates == BOTH


@pytest.mark.parametrize(("minutes", "settled"), [(10, True), (14, True), (20, False), (120, False)])
def test_what_was_used_long_before_settles_nothing(tmp_path: Path, minutes: int, settled: bool) -> None:
    made = world("before")
    whatsapp.chat(made, PHONE, 0.0, (Turn(1.0, 300, 300),))
    meanwhile(made, minutes * MINUTE)
    shared_call(made, minutes * MINUTE)
    assert the_call(tmp_path, made).candidates == (("whatsapp",) if settled else BOTH)


def test_a_chat_that_has_been_open_for_long_settles_it(tmp_path: Path) -> None:
    made = world("open")
    whatsapp.chat(made, PHONE, 0.0, (Turn(240.0, 22, 34),) * 15)
    shared_call(made, 50 * MINUTE)
    assert the_call(tmp_path, made).app == "whatsapp"


def test_a_call_of_one_of_them_takes_in_what_could_be_of_both(tmp_path: Path) -> None:
    made = world("call")
    shared_call(made, 0.0)
    messenger.call(made, PHONE, 4.0, 10.0)
    call = the_call(tmp_path, made)
    assert call.app == "messenger"
    assert any("the same device showed" in note for note in call.notes)


@pytest.mark.parametrize(("count", "candidates"), [(1, BOTH), (3, BOTH), (4, ("whatsapp",)), (5, ("whatsapp",))])
def test_who_asks_many_relays_from_one_socket(tmp_path: Path, count: int, candidates: tuple[str, ...]) -> None:
    made = world("relays")
    shared_call(made, 0.0, relays=whatsapp.RELAYS[:count])
    call = the_call(tmp_path, made)
    assert call.candidates == candidates
    assert [note for note in call.notes if "it asks many relays from one socket" in note] == list(call.notes)
    assert bool(call.notes) == (len(candidates) == 1)


# Names that a meeting's device met before

ACCOUNT = '[[policy.variant]]\napp = "zoom"\nhosts = ["example.zoom.us"]\nreason = "the agreement"\n'


@pytest.mark.parametrize(("minutes", "met"), [(0.5, True), (4.0, True), (7.0, False), (60.0, False)])
def test_a_meeting_was_joined_through_a_host_that_was_met_shortly_before(
    tmp_path: Path, minutes: float, met: bool
) -> None:
    made = world("joined")
    made.visit(clinic.ROOM1_PC, "example.zoom.us", 0.0, SMALL)
    meanwhile(made, minutes * MINUTE)
    meetings.zoom(made, clinic.ROOM1_PC, minutes * MINUTE, 10.0, host="zoomfr12zc.fr.zoom.us",
                  zone="zoomfr12zc.fr.zoom.us", router="zoomfr216mmr.fr.zoom.us")  # fmt: skip
    meeting = max(told(tmp_path, made.trace, ACCOUNT).episodes, key=lambda one: one.activity)
    assert meeting.activity is Activity.MEETING
    assert ("example.zoom.us" in meeting.names) == met
    assert (meeting.verdict.outcome is Outcome.ALLOWED) == met


# Telephones


def rtp(made: World, at: float, phone: Station = clinic.DESK_PHONE) -> None:
    voice = stun.Leg(50, 160, 160, 0, 160)
    stun.call(made.trace, Link(phone, 16396, clinic.TRUNK, 16384), [voice], [voice], at, 8.0, f"rtp{at}")


@pytest.mark.parametrize(("hours", "silent"), [(0.1, True), (23.0, True), (25.0, False)])
def test_media_of_a_telephone_are_its_own_for_a_day(tmp_path: Path, hours: float, silent: bool) -> None:
    made = world("telephone")
    lan.sip_register(made.trace, clinic.DESK_PHONE, 0.0)
    rtp(made, hours * HOUR)
    seen = told(tmp_path, made.trace).episodes
    assert [one.app for one in seen] == ([] if silent else [UNKNOWN_CALL])


def test_one_telephone_makes_no_other_device_one(tmp_path: Path) -> None:
    made = world("no telephone")
    lan.sip_register(made.trace, clinic.DESK_PHONE, 0.0)
    rtp(made, 5.0, PHONE)
    (call,) = told(tmp_path, made.trace).episodes
    assert (call.app, call.device.mac) == (UNKNOWN_CALL, PHONE.mac)


def test_a_telephone_that_registers_after_its_call(tmp_path: Path) -> None:
    """It is told when the call is over, and by then it is known."""
    made = world("late")
    rtp(made, 0.0)
    lan.sip_register(made.trace, clinic.DESK_PHONE, 12.0)
    assert told(tmp_path, made.trace).episodes == []


def test_a_call_of_an_app_on_a_telephone_is_told(tmp_path: Path) -> None:
    """A soft phone's device may make calls over apps as well."""
    made = world("app on telephone")
    lan.sip_register(made.trace, PHONE, 0.0)
    whatsapp.call(made, PHONE, 5.0, whatsapp.Call(10.0))
    assert the_call(tmp_path, made).app == "whatsapp"
