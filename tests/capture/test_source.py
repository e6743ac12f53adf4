"""sensor.capture.source: the entry, standard input and named pipes in real processes, state while reading."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sensor.capture import open_paths, open_plan, plan
from sensor.errors import CaptureError
from tests.capture import made
from tests.capture.made import T0, frames_of, read

PACKETS = made.packets(500)
ROOT = Path(__file__).resolve().parents[2]

READ = """
import json, sys
from sensor.capture import open_paths
from sensor.errors import WardwatchError
try:
    source = open_paths(sys.argv[1:])
    count = size = 0
    for batch in source.batches():
        count += len(batch.frames)
        size += int(batch.frames["captured_bytes"].sum())
except WardwatchError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(json.dumps([count, size, source.total_bytes, source.read_bytes, source.sources[-1].format, list(map(str, source.warnings))]))
"""


def read_apart(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READ, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]  # options are passed on as they are


def piped(data: bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", READ, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, input=data, capture_output=True, check=False)


SIZE = sum(len(data) for _, data in PACKETS)


@pytest.mark.parametrize(
    ("wrap", "form"),
    [(bytes, "pcap"), (gzip.compress, "pcap+gzip")],
)
def test_standard_input_through_a_pipe(wrap, form):
    data = wrap(made.pcap(PACKETS))
    done = piped(data, "-")
    assert done.stderr == b""
    assert json.loads(done.stdout) == [500, SIZE, None, len(data), form, []]


def test_standard_input_beside_a_file_is_one_timeline(tmp_path):
    (tmp_path / "a.pcap").write_bytes(made.pcapng(PACKETS))
    done = piped(made.pcap(PACKETS)[:-1], tmp_path / "a.pcap", "-")
    count, _, _, _, form, warnings = json.loads(done.stdout)
    assert (count, form) == (999, "pcap")
    assert len(warnings) == 1
    assert warnings[0].startswith("-: a record is cut short at byte ")


def test_standard_input_from_a_file(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(made.pcap(PACKETS))
    with path.open("rb") as file:
        done = read_apart("-", stdin=file)
    size = path.stat().st_size
    assert json.loads(done.stdout) == [500, SIZE, size, size, "pcap", []]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"no capture", "not a pcap or pcapng capture"),
        (gzip.compress(b""), "not a pcap or pcapng capture"),
    ],
)
def test_standard_input_that_is_no_capture(data, reason):
    done = piped(data, "-")
    assert done.returncode == 1
    assert done.stderr.decode() == f"CaptureError: -: {reason}\n"


def test_standard_input_closed():
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" - <&-', sys.executable, READ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "CaptureError: -: standard input is closed\n"


def test_standard_input_is_a_terminal():
    controller, terminal = os.openpty()
    done = read_apart("-", stdin=terminal)
    os.close(controller)
    os.close(terminal)
    assert done.stderr == "UsageError: standard input is a terminal, not a capture\n"


def test_a_named_pipe(tmp_path):
    fifo = tmp_path / "live"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(made.pcap(PACKETS),))
    source = open_paths([fifo])
    writer.start()
    seen = frames_of(source)
    writer.join()
    assert [frame.data for frame in seen] == [data for _, data in PACKETS]
    assert source.total_bytes is None
    assert source.sources[0].size_bytes is None


def test_numba_is_not_loaded_before_frames_are_walked(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(made.pcap(PACKETS))
    code = (
        "import sys; from sensor.capture import open_paths; source = open_paths(sys.argv[1:]); "
        "print('numba' in sys.modules, 'zstandard' in sys.modules); next(source.batches()); print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


def test_header_only(tmp_path):
    for name, data in (("a", made.pcap([])), ("b", made.pcapng([])), ("c", gzip.compress(made.pcap([])))):
        (tmp_path / name).write_bytes(data)
    seen, source = read(tmp_path)
    assert seen == []
    assert [w.reason for w in source.warnings] == ["holds no packets"] * 3
    assert [(info.frames, info.first_ns, info.last_ns) for info in source.sources] == [(0, None, None)] * 3
    assert source.read_bytes == source.total_bytes


def test_progress_grows_to_the_total(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(
        made.pcap(PACKETS) + b"\xff" * 10_000
    )  # damage: the rest is not read, and is behind us all the same
    source = open_paths([path], chunk_bytes=1000)
    steps = [source.read_bytes for _ in source.batches()]
    assert steps == sorted(set(steps))
    assert len(steps) > 10
    assert source.read_bytes == source.total_bytes == path.stat().st_size


def test_a_file_that_vanishes_or_changes_after_it_was_listed(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(made.pcap(PACKETS))
    source = open_paths([tmp_path])
    (tmp_path / "a").unlink()
    (tmp_path / "c").write_bytes(b"something else")
    assert {frame.source for frame in frames_of(source)} == {1}
    assert sorted(w.reason for w in source.warnings) == ["no such file", "not a pcap or pcapng capture"]


def test_nothing_left_of_what_was_listed(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(made.pcap(PACKETS))
    planned = plan([path])
    path.unlink()
    with pytest.raises(CaptureError, match="no such file"):
        frames_of(open_plan(planned))


def test_a_file_cut_while_it_is_read(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(made.pcap(PACKETS))
    source = open_paths([path], chunk_bytes=1000)
    batches = source.batches()
    next(batches)
    os.truncate(path, 2000)
    assert sum(len(batch.frames) for batch in batches) > 0
    assert [w.reason for w in source.warnings] == ["a record is cut short"]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_stopping_early_leaves_no_file_open(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(made.pcap(PACKETS))
    open_before = open_files()
    batches = open_paths([tmp_path], chunk_bytes=1000).batches()
    next(batches)
    assert open_files() == open_before + 2
    batches.close()  # type: ignore[attr-defined]  # batches is a generator
    del batches
    assert open_files() == open_before


def test_times_of_sources_cover_their_frames(tmp_path):
    (tmp_path / "a").write_bytes(made.pcap([(T0 + 5000, b""), (T0, b""), (T0 + 9000, b"")]))
    _, source = read(tmp_path, chunk_bytes=40)
    assert (source.sources[0].first_ns, source.sources[0].last_ns) == (T0, T0 + 9000)
