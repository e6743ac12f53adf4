"""Installs wardwatch from the folder that this file lies in, on a box without internet; the standard library alone.

sudo python3 installer.py install --interface eth1    also an upgrade: the version before stays beside it
sudo python3 installer.py rollback                    back to it
sudo python3 installer.py backup FILE.tar             store, configuration and keys
sudo python3 installer.py restore FILE.tar
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PREFIX, ETC, STATE = "/opt/wardwatch", "/etc/wardwatch", "/var/lib/wardwatch"
SERVICES = ("wardwatch-decoder", "wardwatch-api", "wardwatch-notify", "wardwatch-capture")
STARTED = ("wardwatch-capture", "wardwatch-decoder", "wardwatch-api")
SQLITE = b"SQLite format 3\0"
KEPT_BACKUPS = 3


class InstallError(Exception):
    """One line for the operator."""


class Installer:
    """`root`: for tests, everything is below it, and no service is touched."""

    def __init__(self, bundle: Path, root: Path = Path("/")) -> None:
        self.bundle = bundle
        self.root = root
        self.real = root == Path("/")
        self.prefix = self._below(PREFIX)
        self.current, self.previous = self.prefix / "current", self.prefix / "previous"

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def check(self) -> None:
        """Every file of the bundle is what its sums say, and nothing is there beside them."""
        listed = {}
        for line in (self.bundle / "SHA256SUMS").read_text("utf-8").splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
        there = {str(one.relative_to(self.bundle)) for one in self.bundle.rglob("*") if one.is_file()} - {"SHA256SUMS"}
        for name in sorted(listed.keys() ^ there):
            raise InstallError(f"{name}: {'is missing in' if name in listed else 'does not belong to'} this bundle")
        for name, digest in sorted(listed.items()):
            if hashlib.sha256((self.bundle / name).read_bytes()).hexdigest() != digest:
                raise InstallError(f"{name}: is damaged or was changed")

    def install(self, interface: str | None) -> None:
        """Beside what is there, then in its place. The store is backed up before, for a rollback."""
        self.check()
        version = (self.bundle / "VERSION").read_text("utf-8").strip()
        target = self.prefix / "versions" / version
        if not (target / "bin" / "wardwatch").exists():
            self._fill(target)
        before = self._version_of(self.current)
        if before is not None and before != version:
            self._back_up_before(version)
            _point(self.previous, Path("versions") / before)
        _point(self.current, Path("versions") / version)
        say(f"{version} is in place" + (f", {before} stays beside it" if before not in {None, version} else ""))
        if interface is not None:
            self._run(str(self.current / "bin" / "wardwatch"), "install", "--interface", interface, "--root", str(self.root),
                      "--program", f"{PREFIX}/current/bin/wardwatch")  # fmt: skip
        elif self.real:
            self._service("restart", STARTED)

    def rollback(self, *, with_store: bool) -> None:
        """Back to the version before; the one that is left stays beside it."""
        now, before = self._version_of(self.current), self._version_of(self.previous)
        if now is None or before is None:
            raise InstallError("there is no version before this one")
        self._service("stop", SERVICES)
        if with_store:
            saved = self.prefix / "backups" / f"before-{now}.tar"
            if not saved.exists():
                raise InstallError(f"{saved}: is not there")
            self._unpack(saved)
        _point(self.current, Path("versions") / before)
        _point(self.previous, Path("versions") / now)
        self._service("start", STARTED)
        say(f"{before} is in place again")

    def backup(self, path: Path) -> None:
        """Store (whole at one moment, while it is written to), configuration and keys, readable by the owner only."""
        if path.exists():
            raise InstallError(f"{path}: is there already")
        self._pack(path)
        say(f"{path}: {path.stat().st_size} bytes")

    def restore(self, path: Path) -> None:
        """Puts back what a backup holds; what is there is moved aside."""
        self._service("stop", SERVICES)
        self._unpack(path)
        self._service("start", STARTED)
        say(f"{path}: is back in place")

    def _fill(self, target: Path) -> None:
        """An environment of its own, by hash, from the bundle alone."""
        fresh = target.with_name(f".{target.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        # Made where it will stay, for an environment holds its own path; taken away again where it does not become whole.
        python = str(target / "bin" / "python")
        own = importlib.util.find_spec("pip") is not None  # this Python's pip does, and need not be copied
        try:
            self._run(sys.executable, "-m", "venv", *(["--without-pip"] if own else []), str(target))
            pip = [sys.executable, "-m", "pip", "--python", python] if own else [python, "-m", "pip"]
            pip += ["--quiet", "--disable-pip-version-check", "install", "--no-index"]
            self._run(
                *pip,
                "--find-links",
                str(self.bundle / "wheels"),
                "--require-hashes",
                "-r",
                str(self.bundle / "requirements.txt"),
            )
        except InstallError:
            shutil.rmtree(target, ignore_errors=True)
            raise

    def _back_up_before(self, version: str) -> None:
        folder = self.prefix / "backups"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"before-{version}.tar"
        path.unlink(missing_ok=True)
        self._pack(path)
        for old in sorted(folder.glob("before-*.tar"), key=lambda one: one.stat().st_mtime)[:-KEPT_BACKUPS]:
            old.unlink()

    def _pack(self, path: Path) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
            for top in (ETC, STATE):
                for one in sorted(self._below(top).rglob("*")):
                    name = f"{top.lstrip('/')}/{one.relative_to(self._below(top))}"
                    if one.is_symlink() or name.endswith(("-wal", "-shm", ".spool")):
                        continue
                    if one.is_dir():
                        tar.add(one, name, recursive=False)
                    elif one.is_file():
                        _add(tar, one, name)

    def _unpack(self, path: Path) -> None:
        aside = f".before-{time.strftime('%Y%m%dT%H%M%S')}"
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for one in members:
                if (
                    not (one.isfile() or one.isdir())
                    or ".." in one.name
                    or not one.name.startswith((ETC[1:], STATE[1:]))
                ):
                    raise InstallError(f"{path}: holds {one.name!r}, which no backup does")
            for top in (ETC, STATE):
                if self._below(top).exists():
                    shutil.copytree(self._below(top), f"{self._below(top)}{aside}", symlinks=True)
            for old in self._below(STATE).glob("*.sqlite-*"):  # of the store that is replaced
                old.unlink()
            for one in members:
                tar.extract(one, self.root, set_attrs=True, filter="tar")

    def _version_of(self, link: Path) -> str | None:
        return Path(os.readlink(link)).name if link.is_symlink() else None

    def _service(self, what: str, names: tuple[str, ...]) -> None:
        if self.real:
            subprocess.run(["systemctl", what, *names], check=False)

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InstallError(f"{' '.join(words[:4])} ...: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A file; of a database a copy that is whole, whoever writes to it meanwhile."""
    with path.open("rb") as begin:
        is_store = begin.read(len(SQLITE)) == SQLITE
    if not is_store:
        tar.add(path, name, recursive=False)
        return
    info = tar.gettarinfo(path, name)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "copy"
        source, target = sqlite3.connect(path, timeout=30), sqlite3.connect(copy)
        try:
            source.backup(target, pages=4096, sleep=0.01)
        finally:
            source.close()
            target.close()
        data = copy.read_bytes()
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _point(link: Path, target: Path) -> None:
    """At once: there is no moment without."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def say(text: str) -> None:
    """To whoever runs it."""
    print(f"wardwatch: {text}")


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, or 1 with one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("check", help="whether the bundle is whole")
    what.add_parser("install", help="install or upgrade").add_argument(
        "--interface", help="the mirror port, for the service"
    )
    what.add_parser("rollback", help="back to the version before").add_argument(
        "--with-store", action="store_true", help="and to the store as it was then: what came since is lost"
    )
    for name in ("backup", "restore"):
        what.add_parser(name, help="store, configuration and keys").add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    installer = Installer(Path(__file__).resolve().parent, options.root)
    try:
        if options.what == "check":
            installer.check()
        elif options.what == "install":
            installer.install(options.interface)
        elif options.what == "rollback":
            installer.rollback(with_store=options.with_store)
        elif options.what == "backup":
            installer.backup(options.file)
        else:
            installer.restore(options.file)
    except (InstallError, OSError, tarfile.TarError, sqlite3.Error) as error:
        print(f"wardwatch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
