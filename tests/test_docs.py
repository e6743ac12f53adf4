"""The documents hold: commands and options are all there, links lead somewhere, and what they show is what is printed now.

`python -m tests.test_docs` puts the explanation that is printed now into the README.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.cli import parser
from sensor.wording import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CAPTURE, CONFIG = "pcaps/clinic-morning.pcap", "pcaps/clinic.toml"
DOCS = sorted([README, ROOT / "CHANGELOG.md", ROOT / "pcaps" / "README.md", *(ROOT / "docs").rglob("*.md")])
EXPLAIN = re.compile(r"(?<=<!-- explain -->\n```\n)(?P<said>VIOLATION (?s:.*?))(?=```\n)")
ASKED = re.compile(r"`wardwatch explain (?P<id>[0-9a-f]+)`")
TABLE = re.compile(r"<!-- table -->\n```text\n(?P<rows>(?s:.*?))```\n")
ROW = re.compile(
    r"^ (?P<verdict>VIOLATION|review|unreviewed|allowed) .* (?P<strength>\w+)  +(?P<id>[0-9a-f]{8})$", re.MULTILINE
)
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")


def wardwatch(*arguments: str) -> str:
    command = [sys.executable, "-m", "sensor.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "demo.sqlite"
    replay(path)
    return path


def replay(store: Path) -> None:
    wardwatch("replay", CAPTURE, "--config", CONFIG, "--store", str(store), "--quiet")


def explained(episode: str, store: Path) -> str:
    return wardwatch("explain", episode, "--config", CONFIG, "--store", str(store))


def shown() -> tuple[str, str]:
    """The id that the README asks about, and the answer that it shows."""
    text = README.read_text("utf-8")
    asked, block = ASKED.search(text), EXPLAIN.search(text)
    assert asked is not None
    assert block is not None
    return asked["id"], block["said"]


def test_the_explanation_is_what_is_printed_now(store: Path) -> None:
    asked, said = shown()
    assert said == explained(asked, store), "python -m tests.test_docs writes the new one"


@pytest.mark.tshark
def test_the_filters_of_the_explanation_show_what_they_say() -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("no tshark")
    _, said = shown()
    evidence = re.findall(r"frame (\d+) of .*(?:\n.*){2,3}?\n +Wireshark: (.+)\n +Its flow:  (.+)\n", said)
    assert len(evidence) == said.count("Wireshark:") > 0
    for frame, one, flow in evidence:
        assert frames(tshark, one) == [frame]
        assert len(frames(tshark, flow)) > 1


def frames(tshark: str, display_filter: str) -> list[str]:
    command = [tshark, "-n", "-r", CAPTURE, "-Y", display_filter, "-T", "fields", "-e", "frame.number"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def test_the_table_is_of_the_demo(store: Path) -> None:
    found = TABLE.search(README.read_text("utf-8"))
    assert found is not None
    lines = wardwatch(
        *("violations", "--config", CONFIG, "--store", str(store), "--outcome", "all", "--format", "json")
    ).splitlines()
    real = {record["id"][:8]: record for record in map(json.loads, lines)}
    rows = list(ROW.finditer(found["rows"]))
    assert len(rows) >= 4
    for row in rows:
        record = real[row["id"]]
        assert (row["verdict"].lower(), row["strength"]) == (record["verdict"], record["strength"])
        assert record["activity"].replace("_", " ") in row[0]
    assert {"whatsapp", "facetime", "messenger", "zoom"} <= {real[row["id"]]["app"] for row in rows}


def words() -> Iterator[tuple[str, str]]:
    """(command, word) of every command and of every option and positional's name it takes."""
    for name, command in commands(parser()):
        yield name, name.rsplit(" ", maxsplit=1)[-1]
        for action in command._actions:
            for option in action.option_strings:
                if option.startswith("--") and option != "--help":
                    yield name, option


def commands(top: argparse.ArgumentParser, prefix: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                inner = list(commands(command, f"{prefix}{name} "))
                yield from inner or [(f"{prefix}{name}", command)]


@pytest.mark.parametrize(("command", "word"), sorted(set(words())))
def test_every_command_and_option_is_documented(command: str, word: str) -> None:
    text = "\n".join(path.read_text("utf-8") for path in DOCS)
    assert re.search(rf"wardwatch {re.escape(command)}\b", text)
    assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)


def test_every_command_is_met() -> None:
    assert {"replay", "violations", "explain", "signatures check", "config check"} <= {name for name, _ in words()}
    assert ("replay", "--separate") in set(words())


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.finditer(path.read_text("utf-8")):
        target = link["target"].partition("#")[0]
        if target and "://" not in target:
            assert (path.parent / target).exists(), f"{target} is not there"


def test_links_are_found() -> None:
    assert len(LINK.findall(README.read_text("utf-8"))) > 5


def test_the_auditor_finds_every_kind_of_evidence() -> None:
    text = (ROOT / "docs" / "auditor.md").read_text("utf-8")
    assert [
        kind for kind in KINDS if kind != "dns_query" and f"`{kind}`" not in text
    ] == []  # a question is no evidence


def refresh() -> None:
    """Writes the explanation that is printed now into the README."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "demo.sqlite"
        replay(store)
        said = explained(shown()[0], store)
    README.write_text(EXPLAIN.sub(lambda _: said, README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    refresh()
