"""`wardwatch explain`: the steps, and that Wireshark shows at each frame what is claimed of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sensor.commands.explain import MAX_SHOWN
from sensor.model import FlowKey
from sensor.wireshark import flow_filter
from tests.commands.running import CAPTURE, CONFIG, Done, told, tshark, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.conftest import Demo

STEP = re.compile(
    r"^   \w+\) (?P<value>.+)\n"
    r" {6}is (?P<kind>.+), frame (?P<frame>\d+) of clinic-morning\.pcap, .+\.\n"
    r"(?: {6}(?P<detail>.*JA4 .+)\.\n)?"
    r" {6}Flow (?P<flow>\w+ .+ -> .+)\.\n"
    r" {6}Rule (?P<rule>\S+), (?P<strength>\w+)\.\n"
    r" {6}Wireshark: (?P<filter>.+)\n"
    r" {6}Its flow:  (?P<flow_filter>.+)$",
    re.MULTILINE,
)
SPLIT = re.compile(r"frame\.number == (\d+)")


def explain(id_: str, store: Path) -> Done:
    return wardwatch("explain", id_, "--config", CONFIG, "--store", store)


def chosen(demo: Demo) -> list[dict[str, Any]]:
    """A violation of each app."""
    by_app: dict[str | None, dict[str, Any]] = {}
    for one in demo.violations:
        by_app.setdefault(one["app"], one)
    assert len(by_app) == 4
    return list(by_app.values())


@pytest.fixture(scope="module")
def explained(demo: Demo) -> list[tuple[dict[str, Any], Done]]:
    return [(one, explain(one["id"], demo.store)) for one in chosen(demo)]


def test_each_step_gives_frame_rule_and_filter(explained: list[tuple[dict[str, Any], Done]]) -> None:
    for one, done in explained:
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("VIOLATION  ")
        assert f"Episode {one['id']}" in done.out
        for heading in ("1. Who", "2. When and how much", "3. Why it is ", "4. Why the policy says violation"):
            assert f"\n{heading}" in done.out
        assert one["device_id"] in done.out
        assert one["reason"] in done.out
        assert f"policy {one['policy_hash'][:16]}" in done.out
        steps = [match.groupdict() for match in STEP.finditer(done.out)]
        assert [
            (step["value"], int(step["frame"]), step["detail"] or "", step["rule"], step["filter"]) for step in steps
        ] == [
            (each["value"], each["frame"], each["detail"], each["rule"], each["wireshark"])
            for each in one["evidence"][:MAX_SHOWN]
        ]
        hidden = one["evidence_total"] - len(steps)
        assert (f"... and {hidden} more of the same kinds." in done.out) == (hidden > 0)


def test_what_makes_it_strong_is_said_as_it_is(explained: list[tuple[dict[str, Any], Done]]) -> None:
    for one, done in explained:
        kinds = {each["kind"] for each in one["evidence"] if each["strength"] == one["strength"]}
        by_dns = "DNS told this device" in done.out.partition("Together: ")[2]
        assert by_dns == (one["strength"] == "strong" and kinds == {"dns_answer"})


def test_the_beginning_of_an_id_is_enough_if_only_one_has_it(demo: Demo) -> None:
    id_ = demo.violations[0]["id"]
    assert explain(id_[:8], demo.store).out == explain(id_, demo.store).out
    told(explain("", demo.store), 1, "no episode has the id ''")
    told(explain("%", demo.store), 1, "no episode has the id '%'")


@pytest.mark.tshark
def test_wireshark_shows_each_piece_of_evidence_at_its_frame(demo: Demo) -> None:
    """All filters in one reading: each condition names one frame, so what they select together is those frames.

    Where a ClientHello goes through two segments the frame is the last, and tshark, which reassembles, shows the name there.
    """
    asked = {each["wireshark"]: each["frame"] for one in demo.episodes for each in one["evidence"]}
    kinds = {each["kind"] for one in demo.episodes for each in one["evidence"]}
    assert kinds >= {"tls_sni", "quic_sni", "payload", "stun", "tied", "ip_range"}
    for text, frame in asked.items():
        assert SPLIT.findall(text) == [str(frame)]
    together = " || ".join(f"({text})" for text in asked)
    assert tshark(CAPTURE, together) == sorted(set(asked.values()))


@pytest.mark.tshark
def test_wireshark_shows_the_whole_flow(demo: Demo) -> None:
    """For three flows: as many packets as were counted."""
    counted = {str(one["flow"]): one for one in demo.flows}
    steps = [each for one in chosen(demo)[:3] for each in one["evidence"][:1]]
    for step in steps:
        shown = tshark(CAPTURE, flow_filter(FlowKey(**step["flow"])))
        assert len(shown) == counted[str(step["flow"])]["packets"]
