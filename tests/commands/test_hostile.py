"""Text from the wire and from files, in every output: nothing of it is a command to a terminal, to rich or to a spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import hostile
from tests.commands.running import lines, tshark, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    b"\x1b[31m[bold red]x.zoom.us",  # terminal colour, rich markup
    b"\x1b]0;owned\x07.zoom.us",  # window title
    b"a\r\nwardwatch: all is well\x00.zoom.us",  # a line of its own
    "\u202egro.elpmaxe.zoom.us".encode(),  # right to left
    b'=cmd|"calc"!a1.zoom.us',  # formula, quotes
    b"WEB.WhatsApp.COM",
)
SAID = (
    r"\027[31m[bold red]x.zoom.us".replace(" ", r"\032"),
    r"\027]0;owned\007.zoom.us",
    r"a\013\010wardwatch:\032all\032is\032well\000.zoom.us",
    r"\226\128\174gro.elpmaxe.zoom.us",
    '=cmd|"calc"!a1.zoom.us',
    "web.whatsapp.com",
)
NETWORK = "=HYPERLINK(1) [bold red]up[/] \\"
CONFIG = """
[[network]]
name = '=HYPERLINK(1) [bold red]up[/] \\'
cidrs = ["10.0.0.0/24"]
[devices.names]
"02:00:00:00:00:a5" = "@SUM(1) [link=x]"
[policy]
disallowed = ["zoom", "whatsapp"]
"""
CONTROLS = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u2028"} - {"\n"}


@dataclass(frozen=True)
class Made:
    capture: Path
    table: str
    options: tuple[str | Path, ...]
    flows: list[dict[str, Any]]
    episodes: list[dict[str, Any]]
    raw: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("hostile")
    path = folder / "x\x1b[31m.pcap"  # a file's name is from outside too
    path.write_bytes(hostile.capture(NAMES))
    (folder / "clinic.toml").write_text(CONFIG, "utf-8")
    options: tuple[str | Path, ...] = ("--config", folder / "clinic.toml", "--store", folder / "w.sqlite")
    flows, episodes = folder / "flows", folder / "episodes"
    done = wardwatch("replay", path, *options, "--flows", flows, "--episodes", episodes)
    assert (done.status, done.err) == (0, "")
    raw = flows.read_text("utf-8") + episodes.read_text("utf-8")
    return Made(path, done.out, options, lines(flows.read_text("utf-8")), lines(episodes.read_text("utf-8")), raw)


def harmless(text: str) -> bool:
    return not CONTROLS & set(text)


def test_names_are_told_escaped_and_apart(made: Made) -> None:
    found = [one["name"] for flow in made.flows for one in flow["names"]]
    assert found == list(SAID)
    assert {one["app"] for one in made.episodes} == {"zoom", "whatsapp"}
    assert harmless(made.raw)
    assert made.raw.isascii()


def test_the_table_shows_markup_as_it_was_written(made: Made) -> None:
    assert harmless(made.table)
    shown = wardwatch("violations", *made.options).out
    for text in (made.table, shown):
        assert harmless(text)
        joined = "".join("".join(line.split()) for line in text.splitlines())  # cells are folded
        assert "[boldred]" in joined
        assert "[link=x]" in joined
        assert "VIOLATION" in text


def test_an_explanation_is_harmless(made: Made) -> None:
    (zoom,) = [one for one in made.episodes if one["app"] == "zoom"]
    done = wardwatch("explain", zoom["id"], *made.options)
    assert done.status == 0
    assert harmless(done.out)
    for name in SAID[:5]:
        assert f") {name}\n" in done.out
    assert not any(line.startswith("wardwatch: ") for line in done.out.splitlines())


def test_no_cell_of_the_csv_is_a_formula(made: Made) -> None:
    done = wardwatch("violations", *made.options, "--format", "csv")
    assert harmless(done.out)
    rows = list(csv.reader(io.StringIO(done.out)))
    assert len(rows) == 3
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r\n"))]
    assert "'" + NETWORK in rows[1]


def test_json_keeps_what_the_csv_has_to_change(made: Made) -> None:
    done = wardwatch("violations", *made.options, "--format", "json")
    assert {one["network"] for one in lines(done.out)} == {NETWORK}
    assert harmless(done.out)


@pytest.mark.tshark
def test_wireshark_filters_work_whatever_the_name(made: Made) -> None:
    for one in made.episodes:
        for each in one["evidence"]:
            assert tshark(made.capture, each["wireshark"]) == [each["frame"]]


def test_a_warning_about_a_hostile_file_name_is_one_harmless_line(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "y\n\x1b[31m.pcap"
    path.write_bytes(made.capture.read_bytes()[:-5])
    done = wardwatch("replay", path, "--no-store")
    assert done.status == 3
    assert done.err.count("\n") == 1
    assert harmless(done.err)
