"""Rules about what hides the use of apps: our own files, and mistakes in such files."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from sensor.classify import check, visibility
from sensor.classify.signatures import load as load_apps
from sensor.errors import SignatureError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "id: {id}\nname: N\nvendor: V\nfamily: f\nversion: '1'\nrules:\n"
RULE = "  - {{id: one, {what}, strength: strong, service: tunnel, source: s, seen: 2026}}\n"
EXAMPLES = "examples: {positive: [{name: a.example, port: tcp 443, rule: vpn/one}], negative: [{dns: a.example}]}\n"


@pytest.fixture(scope="module")
def ours() -> visibility.VisibilitySet:
    return visibility.load(load_apps())


def raw(address: str) -> bytes:
    found = ip_address(address)
    return found.packed if found.version == 6 else b"\0" * 10 + b"\xff\xff" + found.packed


def rules(found) -> list[str]:
    return [one.rule for one in found]


def test_our_files_have_every_kind(ours):
    assert set(ours.apps) == {*visibility.KINDS, visibility.WIFI_CALLING}
    assert all(rule.source and rule.seen and rule.confidence for rule in ours.rules.values())


def test_our_files_are_checked_with_our_signatures():
    assert check.check() == []


def test_names_hold_at_ports(ours):
    assert rules(ours.of_name("dns.google", "tcp", 443, raw("8.8.8.8"))) == ["encrypted_dns/resolvers"]
    assert ours.of_name("dns.google", "udp", 53, raw("8.8.8.8")) == ()
    assert ours.of_question("dns.google") == ()


def test_names_hold_outside_of_addresses(ours):
    assert rules(ours.of_name("g.whatsapp.net", "tcp", 443, raw("203.0.113.9"))) == ["chat_proxy/whatsapp-name"]
    assert ours.of_name("g.whatsapp.net", "tcp", 443, raw("2a03:2880:f21c::1")) == ()


def test_first_bytes_hold_outside_of_addresses_too(ours):
    assert rules(ours.of_first_bytes("tcp", "client", b"WA\x06\x04", 5222, raw("203.0.113.9"))) == [
        "chat_proxy/whatsapp-bytes"
    ]
    assert ours.of_first_bytes("tcp", "client", b"WA\x06\x04", 5222, raw("157.240.1.60")) == ()


def test_ports_that_mean_something(ours):
    anywhere, somewhere = ours.ports()
    assert anywhere == {("tcp", 853), ("udp", 853), ("udp", 500), ("udp", 4500), ("esp", 0)}
    assert somewhere == {("tcp", 443), ("udp", 443), ("tcp", 853), ("udp", 853)}
    held = [(low, high) for low, high, _ in ours.ranges()]
    assert (raw("1.1.1.1"), raw("1.1.1.1")) in held
    assert (raw("0.0.0.0"), raw("255.255.255.255")) not in held


def test_what_apps_signatures_may_not_say(tmp_path: Path):
    """Ports beside names, `outside` and the services of visibility are for its files only."""
    text = HEAD.format(id="vpn") + RULE.format(what="exact: [a.example], ports: [tcp 443]") + EXAMPLES
    (tmp_path / "a.yaml").write_text(text)
    assert visibility.read(tmp_path / "a.yaml").rules[0].ports
    (found,) = check.check(tmp_path)
    assert "expected one of" in found.message or "goes with" in found.message


MISTAKES = [
    (HEAD.format(id="other") + RULE.format(what="exact: [a.example]"), "id: 'other' is none of ech, encrypted_dns"),
    (HEAD.format(id="vpn") + RULE.format(what="exact: [a.example], ports: [esp 5]"), "ports"),
    (HEAD.format(id="vpn") + RULE.format(what="suffix: [local]"), "not a domain name of two labels"),
    ("id: vpn\nextends: builtin\nversion: '1'\n", "extends: goes with applications only"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_are_one_line(tmp_path: Path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SignatureError) as caught:
        visibility.read(tmp_path / "a.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/a.yaml:")


def test_a_rule_outside_of_nothing_is_an_error(tmp_path: Path, monkeypatch):
    text = HEAD.format(id="vpn") + RULE.format(what="exact: [a.example], outside: [nobody/ranges]") + EXAMPLES
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("id: [")
    monkeypatch.setattr(visibility, "FOLDER", tmp_path)
    said = [str(one) for one in check.check()]
    assert any("outside: there is no rule nobody/ranges with ranges" in one for one in said)
    assert any(one.startswith(f"{tmp_path}/b.yaml:2: error") for one in said)


def test_an_example_that_fails_is_an_error(tmp_path: Path, monkeypatch):
    text = HEAD.format(id="vpn") + RULE.format(what="exact: [b.example]") + EXAMPLES
    (tmp_path / "a.yaml").write_text(text)
    monkeypatch.setattr(visibility, "FOLDER", tmp_path)
    assert any("expected vpn/one, found nothing" in str(one) for one in check.check())
