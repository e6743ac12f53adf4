"""Bad input, one test each: one line on standard error that says what and where, the right exit status, no traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "wardwatch"
DEMO = Path(__file__).resolve().parents[1] / "pcaps" / "clinic-morning.pcap"
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
FRAME = bytes(14) + b"\0" * 46


def record(data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return struct.pack("<IIII", 1_700_000_000, 0, size, size) + data


def wardwatch(*arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def one_line(arguments: list[str | Path], status: int, *words: str, stdin: bytes = b"") -> None:
    returned, _, error = wardwatch(*arguments, stdin=stdin)
    assert returned == status, error
    assert error.count("\n") == 1, error
    assert error.startswith("wardwatch: ")
    for word in words:
        assert word in error


def replay(tmp_path: Path, content: bytes) -> list[str | Path]:
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    return ["replay", "--no-store", path]


def test_no_such_file(tmp_path: Path) -> None:
    one_line(["replay", "--no-store", tmp_path / "none.pcap"], 1, "none.pcap", "no such file")


def test_not_a_capture(tmp_path: Path) -> None:
    one_line(replay(tmp_path, b"hello, this is text\n" * 9), 1, "x.pcap", "not a pcap or pcapng capture")


def test_empty_file(tmp_path: Path) -> None:
    one_line(replay(tmp_path, b""), 1, "x.pcap", "empty")


def test_header_only(tmp_path: Path) -> None:
    one_line(replay(tmp_path, HEADER), 3, "x.pcap", "holds no packets")


def test_cut_in_the_middle_of_a_record(tmp_path: Path) -> None:
    whole = HEADER + record(FRAME)
    one_line(replay(tmp_path, whole + record(FRAME)[:30]), 3, "cut short", f"at byte {len(whole)}")


def test_a_record_length_of_4_gigabytes(tmp_path: Path) -> None:
    whole = HEADER + record(FRAME)
    one_line(replay(tmp_path, whole + record(FRAME, 0xFFFFFFFF)), 3, "not possible", f"at byte {len(whole)}")


def test_standard_input_that_is_no_capture() -> None:
    one_line(["replay", "--no-store", "-"], 1, "not a pcap or pcapng capture", stdin=b"nothing of the kind")


def test_unreadable_file(tmp_path: Path) -> None:
    arguments = replay(tmp_path, HEADER + record(FRAME))
    (tmp_path / "x.pcap").chmod(0)
    if os.access(tmp_path / "x.pcap", os.R_OK):
        pytest.skip("root reads every file")
    one_line(arguments, 1, "x.pcap", "ermission")


def test_a_store_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    one_line(["replay", DEMO, "--quiet", "--store", tmp_path / "file" / "w.sqlite"], 1, "w.sqlite")


def test_a_locked_store(tmp_path: Path) -> None:
    store = tmp_path / "w.sqlite"
    assert wardwatch("replay", DEMO, "--store", store)[0] == 0
    with sqlite3.connect(store, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        one_line(["replay", DEMO, "--store", store], 1, "w.sqlite", "locked")
    holder.close()


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=64k none {disk} || exit 77; "
        f"{COMMAND} replay {DEMO} --store {disk}/w.sqlite; status=$?; exit $status"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, timeout=120, check=False)
    if done.returncode == 77 or b"unshare" in done.stderr:
        pytest.skip("no mount namespace to be had here")
    error = done.stderr.decode()
    assert done.returncode == 1, error
    assert error.count("\n") == 1
    assert "full" in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[site\n", ("line 1",)),
        ("[policy]\nforbidden = []\n", ("policy", "forbidden")),
        ('[[network]]\nname = "A"\ncidrs = ["10.0.0.0/33"]\n', ("network[0].cidrs[0]", "10.0.0.0/33")),
        ('[policy]\napproved = ["whatsup"]\n', ("policy.approved[0]", "whatsup")),
    ],
    ids=["bad TOML", "unknown key", "bad CIDR", "unknown app"],
)
def test_a_bad_configuration(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    config = tmp_path / "clinic.toml"
    config.write_text(text)
    one_line(["replay", DEMO, "--no-store", "--config", config], 2, "clinic.toml", *words)
    one_line(["config", "check", config], 2, "clinic.toml", *words)


OWN = """id: {id}
name: X
vendor: X
family: x
version: 2026.1.1
rules:
  - id: zone
    {rule}
    strength: conclusive
    service: web
    activity: messaging
    source: here
    seen: 2026-01-01
    confidence: high
examples:
  positive: [{{name: a.clinic.example, rule: {id}/zone}}]
  negative: [{{name: b.example}}]
"""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.yaml": OWN.format(id="own", rule="suffix: [no domain!]")}, ("a.yaml:8", "suffix")),
        (
            {
                "a.yaml": OWN.format(id="own", rule="suffix: [clinic.example]"),
                "b.yaml": OWN.format(id="own", rule="suffix: [clinic.example]"),
            },
            ("b.yaml", "own"),
        ),
    ],
    ids=["bad signature", "duplicate signature id"],
)
def test_bad_signatures(tmp_path: Path, files: dict[str, str], words: tuple[str, ...]) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name, text in files.items():
        (own / name).write_text(text)
    config = tmp_path / "clinic.toml"
    config.write_text('[signatures]\nown = "own"\n')
    one_line(["replay", DEMO, "--no-store", "--config", config], 2, *words)
    status, out, error = wardwatch("signatures", "check", own)
    assert status == 2
    assert words[0] in out + error


def test_a_list_that_cannot_be_written(tmp_path: Path) -> None:
    one_line(["replay", DEMO, "--no-store", "--flows", tmp_path], 2, str(tmp_path), "cannot be written")


def test_no_store_to_list(tmp_path: Path) -> None:
    one_line(["violations", "--store", tmp_path / "none.sqlite"], 1, "none.sqlite")


def test_an_unknown_episode(tmp_path: Path) -> None:
    store = tmp_path / "w.sqlite"
    assert wardwatch("replay", DEMO, "--store", store)[0] == 0
    one_line(["explain", "ffffffffffff", "--store", store], 1, "ffffffffffff")


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "replay" in done.stdout
    for heavy in ("numpy", "numba", "sqlalchemy", "pandas", "rich", "cryptography"):
        assert f" {heavy}\n" not in done.stderr
