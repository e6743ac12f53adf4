from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.services.novelty import novelty
from tests.services.clinic import BEGIN_NS, HOUR_NS, OFFICER, OTHER, VIEWER
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from sensor.services.desk import Desk

ALL_NS = 24 * 90 * HOUR_NS


def test_the_first_day_has_nothing_to_compare_with(desk: Desk):
    found = novelty(desk.material, OFFICER, (BEGIN_NS, BEGIN_NS + 30 * HOUR_NS), ALL_NS)
    assert found.earlier == 0
    assert {network for network, _ in found.apps} == {"Ward 3", "Staff"}
    assert len(found.devices) == 2


def test_what_was_there_before_is_not_new(desk: Desk):
    begin_ns = BEGIN_NS + 40 * HOUR_NS
    both = episode((begin_ns, begin_ns + 1), id_="a" * 16, app=None, candidates=("whatsapp", "signal"), network="Staff")
    stranger = episode((begin_ns + 2, begin_ns + 3), id_="b" * 16, device=f"{OTHER}8", app="zoom", network="Ward 3")
    desk.store.append([both, stranger], snapshots=KNOWN)
    found = novelty(desk.material, VIEWER, (begin_ns, begin_ns + HOUR_NS), ALL_NS)
    assert found.earlier == 12
    assert found.apps == (("Staff", "signal"),), "a candidate counts, WhatsApp was there"
    assert [one.pseudonym for one in found.devices] == [desk.material.pseudonyms.of(f"{OTHER}8")]
    assert found.devices[0].is_masked


def test_only_the_time_that_is_asked_for_is_compared(desk: Desk):
    begin_ns = BEGIN_NS + 40 * HOUR_NS
    desk.store.append([episode((begin_ns, begin_ns + 1), id_="a" * 16)], snapshots=KNOWN)
    found = novelty(desk.material, OFFICER, (begin_ns, begin_ns + HOUR_NS), HOUR_NS)
    assert (found.earlier, len(found.devices)) == (0, 1)
