"""`wardwatch replay --compare`: verdicts gained, lost and changed under another policy or other signatures, with the reason."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from sensor.cli import main
from tests.commands.running import CAPTURE, CONFIG, told, wardwatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One replay of the demo, as a store and as lines."""
    folder = tmp_path_factory.mktemp("earlier")
    made = {"store": folder / "w.sqlite", "lines": folder / "e.jsonl"}
    done = wardwatch(
        "replay", CAPTURE, "--config", CONFIG, "--store", made["store"], "--episodes", made["lines"], "--quiet"
    )
    assert done.status == 0, done.err
    return made


def compared(old: Path, config: Path) -> tuple[dict[str, int], str]:
    """In this process, which has compiled everything already."""
    out = io.StringIO()
    with redirect_stdout(out):
        status = main(["replay", str(CAPTURE), "--config", str(config), "--no-store", "--compare", str(old), "--quiet"])
    assert status == 0
    _, _, said = out.getvalue().partition("Compared: ")
    head, _, rest = said.partition(".\n")
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", head)}
    assert sum(rest.count(f"\n{name}") + rest.startswith(name) for name in ("gained", "lost", "changed")) == sum(
        counts[name] for name in ("gained", "lost", "changed")
    )
    return counts, rest


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = CONFIG.read_text("utf-8")
    assert old in text
    path = tmp_path / "clinic.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


@pytest.mark.parametrize("kind", ["store", "lines"])
def test_the_same_again_differs_in_nothing(earlier, kind):
    counts, rest = compared(earlier[kind], CONFIG)
    assert counts == {"gained": 0, "lost": 0, "changed": 0, "same": 22}
    assert not rest


@pytest.mark.parametrize("kind", ["store", "lines"])
def test_another_policy_says_which_rule_now_decides(earlier, kind, tmp_path):
    looser = changed(
        tmp_path, 'disallowed = ["whatsapp", "facetime", "messenger", "zoom"]', 'disallowed = ["whatsapp"]'
    )
    counts, rest = compared(earlier[kind], looser)
    assert (counts["gained"], counts["changed"]) == (0, 0)
    assert counts["lost"] == 7
    assert rest.count("policy: policy.disallowed before, policy.unlisted now") == 7
    assert "WhatsApp" not in rest


def test_a_stricter_policy_gains(earlier, tmp_path):
    stricter = changed(tmp_path, 'approved = ["teams"]', "approved = []")
    stricter.write_text(stricter.read_text("utf-8").replace('disallowed = ["', 'disallowed = ["teams", "'), "utf-8")
    counts, rest = compared(earlier["lines"], stricter)
    assert (counts["gained"], counts["lost"]) == (2, 0)
    assert rest.count("policy: policy.approved before, policy.disallowed now") == 2


def test_other_signatures_say_which_rules_came_and_went(earlier, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "messenger.yaml").write_text(
        "id: messenger\nextends: builtin\nversion: 2026.03.17\ndisable: [turn-realm, relay-user]\n", "utf-8"
    )
    config = tmp_path / "clinic.toml"
    config.write_text(CONFIG.read_text("utf-8") + '\n[signatures]\nown = "own"\n', "utf-8")
    counts, rest = compared(earlier["lines"], config)
    assert counts["same"] == 21
    assert counts["changed"] + counts["lost"] == 1
    assert "no longer met: messenger/relay-user, messenger/turn-realm" in rest


def test_what_was_not_there_before_is_gained_and_what_is_gone_is_lost(earlier, tmp_path):
    lines = earlier["lines"].read_text("utf-8").splitlines(keepends=True)
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(line for line in lines if '"app":"facetime"' not in line), "utf-8")
    counts, rest = compared(fewer, CONFIG)
    assert (counts["gained"], counts["lost"], counts["same"]) == (3, 0, 19)
    assert rest.count("before: nothing") == 3
    assert "met now: facetime/" in rest
    more = tmp_path / "more.jsonl"
    doubled = next(line for line in lines if '"app":"zoom"' in line and '"verdict":"violation"' in line)
    more.write_text("".join([*lines, doubled.replace('"device_id":"', '"device_id":"x')]), "utf-8")
    counts, rest = compared(more, CONFIG)
    assert (counts["gained"], counts["lost"], counts["same"]) == (0, 1, 22)
    assert "now:    nothing" in rest


def test_mistakes_are_one_line(earlier, tmp_path):
    nothing = tmp_path / "nothing.jsonl"
    told(wardwatch("replay", CAPTURE, "--no-store", "--compare", nothing), 2, "--compare")
    nothing.write_text('{"a": 1}\n')
    told(wardwatch("replay", CAPTURE, "--no-store", "--compare", nothing), 2, "line 1")
    told(wardwatch("replay", CAPTURE, "--no-store", "--json", "--compare", earlier["lines"]), 2, "one of them")
