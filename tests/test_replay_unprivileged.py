"""What an ordinary user meets: files and folders that are not theirs. Root, who may read everything, becomes nobody for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CAPTURE, COMMAND, Done, told

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "65534"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        cache = Path(name) / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        yield Path(name)


def as_nobody(folder: Path, *arguments: str | Path) -> Done:
    """Runs wardwatch as a user who owns nothing; the compiled loop may be kept in `folder`/cache."""
    command = [str(COMMAND), *map(str, arguments)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads every file, and there is no setpriv to become somebody else")
        command = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", *command]
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "HOME": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env, cwd=folder)
    if not done.stdout and "wardwatch" not in done.stderr:
        pytest.skip(f"nobody cannot run wardwatch here: {done.stderr.strip()}")
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_capture_that_may_not_be_read(folder: Path) -> None:
    path = Path(shutil.copy(CAPTURE, folder / "secret.pcap"))
    path.chmod(0)
    told(as_nobody(folder, "replay", path, "--no-store"), 1, "secret.pcap", "ermission denied")


def test_a_folder_that_may_not_be_listed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0)
    told(as_nobody(folder, "replay", closed, "--no-store"), 1, "closed", "ermission denied")


def test_a_configuration_that_may_not_be_read(folder: Path) -> None:
    path = folder / "clinic.toml"
    path.write_text("[site]\n")
    path.chmod(0)
    told(as_nobody(folder, "config", "check", path), 2, "clinic.toml", "cannot be read", "ermission denied")


def test_a_store_where_nothing_may_be_written(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    store = closed / "w.sqlite"
    told(as_nobody(folder, "replay", CAPTURE, "--store", store), 1, "w.sqlite", "ermission denied")
    assert not store.exists()


def test_a_store_that_may_not_be_read(folder: Path) -> None:
    store = folder / "w.sqlite"
    store.touch()
    store.chmod(0)
    told(as_nobody(folder, "violations", "--store", store), 1, "w.sqlite", "permissions")


def test_a_list_where_nothing_may_be_written(folder: Path) -> None:
    target = folder / "flows"
    target.touch()
    target.chmod(0o444)
    told(as_nobody(folder, "replay", CAPTURE, "--no-store", "--flows", target), 2, "flows", "cannot be written")
