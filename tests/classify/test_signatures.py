"""Loading, putting together, hashing and looking up signatures."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.classify import signatures
from sensor.model import Activity, Strength

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.classify.signatures import SignatureSet
    from sensor.model import RuleMatch

ALPHA = """
id: alpha
name: Alpha
vendor: A
family: greek
version: 1
rules:
  - {id: zone, suffix: [alpha.example], except: [pages.alpha.example], strength: strong, service: zone}
  - {id: chat-zone, suffix: [chat.alpha.example], strength: conclusive, service: chat, activity: messaging}
  - {id: edge, regex: ['^e\\d{1,2}\\.alpha\\.example$'], strength: conclusive, service: chat}
  - {id: one, exact: [e1.alpha.example], strength: conclusive, service: call, activity: voice_call}
  - {id: host, exact: [alpha.shared.example], strength: strong, service: zone}
  - {id: wide, ranges: [198.51.100.0/24, '2001:db8::/32'], strength: supporting, service: zone}
  - {id: relays, ranges: [198.51.100.0/24], ports: [udp 3478-3479], strength: supporting, service: call}
  - {id: realm, stun: {realm: alpha.example, methods: [0x003]}, strength: conclusive, service: call}
  - {id: mark, stun: {attributes: [0x4000, 0x4002], length: 3, value: 'ab'}, strength: strong, service: call}
  - {id: bare, stun: {methods: [0x001], only: []}, ranges: [203.0.113.0/24], ports: [udp 3478], strength: strong, service: call}
  - {id: signed, stun: {methods: [0x009], only: [0x0008]}, strength: strong, service: call}
  - {id: both, stun: {methods: [0x003], attributes: [0x4000], carries: [0x0008, 0x0014]}, strength: strong, service: call}
  - {id: hello, first_bytes: {proto: tcp, from: client, at: 1, hex: '0a00', mask: 'ff00'}, ports: [tcp 443], strength: strong, service: chat}
  - {id: near, first_bytes: {proto: udp, from: either, hex: 'beef', max_bytes: 4}, ranges: [198.51.100.0/24], strength: strong, service: call}
"""
BETA = """
id: beta
name: Shared names
vendor: A
family: greek
context: true
version: 1
rules:
  - {id: zone, suffix: [shared.example], strength: conclusive, service: vendor}
  - {id: wide, ranges: [198.51.0.0/16], strength: supporting, service: vendor}
"""


def folder_of(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("ours"), alpha=ALPHA, beta=BETA)


@pytest.fixture(scope="module")
def both(base: Path) -> SignatureSet:
    return signatures.load(builtin=base)


@pytest.fixture(scope="module")
def ours() -> SignatureSet:
    return signatures.load()


def rules(found: tuple[RuleMatch, ...]) -> list[str]:
    return [match.rule for match in found]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("alpha.example", "alpha/zone"),
        ("a.b.alpha.example", "alpha/zone"),
        ("A.Alpha.Example.", "alpha/zone"),
        ("*.alpha.example", "alpha/zone"),
        ("chat.alpha.example", "alpha/chat-zone"),
        ("x.chat.alpha.example", "alpha/chat-zone"),
        ("e2.alpha.example", "alpha/edge"),
        ("e1.alpha.example", "alpha/one"),
        ("alpha.shared.example", "alpha/host"),
        ("x.alpha.shared.example", "beta/zone"),
    ],
)
def test_the_most_specific_rule_wins(both: SignatureSet, name: str, rule: str) -> None:
    assert rules(both.match_name(name)) == [rule]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "example",
            "alpha.example.org",
            "notalpha.example",
            "pages.alpha.example",
            "x.pages.alpha.example",
        ),
        *(
            "alpha.example..",
            "e1.alpha.example\n.org",
            "alpha.example\n",
            "\0",
            "a" * 5000,
            "a." * 4000 + "alpha.example",
        ),
    ],
)
def test_names_that_fit_nothing(both: SignatureSet, name: str) -> None:
    assert both.match_name(name) == ()


def test_an_expression_must_fit_the_whole_name(both: SignatureSet) -> None:
    assert rules(both.match_name("x.e2.alpha.example")) == ["alpha/zone"]
    assert rules(both.match_name("e123.alpha.example")) == ["alpha/zone"]


def test_two_apps_with_equal_claims_are_both_told(base: Path, tmp_path: Path) -> None:
    own = folder_of(tmp_path, gamma=BETA.replace("id: beta", "id: gamma"))
    assert rules(signatures.load(own, builtin=base).match_name("shared.example")) == ["beta/zone", "gamma/zone"]


def test_a_match_says_what_the_rule_says(both: SignatureSet) -> None:
    (match,) = both.match_name("chat.alpha.example")
    assert (match.app, match.strength, match.service) == ("alpha", Strength.CONCLUSIVE, "chat")
    assert (match.activity, match.context) == (Activity.MESSAGING, False)
    assert both.match_name("shared.example")[0].context


def packed(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


@pytest.mark.parametrize(
    ("address", "proto", "port", "found"),
    [
        ("198.51.100.7", "tcp", 443, ["alpha/wide", "beta/wide"]),
        ("198.51.100.7", "udp", 3479, ["alpha/relays", "beta/wide"]),
        ("198.51.100.7", "udp", 3480, ["alpha/wide", "beta/wide"]),
        ("198.51.101.0", "udp", 3478, ["beta/wide"]),
        ("198.50.255.255", "udp", 3478, []),
        ("2001:db8::1", "tcp", 1, ["alpha/wide"]),
        ("2001:db9::", "tcp", 1, []),
        ("::198.51.100.7", "tcp", 443, []),
    ],
)
def test_addresses(both: SignatureSet, address: str, proto: str, port: int, found: list[str]) -> None:
    assert rules(both.match_address(packed(address), proto, port)) == found


def test_ranges_as_rows_say_the_same_as_the_lookup(ours: SignatureSet) -> None:
    rows = ours.ranges()
    assert len(rows) > 500
    for low, high, proto, first, last, match in rows:
        assert low <= high
        for address in (low, high):
            for port in (first, last):
                apps = {found.app for found in ours.match_address(address, proto or "tcp", port)}
                assert match.app in apps


def test_stun(both: SignatureSet) -> None:
    assert rules(both.match_stun(realm="ALPHA.example", method=3)) == ["alpha/realm"]
    assert both.match_stun(realm="alpha.example", method=1) == ()
    assert both.match_stun(realm="alpha.example") == ()
    assert rules(both.match_stun(attributes=[(1, b""), (0x4002, b"\xab12")])) == ["alpha/mark"]
    assert both.match_stun(attributes=[(0x4002, b"\xab1")]) == ()
    assert both.match_stun(attributes=[(0x4002, b"\xac12")]) == ()
    assert both.match_stun() == ()


def test_stun_beside_other_attributes(both: SignatureSet) -> None:
    signed, mark, realm, other = (0x0008, b"x"), (0x4000, b""), (0x0014, b""), (0x7FFF, b"")
    assert rules(both.match_stun(method=9, attributes=[signed])) == ["alpha/signed"]
    assert rules(both.match_stun(method=9)) == ["alpha/signed"]  # nothing else is in it
    assert both.match_stun(method=9, attributes=[signed, other]) == ()
    assert rules(both.match_stun(method=3, attributes=[mark, realm, signed, other])) == ["alpha/both"]
    assert both.match_stun(method=3, attributes=[mark, signed]) == ()
    assert both.match_stun(method=3, attributes=[signed, realm]) == ()


def test_stun_at_some_addresses_only(both: SignatureSet) -> None:
    server, client = packed("203.0.113.9"), packed("192.0.2.1")
    for ends in ([(client, 5000), (server, 3478)], [(server, 3478), (client, 5000)]):
        assert rules(both.match_stun(method=1, ends=ends)) == ["alpha/bare"]
    for ends in ([(client, 3478), (server, 5000)], [(client, 3478)], [(server, 19302)], []):
        assert both.match_stun(method=1, ends=ends) == ()
    assert both.match_stun(method=1, attributes=[(0x7FFF, b"")], ends=[(server, 3478)]) == ()


def test_first_bytes(both: SignatureSet) -> None:
    at = packed("198.51.100.7")
    assert [rule.id for rule in both.first_bytes_rules()] == ["hello", "near"]
    assert rules(both.match_first_bytes("tcp", "client", b"\x77\x0a\x55", 443)) == ["alpha/hello"]
    assert both.match_first_bytes("tcp", "client", b"\x77\x0a", 443) == ()
    assert both.match_first_bytes("tcp", "server", b"\x77\x0a\x55", 443) == ()
    assert both.match_first_bytes("tcp", "client", b"\x77\x0a\x55", 80) == ()
    assert both.match_first_bytes("udp", "client", b"\x77\x0a\x55", 443) == ()
    assert rules(both.match_first_bytes("udp", "server", b"\xbe\xef", 5, at)) == ["alpha/near"]
    assert both.match_first_bytes("udp", "server", b"\xbe\xef123", 5, at) == ()
    assert both.match_first_bytes("udp", "server", b"\xbe\xef", 5) == ()
    assert both.match_first_bytes("udp", "server", b"\xbe\xef", 5, packed("192.0.2.1")) == ()


def test_a_folder_of_ones_own_adds_and_replaces_rules(base: Path, tmp_path: Path) -> None:
    own = folder_of(
        tmp_path,
        mine="""
id: alpha
extends: builtin
version: clinic.3
disable: [edge]
rules:
  - {id: one, exact: [e1.alpha.example], strength: supporting, service: web}
  - {id: more, suffix: [alpha.test], strength: strong, service: zone}
""",
    )
    changed = signatures.load(own, builtin=base)
    assert rules(changed.match_name("x.alpha.test")) == ["alpha/more"]
    assert rules(changed.match_name("e2.alpha.example")) == ["alpha/zone"]
    assert changed.match_name("e1.alpha.example")[0].strength is Strength.SUPPORTING
    assert changed.apps["alpha"].version == "1+clinic.3"
    assert changed.apps["alpha"].name == "Alpha"
    assert rules(changed.match_name("beta.shared.example")) == ["beta/zone"]


def test_rules_added_to_context_are_context(base: Path, tmp_path: Path) -> None:
    rule = "{id: more, suffix: [more.example], strength: strong, service: vendor}"
    own = folder_of(tmp_path, mine=f"id: beta\nextends: builtin\nrules: [{rule}]\n")
    assert signatures.load(own, builtin=base).match_name("more.example")[0].context


def test_a_file_without_extends_replaces_the_whole_app(base: Path, tmp_path: Path) -> None:
    own = folder_of(tmp_path, mine=BETA.replace("id: beta", "id: alpha").replace("shared.example", "other.test"))
    changed = signatures.load(own, builtin=base)
    assert changed.match_name("chat.alpha.example") == ()
    assert rules(changed.match_name("other.test")) == ["alpha/zone"]


def test_a_new_app_and_a_single_file(base: Path, tmp_path: Path) -> None:
    own = folder_of(tmp_path, gamma=BETA.replace("id: beta", "id: gamma").replace("shared.example", "gamma.test"))
    for path in (own, own / "gamma.yaml"):
        assert list(signatures.load(path, builtin=base).apps) == ["alpha", "beta", "gamma"]


def test_an_empty_folder_changes_nothing(base: Path, both: SignatureSet, tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("not a signature", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("[", encoding="utf-8")
    assert signatures.load(tmp_path, builtin=base).hash == both.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: Alpha", "name: Another name"),
        ("vendor: A", "vendor: Another"),
        ("version: 1", "version: 2"),
        ("id: alpha\n", "# a comment\nid:    'alpha'\n"),
        ("[198.51.100.0/24, '2001:db8::/32']", "['2001:0db8::/32', 198.51.100.0/24]"),
        ("hex: '0a00', mask: 'ff00'", "mask: 'ff00', hex: '0a00'"),
        (
            "strength: strong, service: zone}\n  - {id: chat",
            "service: zone, strength: strong, source: s, note: n}\n  - {id: chat",
        ),
        ("attributes: [0x4000, 0x4002]", "attributes: [16386, 0x4000]"),
        ("realm: alpha.example", "realm: Alpha.Example"),
    ],
)
def test_the_hash_does_not_see_how_it_is_written(both: SignatureSet, tmp_path: Path, old: str, new: str) -> None:
    assert old in ALPHA
    written = folder_of(tmp_path, zeta=ALPHA.replace(old, new, 1), aleph=BETA)
    assert signatures.load(builtin=written).hash == both.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("family: greek", "family: roman"),
        ("strength: strong", "strength: supporting"),
        ("service: chat", "service: call"),
        ("activity: messaging", "activity: background"),
        ("suffix: [alpha.example]", "suffix: [alpha.example, alpha.test]"),
        ("except: [pages.alpha.example], ", ""),
        ("id: zone", "id: zones"),
        ("\\d{1,2}", "\\d{1,3}"),
        ("198.51.100.0/24", "198.51.100.0/25"),
        ("udp 3478-3479", "udp 3478"),
        ("realm: alpha.example", "username: alpha.example"),
        ("0x003", "0x001"),
        ("length: 3", "length: 4"),
        ("at: 1", "at: 2"),
        ("mask: 'ff00'", "mask: 'ff01'"),
        ("max_bytes: 4", "max_bytes: 5"),
    ],
)
def test_the_hash_sees_all_that_can_change_a_verdict(both: SignatureSet, tmp_path: Path, old: str, new: str) -> None:
    assert old in ALPHA
    changed = signatures.load(builtin=folder_of(tmp_path, alpha=ALPHA.replace(old, new, 1), beta=BETA))
    assert changed.hash != both.hash
    context = signatures.load(
        builtin=folder_of(tmp_path, alpha=ALPHA, beta=BETA.replace("context: true", "context: false"))
    )
    assert context.hash != both.hash


def test_the_hash_is_the_same_in_every_process(ours: SignatureSet) -> None:
    code = "from sensor.classify import signatures; print(signatures.load().hash)"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == ours.hash
    assert len(ours.hash) == 64


@given(st.text(max_size=300))
def test_no_name_raises(ours: SignatureSet, name: str) -> None:
    assert len(ours.match_name(name)) <= 2


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(before=st.text("abcxyz0189-_*", min_size=1, max_size=20))
def test_a_suffix_holds_at_label_borders_only(both: SignatureSet, before: str) -> None:
    assert both.match_name(f"{before}alpha.example") == ()
    assert rules(both.match_name(f"x{before}.alpha.example")) in (["alpha/zone"], ["alpha/edge"])


@given(st.lists(LABEL, min_size=1, max_size=20), LABEL)
def test_a_known_name_with_something_after_it_is_unknown(ours: SignatureSet, labels: list[str], last: str) -> None:
    for zone in ("whatsapp.net", "zoom.us", "messenger.com", "facetime.apple.com"):
        assert ours.match_name(".".join([*labels, zone, f"{last}-x", "test"])) == ()


@given(st.binary(min_size=16, max_size=16), st.sampled_from(["tcp", "udp", "icmp"]), st.integers(0, 65535))
def test_an_address_is_found_exactly_where_a_range_holds_it(
    ours: SignatureSet, address: bytes, proto: str, port: int
) -> None:
    held = {
        match.app
        for low, high, on, first, last, match in ours.ranges()
        if low <= address <= high and on in {None, proto} and first <= port <= last
    }
    assert {match.app for match in ours.match_address(address, proto, port)} == held


@given(st.binary(max_size=120))
def test_no_bytes_and_no_stun_raise(ours: SignatureSet, data: bytes) -> None:
    for proto, side in (("tcp", "client"), ("udp", "server"), ("udp", "either")):
        ours.match_first_bytes(proto, side, data, 443, None)  # type: ignore[arg-type]  # a list of literals is widened
    assert ours.match_stun(realm="\x00" + data.decode("latin-1"), attributes=[(0x7FFF, data)]) == ()
