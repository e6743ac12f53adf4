"""What was done, by what flowed: calls held and not, voice and video, conversations and phones in pockets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.classify import signatures
from sensor.classify.activity import Use, read_limits
from sensor.classify.flows import Carried, Flow
from sensor.errors import SignatureError
from sensor.model import Activity, Device, Evidence, FlowKey, RuleMatch, Strength

if TYPE_CHECKING:
    from pathlib import Path

NS = 1_000_000_000
LIMITS = signatures.load().limits
KEY = FlowKey("udp", "10.0.0.2", 40000, "203.0.113.9", 3478)
CHAT = FlowKey("tcp", "10.0.0.2", 40001, "203.0.113.9", 443)
DEVICE = Device("mac:1", "1", "10.0.0.2")


def evidence(key: FlowKey, activity: Activity, kind: str = "stun") -> Evidence:
    match = RuleMatch("app", "app/rule", Strength.CONCLUSIVE, "chat", activity)
    return Evidence(kind, "name.example", "a.pcap", 1, 0, key, match)


def flow(key: FlowKey, *windows: Carried, activity: Activity = Activity.CALL_ATTEMPT) -> Flow:
    one = Flow(1, key, DEVICE, "Ward", device_is_src=True, device_side=0, first_ns=0)
    one.own = [evidence(key, activity)]
    one.windows = list(windows)
    one.last_ns = max((window.start_ns for window in windows), default=0) + 10 * NS
    one.bytes_up, one.bytes_down = sum(each.bytes_up for each in windows), sum(each.bytes_down for each in windows)
    return one


def media(up: int, down: int, seconds: float, frame_bytes: int = 150) -> Flow:
    one = flow(KEY)
    one.media_up, one.media_down = up, down
    one.media_first_ns, one.media_last_ns = 5 * NS, int((5 + seconds) * NS)
    one.bytes_up, one.bytes_down = up * frame_bytes, down * frame_bytes
    return one


def use(*flows: Flow) -> Use:
    made = Use(LIMITS)
    for one in flows:
        made.add(one)
    return made


def call(*flows: Flow, meeting: bool = False) -> Activity:
    return use(*flows).call(Activity.CALL_ATTEMPT, meeting=meeting).activity


def test_media_both_ways_is_a_call_as_long_as_the_media() -> None:
    judged = use(media(200, 200, 10)).call(Activity.CALL_ATTEMPT, meeting=False)
    assert judged == (Activity.VOICE_CALL, 5 * NS, 15 * NS)


@pytest.mark.parametrize(
    ("up", "down", "seconds"),
    [
        (LIMITS.call_media_packets - 1, 500, 10),
        (500, LIMITS.call_media_packets - 1, 10),
        (500, 0, 10),  # a camera sends, nobody answers
        (500, 500, LIMITS.call_media_ms / 1000 - 0.001),  # a path that was tried and given up
        (0, 0, 0),
    ],
)
def test_less_is_an_attempt(up: int, down: int, seconds: float) -> None:
    assert call(media(up, down, seconds)) is Activity.CALL_ATTEMPT


def test_directions_may_take_different_flows() -> None:
    assert call(media(300, 0, 10), media(0, 300, 10)) is Activity.VOICE_CALL


def test_large_frames_are_video_and_slow_ones_are_not() -> None:
    assert call(media(300, 300, 10, frame_bytes=700)) is Activity.VIDEO_CALL
    assert call(media(30, 30, 30, frame_bytes=700)) is Activity.VOICE_CALL  # 5.6 kbit/s is no picture
    assert call(media(300, 300, 10, frame_bytes=700), meeting=True) is Activity.MEETING


def test_hidden_media_count_by_what_flows_both_ways() -> None:
    busy = Carried(0, 9000, 9000, 120, 120)
    assert call(flow(KEY, busy)) is Activity.VOICE_CALL
    assert call(flow(KEY, Carried(0, 9000, 0, 120, 0)), flow(KEY, Carried(0, 0, 9000, 0, 120))) is Activity.VOICE_CALL
    keep_alive = Carried(0, 900, 900, 10, 10)
    assert call(*[flow(KEY, keep_alive)] * 6) is Activity.CALL_ATTEMPT  # six relays that are pinged make no call
    assert call(flow(replace(KEY, proto="tcp"), busy)) is Activity.CALL_ATTEMPT


def test_a_page_over_http_3_is_no_hidden_media() -> None:
    page = flow(KEY, Carried(0, 9000, 9000, 120, 120))
    page.own = [evidence(KEY, Activity.CALL_ATTEMPT, "quic_sni")]
    assert call(page) is Activity.CALL_ATTEMPT


def test_a_page_over_http_3_whose_beginning_was_not_captured_is_none_either() -> None:
    key = replace(KEY, dport=443)
    busy = Carried(0, 9000, 9000, 120, 120)
    page = flow(key, busy)
    page.own, page.told = [], [evidence(key, Activity.CALL_ATTEMPT, "dns_answer")]
    assert call(page) is Activity.CALL_ATTEMPT
    assert call(flow(key, busy)) is Activity.VOICE_CALL  # what the flow says itself counts at any port
    page.key = KEY
    assert call(page) is Activity.VOICE_CALL


def test_a_name_that_is_met_in_calls_alone_tells_one() -> None:
    assert use().call(Activity.MEETING, meeting=True).activity is Activity.MEETING


def chat(*starts_s: int, up: int = 400, down: int = 400) -> Activity:
    windows = [Carried(start * NS, up, down, 4, 4) for start in starts_s]
    return use(flow(CHAT, *windows, activity=Activity.MESSAGING)).other().activity


def test_a_conversation_and_what_is_none() -> None:
    assert chat(30, 60) is Activity.MESSAGING
    assert chat(0, 30) is Activity.BACKGROUND  # the first is the app's start
    assert chat(30) is Activity.BACKGROUND  # one message that came in
    assert chat(30, 30 + LIMITS.messaging_within_s + 10) is Activity.BACKGROUND
    assert chat(30, 40, 50, up=150, down=150) is Activity.BACKGROUND  # keep-alives
    assert chat(30, 40, 50, up=60) is Activity.BACKGROUND  # only received


def test_bytes_of_another_host_are_no_messages() -> None:
    windows = [Carried(start * NS, 400, 400, 4, 4) for start in (30, 60)]
    assert use(flow(CHAT, *windows, activity=Activity.BACKGROUND)).other().activity is Activity.BACKGROUND


def test_files_by_size_and_direction() -> None:
    def files(up: int, down: int) -> Activity:
        return use(flow(CHAT, Carried(0, up, down, 50, 50), activity=Activity.FILE_TRANSFER)).other().activity

    assert files(LIMITS.file_transfer_upload_bytes, 0) is Activity.FILE_TRANSFER
    assert files(0, LIMITS.file_transfer_download_bytes) is Activity.FILE_TRANSFER
    assert files(LIMITS.file_transfer_upload_bytes - 1, LIMITS.file_transfer_download_bytes - 1) is Activity.BACKGROUND


flows = st.builds(
    lambda start, up, down, count, ups, downs: replace_counts(
        flow(KEY, Carried(start * 10 * NS, up, down, count, count)), ups, downs
    ),
    st.integers(0, 3),
    *[st.integers(0, 5000)] * 2,
    st.integers(0, 60),
    *[st.integers(0, 60)] * 2,
)


def replace_counts(one: Flow, up: int, down: int) -> Flow:
    one.media_up, one.media_down = up, down
    one.media_first_ns, one.media_last_ns = (NS, 4 * NS) if up or down else (0, 0)
    return one


@given(st.lists(flows, max_size=6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_order_and_merging_change_nothing(some: list[Flow], cut: int, random) -> None:
    whole = use(*some)
    parts, rest = use(*some[:cut]), use(*some[cut:])
    parts.absorb(rest)
    shuffled = list(some)
    random.shuffle(shuffled)
    assert whole == parts == use(*shuffled)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[call]\nmedia_packets = 0\n", "missing"),
        ("nonsense", "Expected"),
        ("call = 1\n", "call: is no table"),
        ("[call]\nmedia_packet = 1\n", "missing"),
    ],
)
def test_mistakes_are_one_line_naming_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "activity.toml"
    path.write_text(text)
    with pytest.raises(SignatureError, match=said) as raised:
        read_limits(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_key_that_is_unknown_or_no_number(tmp_path: Path) -> None:
    good = (signatures.BUILTIN / signatures.LIMITS).read_text()
    path = tmp_path / "activity.toml"
    path.write_text(good + "extra = 1\n")
    with pytest.raises(SignatureError, match=r"file.transfer_extra: unknown|file_transfer.extra: unknown"):
        read_limits(path)
    path.write_text(good.replace("media_ms = 2000", "media_ms = true"))
    with pytest.raises(SignatureError, match="call_media_ms: is no positive whole number"):
        read_limits(path)


def test_limits_are_part_of_the_hash() -> None:
    ours = signatures.load()
    changed = signatures.SignatureSet(dict(ours.apps), replace(ours.limits, call_media_ms=1))
    assert changed.hash != ours.hash
