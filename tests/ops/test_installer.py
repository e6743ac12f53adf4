"""A bundle installs by hash and without an index, side by side; back and forth; store and keys are saved whole. Wheels made here."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from sensor.ops import bundle
from sensor.ops.installer import Installer, InstallError, main

ROOT = Path(__file__).resolve().parents[2]


def wheel(folder: Path, number: str) -> None:
    """A package of this name whose program says its version."""
    folder.mkdir(parents=True)
    info = f"wardwatch-{number}.dist-info"
    files = {
        "wwtest.py": f"def command():\n    print('{number}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: wardwatch\nVersion: {number}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nwardwatch = wwtest:command\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(folder / f"wardwatch-{number}-py3-none-any.whl", "w") as out:
        for name, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            out.writestr(name, text)


def made(tmp_path: Path, number: str) -> Path:
    folder = tmp_path / f"bundle-{number}"
    wheel(folder / "wheels", number)
    bundle.finish(folder, number)
    return folder


def says(root: Path) -> str:
    done = subprocess.run([root / "opt/wardwatch/current/bin/wardwatch"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_upgrade_rollback_and_forth_again(tmp_path: Path) -> None:
    root = tmp_path / "box"
    state = root / "var/lib/wardwatch"
    state.mkdir(parents=True)
    (root / "etc/wardwatch").mkdir(parents=True)
    (root / "etc/wardwatch/key.pem").write_text("secret", "utf-8")
    with sqlite3.connect(state / "wardwatch.sqlite") as store:
        store.execute("CREATE TABLE t AS SELECT 1 AS version")
    first, second = made(tmp_path, "1.0"), made(tmp_path, "2.0")
    Installer(first, root).install(None)
    assert says(root) == "1.0"
    with pytest.raises(InstallError, match="no version before"):
        Installer(first, root).rollback(with_store=False)
    Installer(second, root).install(None)
    assert says(root) == "2.0"
    with sqlite3.connect(state / "wardwatch.sqlite") as store:
        store.execute("UPDATE t SET version = 2")
    Installer(second, root).rollback(with_store=False)
    assert says(root) == "1.0"
    Installer(second, root).install(None)
    Installer(second, root).install(None)  # twice is once
    assert says(root) == "2.0"
    Installer(second, root).rollback(with_store=True)
    with sqlite3.connect(state / "wardwatch.sqlite") as store:
        assert store.execute("SELECT version FROM t").fetchone() == (2,)  # as it was before the last upgrade
    assert says(root) == "1.0"


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_a_bundle_that_is_not_whole_is_refused(tmp_path: Path, change: str) -> None:
    folder = made(tmp_path, "1.0")
    (one,) = (folder / "wheels").iterdir()
    if change == "changed":
        one.write_bytes(one.read_bytes() + b"\0")
    elif change == "missing":
        one.unlink()
    else:
        (folder / "wheels" / "more.whl").write_bytes(b"x")
    with pytest.raises(InstallError, match=r"damaged|missing|does not belong"):
        Installer(folder, tmp_path / "box").install(None)
    assert not (tmp_path / "box").exists()


def test_a_wheel_with_another_hash_is_not_installed_and_leaves_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, "1.0")
    wheel(tmp_path / "other", "1.0")
    text = (folder / "requirements.txt").read_text("utf-8")
    (folder / "requirements.txt").write_text(text[:-3] + ("00\n" if not text.endswith("00\n") else "11\n"), "utf-8")
    bundle_sums = {line.split("  ")[1]: line for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines()}
    bundle_sums["requirements.txt"] = (
        f"{hashlib.sha256((folder / 'requirements.txt').read_bytes()).hexdigest()}  requirements.txt"
    )
    (folder / "SHA256SUMS").write_text("\n".join(bundle_sums.values()) + "\n", "utf-8")
    with pytest.raises(InstallError):
        Installer(folder, tmp_path / "box").install(None)
    assert not (tmp_path / "box/opt/wardwatch/versions/1.0").exists()
    assert not (tmp_path / "box/opt/wardwatch/current").exists()


def test_a_backup_is_whole_while_the_store_is_written_to(tmp_path: Path) -> None:
    root = tmp_path / "box"
    state, etc = root / "var/lib/wardwatch", root / "etc/wardwatch"
    state.mkdir(parents=True)
    etc.mkdir(parents=True)
    (etc / "key.pem").write_text("secret", "utf-8")
    (etc / "key.pem").chmod(0o600)
    place = state / "wardwatch.sqlite"
    with sqlite3.connect(place, isolation_level=None) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE a (n)")
        store.execute("CREATE TABLE b (n)")
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(place, isolation_level=None, timeout=30) as store:
            number = 0
            while not stop.is_set():
                store.execute("BEGIN IMMEDIATE")
                store.execute("INSERT INTO a VALUES (?)", (number,))
                store.execute("INSERT INTO b VALUES (?)", (number,))
                store.execute("COMMIT")
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert main(["--root", str(root), "backup", str(tmp_path / "b.tar")]) == 0
    finally:
        stop.set()
        writer.join()
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    (etc / "key.pem").unlink()
    place.unlink()
    assert main(["--root", str(root), "restore", str(tmp_path / "b.tar")]) == 0
    assert (etc / "key.pem").read_text("utf-8") == "secret"
    assert (etc / "key.pem").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(place) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.execute("SELECT count(*) FROM a").fetchone() == store.execute("SELECT count(*) FROM b").fetchone()
    assert main(["--root", str(root), "backup", str(tmp_path / "b.tar")]) == 1  # it overwrites nothing


@pytest.mark.parametrize("name", ["../escaped", "etc/passwd", "/etc/wardwatch/x", "etc/wardwatch/../../x"])
def test_what_no_backup_holds_is_not_restored(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("x", "utf-8")
    with tarfile.open(tmp_path / "b.tar", "w") as out:
        info = out.gettarinfo(tmp_path / "x", name)
        info.name = name
        with (tmp_path / "x").open("rb") as data:
            out.addfile(info, data)
    before = sorted(tmp_path.iterdir())
    assert main(["--root", str(tmp_path / "box"), "restore", str(tmp_path / "b.tar")]) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_installer_runs_on_its_own_and_what_it_needs_is_locked() -> None:
    done = subprocess.run(
        [sys.executable, "-I", ROOT / "sensor/ops/installer.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "rollback" in done.stdout
    names = bundle.needed()
    assert {"numba", "numpy", "sqlalchemy", "fastapi", "cryptography", "llvmlite"} <= names
    assert not {"pytest", "scapy", "playwright", "ruff"} & names
    lock = bundle.locked(ROOT / "requirements.lock", names)
    assert "--hash=sha256:" in lock
    there = {entry[1].lower().replace("_", "-") for line in lock.splitlines() if (entry := bundle.ENTRY.match(line))}
    assert {"numba", "numpy", "sqlalchemy", "fastapi", "cryptography", "llvmlite"} <= there
