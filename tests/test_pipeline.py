"""The same packets give the same episodes, flows and counters, however they are read."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from sensor import capture, records, setup
from sensor.capture.source import CaptureSource
from sensor.errors import CaptureError
from sensor.kernel.state import Scanner
from sensor.pipeline import Pipeline
from tests import captures
from tests.kernel.harness import segment

if TYPE_CHECKING:
    from sensor.totals import Totals

HERE = Path(__file__).resolve().parents[1] / "pcaps"
DEMO, CONFIG = HERE / "clinic-morning.pcap", HERE / "clinic.toml"


@pytest.fixture(scope="module")
def made() -> setup.Setup:
    return setup.read(str(CONFIG))


def replayed(
    made: setup.Setup, paths: list[Path], *, chunk_bytes: int = 1 << 22, parallel: bool = False, flows: bool = True
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Totals]:
    """Episodes and flows as records, in a fixed order, and the totals."""
    episodes: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=lambda episode: episodes.append(records.episode_record(episode)),
        on_flow=(lambda row: listed.append(records.flow_record(row))) if flows else None,
        parallel=parallel,
    )
    totals = pipeline.run(capture.open_paths(paths, chunk_bytes=chunk_bytes))
    episodes.sort(key=lambda one: one["id"])
    listed.sort(key=str)
    return episodes, listed, totals


@pytest.fixture(scope="module")
def whole(made: setup.Setup) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Totals]:
    return replayed(made, [DEMO])


def test_every_frame_is_accounted_for(whole: tuple[Any, Any, Totals]) -> None:
    totals = whole[2]
    assert totals.frames == sum(totals.counters.values()) > 10_000
    assert totals.flows > len(whole[1])  # those of the guests are counted, not listed


@pytest.mark.parametrize("chunk_bytes", [1 << 12, 50_000, 1 << 20])
def test_where_batches_end_does_not_matter(made: setup.Setup, whole: Any, chunk_bytes: int) -> None:
    assert replayed(made, [DEMO], chunk_bytes=chunk_bytes)[:2] == whole[:2]


def test_a_worker_process_changes_nothing(made: setup.Setup, whole: Any) -> None:
    # Without its thread of listening pytest plugins, this process may fork.
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: no worker is used")
    assert replayed(made, [DEMO], parallel=True) == whole


def test_listing_flows_changes_no_episode(made: setup.Setup, whole: Any) -> None:
    assert replayed(made, [DEMO], flows=False)[0] == whole[0]


@pytest.mark.captures
def test_real_captures_in_any_batches(made: setup.Setup) -> None:
    folder = captures.folder()
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in {".pcap", ".pcapng"}][::11]
    plain = setup.read(None)
    assert replayed(plain, paths)[:2] == replayed(plain, paths, chunk_bytes=20_000)[:2]
    assert made is not plain


def test_a_worker_that_dies_is_one_clear_error(made: setup.Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: no worker is used")
    parent = os.getpid()
    honest = Scanner.read

    def dying(self: Scanner, *args: Any) -> Any:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(self, *args)

    monkeypatch.setattr(Scanner, "read", dying)
    with pytest.raises(CaptureError, match=r"died \(exit code -9\)"):
        replayed(made, [DEMO], parallel=True)


def test_an_error_of_the_source_crosses_the_worker(made: setup.Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: CaptureSource) -> Any:
        raise CaptureError("the disk is gone")
        yield self  # type: ignore[unreachable]  # makes it a generator, as what it stands for is one

    monkeypatch.setattr(CaptureSource, "batches", failing)
    for parallel in (False, True):
        with pytest.raises(CaptureError, match="the disk is gone"):
            replayed(made, [DEMO], parallel=parallel)


def test_flows_that_begin_alike_at_other_ports_share_no_match(tmp_path: Path) -> None:
    """A beginning is judged with the server's port: what one flow's meant must not colour the next."""
    hello = b"WA\x06\x03" + bytes(40)
    path = tmp_path / "alike.pcap"
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number, port in enumerate((4000, 5222, 4000)):
            ends = ("192.168.1.9", 41000 + number, "203.0.113.5", port)
            frames = segment(0, *ends, flags=2, sequence=99), segment(0, *ends, hello, sequence=100)
            for step, (_, data, _) in enumerate(frames):
                writer.writepkt(data, 1_700_000_000 + number + step / 10)
    episodes = replayed(setup.read(None), [path])[0]
    assert [(one["app"], one["flows"]) for one in episodes] == [("whatsapp", 1)]


def test_reading_again_forgets_the_same() -> None:
    """Memories of fixed size forget by hash: of a replay the policy seeds it, on a live port chance."""

    def seeds(made: setup.Setup, *, repeatable: bool) -> tuple[int, ...]:
        given = made.settings, made.signatures, made.policy, made.networks
        one = Pipeline(*given, on_episode=lambda _: None, repeatable=repeatable)
        return int(one._scanner.seed), int(one._names.seed), int(one._joiner.seed)

    plain, other = setup.read(None), setup.read(str(CONFIG))
    assert seeds(plain, repeatable=True) == seeds(plain, repeatable=True)
    assert seeds(plain, repeatable=True) != seeds(other, repeatable=True)
    assert seeds(plain, repeatable=False) != seeds(plain, repeatable=False)
