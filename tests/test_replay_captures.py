"""`wardwatch replay` over captures that others made: all are read to their end, every frame is told of, lists have their form."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from tests import captures
from tests.commands.running import Done, lines, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

SUMS = re.compile(
    r"^(?P<frames>\d+) frames = (?P<classified>\d+) classified(?P<how> \(.*?\))? \+ (?P<ignored>\d+) ignored(?P<why> \(.*?\))?"
    r" \+ (?P<dropped>\d+) dropped(?P<what> \(.*?\))?$",
    re.MULTILINE,
)
READ_UP_TO = re.compile(r"An error occurred after reading (\d+) packets")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
APPS = {
    *("whatsapp", "facetime", "messenger", "zoom", "instagram", "telegram", "signal", "skype", "teams", "google_meet"),
    *("discord", "snapchat", "line", "wechat", "viber", "webex", "kakaotalk", "threema", "imo", "jitsi", "slack"),
    *("google_chat", "unknown_call"),
    *("facebook", "imessage"),  # context
}
PROTOCOLS = {"tcp", "udp", "icmp", "icmp6"}
SOURCES = {"tls_sni", "quic_sni", "dtls_sni", "http_host", "tls_cert", "dns_query", "dns_answer", "stun"}
STRENGTHS = {"conclusive", "strong", "supporting"}
ACTIVITIES = {"background", "messaging", "file_transfer", "voice_call", "video_call", "meeting", "call_attempt"}
VERDICTS = {"violation", "review", "unreviewed", "allowed"}

pytestmark = pytest.mark.captures


@dataclass(frozen=True)
class Replayed:
    done: Done
    folder: Path
    flows: list[dict[str, Any]]
    episodes: list[dict[str, Any]]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """The whole folder in one run, each file a network of its own."""
    folder, out = captures.folder(), tmp_path_factory.mktemp("captures")
    flows, episodes = out / "flows", out / "episodes"
    done = wardwatch(
        "replay", "--separate", "--no-store", "--flows", flows, "--episodes", episodes, folder, timeout_s=600
    )
    return Replayed(done, folder, lines(flows.read_text("ascii")), lines(episodes.read_text("ascii")))


def of_reasons(text: str | None) -> int:
    return sum(map(int, re.findall(r"\d+", text or "")))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".csv")


def test_it_ends_without_a_traceback_and_warns_in_one_line_each(replayed: Replayed) -> None:
    done = replayed.done
    assert done.status == (3 if done.err else 0), done.err
    assert all(line.startswith("wardwatch: warning: ") for line in done.err.splitlines())
    assert "Nothing was stored (--no-store)." in done.out


def test_every_frame_is_accounted_for_by_class_and_reason(replayed: Replayed) -> None:
    found = SUMS.search(replayed.done.out)
    assert found is not None
    classes = {kind: int(found[kind]) for kind in ("classified", "ignored", "dropped")}
    assert int(found["frames"]) == sum(classes.values()) > 0
    reasons = {"classified": found["how"], "ignored": found["why"], "dropped": found["what"]}
    assert {kind: of_reasons(text) for kind, text in reasons.items()} == classes


@pytest.mark.tshark
def test_as_many_frames_as_wireshark_counts(replayed: Replayed) -> None:
    if shutil.which("capinfos") is None:
        pytest.skip("capinfos is not installed")
    command = ["capinfos", "-T", "-m", "-r", "-c", *map(str, files(replayed.folder))]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    counts = {name: int(count) for name, _, count in (line.rpartition(",") for line in said.stdout.splitlines())}
    whole = sum(counts.values())
    # Of damaged ones it lists some with the frames up to the damage, and of others says so only in its complaint.
    complaints = said.stderr.splitlines()
    damaged = sum(
        int(match[1])
        for match in map(READ_UP_TO.search, complaints)
        if match is not None and not any(f'"{name}"' in match.string for name in counts)
    )
    found = SUMS.search(replayed.done.out)
    assert found is not None
    assert int(found["frames"]) == whole + damaged


def test_a_line_for_each_flow(replayed: Replayed) -> None:
    assert f"\n{len(replayed.flows)} flows, " in replayed.done.out
    names = {path.name for path in files(replayed.folder)}
    for line in replayed.flows:
        assert list(line) == ["file", "flow", "first_frame", "first_seen", "last_seen", "packets", "bytes", "names",
                              "ja4", "alpn", "tls_version", "app",
                              "candidates", "strength", "activity"]  # fmt: skip
        assert line["file"] in names
        check_flow(line["flow"])
        assert line["first_frame"] >= 1
        assert line["packets"] >= 1
        assert line["bytes"] >= 0
        check_times(line["first_seen"], line["last_seen"])
        for one in line["names"]:
            assert list(one) == ["name", "source", "frame"]
            assert isinstance(one["name"], str)
            assert one["source"] in SOURCES
            assert one["frame"] >= 1
        check_claim(line)
        claimed = bool(line["candidates"])
        assert (line["strength"] in STRENGTHS) if claimed else line["strength"] is None
        assert (line["activity"] in ACTIVITIES) if claimed else line["activity"] is None


def test_a_line_for_each_episode(replayed: Replayed) -> None:
    assert len(replayed.episodes) > 10
    names = {path.name for path in files(replayed.folder)}
    for line in replayed.episodes:
        assert {"file", "app", "candidates", "device", "activity", "start", "end", "duration_s", "bytes", "flows", "verdict",
                "strength"} <= line.keys()  # fmt: skip
        assert line["file"] in names
        assert {each["file"] for each in line["evidence"]} == {line["file"]}
        check_claim(line)
        assert line["candidates"]
        ip_address(line["device"])
        assert line["activity"] in ACTIVITIES
        assert line["verdict"] in VERDICTS
        assert line["strength"] in STRENGTHS - {"supporting"}
        check_times(line["start"], line["end"])
        assert line["duration_s"] >= 0
        assert line["bytes"] >= 0
        assert line["flows"] >= 1


def test_what_an_episode_rests_on_stands_in_the_list_of_flows(replayed: Replayed) -> None:
    """The names of the flows, and that a frame is never before its flow, but for what DNS told."""
    listed = {
        (line["file"], str(line["flow"]), one["source"], one["name"], one["frame"])
        for line in replayed.flows
        for one in line["names"]
    }
    for episode in replayed.episodes:
        for one in episode["evidence"]:
            if one["kind"] not in {"ip_range", "payload", "media", "tied"}:  # these are no names
                assert (one["file"], str(one["flow"]), one["kind"], one["value"], one["frame"]) in listed


def check_flow(flow: dict[str, Any]) -> None:
    assert list(flow) == ["proto", "src", "sport", "dst", "dport"]
    assert flow["proto"] in PROTOCOLS or 0 <= int(flow["proto"]) <= 255
    for end in ("src", "dst"):
        assert str(ip_address(flow[end])) == flow[end]
    for port in ("sport", "dport"):
        assert 0 <= flow[port] <= 0xFFFF
        assert flow["proto"] in {"tcp", "udp"} or flow[port] == 0


def check_claim(line: dict[str, Any]) -> None:
    assert set(line["candidates"]) <= APPS
    if line["app"] is None:
        assert len(line["candidates"]) != 1
    else:
        assert line["candidates"] == [line["app"]]


def check_times(first: str, last: str) -> None:
    assert RFC_3339.fullmatch(first)
    assert RFC_3339.fullmatch(last)
    assert first <= last
