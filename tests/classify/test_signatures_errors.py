"""Every mistake in a signature file is one line that names file, line and key."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sensor.classify import pattern, signatures, yamlfile
from sensor.errors import SignatureError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "id: app\nname: App\nvendor: V\nfamily: app\nversion: 1\nrules:\n"  # six lines: the first rule is on line 7
RULE = "  - id: one\n    suffix: [app.example]\n    strength: strong\n    service: zone\n"  # lines 7 to 10
GOOD = HEAD + RULE


BASE = GOOD.replace("id: app", "id: base").replace("id: one", "id: zone").replace("app.example", "base.example")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the place of ours, so that each test need not load them all."""
    folder = tmp_path_factory.mktemp("ours")
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    return folder


def with_rule(text: str) -> str:
    return HEAD + "  - id: one\n    strength: supporting\n    service: zone\n" + text  # `text` starts on line 10


MISTAKES = {
    "unknown key": (GOOD + "colour: red\n", 11, "colour", "unknown key"),
    "unknown key of a rule": (GOOD + "    colour: red\n", 11, r"rules\[0\]\.colour", "unknown key"),
    "missing key": (GOOD.replace("family: app\n", ""), 1, "", "missing key 'family'"),
    "missing key of a rule": (GOOD.replace("    service: zone\n", ""), 7, r"rules\[0\]", "missing key 'service'"),
    "key twice": (GOOD + "name: Other\n", 11, "name", "given twice"),
    "key of a rule twice": (GOOD + "    strength: strong\n", 11, r"rules\[0\]\.strength", "given twice"),
    "rule id twice": (GOOD + RULE.replace("app.ex", "more.ex"), 11, r"rules\[1\]", "a second rule with the id 'one'"),
    "bad app id": (GOOD.replace("id: app", "id: My App", 1), 1, "id", "'My App'"),
    "bad rule id": (GOOD.replace("id: one", "id: One!"), 7, r"rules\[0\]\.id", "'One!'"),
    "bad family": (GOOD.replace("family: app", "family: A B"), 4, "family", "'A B'"),
    "bad version": (GOOD.replace("version: 1", "version: one two"), 5, "version", "not a version"),
    "bad flag": (GOOD + "context: yes\n", 11, "context", "expected true or false"),
    "bad strength": (
        GOOD.replace("strong", "certain"),
        9,
        r"rules\[0\]\.strength",
        "expected one of supporting, strong, conclusive",
    ),
    "bad service": (GOOD.replace("service: zone", "service: gossip"), 10, r"rules\[0\]\.service", "'gossip'"),
    "bad activity": (GOOD + "    activity: sleeping\n", 11, r"rules\[0\]\.activity", "'sleeping'"),
    "bad confidence": (GOOD + "    confidence: total\n", 11, r"rules\[0\]\.confidence", "'total'"),
    "bad date": (GOOD + "    seen: yesterday\n", 11, r"rules\[0\]\.seen", "'yesterday'"),
    "text where a list belongs": (
        GOOD.replace("[app.example]", "app.example"),
        8,
        r"rules\[0\]\.suffix",
        "expected a list",
    ),
    "list where text belongs": (GOOD.replace("name: App", "name: [App]"), 2, "name", "expected text"),
    "list where keys belong": (HEAD + "  - [one]\n", 7, r"rules\[0\]", "expected keys and values"),
    "empty text": (GOOD.replace("name: App", "name:"), 2, "name", "is empty"),
    "empty list": (GOOD.replace("[app.example]", "[]"), 8, r"rules\[0\]\.suffix", "is empty"),
    "no rules": (HEAD, 6, "rules", "expected a list"),
    "long text": (GOOD.replace("name: App", "name: " + "x" * 500), 2, "name", "longer than 400"),
    "no kind": (with_rule(""), 7, r"rules\[0\]", "exactly one of .*has none"),
    "two kinds": (GOOD + "    exact: [app.example]\n", 7, r"rules\[0\]", "has exact, suffix"),
    "ports on a name": (GOOD + "    ports: [udp 1]\n", 11, r"rules\[0\]\.ports", "goes with ranges"),
    "except on exact": (
        with_rule("    exact: [a.example]\n    except: [b.a.example]\n"),
        11,
        r"rules\[0\]\.except",
        "with suffix only",
    ),
    "except elsewhere": (GOOD + "    except: [b.example]\n", 11, r"rules\[0\]\.except\[0\]", "below none"),
    "capital name": (GOOD.replace("app.example", "App.example"), 8, r"rules\[0\]\.suffix\[0\]", "not a domain name"),
    "one label": (GOOD.replace("app.example", "example"), 8, r"rules\[0\]\.suffix\[0\]", "not a domain name"),
    "dot at the end": (GOOD.replace("app.example", "app.example."), 8, r"rules\[0\]\.suffix\[0\]", "not a domain name"),
    "star": (GOOD.replace("app.example", "'*.app.example'"), 8, r"rules\[0\]\.suffix\[0\]", "not a domain name"),
    "address as name": (GOOD.replace("app.example", "192.0.2.1"), 8, r"rules\[0\]\.suffix\[0\]", "not a domain name"),
    "name twice": (
        GOOD.replace("[app.example]", "[app.example, app.example]"),
        8,
        r"rules\[0\]\.suffix\[1\]",
        "given twice",
    ),
    "bad CIDR": (with_rule("    ranges: [10.0.0.0/33]\n"), 10, r"rules\[0\]\.ranges\[0\]", "not a CIDR"),
    "host bits": (
        with_rule("    ranges:\n      - 10.0.0.0/8\n      - 10.0.0.1/8\n"),
        12,
        r"rules\[0\]\.ranges\[1\]",
        "not a CIDR.*host bits",
    ),
    "bad CIDR in a block": (
        with_rule("    ranges: |\n      10.0.0.0/8 ten\n"),
        10,
        r"rules\[0\]\.ranges",
        "'ten' is not a CIDR",
    ),
    "CIDR twice": (with_rule("    ranges: [10.0.0.0/8, 10.0.0.0/8]\n"), 10, r"rules\[0\]\.ranges\[1\]", "given twice"),
    "strong range": (
        with_rule("    ranges: [10.0.0.0/8]\n").replace("supporting", "strong"),
        *(8, r"rules\[0\]\.strength", "supporting at most"),
    ),
    "bad port": (
        with_rule("    ranges: [10.0.0.0/8]\n    ports: [udp 70000]\n"),
        11,
        r"rules\[0\]\.ports\[0\]",
        "'udp 70000'",
    ),
    "port backwards": (
        with_rule("    ranges: [10.0.0.0/8]\n    ports: [udp 5-4]\n"),
        11,
        r"rules\[0\]\.ports\[0\]",
        "'udp 5-4'",
    ),
    "not anchored": (with_rule("    regex: ['e\\.app\\.example$']\n"), 10, r"rules\[0\]\.regex\[0\]", "anchored"),
    "no literal domain": (with_rule("    regex: ['^[a-z]+$']\n"), 10, r"rules\[0\]\.regex\[0\]", "literal domain"),
    "catastrophic": (
        with_rule("    regex: ['^(a+)+\\.app\\.example$']\n"),
        10,
        r"rules\[0\]\.regex\[0\]",
        "not allowed here",
    ),
    "long expression": (with_rule(f"    regex: ['^{'a' * 300}$']\n"), 10, r"rules\[0\]\.regex\[0\]", "longer than 200"),
    "empty stun": (with_rule("    stun: {}\n"), 10, r"rules\[0\]\.stun", "is empty"),
    "stun length alone": (
        with_rule("    stun: {length: 4}\n"),
        10,
        r"rules\[0\]\.stun\.length",
        "with attributes only",
    ),
    "no capture": (GOOD + "    proven: [wa_voice.pcap]\n", 11, r"rules\[0\]\.proven\[0\]", "owner/repository"),
    "no captures": (GOOD + "    proven: []\n", 11, r"rules\[0\]\.proven", "is empty"),
    "stun ports alone": (
        with_rule("    stun: {methods: [1]}\n    ports: [udp 3478]\n"),
        *(11, r"rules\[0\]\.ports", "goes with ranges here"),
    ),
    "stun only is no list": (with_rule("    stun: {only: x}\n"), 10, r"rules\[0\]\.stun\.only", "expected a list"),
    "stun method": (
        with_rule("    stun: {methods: [0x1000]}\n"),
        10,
        r"rules\[0\]\.stun\.methods\[0\]",
        "from 0 to 4095",
    ),
    "not a number": (with_rule("    stun: {methods: [three]}\n"), 10, r"rules\[0\]\.stun\.methods\[0\]", "'three'"),
    "odd hex": (
        with_rule("    first_bytes: {proto: tcp, from: client, hex: 'abc'}\n"),
        *(10, r"rules\[0\]\.first_bytes\.hex", "hexadecimal"),
    ),
    "bad protocol": (
        with_rule("    first_bytes: {proto: sctp, from: client, hex: 'abcd'}\n"),
        *(10, r"rules\[0\]\.first_bytes\.proto", "'sctp'"),
    ),
    "mask of another length": (
        with_rule("    first_bytes: {proto: tcp, from: client, hex: 'abcd', mask: 'ff'}\n"),
        *(10, r"rules\[0\]\.first_bytes\.mask", "has 1 bytes, hex has 2"),
    ),
    "bits outside the mask": (
        with_rule("    first_bytes: {proto: tcp, from: client, hex: 'abcd', mask: 'fff0'}\n"),
        *(10, r"rules\[0\]\.first_bytes\.hex", "mask takes away"),
    ),
    "too few bits": (
        with_rule("    first_bytes: {proto: tcp, from: client, hex: '0a', mask: '0f'}\n"),
        *(10, r"rules\[0\]\.first_bytes\.mask", "fewer than 8 bits"),
    ),
    "min_bytes too small": (
        with_rule("    first_bytes: {proto: tcp, from: client, hex: 'abcd', min_bytes: 1}\n"),
        *(10, r"rules\[0\]\.first_bytes\.min_bytes", "from 2 to"),
    ),
    "example without rule": (
        GOOD + "examples:\n  positive:\n    - {name: app.example}\n",
        *(13, r"examples\.positive\[0\]", "missing key 'rule'"),
    ),
    "example of another app": (
        GOOD + "examples: {positive: [{name: app.example, rule: other/one}]}\n",
        *(11, r"examples\.positive\[0\]\.rule", "expected app/"),
    ),
    "example of two kinds": (
        GOOD + "examples: {negative: [{name: app.example, dns: app.example}]}\n",
        *(11, r"examples\.negative\[0\]", "has name, dns"),
    ),
    "example without port": (
        GOOD + "examples: {negative: [{address: 192.0.2.1}]}\n",
        *(11, r"examples\.negative\[0\]", "has a port"),
    ),
    "example address": (
        GOOD + "examples: {negative: [{address: 192.0.2.300, port: udp 1}]}\n",
        *(11, r"examples\.negative\[0\]\.address", "not an IP address"),
    ),
    "negative example with rule": (
        GOOD + "examples: {negative: [{name: app.example, rule: app/one}]}\n",
        *(11, r"examples\.negative\[0\]\.rule", "unknown key"),
    ),
    "example attribute": (
        GOOD + "examples: {negative: [{stun: {attributes: ['0x4000 xyz']}}]}\n",
        *(11, r"examples\.negative\[0\]\.stun\.attributes\[0\]", "hexadecimal"),
    ),
    "extends what": (
        GOOD.replace("name: App\nvendor: V\nfamily: app\n", "extends: theirs\n"),
        2,
        "extends",
        "'theirs'",
    ),
    "extends with a name": (GOOD.replace("vendor: V\nfamily: app\n", "extends: builtin\n"), 2, "name", "unknown key"),
    "extends nothing": (
        GOOD.replace("name: App\nvendor: V\nfamily: app\n", "extends: builtin\n"),
        1,
        "id",
        "none of ours",
    ),
    "disable nothing": (
        "id: base\nextends: builtin\ndisable:\n  - zone\n  - nought\n",
        5,
        "disable",
        "no rule 'nought'",
    ),
    "disable and give": (
        GOOD.replace(
            "id: app\nname: App\nvendor: V\nfamily: app\n", "id: base\nextends: builtin\ndisable: [zone]\n"
        ).replace("id: one", "id: zone"),
        *(3, "disable", "'zone' is given in the same file"),
    ),
    "not YAML": (GOOD + "note: [\n", 12, "", "is not YAML"),
    "tabs": ("id: app\n\tname: App\n", 2, "", "is not YAML"),
    "control character": ("id: a\x01pp\n", 1, "", "is not YAML"),
    "text at the top": ("hello\n", 1, "", "expected keys and values"),
    "list at the top": ("- id: app\n", 1, "", "expected keys and values"),
    "empty file": ("", 1, "", "expected keys and values"),
    "only a comment": ("# nothing\n", 1, "", "expected keys and values"),
    "two documents": (GOOD + "---\nid: app\n", 11, "", "more than one document"),
    "anchor": (GOOD.replace("name: App", "name: &a App"), 2, "name", "anchors and aliases"),
    "alias": (GOOD.replace("name: App", "name: *a"), 2, "name", "anchors and aliases|is not YAML"),
    "tag": (GOOD.replace("name: App", "name: !!python/object:os.system App"), 2, "name", "tags are not used"),
    "list as key": ("id: app\n? [a, b]\n: c\n", 2, "", "a key is plain text"),
    "deep": ("id: " + "[" * 100_000, 1, r"id(\[0\])*", "nested more than 8 deep"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_on_one_line(tmp_path: Path, small: Path, mistake: str) -> None:
    text, line, key, reason = MISTAKES[mistake]
    file = tmp_path / "own.yaml"
    file.write_bytes(text.encode())
    with pytest.raises(SignatureError) as caught:
        signatures.load(tmp_path, builtin=small)
    said = str(caught.value)
    assert said.splitlines() == [said]
    where = f"{re.escape(str(file))}:{line}: " + (f"{key}: " if key else "")
    assert re.match(f"{where}.*({reason})", said), said
    assert caught.value.exit_status == 2


def test_the_file_that_the_mistakes_are_made_in_is_good(tmp_path: Path, small: Path) -> None:
    (tmp_path / "own.yaml").write_text(GOOD, encoding="utf-8")
    assert list(signatures.load(tmp_path, builtin=small).apps) == ["app", "base"]


def failure(path: Path) -> str:
    with pytest.raises(SignatureError) as caught:
        signatures.read_apps(path)
    return str(caught.value)


def test_two_files_with_one_id(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
    assert failure(tmp_path) == f"{tmp_path}/b.yaml:1: id: 'app' is taken by {tmp_path}/a.yaml"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in failure(tmp_path / "nowhere")
    (tmp_path / "bytes.yaml").write_bytes(b"id: app\nname: \xff\n")
    assert failure(tmp_path) == f"{tmp_path}/bytes.yaml:2: is not UTF-8"
    (tmp_path / "bytes.yaml").write_bytes(b"#" * (yamlfile.MAX_FILE_BYTES + 1))
    assert failure(tmp_path) == f"{tmp_path}/bytes.yaml:1: is larger than {yamlfile.MAX_FILE_BYTES} bytes"


def test_a_folder_named_like_a_file_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    assert "Is a directory" in failure(tmp_path)


def test_a_loop_of_links_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    assert f"{tmp_path}/loop.yaml:1: cannot be read" in failure(tmp_path)


def test_ours_may_not_extend(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("id: app\nextends: builtin\n", encoding="utf-8")
    with pytest.raises(SignatureError, match=r"app\.yaml:1: extends: goes with a clinic's own folder only"):
        signatures.load(builtin=tmp_path)


def test_a_hostile_key_forges_no_second_line(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text('"a\\nb\\u202e": 1\n', encoding="utf-8")
    assert "a\\nb\\u202e: unknown key" in failure(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b"id: app\n...\n...\n")
@example(b"? ")
@example(b"{id: app, id: app}")
@example(b"%YAML 9.9\n---\nid: a")
@example(b"id: \xed\xa0\x80")
def test_no_bytes_give_anything_but_a_signature_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "own.yaml").write_bytes(data)
    failure(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(GOOD) - 1), st.sampled_from("\n\t:-[]{}#&*!|>'\"%@`,? a0é\x00"))
def test_one_wrong_character_is_an_app_or_one_line(tmp_path: Path, at: int, character: str) -> None:
    (tmp_path / "own.yaml").write_text(GOOD[:at] + character + GOOD[at + 1 :], encoding="utf-8", newline="")
    said = f"{tmp_path}/own.yaml:"
    try:
        signatures.read_apps(tmp_path)
    except SignatureError as error:
        said = str(error)
    assert said.startswith(f"{tmp_path}/own.yaml:")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "expression",
    [
        *(r"^a\.evil\.test|b\.app\.example$", r"^(a|b\.app\.example$", r"^a)\.app\.example$", r"^a*?\.app\.example$"),
        *(r"^(a|b){2}\.app\.example$", r"^(a|b)+\.app\.example$", r"^(a|b)*\.app\.example$", r"^.\.app\.example$"),
        *(r"^[^a]\.app\.example$", r"^\w+\.app\.example$", r"^a{2,1}\.app\.example$", r"^a{,5}\.app\.example$"),
        *(r"^(?=a)a\.app\.example$", r"^(a)\1\.app\.example$", r"^[z-a]\.app\.example$", r"^((((a))))\.app\.example$"),
        *(
            r"^A\.app\.example$",
            r"^a+[a-z]*\.app\.example$",
            r"^a?" + "a?" * 20 + r"\.app\.example$",
            r"^app\.example$",
        ),
        r"^[a-z]{1,9}[a-z]{1,9}[a-z]{1,9}[a-z]{1,9}[a-z]{1,9}\.app\.example$",
    ],
)
def test_expressions_outside_the_small_kind_are_refused(expression: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"not allowed here|too many|anchored|literal domain|nested|not closed|bad character|min repeat",
    ):
        pattern.check(expression)


@pytest.mark.parametrize(
    ("expression", "suffix"),
    [
        (r"^e([1-9]|1[0-6])\.app\.example$", "app.example"),
        (r"^(ipv6\.)?turn\d{0,2}\.voip\.app\.example$", "voip.app.example"),
        (r"^[a-z0-9.-]*\.app\.example$", "app.example"),
        (r"^x(?:ab|c[0-9_]{2})\.app\.example$", "app.example"),
    ],
)
def test_expressions_of_the_small_kind(expression: str, suffix: str) -> None:
    pattern.check(expression)
    assert pattern.literal_suffix(expression) == suffix


PART = st.sampled_from(
    ["a", "[a-z]", r"\d", "(a|b)", "(a|aa)?", "[a-z]{1,9}", "a?", "[a-z]*", "(a(a|a?)a?)?", "a{2,4}"]
)


@given(st.lists(PART, max_size=20), st.integers(0, 240))
def test_no_expression_that_is_let_through_is_slow(parts: list[str], length: int) -> None:
    """A bound a hundred times what is measured: exponential growth would miss it by far."""
    expression = f"^{''.join(parts)}\\.app\\.example$"
    try:
        pattern.check(expression)
    except ValueError:
        return
    start = time.perf_counter()
    re.fullmatch(expression, "a" * length + "!.app.example")
    re.fullmatch(expression, "a" * length + ".app.example")
    assert time.perf_counter() - start < 10
