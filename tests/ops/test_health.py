"""Each check on either side of its threshold, each fault with its fix; the compiled look at frames on made conversations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sensor.capture import mirror
from sensor.capture.mirror import MirrorWindow
from sensor.model import FRAME, MirrorState
from sensor.ops.health import Box, Habits, State, Window, of_box, of_window
from tests.made import tcp, udp

GOOD = MirrorState(60.0, True, 5000, 100, 3, 2000, 2, 10, (3, 4))
WINDOW = Window(6000, 10, 0, 0, 0, GOOD)


def states(window: Window, vlans: tuple[int, ...] = (3, 4)) -> dict[str, State]:
    found = {one.name: one for one in of_window(window, "m1", vlans)}
    assert all(bool(one.fix) == (one.state >= State.DOUBTFUL) for one in found.values())
    return {name: one.state for name, one in found.items() if one.state is not State.RIGHT}


@pytest.mark.parametrize(
    ("window", "mirror_state", "expected"),
    [
        ({}, {}, {}),
        ({"frames": 0, "duplicates": 0}, {"conversations": 0, "one_way": 0, "acks": 0, "gaps": 0, "vlans": (), "looked": 0},
         {"traffic": State.WRONG, "directions": State.UNKNOWN, "duplicates": State.UNKNOWN, "truncated": State.UNKNOWN,
          "vlans": State.UNKNOWN, "gaps": State.UNKNOWN}),
        ({}, {"one_way": 50}, {}),
        ({}, {"one_way": 51}, {"directions": State.WRONG}),
        ({}, {"conversations": 9, "one_way": 9}, {"directions": State.UNKNOWN}),
        ({"duplicates": 300}, {}, {}),
        ({"duplicates": 301}, {}, {"duplicates": State.DOUBTFUL}),
        ({"truncated": 7}, {}, {"truncated": State.WRONG}),
        ({"oversized": 1}, {}, {"oversized": State.DOUBTFUL}),
        ({"lost": 1}, {}, {"drops": State.WRONG}),
        ({}, {"vlans": (3,)}, {"vlans": State.DOUBTFUL}),
        ({}, {"gaps": 20}, {}),
        ({}, {"gaps": 21}, {"gaps": State.WRONG}),
        ({}, {"acks": 99, "gaps": 50}, {"gaps": State.UNKNOWN}),
    ],
)  # fmt: skip
def test_windows(window: dict[str, Any], mirror_state: dict[str, Any], expected: dict[str, State]) -> None:
    assert states(replace(WINDOW, **window, mirror=replace(GOOD, **mirror_state))) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(True, True, (), True, 3), {}),
        (Box(False, False, (), True, 3), {"up": State.WRONG}),
        (Box(True, False, (), True, 3), {"carrier": State.WRONG}),
        (Box(True, True, ("gro", "lro"), True, 3), {"offloads": State.DOUBTFUL}),
        (Box(True, True, None, False, 200), {"clock": State.DOUBTFUL, "signatures": State.DOUBTFUL}),
        (Box(True, True, None, None, None), {"clock": State.UNKNOWN}),
    ],
)
def test_boxes(box: Box, expected: dict[str, State]) -> None:
    found = list(of_box(box, "m1"))
    assert {one.name: one.state for one in found if one.state is not State.RIGHT} == expected
    assert "m1" in next((one.fix for one in found if one.name == "offloads" and one.fix), "m1")


def looked(frames: list[Any]) -> MirrorState:
    window = MirrorWindow()
    data = [bytes(one) for one in frames]
    rows = np.zeros(len(data), FRAME)
    rows["captured_bytes"] = rows["wire_bytes"] = [len(one) for one in data]
    rows["offset"] = np.cumsum([0, *map(len, data)])[:-1]
    rows["link"] = 1
    window.look(np.frombuffer(b"".join(data), np.uint8).copy(), rows)
    return window.state(1.0, over=True)


def conversation(port: int, *, data: int = 5) -> list[Any]:
    """Both sides of a connection, in order; each segment of 100 bytes is acknowledged."""
    from scapy.layers.inet import TCP

    here, there = ("10.0.0.5", port), ("203.0.113.9", 443)
    frames = []
    for step in range(data):
        segment, answer = tcp(*here, *there, b"x" * 100, flags="A"), tcp(*there, *here, b"", flags="A")
        segment[TCP].seq, segment[TCP].ack = (1 << 32) - 250 + 100 * step, 1
        answer[TCP].seq, answer[TCP].ack = 1, (segment[TCP].seq + 100) % (1 << 32)
        segment[TCP].seq %= 1 << 32
        frames += [segment, answer]
    return frames


def test_a_whole_conversation_has_no_gap_also_where_numbers_wrap() -> None:
    state = looked(conversation(40000))
    assert (state.conversations, state.one_way, state.gaps) == (1, 0, 0)
    assert state.acks >= 5


def test_data_that_was_acknowledged_and_never_seen_is_a_gap_once() -> None:
    frames = conversation(40000)
    state = looked([*frames[:4], *frames[5:]])
    assert state.gaps == 1


def test_one_side_alone_is_one_way_and_no_gap() -> None:
    state = looked([frame for port in range(40000, 40010) for frame in conversation(port)[::2]])
    assert (state.conversations, state.one_way, state.gaps, state.acks) == (10, 10, 0, 0)


def test_vlans_and_what_goes_to_many() -> None:
    from scapy.layers.l2 import Dot1Q, Ether

    frame = udp("10.0.0.5", 1000, "10.0.0.6", 2000, b"x")
    tagged = Ether(
        bytes(Ether(src=frame.src, dst=frame.dst, type=0x8100) / Dot1Q(vlan=7, type=0x800)) + bytes(frame.payload)
    )
    many = Ether(bytes(frame))
    many.dst = "01:00:5e:00:00:01"
    state = looked([frame, tagged, tagged, many])
    assert (state.vlans, state.untagged, state.looked) == ((7,), 2, 3)


def test_any_bytes_are_looked_at_within_their_frame() -> None:
    """Behind each frame lies poison: whatever is read beyond its end would show as another conversation."""
    rng = np.random.default_rng(7)
    whole = bytes(conversation(40000)[0])
    for cut in range(len(whole)):
        looks = []
        for poison in (0, 255):
            buffer = np.full(4096, poison, np.uint8)
            buffer[:cut] = np.frombuffer(whole[:cut], np.uint8)
            row = np.zeros(1, FRAME)
            row["captured_bytes"], row["link"] = cut, 1
            window = MirrorWindow()
            window.look(buffer, row)
            looks.append(window.state(1.0, over=True))
        assert looks[0] == looks[1]
    for _ in range(300):
        buffer = rng.integers(0, 256, 64, np.uint8)
        row = np.zeros(1, FRAME)
        row["captured_bytes"], row["link"] = int(rng.integers(0, 65)), 1
        MirrorWindow().look(buffer, row)


def test_a_window_begins_anew() -> None:
    window = MirrorWindow()
    window._counts[mirror.ACKS] = 5
    assert window.state(1.0, over=True).acks == 5
    assert window.state(1.0, over=False).acks == 0


def test_an_app_far_below_its_habit_is_noticed_and_nothing_else() -> None:
    habits = Habits()
    for day in range(100, 107):
        for _ in range(20):
            habits.note("whatsapp", day)
            habits.note("zoom", day)
        habits.note("signal", day)
    for _ in range(3):
        habits.note("zoom", 107)
    assert [one.name for one in habits.missed(107)] == ["habit_whatsapp"]
    assert habits.missed(120) == []
    assert Habits().missed(107) == []
