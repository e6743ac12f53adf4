"""sensor.capture.planning: what is read, in which order, what is passed over, and what is a mistake."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sensor.capture import open_paths, plan
from sensor.capture.planning import shown
from sensor.errors import CaptureError, UsageError
from tests.capture import made

CAPTURE = made.pcap(made.packets(3))
ROOT = Path(__file__).resolve().parents[2]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CAPTURE)


def test_a_folder_is_read_by_name_and_lists_what_is_no_capture(tmp_path):
    fill(tmp_path, "b.pcap", "a.txt", "sub/c.pcap")
    (tmp_path / "z").write_bytes(gzip.compress(made.pcapng([])))
    (tmp_path / "notes.pcap").write_text("these are notes")
    (tmp_path / "nothing").touch()
    found = plan([tmp_path])
    assert [path.name for path in found.files] == ["a.txt", "b.pcap", "z"]
    assert {Path(w.path).name: w.reason for w in found.skipped} == {
        "notes.pcap": "not a pcap or pcapng capture",
        "nothing": "empty file",
        "sub": "sub-folders are read only if asked for",
    }


def test_sub_folders_if_asked_for(tmp_path):
    fill(tmp_path, "b", "a/z", "a/deep/er/y", "c/x")
    (tmp_path / "c" / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    found = plan([tmp_path], recursive=True)
    assert [str(path.relative_to(tmp_path)) for path in found.files] == ["a/deep/er/y", "a/z", "b", "c/x"]
    assert {Path(w.path).name: w.reason for w in found.skipped} == {
        "loop": "a link to a folder is not followed",
        "link": "the same file is read already",
        "dangling": "no such file",
    }


def test_a_very_deep_folder(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 1200)
    here = tmp_path
    for _ in range(1200):
        here /= "d"
        here.mkdir()
    fill(deep, "a")
    assert len(plan([tmp_path], recursive=True).files) == 1
    while here != tmp_path:  # pytest's own removal recurses
        for path in here.iterdir():
            path.unlink()
        here.rmdir()
        here = here.parent


def test_files_in_the_order_given_each_once(tmp_path):
    fill(tmp_path, "a", "b", "c")
    found = plan([tmp_path / "c", str(tmp_path / "a"), tmp_path / "c", tmp_path])
    assert [path.name for path in found.files] == ["c", "a", "b"]
    assert [w.reason for w in found.skipped] == ["the same file is read already"] * 3


def test_a_folder_of_files_read_already_is_no_mistake(tmp_path):
    fill(tmp_path, "a")
    assert len(plan([tmp_path / "a", tmp_path]).files) == 1
    assert len(plan([tmp_path, tmp_path]).files) == 1


def test_special_files_in_a_folder_are_not_opened(tmp_path):
    fill(tmp_path, "a")
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for ever
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        found = plan([tmp_path])
    assert [path.name for path in found.files] == ["a"]
    assert {w.reason for w in found.skipped} == {"not a regular file"}
    assert len(found.skipped) == 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.touch(), "empty file"),
        (lambda path: path.write_text("no capture"), "not a pcap or pcapng capture"),
        (lambda path: path.write_bytes(b"\x0a\x0d\x0d\x0a no capture"), "not a pcap or pcapng capture"),
        (lambda path: path.write_bytes(b"\xd4\xc3"), "not a pcap or pcapng capture"),
        (lambda path: path.write_bytes(b"\x1f\x8b"), "the gzip data end early"),
        (lambda path: path.write_bytes(b"\x1f\x8bxxxxxxxxxxxx"), "the gzip data are damaged"),
        (lambda path: path.write_bytes(b"\x28\xb5\x2f\xfd"), "the zstd data end early"),
        (lambda path: path.mkdir(), "no captures in this folder"),
        (lambda path: path.symlink_to("/dev/null"), "a device or a socket, not a capture"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("/proc/self/mem"), "cannot be read: Input/output error"),
    ],
)
def test_a_path_named_by_hand_that_gives_nothing(tmp_path, make, reason):
    path = tmp_path / "it"
    make(path)
    fill(tmp_path, "good")
    for paths in ([path], [tmp_path / "good", path]):
        with pytest.raises(CaptureError) as caught:
            open_paths(paths)
        assert str(caught.value) == f"{path}: {reason}"


def test_a_file_is_not_a_folder(tmp_path):
    fill(tmp_path, "a")
    with pytest.raises(CaptureError, match="not a directory"):
        plan([tmp_path / "a" / "b"])


def test_names_that_no_file_has():
    with pytest.raises(CaptureError, match="null"):
        plan(["a\0b"])
    with pytest.raises(CaptureError, match="name too long"):
        plan(["a" * 5000])


def test_no_paths():
    with pytest.raises(UsageError, match="no capture was named"):
        plan([])


def test_standard_input_once(monkeypatch):
    read_end, write_end = os.pipe()
    code = "from sensor.capture import plan; plan(['-', '-'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=read_end, capture_output=True, text=True, check=False
    )
    os.close(read_end)
    os.close(write_end)
    assert "UsageError: standard input can be named only once" in done.stderr


def as_somebody(folder: Path) -> list[str]:
    """What a user without rights on some of the files is told."""
    told = []
    for named in (folder / "closed", folder / "shut"):
        with pytest.raises(CaptureError) as caught:
            open_paths([named])
        told.append(str(caught.value))
    source = open_paths([folder], recursive=True)
    told.append(str(sum(len(batch.frames) for batch in source.batches())))
    told += [str(warning) for warning in (*source.warnings, *source.skipped)]
    with pytest.raises(CaptureError) as caught:
        list(open_paths([folder / "only"]).batches())
    return [*told, str(caught.value)]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not read")
def test_what_may_not_be_read():
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        folder.chmod(0o755)
        fill(folder, "open", "closed", "shut/a", "only/b")
        for closed in ("closed", "shut", "only/b"):
            (folder / closed).chmod(0)
        made.read(folder / "open")  # loads all there is to load while it may be read
        read_end, write_end = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.setuid(65534)
                os.write(write_end, "\n".join(as_somebody(folder)).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(write_end)
        with os.fdopen(read_end, encoding="utf-8") as told:
            assert told.read().splitlines() == [
                f"{folder}/closed: permission denied",
                f"{folder}/shut: permission denied",
                "3",
                f"{folder}/closed: permission denied",
                f"{folder}/only/b: permission denied",
                f"{folder}/shut: permission denied",
                f"{folder}/only/b: permission denied",
            ]
    finally:
        (folder / "shut").chmod(0o755)
        shutil.rmtree(folder)


def test_one_line_whatever_the_name(tmp_path):
    path = tmp_path / "two\nlines\x1b[31m\udcff"
    with pytest.raises(CaptureError) as caught:
        plan([path])
    assert str(caught.value).endswith("two\\nlines\\x1b[31m\\udcff: no such file")
    assert shown(Path("Schrödinger 日本.pcap")) == "Schrödinger 日本.pcap"


@pytest.mark.captures
def test_the_real_captures():
    from tests import captures

    found = plan([captures.folder()])
    names = {path.name for path in found.files}
    assert len(names) > 100
    assert {Path(w.path).suffix for w in found.skipped} <= {".csv", ""}
