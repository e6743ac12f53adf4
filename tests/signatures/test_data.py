"""The signatures that come with wardwatch: what they must name, and above all what they must not accuse."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import pytest

from sensor.classify import check, signatures
from sensor.model import Activity, Strength
from tests import captures

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.classify.rules import Example

OURS = signatures.load()
EXAMPLES = [(app.id, example) for app in OURS.apps.values() for example in app.examples]
IDS = (
    *("whatsapp", "facetime", "messenger", "zoom", "facebook", "instagram", "telegram", "signal", "skype", "teams"),
    *("google_meet", "discord", "snapchat", "line", "wechat", "viber", "webex", "kakaotalk", "threema", "imo", "jitsi"),
    *("slack", "google_chat", "imessage", "sip"),
)
CALLS = {Activity.VOICE_CALL, Activity.VIDEO_CALL, Activity.MEETING}


def test_the_checker_finds_nothing() -> None:
    assert [str(finding) for finding in check.check()] == []


def test_the_apps_and_their_files() -> None:
    assert sorted(OURS.apps) == sorted(IDS)
    files = {path.stem for path in signatures.BUILTIN.glob("*.yaml")}
    assert files == set(IDS)
    assert {app.id for app in OURS.apps.values() if app.context} == {"facebook", "imessage", "sip"}


@pytest.mark.parametrize(("app", "example"), EXAMPLES, ids=[f"{app}-{e.line}" for app, e in EXAMPLES])
def test_every_example(app: str, example: Example) -> None:
    found = check.run(example, OURS)
    if example.rule:
        assert example.rule in {match.rule for match in found}
    else:
        assert app not in {match.app for match in found}


def test_every_rule_has_an_example_a_source_and_a_date() -> None:
    shown = {example.rule for _, example in EXAMPLES if example.rule}
    assert shown == set(OURS.rules)
    for rule in OURS.rules.values():
        assert rule.source
        assert rule.seen
        assert rule.confidence


def test_low_confidence_is_supporting() -> None:
    for rule in OURS.rules.values():
        if rule.confidence == "low" and not rule.match.context:
            assert rule.match.strength is Strength.SUPPORTING


def test_nothing_says_facetime_for_certain() -> None:
    assert all(rule.match.strength < Strength.CONCLUSIVE for rule in OURS.apps["facetime"].rules)


def test_only_names_met_in_a_call_alone_say_call() -> None:
    calls = {rule.match.rule for rule in OURS.rules.values() if rule.match.activity in CALLS}
    assert calls == {
        *("zoom/media-router", "discord/voice", "snapchat/call"),
        *("google_meet/relay-workspace", "google_meet/relay-personal"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *(
            "www.facebook.com",
            "connect.facebook.net",
            "static.xx.fbcdn.net",
            "graph.facebook.com",
            "edge-mqtt.facebook.com",
        ),
        *("www.google.com", "mail.google.com", "accounts.google.com", "stun.l.google.com", "mtalk.google.com"),
        *("www.googleapis.com", "www.gstatic.com", "www.youtube.com", "play.google.com"),
        *(
            "www.microsoft.com",
            "login.live.com",
            "login.microsoftonline.com",
            "outlook.office.com",
            "config.edge.skype.com",
        ),
        *("www.apple.com", "gateway.icloud.com", "1-courier.push.apple.com", "init.ess.apple.com", "captive.apple.com"),
        *("www.qq.com", "mp.weixin.qq.com", "res.wx.qq.com", "social-plugins.line.me", "d.line-scdn.net", "t.me"),
        *(
            "telegram.org",
            "telegram.me",
            "tr.snapchat.com",
            "sc-static.net",
            "scontent.cdninstagram.com",
            "www.kakao.com",
        ),
        *("kauth.kakao.com", "d111111abcdef8.cloudfront.net", "s3.amazonaws.com", "dns.google", "www.example.org"),
    ],
)
def test_pages_of_vendors_and_shared_names_accuse_nobody(name: str) -> None:
    for match in OURS.match_name(name):
        assert match.context or match.strength is Strength.SUPPORTING


def test_metas_relays_leave_two_candidates_and_the_realm_settles_it() -> None:
    dialect = OURS.match_stun(method=3, attributes=[(0x4000, bytes(102)), (0x0008, bytes(20))])
    assert {match.app for match in dialect} == {"whatsapp", "messenger"}
    assert {match.strength for match in dialect} == {Strength.STRONG}
    (settled,) = OURS.match_stun(method=3, realm="turner.facebook")
    assert (settled.app, settled.strength) == ("messenger", Strength.CONCLUSIVE)


def test_unsigned_messages_to_metas_relays_are_whatsapps() -> None:
    for method in (0x003, 0x200):
        (found,) = OURS.match_stun(method=method, attributes=[(0x4000, bytes(102))])
        assert (found.app, found.strength) == ("whatsapp", Strength.STRONG)


def test_standard_stun_says_nothing() -> None:
    webrtc = [
        (0x0006, b"aaaa:bbbb"),
        (0xC057, bytes(4)),
        (0x0025, b""),
        (0x0024, bytes(4)),
        (0x0008, bytes(20)),
        (0x8028, bytes(4)),
    ]
    for method in (1, 3, 4, 8, 9):
        assert OURS.match_stun(method=method, username="aaaa:bbbb", attributes=webrtc) == ()


@pytest.mark.parametrize("first", ["160301020001", "474554202f20", "16feff0000000000", "000100002112a442", "80000000"])
def test_first_bytes_of_the_web_say_nothing(first: str) -> None:
    payload = bytes.fromhex(first).ljust(60, b"\0")
    for proto in ("tcp", "udp"):
        for port in (80, 443, 3478, 5222, 8801, 50004):
            assert OURS.match_first_bytes(proto, "either", payload, port) == ()


# What the labels of captures call each app, and the ids that are right for it.
LABELS = {
    "WhatsApp": {"whatsapp"},
    "Messenger": {"messenger"},
    "Zoom": {"zoom"},
    "Facebook": {"facebook", "messenger"},
    "Instagram": {"instagram"},
    "Signal": {"signal"},
    "Skype": {"skype", "teams"},
    "Teams": {"teams", "skype"},
    "GoogleMeet": {"google_meet"},
    "Discord": {"discord"},
    "Snapchat": {"snapchat"},
    "LINE": {"line"},
    "WeChat": {"wechat"},
    "Slack": {"slack"},
}
# Names that only support, on purpose, though a label counts them for the app.
ON_PURPOSE = {"tr6.snapchat.com"}  # the pixel by which shops count the visitors of their pages


@pytest.mark.captures
def test_names_in_captures_are_named_rightly() -> None:
    folder = captures.folder()
    with (folder / "labels.csv").open(newline="") as manifest:
        kinds = {row["file"]: row["class"] for row in csv.DictReader(manifest)}
    wrong, told = set(), 0
    for path in sorted((folder / "labels").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            right = set(row.get("accept") or LABELS.get(row.get("app"), ()))
            for _, name, _ in row.get("tshark_sni") or []:
                claims = [m for m in OURS.match_name(name) if not m.context and m.strength > Strength.SUPPORTING]
                apps = {match.app for match in OURS.match_name(name) if match.strength > Strength.SUPPORTING}
                told += bool(apps & right)
                if (kinds[path.stem] == "negative" and claims) or (
                    right and not apps & right and name not in ON_PURPOSE
                ):
                    wrong.add((path.stem, name, row.get("app"), tuple(apps)))
    assert wrong == set()
    assert told > 100


def test_the_files_shown_in_the_guide_pass_the_checker(tmp_path: Path) -> None:
    guide = (signatures.BUILTIN.parent / "docs" / "signatures.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block, encoding="utf-8")
    assert [str(finding) for finding in check.check(tmp_path)] == []
