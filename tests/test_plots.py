"""The pictures in docs/ are what their scripts draw now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from scapy.utils import wrpcap

from tests import captures, made
from tests.commands.running import CAPTURE

PLOTS = Path(__file__).resolve().parents[1] / "docs" / "plots"
PROFILES = PLOTS / "profiles.svg"
CALL, CHAT = "msgr__APP_WIFI_appel_vocal_u1_1min_Messenger.pcapng", "ndpi__wa_voice.pcap"


def drawn(call: Path, chat: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PLOTS / "profiles.py"), str(call), str(chat), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def bars(picture: str) -> dict[str, list[float]]:
    """The heights of the bars by colour, without ground and legend."""
    found: dict[str, list[float]] = {}
    for one in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}rect"):
        if one.get("x") is not None and float(one.attrib["y"]) > 20:
            found.setdefault(one.attrib["fill"], []).append(float(one.attrib["height"]))
    return found


@pytest.mark.captures
def test_profiles_of_a_real_call_and_a_real_chat(tmp_path: Path) -> None:
    done = drawn(captures.capture(CALL), captures.capture(CHAT), tmp_path / "now.svg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "now.svg").read_text("utf-8") == PROFILES.read_text("utf-8"), (
        "docs/activity.md tells the command"
    )


def test_a_call_is_even_and_a_chat_is_not(tmp_path: Path) -> None:
    """The morning's capture has both: bars of different heights, as many up as down."""
    done = drawn(CAPTURE, CAPTURE, tmp_path / "now.svg")
    assert done.returncode == 0, done.stderr
    up, down = bars((tmp_path / "now.svg").read_text("utf-8")).values()
    assert len(up) == len(down) > 10
    assert max(up) > 2 * min(up)


def test_what_has_no_call_is_not_drawn(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pcap"
    wrpcap(str(nothing), [made.udp(made.PHONE, 4000, made.RESOLVER, 53, made.question("www.example.org"))])
    done = drawn(nothing, nothing, tmp_path / "now.svg")
    assert done.returncode != 0
    assert "no meeting and no video_call and no voice_call in it" in done.stderr
    assert not (tmp_path / "now.svg").exists()


def test_no_address_stands_in_a_picture() -> None:
    for picture in PLOTS.glob("*.svg"):
        text = picture.read_text("utf-8")
        assert not re.search(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]+:[0-9a-f]+:", text.partition("\n")[2])
        ET.fromstring(text)
