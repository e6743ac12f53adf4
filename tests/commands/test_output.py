"""Where output goes: nothing that is read is ever overwritten, and what cannot be written is told in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import CAPTURE, CONFIG, told, wardwatch

if TYPE_CHECKING:
    from tests.commands.conftest import Demo

FULL = Path("/dev/full")


@pytest.fixture
def full() -> str:
    if not FULL.is_char_device():
        pytest.skip("there is no /dev/full here")
    return str(FULL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(CAPTURE, tmp_path / "evidence.pcap"))


@pytest.mark.parametrize("option", ["--flows", "--episodes"])
def test_a_capture_is_never_overwritten_by_what_is_said_of_it(copy: Path, option: str) -> None:
    before = hashlib.sha256(copy.read_bytes()).digest()
    link = copy.with_name("link")
    link.symlink_to(copy)
    told(wardwatch("replay", copy, "--no-store", option, link), 2, option, "overwrite", "capture")
    told(wardwatch("replay", copy.parent, "--no-store", option, copy), 2, option, "overwrite", "capture")
    assert hashlib.sha256(copy.read_bytes()).digest() == before


def test_configuration_and_store_are_not_overwritten(copy: Path) -> None:
    config = Path(shutil.copy(CONFIG, copy.with_name("clinic.toml")))
    store = copy.with_name("w.sqlite")
    told(
        wardwatch("replay", copy, "--no-store", "--config", config, "--flows", config), 2, "overwrite", "configuration"
    )
    assert config.read_bytes() == CONFIG.read_bytes()
    told(wardwatch("replay", copy, "--store", store, "--flows", store), 2, "overwrite", "store")
    assert not store.exists()


def test_two_lists_need_two_files(copy: Path) -> None:
    both = copy.with_name("both")
    done = wardwatch("replay", copy, "--no-store", "--flows", both, "--episodes", f"{both.parent}/./both")
    told(done, 2, "--episodes", "overwrite", "--flows")


def test_a_list_in_a_folder_that_is_missing(copy: Path) -> None:
    target = copy.with_name("missing") / "flows"
    told(wardwatch("replay", copy, "--no-store", "--episodes", target), 2, str(target), "cannot be written")


@pytest.mark.parametrize("option", ["--flows", "--episodes"])
def test_a_disk_that_fills_while_a_list_is_written(full: str, option: str) -> None:
    done = wardwatch("replay", CAPTURE, "--config", CONFIG, "--no-store", option, full)
    told(done, 1, full, "No space left")


@pytest.mark.parametrize(
    "arguments", [["replay", CAPTURE, "--no-store"], ["replay", CAPTURE, "--no-store", "--json"], ["config", "example"]]
)
def test_a_full_disk_under_standard_output(full: str, arguments: list[str | Path]) -> None:
    told(wardwatch(*arguments, stdout=full), 1, "standard output", "No space left")


def test_a_full_disk_under_lists_and_explanations(full: str, demo: Demo) -> None:
    where = ("--config", CONFIG, "--store", demo.store)
    for form in ("table", "json", "csv"):
        done = wardwatch("violations", *where, "--format", form, stdout=full)
        told(done, 1, "standard output", "No space left")
    told(wardwatch("explain", demo.violations[0]["id"], *where, stdout=full), 1, "standard output", "No space left")


def test_a_named_pipe_is_read_once_and_stored(demo: Demo, tmp_path: Path) -> None:
    """Its digest is not asked for: opening it again would wait for a writer that never comes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(CAPTURE.read_bytes()), daemon=True)
    writer.start()
    done = wardwatch("replay", pipe, "--config", CONFIG, "--store", tmp_path / "w.sqlite", timeout_s=60)
    writer.join(5)
    assert done.status == 0
    assert f"Stored: {len(demo.episodes)} new" in done.out
