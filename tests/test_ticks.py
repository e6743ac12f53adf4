"""Batches without frames, as a live source gives them: they change when something is told, not what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sensor import capture, records, setup
from sensor.model import FRAME, Batch, SourceState
from sensor.pipeline import CLOSE_EVERY_NS, Pipeline
from tests.commands.running import CAPTURE, CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.totals import Account

NS = 1_000_000_000


class Live(capture.CaptureSource):
    """The demo in small batches; where a second passes without frames, a tick for each, at most `most` in a row."""

    def __init__(self, most: int) -> None:
        super().__init__(capture.plan([CAPTURE], recursive=False), chunk_bytes=1 << 14)
        self.most = most
        self.handed = 0

    def batches(self) -> Iterator[Batch]:
        last_ns = 0
        for batch in super().batches():
            times = batch.frames["time_ns"]
            begin = 0
            for end in [*(np.flatnonzero(np.diff(times) > NS) + 1).tolist(), len(times)]:
                yield from self._ticks(last_ns, int(times[begin]))
                self.handed += end - begin
                yield Batch(batch.buffer, batch.frames[begin:end], state=self._state())
                last_ns = int(times[end - 1])
                begin = end
        yield from self._ticks(last_ns, last_ns + 3000 * NS)

    def _ticks(self, last_ns: int, next_ns: int) -> Iterator[Batch]:
        pause_s = (next_ns - last_ns) // NS
        if last_ns and pause_s:
            step = max(pause_s // self.most, 1)
            for second in range(step, pause_s, step):
                yield Batch(np.zeros(0, np.uint8), np.zeros(0, FRAME), last_ns + second * NS, self._state())

    def _state(self) -> SourceState:
        return SourceState(self.handed, 0, 0)


def told(
    source: capture.CaptureSource, close_every_ns: int, *, parallel: bool
) -> tuple[list[str], list[str], list[Account], list[int]]:
    """Flows and episodes as records, the accounts, and how many episodes each had been preceded by."""
    made = setup.read(str(CONFIG))
    flows: list[str] = []
    episodes: list[str] = []
    accounts: list[Account] = []
    by_then: list[int] = []

    def account(one: Account) -> None:
        accounts.append(one)
        by_then.append(len(episodes))

    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=lambda one: episodes.append(records.line(records.episode_record(one))),
        on_flow=lambda row: flows.append(records.line(records.flow_record(row))),
        visibility=made.visibility,
        parallel=parallel,
        on_account=account,
        close_every_ns=close_every_ns,
    )
    pipeline.warm()
    pipeline.run(source)
    return sorted(flows), sorted(episodes), accounts, by_then


@pytest.mark.parametrize(("most", "parallel"), [(3, False), (60, False), (60, True)])
def test_ticks_change_nothing_but_when(most: int, parallel: bool) -> None:
    filed = told(capture.open_paths([CAPTURE]), CLOSE_EVERY_NS, parallel=False)
    live = told(Live(most), 5 * NS, parallel=parallel)
    assert live[:2] == filed[:2]
    assert len(filed[1]) > 10
    assert filed[2] == []
    accounts, by_then = live[2:]
    assert [one.source.seen for one in accounts] == [sum(one.counters.values()) for one in accounts]
    assert accounts[-1].source.seen == 13128
    assert by_then[-1] == len(
        live[1]
    )  # all were told before the source ended: long after the last frame nothing is open
