"""The units are as closed as they are said to be, and installing twice, or taking away, leaves what it should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.errors import UsageError
from sensor.ops import install
from tests.commands.running import wardwatch

LIMITS = {"capture": 1.5, "decoder": 0.5, "api": 1.2, "notify": 1.5, "forward": 1.5, "retention": 0.5, "tune": 2.5}


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(one.relative_to(root)): (one.stat().st_mode, one.read_bytes()) for one in root.rglob("*") if one.is_file()
    }


@pytest.mark.parametrize(("unit", "most"), LIMITS.items())
def test_exposure(unit: str, most: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    path = tmp_path / f"wardwatch-{unit}.service"
    text = next(one.text for one in install.files("eth1", "/usr/bin/true") if one.path.endswith(f"/{path.name}"))
    path.write_text(text, "utf-8")
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze cannot look at a unit file here: {done.stderr.strip()}")
    with capsys.disabled():
        pass
    assert float(found[1]) <= most


def test_units_are_ones_that_systemd_reads(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    paths = []
    for one in install.files("eth1", "/bin/true"):
        if one.path.startswith(install.UNITS):
            paths.append(tmp_path / Path(one.path).name)
            paths[-1].write_text(one.text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, paths)], capture_output=True, text=True, check=False, timeout=120
    )
    ours = [
        line
        for line in done.stderr.splitlines()
        if "wardwatch" in line and "ethtool" not in line and "/sbin/ip" not in line
    ]
    assert not [line for line in ours if "Unknown" in line or "Failed to parse" in line or "not found" in line], ours


def test_twice_is_once_and_a_changed_configuration_stays(tmp_path: Path) -> None:
    first = wardwatch("install", "--interface", "eth1", "--root", tmp_path)
    assert first.status == 0, first.err
    before = snapshot(tmp_path)
    assert len(before) == 11
    again = wardwatch("install", "--interface", "eth1", "--root", tmp_path)
    assert all(line.startswith("as it is ") for line in again.out.splitlines())
    assert snapshot(tmp_path) == before
    config = tmp_path / "etc/wardwatch/wardwatch.toml"
    config.write_text('[site]\nname = "ours"\n', "utf-8")
    wardwatch("install", "--interface", "eth2", "--root", tmp_path)
    assert "ours" in config.read_text("utf-8")
    assert " eth2 " in (tmp_path / "etc/systemd/system/wardwatch-decoder.service").read_text("utf-8")
    assert not re.search(r"@[A-Z]+@", "".join(data.decode() for _, data in snapshot(tmp_path).values()))


def test_what_is_installed_as_configuration_is_right(tmp_path: Path) -> None:
    wardwatch("install", "--interface", "eth1", "--root", tmp_path)
    done = wardwatch("config", "check", tmp_path / "etc/wardwatch/wardwatch.toml")
    assert done.status == 0, done.err
    assert (tmp_path / "etc/wardwatch/wardwatch.toml").stat().st_mode & 0o777 == 0o640


def test_taken_away_leaves_the_configuration_or_nothing(tmp_path: Path) -> None:
    wardwatch("install", "--interface", "eth1", "--root", tmp_path)
    kept = tmp_path / "var/lib/wardwatch"
    kept.mkdir(parents=True)
    (kept / "wardwatch.sqlite").write_bytes(b"x")
    shown = wardwatch("uninstall", "--root", tmp_path, "--dry-run")
    assert len(snapshot(tmp_path)) == 12
    done = wardwatch("uninstall", "--root", tmp_path)
    assert shown.out.replace("would remove", "removed ") == done.out != shown.out
    assert sorted(snapshot(tmp_path)) == ["etc/wardwatch/wardwatch.toml", "var/lib/wardwatch/wardwatch.sqlite"]
    assert wardwatch("uninstall", "--root", tmp_path).status == 0
    wardwatch("uninstall", "--root", tmp_path, "--purge")
    assert snapshot(tmp_path) == {}


def test_a_dry_run_says_all_of_it_and_changes_nothing(tmp_path: Path) -> None:
    done = wardwatch("install", "--interface", "eth1", "--dry-run")
    assert done.status == 0, done.err
    for words in (
        "wardwatch-decoder.service",
        "would run systemctl daemon-reload",
        "would run systemd-sysusers",
        "sensor.ops.warm",
    ):
        assert words in done.out
    assert not Path("/etc/systemd/system/wardwatch-decoder.service").exists()
    wardwatch("install", "--interface", "eth1", "--root", tmp_path, "--dry-run")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_does_not_say_that_it_was_done(tmp_path: Path) -> None:
    first = wardwatch("install", "--interface", "eth1", "--root", tmp_path, "--dry-run").out.splitlines()
    assert first
    assert all(line.startswith("would make ") for line in first), first
    wardwatch("install", "--interface", "eth1", "--root", tmp_path)
    other = wardwatch("install", "--interface", "eth2", "--root", tmp_path, "--dry-run").out
    assert "would change " in other
    assert "\nchanged " not in f"\n{other}"


@pytest.mark.parametrize("name", ["", "eth1; reboot", "a/b", "..", "x" * 16, "eth1\nUser=root", "%i"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no name of an interface"):
        list(install.install(name, root=tmp_path, dry_run=False))
    assert list(tmp_path.iterdir()) == []


def test_a_warm_cache_that_cannot_be_written_is_used_and_never_added_to(tmp_path: Path) -> None:
    """A second process that may not write there compiles nothing: Numba says what it loads and saves."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become somebody who may not write")
    code = "from sensor.ops.warm import main; main()"
    warm = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    assert "at hand" in warm.stdout
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c", code]
    env = {**os.environ, "NUMBA_DEBUG_CACHE": "1", "HOME": "/nonexistent"}
    done = subprocess.run(nobody, capture_output=True, text=True, check=False, timeout=500, env=env)
    if "ModuleNotFoundError" in done.stderr or "Permission" in done.stderr:
        pytest.skip("nobody cannot read the sources here")
    assert done.returncode == 0, done.stderr
    assert "[cache] data loaded from" in done.stdout
    assert "[cache] data saved to" not in done.stdout
