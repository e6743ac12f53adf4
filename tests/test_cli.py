"""The command line itself: help, exit statuses of wrong calls, and how little is imported to answer them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sensor.cli import parser
from sensor.store.follow_records import State
from tests.commands.running import CONFIG, wardwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = ("numpy", "numba", "pandas", "rich", "sqlalchemy", "cryptography", "yaml", "sensor.pipeline", "sensor.capture")
LOADED = """
import sys
from sensor.cli import main
try:
    status = main({arguments!r})
except SystemExit as end:
    status = end.code
print(status, *[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


def commands(
    top: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield path, top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from commands(command, (*path, name))


def summaries(top: argparse.ArgumentParser) -> dict[str, str]:
    """The line that `--help` says of each command."""
    found: dict[str, str] = {}
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {choice.dest: choice.help or "" for choice in action._choices_actions}
            for command in action.choices.values():
                found |= summaries(command)
    return found


def loaded(arguments: list[str]) -> tuple[str, list[str]]:
    """Exit status of a call, and which heavy modules it imported."""
    script = LOADED.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    status, *names = done.stderr.splitlines()[-1].split()
    return status, names


def test_every_command_and_option_says_what_it_is_for() -> None:
    said = summaries(parser())
    assert set(said) >= {"replay", "violations", "explain", "signatures", "config", "check", "example"}
    assert all(said.values())
    for path, command in commands(parser()):
        for action in command._actions:
            plain = isinstance(action, argparse._SubParsersAction) or action.dest in {"file", "outcome", "format"}
            assert action.help or plain, (path, action.dest)


@pytest.mark.parametrize("path", [path for path, _ in commands(parser())], ids=" ".join)
def test_help_of_every_command(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args([*path, "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {' '.join(('wardwatch', *path))} ")


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(arguments) == ("0", [])


def test_listing_does_not_load_the_compiled_loop(tmp_path: Path) -> None:
    status, names = loaded(["violations", "--store", str(tmp_path / "none.sqlite")])
    assert status == "1"
    assert "sqlalchemy" in names
    assert not {"numba", "sensor.pipeline", "sensor.capture"} & set(names)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["replay"],
        ["nonsense"],
        ["replay", "x", "--nonsense"],
        ["violations", "--limit", "many"],
        ["explain"],
        ["config"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_ends_with_2_and_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: wardwatch")


def test_the_example_is_a_good_configuration(tmp_path: Path) -> None:
    example = wardwatch("config", "example")
    assert (example.status, example.err) == (0, "")
    path = tmp_path / "clinic.toml"
    path.write_text(example.out, "utf-8")
    done = wardwatch("config", "check", path)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{path}: good: ")
    assert wardwatch("config", "check", CONFIG).status == 0


def test_our_own_signatures_are_good() -> None:
    done = wardwatch("signatures", "check")
    assert (done.status, done.out, done.err) == (0, "0 errors, 0 warnings\n", "")


GOOD = """id: clinicchat
name: Clinic Chat
vendor: Example
family: example
version: 2026.1.1
rules:
  - id: zone
    suffix: [chat.example]
    strength: conclusive
    service: web
    activity: messaging
    source: the vendor's page
    seen: 2026-01-01
    confidence: high
examples:
  positive: [{name: a.chat.example, rule: clinicchat/zone}]
  negative: [{name: chat.example.org}]
"""


def checked(folder: Path, **files: str) -> tuple[int, str, str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    done = wardwatch("signatures", "check", folder)
    return done.status, done.out, done.err


def test_a_folder_of_ones_own_is_good(tmp_path: Path) -> None:
    assert checked(tmp_path, own=GOOD) == (0, "0 errors, 0 warnings\n", "")


def test_a_doubtful_folder_ends_with_3(tmp_path: Path) -> None:
    status, out, err = checked(tmp_path, own=GOOD.replace("    source: the vendor's page\n    seen: 2026-01-01\n", ""))
    assert (status, err) == (3, "")
    assert f"{tmp_path}/own.yaml:7: warning: rule clinicchat/zone: has no source" in out
    assert out.endswith("0 errors, 1 warnings\n")


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("strength: conclusive", "strength: certain", "own.yaml:9", "strength"),
        ("suffix: [chat.example]", "sufix: [chat.example]", "own.yaml:8", "sufix"),
        ("version: 2026.1.1", "version: [", "own.yaml:7", "not YAML"),
        ("{name: chat.example.org}", "{name: b.chat.example}", "own.yaml:17", "must not match"),
        ("rule: clinicchat/zone", "rule: clinicchat/other", "own.yaml:16", "there is no rule clinicchat/other"),
        ("clinicchat", "another", "own.yaml:1", "'another' is taken by"),
    ],
    ids=["value", "key", "YAML", "negative example", "positive example", "taken id"],
)
def test_a_broken_folder_ends_with_2_and_the_place(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert old in GOOD
    status, out, err = checked(
        tmp_path,
        own=GOOD.replace(old, new),
        other=GOOD.replace("clinicchat", "another").replace("chat.example", "other.example"),
    )
    assert status == 2
    assert f"{tmp_path}/{place}: error: " in err
    assert words in err
    assert "Traceback" not in err
    assert " errors, " in out


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon"])
def test_a_wrong_time_to_look_is_said_in_words_for_people(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["doctor", "eth1", f"--seconds={given}"])
    assert f"argument --seconds: {given!r} is no number of seconds above 0" in capsys.readouterr().err


def test_states_are_those_of_the_follow_up() -> None:
    """A misspelt one is refused: it would list nothing, as if there were nothing to do."""
    for state in State:
        assert parser().parse_args(["violations", "--state", state.value]).state == state.value
    with pytest.raises(SystemExit):
        parser().parse_args(["violations", "--state", "close"])
