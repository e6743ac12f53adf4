"""What is told of messages that are judged once for all of their kind holds for each of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.made import PHONE, replayed, udp

if TYPE_CHECKING:
    from pathlib import Path

RELAY = "157.240.0.60"
ALLOCATE, USERNAME, METAS = 0x0003, 0x0006, 0x4000


def allocate(username: bytes) -> bytes:
    attributes = struct.pack(">HH", METAS, 4) + bytes(4) + struct.pack(">HH", USERNAME, len(username)) + username
    return struct.pack(">HHI", ALLOCATE, len(attributes), 0x2112A442) + bytes(range(12)) + attributes


def test_a_user_name_that_no_rule_asks_for_is_not_told(tmp_path: Path) -> None:
    """The first message of a dialect speaks for all of them, and each session has a user name of its own."""
    seen = replayed(
        tmp_path,
        [
            udp(PHONE, 50001, RELAY, 3478, allocate(b"abcd:efgh")),
            udp(PHONE, 50002, RELAY, 3478, allocate(b"ijkl:mnop"), at=1),
        ],
    )
    values = [one.value for episode in seen.episodes for one in episode.evidence]
    assert "Allocate with attribute 0x4000" in values
    assert not [value for value in values if "username" in value]
