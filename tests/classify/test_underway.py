"""What is told while an episode lasts: in time, never more than there was, and the end is told as without."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sensor import capture, records, setup
from sensor.classify.underway import CALL_AFTER_NS, withdrawn
from sensor.model import FRAME, Activity, Batch, Outcome, Strength
from sensor.pipeline import Pipeline
from sensor.store import Filter, open_store
from sensor.store.views import join, view_of
from tests.commands.running import CAPTURE, CONFIG
from tests.store import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.model import Episode

NS = 1_000_000_000
EVERY_NS = 2 * NS


class Seconds(capture.CaptureSource):
    """The demo as a live port gives it: batches of a quarter of a second at most, a tick for each second without frames."""

    def batches(self) -> Iterator[Batch]:
        clock_ns = 0
        for batch in super().batches():
            times = batch.frames["time_ns"]
            begin = 0
            while begin < len(times):
                for tick_ns in (
                    range(clock_ns + NS, min(int(times[begin]), clock_ns + 3000 * NS), NS) if clock_ns else ()
                ):
                    yield Batch(np.zeros(0, np.uint8), np.zeros(0, FRAME), tick_ns)
                end = int(np.searchsorted(times, int(times[begin]) + NS // 4))
                end = max(end, begin + 1)
                yield Batch(batch.buffer, batch.frames[begin:end])
                clock_ns = int(times[end - 1])
                begin = end


@pytest.fixture(scope="module")
def told() -> tuple[list[tuple[int, Episode]], list[Episode], list[Episode]]:
    """What was told while it lasted with its time, what at the end, and what a replay tells."""
    made = setup.read(str(CONFIG))
    live: list[tuple[int, Episode]] = []
    closed: list[Episode] = []
    filed: list[Episode] = []
    plan = capture.plan([CAPTURE], recursive=False)
    pipeline = Pipeline(
        made.settings, made.signatures, made.policy, made.networks, on_episode=closed.append, parallel=False,
        on_open=lambda one: live.append((pipeline._closed_ns, one)), close_every_ns=EVERY_NS, visibility=made.visibility,
    )  # fmt: skip
    pipeline.run(Seconds(plan))
    whole = Pipeline(
        made.settings, made.signatures, made.policy, made.networks, on_episode=filed.append, parallel=False,
        visibility=made.visibility,
    )  # fmt: skip
    whole.run(capture.CaptureSource(plan))
    return live, closed, filed


def test_the_end_is_told_as_without(told: tuple[list[tuple[int, Episode]], list[Episode], list[Episode]]) -> None:
    _, closed, filed = told
    key = sorted
    assert key(map(str, map(records.episode_record, closed))) == key(map(str, map(records.episode_record, filed)))


def test_each_call_is_told_within_ten_seconds_of_its_first_sufficient_evidence(
    told: tuple[list[tuple[int, Episode]], list[Episode], list[Episode]],
) -> None:
    live, closed, _ = told
    calls = [one for one in closed if one.activity >= Activity.CALL_ATTEMPT and one.app not in {None, "unknown_call"}]
    assert len(calls) >= 4
    for one in calls:
        first_ns = min(each.time_ns for each in one.evidence if each.match.strength >= Strength.STRONG)
        when = min((time_ns for time_ns, early in live if early.id == one.id), default=None)
        assert when is not None, one
        assert when - first_ns <= 8 * NS  # a live port's clock lags by two seconds at most
        first = next(early for _, early in live if early.id == one.id)
        assert not first.closed
        assert first.verdict.outcome is one.verdict.outcome


def test_what_is_told_early_is_never_more_than_there_was(
    told: tuple[list[tuple[int, Episode]], list[Episode], list[Episode]],
) -> None:
    live, closed, _ = told
    ends = {one.id: one for one in closed}
    for _, early in live:
        if early.closed:
            continue
        end = ends[early.id]
        assert early.bytes_up <= end.bytes_up
        assert early.packets <= end.packets
        assert early.flows <= end.flows
        assert {one.frame for one in early.evidence} <= {one.frame for one in end.evidence} or end.evidence_total > 64


def test_a_held_call_is_told_as_one_before_it_ends(
    told: tuple[list[tuple[int, Episode]], list[Episode], list[Episode]],
) -> None:
    live, closed, _ = told
    (long_call,) = [one for one in closed if one.activity is Activity.VOICE_CALL and one.app == "messenger"]
    stages = [early.activity for time_ns, early in live if early.id == long_call.id and time_ns < long_call.end_ns]
    assert stages[0] is Activity.CALL_ATTEMPT
    assert stages[-1] is Activity.VOICE_CALL


def test_nothing_is_told_twice_that_says_the_same(
    told: tuple[list[tuple[int, Episode]], list[Episode], list[Episode]],
) -> None:
    live, _, _ = told
    for (_, one), (_, other) in itertools.pairwise(live):
        assert one != other
    by_id: dict[str, list[tuple[int, Episode]]] = {}
    for time_ns, one in live:
        by_id.setdefault(one.id, []).append((time_ns, one))
    for several in by_id.values():
        for (before_ns, one), (after_ns, other) in itertools.pairwise(several):
            same = (one.activity, one.strength, one.verdict) == (other.activity, other.strength, other.verdict)
            assert not same or after_ns - before_ns >= 900 * NS


def test_in_the_store_the_end_takes_the_place_of_what_was_told_before(tmp_path: Path) -> None:
    early = make.episode(range(10, 14), activity=Activity.VIDEO_CALL, closed=False, start_ns=5, end_ns=90)
    end = make.episode(range(10, 20), activity=Activity.VOICE_CALL, id_=early.id, start_ns=12, end_ns=80)
    with open_store(tmp_path / "w.sqlite") as store:
        store.append([early], snapshots=make.KNOWN)
        (row,) = store.violations()
        assert not row.episode.closed
        store.append([end])
        store.append([early])  # from the spool, after a kill
        (row,) = store.violations()
        shown = row.episode
        assert (shown.closed, shown.activity, shown.start_ns, shown.end_ns) == (True, Activity.VOICE_CALL, 12, 80)
        assert len(store.episode(early.id).revisions) == 2


def test_views_that_are_over_and_views_that_last_join_in_any_order() -> None:
    views = [
        view_of(make.episode(range(a, b), closed=closed, activity=activity))
        for a, b, closed, activity in (
            (10, 14, False, Activity.VIDEO_CALL), (10, 20, True, Activity.VOICE_CALL), (12, 40, False, Activity.MEETING),
        )
    ]  # fmt: skip
    first, second, third = views
    assert join(join(first, second), third) == join(first, join(second, third)) == join(join(third, first), second)
    assert join(first, second) == join(second, first)
    assert join(join(first, third), second).activity is Activity.VOICE_CALL


def test_what_turned_out_to_be_another_episode_accuses_nobody_any_more(tmp_path: Path) -> None:
    told = make.episode(range(10, 14), app=None, candidates=("messenger", "whatsapp"), closed=False,
                        activity=Activity.CALL_ATTEMPT)  # fmt: skip
    settled = make.episode(range(10, 20), activity=Activity.VOICE_CALL)
    with open_store(tmp_path / "w.sqlite") as store:
        store.append([told], snapshots=make.KNOWN)
        store.append([withdrawn(told, settled, "WhatsApp"), settled])
        assert [row.episode.id for row in store.violations()] == [settled.id]
        (gone,) = store.violations(Filter(outcomes=(Outcome.UNREVIEWED,)))
        assert settled.id in gone.episode.verdict.reason
    assert withdrawn(replace(told), None, "").verdict.outcome is Outcome.UNREVIEWED
    assert CALL_AFTER_NS < 10 * NS
