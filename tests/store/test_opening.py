"""Opening: what is made, and one line for each way in which it fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sensor.errors import StoreError
from sensor.store import Store, open_store
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def fails(place: Path | str, **options: object) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(place, wait_s=0.2, **options)  # type: ignore[arg-type]  # the options are named in each test
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_importing_the_package_imports_no_database() -> None:
    script = "import sys, sensor.store; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_file_and_folder_are_their_owners_only(place: Path) -> None:
    old = os.umask(0)
    try:
        with open_store(place.parent / "deeper" / "x.db") as store:
            store.append([episode()], snapshots=KNOWN)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.parent.rglob("*")}
    finally:
        os.umask(old)
    assert modes == {"deeper": 0o700, "x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_the_settings_that_durability_rests_on(sqlite_store: Store) -> None:
    with sqlite_store._engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_paths_and_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "a %20?#b.db"
    for place in (odd, str(odd), "plain.db", f"sqlite:///{tmp_path}/url.db", "sqlite+pysqlite:///relative.db"):
        with open_store(place) as store:
            assert store.append([episode()], snapshots=KNOWN).added == (place is odd or place != str(odd))
    assert {path.name for path in tmp_path.iterdir()} == {"a %20?#b.db", "plain.db", "url.db", "relative.db"}
    assert "names no file" in fails("sqlite://")
    assert "cannot be read" in fails("://")
    assert "nosuch database cannot be used" in fails("nosuch://user:secret@host/name")
    assert "null" in fails("a\0b")


def test_reading_only_changes_nothing(place: Path) -> None:
    assert "does not exist" in fails(place, read_only=True)
    assert "does not exist" in fails(place, create=False)
    assert not place.parent.exists()
    with open_store(place) as store:
        store.append([episode()], snapshots=KNOWN)
    before = place.read_bytes()
    with open_store(place, read_only=True) as store:
        assert store.counts().violations == 1
        with pytest.raises(StoreError, match="cannot be opened or written"):
            store.append([episode(app="zoom")])
    assert place.read_bytes() == before
    with open_store(place, create=False) as store:
        assert store.append([episode(app="zoom")]).added == 1


def test_a_reader_sees_what_a_writer_adds(place: Path) -> None:
    with open_store(place) as writer, open_store(place, read_only=True) as reader:
        writer.append([episode()], snapshots=KNOWN)
        assert reader.counts().violations == 1


def test_what_is_no_store(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database at all\n" * 100)
    assert fails(text) == f"store {text} is not a wardwatch store"
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    connection.close()
    assert fails(other) == f"store {other} is not a wardwatch store"
    assert "not a regular file" in fails(tmp_path)
    empty = tmp_path / "empty"
    empty.touch()
    assert fails(empty, create=False) == f"store {empty} is not a wardwatch store"


def test_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made: Not a directory" in fails(tmp_path / "file" / "x.db")


def test_a_newer_schema(place: Path) -> None:
    open_store(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "was written by a newer wardwatch (schema 9999;" in fails(place)
    assert "was written by a newer wardwatch" in fails(place, read_only=True)


def test_a_damaged_store(place: Path) -> None:
    with open_store(place) as store:
        store.append([episode(range(n, n + 5), app=f"app{n}") for n in range(200)], snapshots=KNOWN)
    whole = place.read_bytes()
    for low, high in ((100, 4096), (4096, len(whole))):
        place.write_bytes(whole[:low] + b"\xa5" * (high - low) + whole[high:])
        with pytest.raises(StoreError) as caught, open_store(place) as store:
            store.append([episode()], snapshots=KNOWN)
        assert "is damaged" in str(caught.value)
    place.write_bytes(whole[: len(whole) // 2])
    again = [episode(range(n, n + 5), app=f"app{n}") for n in range(200)]
    with pytest.raises(StoreError, match="is damaged"), open_store(place) as store:
        store.append(again)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    connection = sqlite3.connect(place, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


def test_a_locked_store(place: Path) -> None:
    open_store(place).close()
    with locked(place):
        begun = time.monotonic()
        assert fails(place) == f"store {place} is locked by another process"
        assert fails(place, read_only=True) == f"store {place} is locked by another process"
        assert time.monotonic() - begun < 5
    with open_store(place, wait_s=0.2) as store:
        store.append((), snapshots=KNOWN)
        with sqlite3.connect(place, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="is locked by another process"):
                store.append([episode()])
            assert store.counts().violations == 0, "readers are not locked out by a writer"
        other.close()
        assert store.append([episode()]).added == 1


RUN = """
import sys
from sensor.errors import StoreError
from sensor.store import open_store
from tests.store.make import KNOWN, episode
try:
    with open_store(sys.argv[1]) as store:
        store.append((), snapshots=KNOWN)
        for n in range(int(sys.argv[2])):
            result = store.append([episode(range(n * 10, n * 10 + 9), app=f"app{n}") for n in range(n * 50, n * 50 + 50)])
            print(*result.ids, flush=True)
except StoreError as error:
    sys.exit(f"StoreError: {error}")
"""


def in_own_mounts(setup: str, place: Path, batches: int) -> subprocess.CompletedProcess[str]:
    """Run the script above as root in a mount namespace of its own, after a line of shell."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount a small file system")
    shell = f'set -e; {setup}; exec "$@"'
    command = ["unshare", "-m", "sh", "-c", shell, "sh", sys.executable, "-c", RUN, str(place), str(batches)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "mount" in done.stderr and "StoreError" not in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    return done


@pytest.mark.root
@pytest.mark.parametrize("size", ["16k", "64k", "300k", "1m", "2m"])
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    copy = f"cp -r {small} {kept}"
    shell = f'mount -t tmpfs -o size={size} tmpfs {small}; trap "{copy}" EXIT; "$@"; exit $?'
    done = in_own_mounts(shell, small / "x.db", 200)
    assert done.returncode == 1
    assert done.stderr == f"StoreError: store {small / 'x.db'} cannot be written: the disk is full\n"
    told = done.stdout.split()
    if size in {"1m", "2m"}:
        assert told, "there was room for some"
        with open_store(kept / "x.db") as store:
            held = [row.episode.id for row in store.violations()]
        assert sorted(held) == sorted(told), "all that was reported, and nothing by halves"


@pytest.mark.root
def test_a_read_only_place(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with open_store(folder / "x.db") as store:
        store.append([episode()], snapshots=KNOWN)
    setup = f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"
    done = in_own_mounts(setup, folder / "new.db", 1)
    assert done.stderr == f"StoreError: store {folder / 'new.db'} cannot be made: Read-only file system\n"
    done = in_own_mounts(setup, folder / "x.db", 1)
    assert done.stderr == (
        f"StoreError: store {folder / 'x.db'} cannot be opened or written: check the folder and its permissions\n"
    )


@pytest.mark.root
def test_reading_from_a_read_only_place(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with open_store(folder / "x.db") as store:
        store.append([episode()], snapshots=KNOWN)
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount a read-only file system")
    shell = f'mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; exec "$@"'
    script = "import sys; from sensor.store import open_store; s = open_store(sys.argv[1], read_only=True)"
    script += "; print(s.counts().violations)"
    command = ["unshare", "-m", "sh", "-c", shell, "sh", sys.executable, "-c", script, str(folder / "x.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.stdout == "1\n", done.stderr


def test_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root is not kept out by permissions; the read-only mount stands for it")
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    assert "cannot be made: Permission denied" in fails(folder / "x.db")
