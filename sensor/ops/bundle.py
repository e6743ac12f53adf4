"""Makes a folder that installs wardwatch on a box without internet: `make bundle`."""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")


def needed(name: str = "wardwatch") -> set[str]:
    """Normal names of all that it runs on, as this environment has them."""
    found: set[str] = set()
    waiting = [(name, frozenset[str]())]
    while waiting:
        one, extras = waiting.pop()
        try:
            wanted = requires(one) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, wanted):
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                continue
            normal = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if normal not in found or requirement.extras:
                found.add(normal)
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def locked(lock: Path, names: set[str]) -> str:
    """The part of a lock file that is about these."""
    made: list[str] = []
    taking = False
    for line in lock.read_text("utf-8").splitlines(keepends=True):
        entry = ENTRY.match(line)
        if entry:
            taking = re.sub(r"[-_.]+", "-", entry[1]).lower() in names
        if taking and not line.lstrip().startswith("#"):
            made.append(line)
    return "".join(made)


def make(sources: Path, out: Path) -> Path:
    """The folder, made anew."""
    described = subprocess.run(
        ["git", "-C", str(sources), "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True, check=False
    )
    name = f"wardwatch-{version('wardwatch')}" + (f"+{described.stdout.strip()}" if described.returncode == 0 else "")
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    lock = folder / "lock.txt"
    lock.write_text(locked(sources / "requirements.lock", needed()), "utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--require-hashes", "-r", str(lock), "-w", str(wheels)], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(sources)], check=True)
    lock.unlink()
    finish(folder, name.removeprefix("wardwatch-"))
    return folder


def finish(folder: Path, named: str) -> None:
    """What stands beside the wheels: what to install by hash, the installer, sums over all."""
    lines = []
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        name, number = wheel.name.split("-")[:2]
        lines.append(f"{name}=={number} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    (folder / "requirements.txt").write_text("".join(lines), "utf-8")
    (folder / "VERSION").write_text(f"{named}\n", "utf-8")
    shutil.copy(HERE / "installer.py", folder / "installer.py")
    sums = [
        f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(folder)}\n"
        for one in sorted(folder.rglob("*"))
        if one.is_file() and one.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(sums), "utf-8")


def main() -> None:
    """Says where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    print(make(Path.cwd(), parser.parse_args().out))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
