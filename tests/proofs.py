"""Which test proves which protocol. `python -m tests.proofs` writes docs/protocols.md from the marks.

A test that proves that something of protocols.toml is read says so, and by which capture or vector:

    from tests.proofs import proves

    @proves("QUIC v2", "RFC 9369, A.2")
    def test_version_2(): ...

    @pytest.mark.parametrize("name", [pytest.param("ndpi__quic-27.pcap", marks=proves("QUIC draft 27"))])
    @pytest.mark.captures
    def test_names_that_tshark_finds(name): ...

    pytestmark = proves("MPLS", "frames made by scapy")  # a whole file

Without a second argument a capture named by the test's parameters is shown. A new protocol: add its key to protocols.toml.
A test may carry several marks. Mark only a test that would fail if that very thing were not read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "protocols.md"
_LISTED = tomllib.loads((ROOT / "tests" / "protocols.toml").read_text("utf-8"))
NOT_YET: list[str] = _LISTED.pop("not_yet")
REQUIRED: dict[str, list[str]] = {heading: section["keys"] for heading, section in _LISTED.items()}
KEYS = frozenset(key for keys in REQUIRED.values() for key in keys)
CAPTURE_SUFFIXES = (".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".cap")
HEAD = """# What is read, and what proves it

Written by `python -m tests.proofs` from the marks on the tests; a test fails where this page is not what the marks say.
*Proof* is the published vector, the capture or the oracle that the test rests on. Captures are public ones and lie outside the
project; tests that need them are skipped where they are not.
"""
NOTHING = "**not read yet**"


def proves(key: str, by: str = "") -> pytest.MarkDecorator:
    """Marks a test as the proof that `key` of protocols.toml is read, `by` a vector, a capture or an oracle."""
    if key not in KEYS:
        raise ValueError(f"{key!r} is not in tests/protocols.toml")
    return pytest.mark.proves(key, by)


def capture_of(item: pytest.Item) -> str:
    """The capture that the test's parameters name, if any."""
    spec = getattr(item, "callspec", None)
    values = [str(value) for value in spec.params.values()] if spec else []
    return ", ".join(value.rpartition("/")[2] for value in values if value.endswith(CAPTURE_SUFFIXES))


class Collected:
    """A plugin that keeps every mark: key -> (test's file, test's name) -> what it rests on."""

    def __init__(self) -> None:
        self.found: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("proves"):
                key, by = mark.args
                name = getattr(item, "originalname", None) or item.name
                place = (item.path.relative_to(ROOT).as_posix(), name)
                self.found[key][place].add(by or capture_of(item))


def table(found: dict[str, dict[tuple[str, str], set[str]]]) -> str:
    """The page."""
    parts = [HEAD]
    for heading, keys in REQUIRED.items():
        parts.append(f"## {heading}\n\n| what | proof | test |\n|---|---|---|\n" + "".join(rows(keys, found)))
    return "\n".join(parts)


def rows(keys: Iterable[str], found: dict[str, dict[tuple[str, str], set[str]]]) -> Iterable[str]:
    for key in keys:
        tests = found.get(key, {})
        proofs = sorted({by for each in tests.values() for by in each if by})
        places = sorted(f"[{name}](../{file})" for file, name in tests)
        yield f"| {key} | {'; '.join(proofs) if tests else NOTHING} | {', '.join(places)} |\n"


def collect() -> dict[str, dict[tuple[str, str], set[str]]]:
    """The marks on all tests, which are collected and not run."""
    plugin = Collected()
    with redirect_stdout(StringIO()) as said:
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", str(ROOT / "tests")], [plugin])
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"the tests could not be collected, exit status {code}:\n{said.getvalue()}")
    return plugin.found


def written_now() -> str:
    """The page as the tests of this moment give it, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.proofs", "--print"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def main(arguments: list[str]) -> None:
    page = table(collect())
    if arguments == ["--print"]:
        sys.stdout.write(page)
    else:
        TABLE.write_text(page, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
