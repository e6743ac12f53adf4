"""`wardwatch config example` and `config check`: what they print."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sensor import config
from sensor.commands.config import check, example
from sensor.errors import ConfigError
from sensor.policy import Policy

NOW_NS = int(datetime(2026, 5, 6, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
EXCEPTION = '[[policy.exception]]\nname = "e"\napps = ["zoom"]\nreason = "r"\nowner = "o"\n'
VARIANT = '[[policy.variant]]\napp = "zoom"\nreason = "r"\nhosts = '


@pytest.fixture
def warnings_of(tmp_path, capsys):
    def warnings_of(text):
        path = tmp_path / "clinic.toml"
        path.write_text(text, "utf-8")
        assert check(path, now_ns=NOW_NS) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith(f"{path}: good: ")
        assert all(line.startswith(f"{path}: ") for line in printed.err.splitlines())
        return [line.removeprefix(f"{path}: ") for line in printed.err.splitlines()]

    return warnings_of


def test_the_example_printed_is_a_file_without_a_warning(capsys, warnings_of):
    assert example() == 0
    printed = capsys.readouterr().out
    assert printed == config.example_text()
    assert warnings_of(printed) == []


def test_check_ends_with_the_hash_that_verdicts_cite(tmp_path, capsys):
    path = tmp_path / "clinic.toml"
    path.write_text(config.example_text(), "utf-8")
    check(str(path), now_ns=NOW_NS)
    expected = (
        "good: 3 networks (1 excluded), 1 approved apps, 4 disallowed, 1 variants, 1 exceptions, 1 schedules, policy "
    )
    assert capsys.readouterr().out == f"{path}: {expected}{Policy(config.load(path)).hash}\n"


def test_an_empty_file_watches_everything(tmp_path, capsys):
    path = tmp_path / "empty.toml"
    path.touch()
    assert check(path) == 0
    assert capsys.readouterr().out.startswith(f"{path}: good: all addresses monitored, 0 approved apps, 4 disallowed, ")


def test_a_mistake_is_an_error(tmp_path):
    path = tmp_path / "clinic.toml"
    path.write_text('[policy]\napproved = ["teems"]', "utf-8")
    assert check(path) == 0
    with pytest.raises(ConfigError) as caught:
        check(path, known_apps=["teams", "zoom"])
    assert str(caught.value) == f"{path}: policy.approved[0]: 'teems' is no known app (did you mean 'teams'?)"


@pytest.mark.parametrize(
    ("until", "expired"),
    [
        ("2026-05-06T12:00:00Z", "2026-05-06 12:00+00:00"),
        ("2026-05-05", "2026-05-06 00:00+00:00"),
        ("2026-05-06T12:00:00.000001Z", None),
        ("2026-05-06", None),
    ],
)
def test_an_expired_exception(warnings_of, until, expired):
    found = warnings_of(f'{EXCEPTION}devices = ["10.0.0.1"]\nuntil = {until}')
    assert found == ([f"policy.exception[0].until: warning: 'e' expired at {expired}"] if expired else [])


def test_exceptions_without_an_end_or_a_limit(warnings_of):
    assert warnings_of(EXCEPTION) == [
        "policy.exception[0]: warning: 'e' never ends",
        "policy.exception[0]: warning: 'e' covers every device everywhere",
    ]


def test_networks_inside_others(warnings_of):
    text = (
        '[[network]]\nname = "all"\ncidrs = ["10.0.0.0/8", "::/0"]\n'
        '[[network]]\nname = "ward"\ncidrs = ["192.0.2.0/24", "10.2.0.0/16", "2001:db8::/32"]\n'
    )
    assert warnings_of(text) == [
        "network[1].cidrs[1]: warning: '10.2.0.0/16' lies inside network 'all'; 'ward' has it",
        "network[1].cidrs[2]: warning: '2001:db8::/32' lies inside network 'all'; 'ward' has it",
    ]


def test_hosts_that_everybody_shares(warnings_of):
    warning = "warning: {!r} is shared by many accounts, so everybody's use is approved"
    assert warnings_of(f'{VARIANT}["clinic.zoom.us", "us02web.zoom.us", "zoom.us"]') == [
        f"policy.variant[0].hosts[1]: {warning.format('us02web.zoom.us')}",
        f"policy.variant[0].hosts[2]: {warning.format('zoom.us')}",
    ]
    assert warnings_of(f'{VARIANT}["calls.example.org"]') == []
