"""sensor.capture.merging: several captures as one timeline."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.capture import limits, merging, open_paths
from tests.capture import made
from tests.capture.made import T0, read

TIMES = st.lists(st.integers(0, 40), max_size=30)


def write_all(folder: Path, times: list[list[int]]) -> list[Path]:
    """One file per list; each packet's bytes say from which file it is, and which there."""
    paths = []
    for index, file_times in enumerate(times):
        path = folder / f"{index:03}"
        records = [(T0 + t * 1000, bytes([index, i]) + bytes(i % 5)) for i, t in enumerate(file_times)]
        path.write_bytes(made.pcapng(records) if index % 2 else made.pcap(records))
        paths.append(path)
    return paths


def keyed(times: list[list[int]]) -> list[tuple[int, int, int]]:
    """(latest time so far, file, number) of every packet: sorted, it is the order in which they must come."""
    keys = []
    for index, file_times in enumerate(times):
        latest = -1
        for number, time in enumerate(file_times, 1):
            latest = max(latest, time)
            keys.append((latest, index, number))
    return sorted(keys)


def check(times: list[list[int]], chunk_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = write_all(Path(folder), times)
        seen, source = read(*paths, chunk_bytes=chunk_bytes)
        alone = {(i, f.number): (f.time_ns, f.data, f.wire) for i, path in enumerate(paths) for f in read(path)[0]}
    assert [(frame.source, frame.number) for frame in seen] == [(file, number) for _, file, number in keyed(times)]
    assert {(f.source, f.number): (f.time_ns, f.data, f.wire) for f in seen} == alone
    assert [info.frames for info in source.sources] == [len(file_times) for file_times in times]
    assert [w.reason for w in source.warnings] == ["holds no packets"] * sum(not file_times for file_times in times)


@settings(max_examples=30, deadline=None)
@given(st.lists(TIMES.map(sorted), min_size=1, max_size=5), st.sampled_from([1, 100, 400, 4 << 20]))
def test_sorted_union(times, chunk_bytes):
    check(times, chunk_bytes)


@settings(max_examples=30, deadline=None)
@given(st.lists(TIMES, min_size=2, max_size=4), st.sampled_from([1, 100, 400, 4 << 20]))
def test_times_running_backwards_keep_their_place(times, chunk_bytes):
    check(times, chunk_bytes)


def test_files_come_by_their_first_packet_not_by_name(tmp_path):
    (tmp_path / "a.pcap").write_bytes(made.pcap(made.packets(5, start_ns=T0 + 10**10)))
    (tmp_path / "b.pcap").write_bytes(made.pcap(made.packets(5, start_ns=T0)))
    seen, source = read(tmp_path)
    assert [frame.source for frame in seen] == [1] * 5 + [0] * 5
    assert [Path(info.path).name for info in source.sources] == ["a.pcap", "b.pcap"]
    seen, _ = read(tmp_path, separate=True)
    assert [frame.source for frame in seen] == [0] * 5 + [1] * 5


def test_separate_batches_hold_one_source_each(tmp_path):
    paths = write_all(tmp_path, [[1, 3, 5, 7], [2, 4, 6], []])
    source = open_paths(paths, separate=True)
    assert [set(batch.frames["source"].tolist()) for batch in source.batches()] == [{0}, {1}]
    assert [w.reason for w in source.warnings] == ["holds no packets"]


def test_files_that_do_not_overlap_are_not_copied(tmp_path):
    paths = write_all(tmp_path, [[1, 2, 3], [4, 5, 6]])
    offsets = [int(batch.frames[0]["offset"]) for batch in open_paths(paths).batches()]
    assert offsets[0] == 24 + 16  # where it lies in the file
    assert offsets[1] > 0


def test_a_packet_larger_than_the_chunk_is_merged(tmp_path):
    (tmp_path / "a").write_bytes(made.pcap([(T0, bytes(70_000)), (T0 + 2000, b"end")]))
    (tmp_path / "b").write_bytes(made.pcap([(T0 + 1000, bytes(90_000)), (T0 + 3000, b"end")]))
    seen, _ = read(tmp_path, chunk_bytes=1000)
    assert [len(frame.data) for frame in seen] == [70_000, 90_000, 3, 3]


def test_more_files_than_are_merged_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "MAX_MERGED", 3)
    seen, source = read(*write_all(tmp_path, [[i, 50 + i] for i in range(6)]))
    assert len(seen) == 12
    assert [frame.source for frame in seen][:3] == [0, 1, 2]
    assert len(source.warnings) == 1
    assert "more than 3 captures overlap" in source.warnings[0].reason


def test_merged_batches_are_bounded(tmp_path):
    paths = []
    for index in range(3):
        paths.append(tmp_path / str(index))
        paths[-1].write_bytes(made.pcap((T0 + i * 3000 + index * 1000, b"") for i in range(60_000)))
    source, total, last = open_paths(paths), 0, 0
    for batch in source.batches():
        assert 0 < len(batch.frames) <= limits.MAX_FRAMES
        times = batch.frames["time_ns"]
        assert last < int(times[0])
        assert (times[1:] > times[:-1]).all()
        last, total = int(times[-1]), total + len(times)
    assert total == 180_000


@pytest.mark.captures
def test_halves_of_a_real_capture_merge_into_the_whole(tmp_path):
    from tests import captures

    whole = max(
        (path for path in captures.folder().glob("*.pcap") if path.stat().st_size < 3_000_000),
        key=lambda path: path.stat().st_size,
    )
    expected, _ = read(whole)
    latest, ordered = 0, []
    for frame in expected:  # times that run backwards would be placed differently once split
        if frame.time_ns >= latest:
            latest = frame.time_ns
            ordered.append((frame.time_ns, frame.data))
    for half in (0, 1):
        (tmp_path / str(half)).write_bytes(made.pcap(ordered[half::2], magic=made.NANO))
    seen, _ = read(tmp_path, chunk_bytes=10_000)
    assert sorted((f.time_ns, f.data) for f in seen) == sorted(ordered)
    assert [f.time_ns for f in seen] == [time_ns for time_ns, _ in ordered]
