"""Real captures in which nobody calls: other traffic, phones that are not used, apps that only start."""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from sensor.classify.flows import UNKNOWN_CALL
from tests import captures
from tests.commands.running import lines, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.captures

HELD = {"voice_call", "video_call", "meeting"}
OTHERS = {"negative", "stun_rtp_dtls"}  # classes of captures of no app: games, VPNs, cameras, telephones, WebRTC
# Nobody uses the app in these: it starts, is told of something by push, renews what it shows, or answers in the background.
IDLE = [
    "msgr__WIFI_demarrage_Messenger.pcapng",
    "ndpi__snapchat.pcap",
    "ndpi__anyconnect-vpn.pcap",  # Apple's push and Slack on a computer that opens its VPN
    "ndpi__waze.pcap",  # WhatsApp, while a map is looked at
    "ndpi__1kxun.pcap",  # LINE, while a film is watched
    "ndpi__quickplay.pcap",  # WeChat, likewise
    "ndpi__facebook.pcap",  # a page
    "ndpi__tls_2_reasms.pcapng",  # Instagram asks for one thing
    "ndpi__quic-mvfst-27.pcapng",  # Facebook likewise
]


def rows(name: str) -> list[dict[str, str]]:
    with captures.capture(name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """By capture: its episodes, each capture being a network of its own."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in replayed(tmp_path_factory.mktemp("negatives"), "--episodes", sorted(paths())):
        found[line["file"]].append(line)
    return found


def paths() -> list[Path]:
    folder = captures.folder()
    names = {row["file"] for row in rows("labels.csv") if row["class"] in OTHERS}
    names |= {row["file"] for row in rows("calls.csv")} | set(IDLE)
    return [path for name in names if (path := folder / name).is_file()]


def replayed(folder: Path, option: str, given: list[Path]) -> list[dict[str, Any]]:
    listed = folder / "listed"
    done = wardwatch("replay", "--separate", "--no-store", option, listed, *given, timeout_s=300)
    assert done.status in {0, 3}, done.err
    return lines(listed.read_text("ascii"))


def test_other_traffic_is_no_use_of_an_app(episodes: dict[str, list[dict[str, Any]]]) -> None:
    names = [row["file"] for row in rows("labels.csv") if row["class"] in OTHERS]
    assert len(names) > 100
    assert {name: episodes[name] for name in names if episodes[name]} == {}


def test_flows_of_other_traffic_are_of_no_app(tmp_path: Path) -> None:
    folder = captures.folder()
    given = [folder / row["file"] for row in rows("labels.csv") if row["class"] == "negative"]
    flows = replayed(tmp_path, "--flows", [path for path in given if path.is_file()])
    assert len(flows) > 1000
    # Real-time media of no known app (RTP of telephones) accuse nobody.
    assert [line for line in flows if set(line["candidates"]) - {UNKNOWN_CALL}] == []


def test_where_nobody_called_no_call_is_told(episodes: dict[str, list[dict[str, Any]]]) -> None:
    """And one that rang and was rejected is an attempt, no call."""
    names = [row["file"] for row in rows("calls.csv") if row["truth"] == "none"]
    assert len(names) > 5
    told = {name: {one["activity"] for one in episodes[name]} & HELD for name in names}
    assert {name: activities for name, activities in told.items() if activities} == {}


@pytest.mark.parametrize("name", IDLE)
def test_an_idle_phone_is_background_at_most(name: str, episodes: dict[str, list[dict[str, Any]]]) -> None:
    captures.capture(name)
    assert {one["activity"] for one in episodes[name]} <= {"background"}
    assert {one["severity"] for one in episodes[name]} <= {"information"}
