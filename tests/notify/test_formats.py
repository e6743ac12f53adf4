"""Every format against its golden file, the rules of each, and names that try to break out of them."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.model import Activity, Severity, Strength
from sensor.notify import formats
from sensor.notify.formats import cef, eve
from sensor.notify.formats.flow import community_id
from sensor.notify.model import Occasion, Violation
from sensor.settings_notify import ShownAs
from tests.notify.make import HOSTILE, MAC, PHONE, hostile, proof, told

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = {
    "full": told(),
    "label": told(ShownAs.LABEL),
    "bare": told(
        apps=(("messenger", "Messenger"), ("whatsapp", "WhatsApp")),
        proofs=(),
        proofs_total=0,
        names=(),
        notes=(),
        network="",
        site="",
        activity=Activity.BACKGROUND,
        severity=Severity.INFORMATION,
        strength=Strength.STRONG,
        occasion=Occasion.RAISED,
        closed=False,
    ),
    "hostile": hostile(),
    "withdrawn": told(
        occasion=Occasion.WITHDRAWN,
        severity=Severity.INFORMATION,
        kind="withdrawn",
        rule="withdrawn",
        reason="It turned out to be Zoom: episode 77aa.",
    ),
}
JSON_FORMATS = [form for form in formats.FORMATS if form != "cef"]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("form", formats.FORMATS)
def test_each_format_is_as_its_golden_file_has_it(form: str, example: str) -> None:
    text = formats.text(EXAMPLES[example], form)
    file = GOLDEN / f"{example}.{form}"
    if form == "cef":
        assert text + "\n" == file.read_text("utf-8")
    else:
        assert json.loads(text) == json.loads(file.read_text("utf-8"))
        assert list(json.loads(text)) == list(json.loads(file.read_text("utf-8"))), "the order of keys has changed"


@pytest.mark.parametrize("form", formats.FORMATS)
def test_one_event_is_one_line_whatever_a_device_calls_itself(form: str) -> None:
    text = formats.text(hostile(), form)
    assert len(text.splitlines()) == 1
    assert "\x00" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("form", formats.FORMATS)
def test_where_only_labels_may_leave_no_address_of_the_device_does(form: str) -> None:
    text = formats.text(told(ShownAs.LABEL), form)
    for secret in (PHONE, MAC, MAC.upper(), MAC.replace(":", "-").upper(), "2001:db8:20", "00000000000000bb"):
        assert secret not in text
    assert "Telemedicine cart, Ward 3" in text
    shown = formats.text(told(ShownAs.ID), form)
    assert PHONE in shown


def values_of(record: object) -> list[object]:
    if isinstance(record, dict):
        return [value for one in record.values() for value in values_of(one)]
    if isinstance(record, list):
        return [value for one in record for value in values_of(one)]
    return [record]


def test_our_own_format_leaves_nothing_of_the_model_out() -> None:
    found = values_of(json.loads(formats.text(told(), "wardwatch")))
    for field in fields(Violation):
        made = getattr(told(), field.name)
        if type(made) is str or (type(made) is int and not field.name.endswith("_ns")):
            assert made in found, field.name


def test_community_id_is_that_of_the_specification() -> None:
    made = proof(device_address="128.232.110.120", device_port=34855, server_address="66.35.250.204", server_port=80)
    assert community_id(made) == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    turned = replace(
        made, device_address="66.35.250.204", device_port=80, server_address="128.232.110.120", server_port=34855
    )
    assert community_id(turned) == community_id(made)
    assert community_id(replace(made, device_address="")) == ""
    assert community_id(replace(made, proto="icmp")) == ""


def test_eve_numbers_are_of_the_local_range_and_of_app_and_activity() -> None:
    numbers = {eve.signature_id(told(activity=activity)) for activity in Activity}
    assert len(numbers) == len(Activity)
    assert all(1_000_000 <= number < 2_000_000 for number in numbers)
    assert eve.signature_id(told(severity=Severity.LOW)) == eve.signature_id(told())


# OCSF


EXTRA = {"src_endpoint", "dst_endpoint", "connection_info"}  # of evidences since OCSF 1.1; the models leave them out


@pytest.mark.parametrize("example", EXAMPLES)
def test_ocsf_is_a_detection_finding(example: str) -> None:
    from py_ocsf_models.events.findings.detection_finding import DetectionFinding

    record = json.loads(formats.text(EXAMPLES[example], "ocsf"))
    made = DetectionFinding(**record)
    assert made.class_uid == 2004
    assert made.type_uid == record["class_uid"] * 100 + record["activity_id"]
    assert made.metadata.version == "1.5.0"
    assert unknown_keys(record, DetectionFinding) == set()
    kept = made.model_dump(exclude_none=True, mode="json")
    assert kept["finding_info"] == record["finding_info"]
    assert kept["metadata"] == record["metadata"]


def unknown_keys(record: dict[str, Any], model: Any, path: str = "") -> set[str]:
    """Keys that the model has no attribute for: it would drop them without a word."""
    found: set[str] = set()
    for key, value in record.items():
        field = model.model_fields.get(key)
        if field is None:
            if not (path == "evidences." and key in EXTRA):
                found.add(path + key)
            continue
        inner = inner_model(field.annotation)
        for one in value if isinstance(value, list) else [value]:
            if inner is not None and isinstance(one, dict):
                found |= unknown_keys(one, inner, f"{key}.")
    return found


def inner_model(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for one in get_args(annotation) if (found := inner_model(one)) is not None), None)


def test_a_key_that_ocsf_does_not_have_is_found() -> None:
    from py_ocsf_models.events.findings.detection_finding import DetectionFinding

    record = json.loads(formats.text(told(), "ocsf"))
    record["finding_info"]["colour"] = "red"
    assert unknown_keys(record, DetectionFinding) == {"finding_info.colour"}


# CEF: read back by a parser written from the standard, not from the code above


def parse_header(line: str) -> tuple[list[str], str]:
    found, rest = [], line
    for _ in range(7):
        match = re.match(r"((?:[^|\\]|\\.)*)\|", rest, re.DOTALL)
        assert match is not None, rest
        found.append(re.sub(r"\\(.)", r"\1", match[1]))
        rest = rest[match.end() :]
    return found, rest


def parse_extension(text: str) -> dict[str, str]:
    starts = list(re.finditer(r"(?:^|(?<= ))([A-Za-z0-9]+)=", text))
    found: dict[str, str] = {}
    for index, start in enumerate(starts):
        end = starts[index + 1].start() - 1 if index + 1 < len(starts) else len(text)
        assert start[1] not in found, start[1]
        raw = text[start.end() : end]
        assert not re.search(r"(?<!\\)(?:\\\\)*=", raw), raw
        found[start[1]] = re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], raw)
    return found


def test_cef_says_what_the_violation_is() -> None:
    header, rest = parse_header(formats.text(told(), "cef"))
    assert header == [
        "CEF:0",
        "wardwatch",
        "wardwatch",
        "0.1.0",
        "disallowed:video_call",
        "Video call over WhatsApp",
        "8",
    ]
    found = parse_extension(rest)
    assert found["src"] == PHONE
    assert found["smac"] == MAC
    assert (found["dst"], found["dpt"], found["proto"], found["dhost"]) == (
        "203.0.113.9",
        "443",
        "TCP",
        "g.whatsapp.net",
    )
    assert (found["in"], found["out"]) == ("41000000", "55000000")  # "in" is from source to destination
    assert found["cs4"] == "policy.disallowed"
    assert found["cs4Label"] == "policyRule"


def test_cef_has_other_keys_for_ipv6() -> None:
    made = replace(told(), proofs=(proof(device_address="2001:db8::1", server_address="2001:db8::2"),))
    found = parse_extension(parse_header(formats.text(made, "cef"))[1])
    assert (found["c6a2"], found["c6a3"]) == ("2001:db8::1", "2001:db8::2")
    assert "src" not in found
    assert "dst" not in found


def test_a_hostile_name_adds_no_key_and_changes_no_header() -> None:
    header, rest = parse_header(formats.text(hostile(), "cef"))
    assert len(header) == 7
    assert header[6] == "8"
    found = parse_extension(rest)
    assert found["src"] == PHONE
    assert found["cs1"].startswith('a|b\\c=d"e]f\nCEF:0|x')
    usual = parse_extension(parse_header(formats.text(told(), "cef"))[1])
    assert set(found) == set(usual)


NASTY = st.text(st.characters(codec=None), max_size=60) | st.text(alphabet="\\|= \n\r\tanN\x00\u2028é", max_size=60)


@given(NASTY)
def test_every_text_survives_cef(text: str) -> None:
    header, rest = parse_header("|".join(["CEF:0", *[cef.header(text)] * 6, f"a={cef.extension(text)} b=2"]))
    assert len(set(header[1:])) == 1
    assert len(header[1]) == len(text)
    assert not any(one < " " or one == "\x7f" for one in header[1])
    found = parse_extension(rest)
    assert set(found) == {"a", "b"}
    assert found["b"] == "2"
    line_ends = text.replace("\r\n", "\n").replace("\r", "\n")
    assert [len(part) for part in found["a"].split("\n")] == [len(part) for part in line_ends.split("\n")]
    for got, given_ in zip(found["a"], line_ends, strict=True):
        assert got in {given_, " "}


@given(NASTY)
def test_no_text_breaks_a_line(text: str) -> None:
    made = told(names=(text,), network=text, reason=text, apps=((text, text),))
    for form in formats.FORMATS:
        found = formats.text(made, form)
        assert len(found.splitlines()) == 1
        found.encode("utf-8")
        if form != "cef":
            assert found.isascii()
            json.loads(found)


def test_a_text_of_any_length_is_cut_and_no_escape_is() -> None:
    assert cef.extension("=" * 5000) == "\\=" * cef.MAX_VALUE
    assert HOSTILE.count("\n") == 1
