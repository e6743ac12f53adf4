"""The checker: each kind of finding, and silence where there is nothing to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.classify import check

if TYPE_CHECKING:
    from pathlib import Path

FACTS = "source: s, seen: 2026"
EXAMPLES = "examples: {positive: [{name: %s, rule: %s/one}], negative: [{name: other.test}]}\n"


def app(app_id: str, rules: str, examples: str = "", **changes: str) -> str:
    head = {"id": app_id, "name": "N", "vendor": "V", "family": app_id, "version": "1", **changes}
    return "".join(f"{key}: {value}\n" for key, value in head.items()) + f"rules:\n{rules}\n{examples}"


def named(rule_id: str, kind: str, name: str, more: str = "strength: strong") -> str:
    return f"  - {{id: {rule_id}, {kind}: ['{name}'], {more}, service: zone, {FACTS}}}\n"


def findings(path: Path, **files: str) -> list[str]:
    """Each finding as "file:line level message"."""
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [str(one).removeprefix(f"{path}/") for one in check.check(path)]


GOOD = app("good", named("one", "suffix", "good.test"), EXAMPLES % ("www.good.test", "good"))


def test_a_good_file_gives_nothing(tmp_path: Path) -> None:
    assert findings(tmp_path, good=GOOD) == []


def test_every_file_that_does_not_load_is_told(tmp_path: Path) -> None:
    said = findings(tmp_path, a="id: [", b="- x", good=GOOD, twin=GOOD)
    assert [one.split(": ", 1)[0] for one in said] == ["a.yaml:2", "b.yaml:1", "twin.yaml:1"]
    assert "twin.yaml:1: error: id: 'good' is taken by" in said[2]


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    (found,) = check.check(tmp_path / "nowhere")
    assert (found.level, found.line) == ("error", 1)
    assert "No such file" in found.message


def test_a_folder_without_files(tmp_path: Path) -> None:
    assert findings(tmp_path) == [f"{tmp_path}:1: warning: no signature file (*.yaml) is here"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("rule: good/one", "rule: good/two"), "error: example www.good.test: there is no rule good/two"),
        (
            GOOD.replace("www.good.test", "www.bad.test"),
            "error: example www.bad.test: expected good/one, found nothing",
        ),
        (GOOD.replace("other.test", "x.good.test"), "error: example x.good.test: must not match, found good/one"),
        (
            GOOD.replace("positive: [{name: www.good.test, rule: good/one}], ", ""),
            "warning: examples: none that must match",
        ),
        (GOOD.replace(", negative: [{name: other.test}]", ""), "warning: examples: none that must not match"),
        (
            GOOD.replace("rules:\n", f"rules:\n{named('two', 'exact', 'a.good.test')}"),
            "warning: rule good/two: no example shows it",
        ),
        (GOOD.replace(", source: s, seen: 2026", ""), "warning: rule good/one: has no source"),
        (GOOD.replace(", seen: 2026", ""), "warning: rule good/one: has a source but no date (seen)"),
        (
            GOOD.replace("source: s", "source: s, confidence: low"),
            "error: rule good/one: is of low confidence and yet strong",
        ),
        (GOOD.replace("good.test", "amazonaws.com"), "error: rule good/one: amazonaws.com is shared by many services"),
        (
            GOOD.replace("rules:\n", f"rules:\n{named('another', 'suffix', 'good.test')}"),
            "error: rule good/one: good.test never comes to this rule, rule good/another has it as well",
        ),
    ],
)
def test_one_file(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in one for one in findings(tmp_path, good=text))


def test_context_may_claim_shared_zones(tmp_path: Path) -> None:
    text = app("good", named("one", "suffix", "amazonaws.com"), EXAMPLES % ("amazonaws.com", "good"), context="true")
    assert findings(tmp_path, good=text) == []


def other(kind: str, name: str, example: str, family: str = "other") -> str:
    return app("other", named("one", kind, name), EXAMPLES % (example, "other"), family=family)


@pytest.mark.parametrize(("family", "level"), [("other", "error"), ("good", "warning")])
def test_one_name_of_two_apps(tmp_path: Path, family: str, level: str) -> None:
    said = findings(tmp_path, good=GOOD, other=other("suffix", "good.test", "good.test", family))
    assert (
        f"good.yaml:7: {level}: rule good/one: good.test is claimed by rule other/one just so, and neither is more specific"
        in said
    )
    assert any(
        one.startswith(f"other.yaml:7: {level}: rule other/one: good.test is claimed by rule good/one") for one in said
    )


def test_a_name_within_the_zone_of_another(tmp_path: Path) -> None:
    said = findings(tmp_path, good=GOOD, other=other("exact", "a.good.test", "a.good.test"))
    assert said == [
        "other.yaml:7: warning: rule other/one: a.good.test lies within good.test, which rule good/one claims"
    ]


def test_a_name_within_the_zone_of_a_sibling_or_of_context_is_as_meant(tmp_path: Path) -> None:
    assert findings(tmp_path, good=GOOD, other=other("exact", "a.good.test", "a.good.test", "good")) == []
    context = GOOD.replace("family: good", "family: good\ncontext: true")
    assert findings(tmp_path, good=context, other=other("exact", "a.good.test", "a.good.test")) == []


def test_a_name_that_fits_the_expression_of_another(tmp_path: Path) -> None:
    regex = app("good", named("one", "regex", r"^e\d\.shared\.test$"), EXAMPLES % ("e2.shared.test", "good"))
    said = findings(tmp_path, good=regex, other=other("exact", "e1.shared.test", "e1.shared.test"))
    assert said == ["other.yaml:7: warning: rule other/one: e1.shared.test also fits good/one"]


def ranged(app_id: str, cidr: str, ports: str = "", family: str = "") -> str:
    rule = f"  - {{id: one, ranges: [{cidr}], {ports}strength: supporting, service: zone, {FACTS}}}\n"
    address = cidr.split("/", maxsplit=1)[0]
    examples = f"examples: {{positive: [{{address: {address}, port: udp 9, rule: {app_id}/one}}], negative: [{{name: x.test}}]}}\n"
    return app(app_id, rule, examples, family=family or app_id)


def test_ranges_of_two_apps(tmp_path: Path) -> None:
    said = findings(tmp_path, good=ranged("good", "198.51.100.0/24"), other=ranged("other", "198.51.100.64/26"))
    assert said == [
        "good.yaml:7: error: rule good/one: range 198.51.100.0/24 holds 198.51.100.64/26, which rule other/one claims",
        "other.yaml:7: error: rule other/one: range 198.51.100.64/26 lies within 198.51.100.0/24, which rule good/one claims",
    ]


@pytest.mark.parametrize(
    ("cidr", "ports", "family"),
    [("198.51.101.0/24", "", ""), ("198.51.100.0/26", "ports: [udp 9], ", ""), ("198.51.100.0/26", "", "good")],
)
def test_ranges_that_do_not_meet_or_are_of_siblings(tmp_path: Path, cidr: str, ports: str, family: str) -> None:
    mine = ranged("good", "198.51.100.0/24", "ports: [udp 8-9], " if not ports else "ports: [tcp 9], ")
    mine = mine.replace("port: udp 9", "port: tcp 9") if ports else mine
    assert findings(tmp_path, good=mine, other=ranged("other", cidr, ports, family)) == []


def shaped(app_id: str, what: str, family: str, strength: str = "strong") -> str:
    rule = f"  - {{id: one, {what}, strength: {strength}, service: call, {FACTS}}}\n"
    example = "stun: {realm: x.test}" if "stun" in what else "bytes: abcd, port: udp 1"
    return app(
        app_id,
        rule,
        f"examples: {{positive: [{{{example}, rule: {app_id}/one}}], negative: [{{name: x.test}}]}}\n",
        family=family,
    )


@pytest.mark.parametrize("what", ["stun: {realm: x.test}", "first_bytes: {proto: udp, from: client, hex: abcd}"])
def test_one_shape_of_two_apps(tmp_path: Path, what: str) -> None:
    said = findings(tmp_path, good=shaped("good", what, "good"), other=shaped("other", what, "other"))
    assert said == [
        "good.yaml:7: error: rule good/one: says the same as rule other/one, of another family",
        "other.yaml:7: error: rule other/one: says the same as rule good/one, of another family",
    ]
    assert findings(tmp_path, good=shaped("good", what, "kin"), other=shaped("other", what, "kin")) == []
    said = findings(tmp_path, good=shaped("good", what, "kin", "conclusive"), other=shaped("other", what, "kin"))
    assert said == ["other.yaml:7: error: rule other/one: shared with rule good/one, so neither is conclusive"]


def test_a_clinics_file_is_checked_over_ours(tmp_path: Path) -> None:
    rule = named("one", "exact", "clinic.zoom.us")
    examples = EXAMPLES % ("clinic.zoom.us", "zoom")
    assert findings(tmp_path, own=f"id: zoom\nextends: builtin\nrules:\n{rule}{examples}") == []
    taken = app("mine", rule, EXAMPLES % ("clinic.zoom.us", "mine"))
    (said,) = findings(tmp_path, own=taken)
    assert "clinic.zoom.us lies within zoom.us, which rule zoom/zone claims" in said


def test_what_extends_nothing_is_told(tmp_path: Path) -> None:
    (said,) = findings(tmp_path, own="id: nobody\nextends: builtin\n")
    assert said == "own.yaml:1: error: id: extends 'nobody', which is none of ours"


def test_the_report_ends_with_sums(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD.replace(", seen: 2026", ""), encoding="utf-8")
    assert check.report(check.check(tmp_path)).splitlines()[-1] == "0 errors, 1 warnings"
