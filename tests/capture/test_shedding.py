"""What is left out under overload: bulk first, and never what names a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sensor import capture
from sensor.capture.shedding import ALL_BUT_BEGINNINGS, BULK, kept, shed
from sensor.model import FRAME
from tests.commands.running import CAPTURE, tshark
from tests.made import hello, tcp, udp

HERE, THERE = ("10.0.0.5", 40000), ("203.0.113.9", 443)
DATA = b"\x17\x03\x03\x05\xb0"


def is_kept(frame: Any, level: int) -> bool:
    data = np.frombuffer(bytes(frame), np.uint8).copy()
    return bool(kept(data, 0, len(data), level))


@pytest.mark.parametrize(
    ("frame", "by_bulk", "by_beginnings"),
    [
        (tcp(*HERE, *THERE, b"", flags="S"), True, True),
        (tcp(*HERE, *THERE, b"", flags="FA"), True, True),
        (tcp(*HERE, *THERE, b"", flags="A"), False, False),
        (tcp(*HERE, *THERE, hello("web.whatsapp.com")), True, True),
        (tcp(*HERE, *THERE, b"GET / HTTP/1.1\r\n"), True, False),
        (tcp(*THERE, *HERE, DATA + b"x" * 100), False, False),
        (tcp(*THERE, *HERE, b"y" * 1400), False, False),
        (udp("10.0.0.5", 5000, "10.0.0.1", 53, b"q" * 1200), True, True),
        (udp(*HERE, *THERE, b"\xc3" + b"i" * 1200), True, True),
        (udp(*HERE, *THERE, b"\x43" + b"s" * 1200), False, False),
        (udp(*HERE, *THERE, b"\x80" + b"r" * 160), True, False),
        (udp(*HERE, "203.0.113.9", 3478, b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"t" * 12), True, True),
    ],
)
def test_order(frame: Any, by_bulk: bool, by_beginnings: bool) -> None:
    assert (is_kept(frame, BULK), is_kept(frame, ALL_BUT_BEGINNINGS)) == (by_bulk, by_beginnings)


def test_what_cannot_be_told_is_kept_and_nothing_beyond_a_frame_is_read() -> None:
    whole = bytes(tcp(*HERE, *THERE, DATA + b"x" * 50))
    for cut in range(len(whole) + 1):
        said = []
        for poison in (0, 255):
            data = np.full(256, poison, np.uint8)
            data[:cut] = np.frombuffer(whole[:cut], np.uint8)
            said.append(kept(data, 0, cut, ALL_BUT_BEGINNINGS))
        assert said[0] == said[1]
        assert said[0] or cut >= 54


def test_of_the_demo_every_name_is_left() -> None:
    """All frames in which tshark finds a hello, a DNS message or STUN stay at the highest level."""
    wanted = set(
        tshark(CAPTURE, "(tls.handshake.type == 1 && !tcp.reassembled.length) || (dns && udp.port == 53) || stun")
    )
    assert len(wanted) > 100
    left: set[int] = set()
    count = 0
    for batch in capture.open_paths([CAPTURE]).batches():
        rows = batch.frames.copy()
        kept_rows = shed(batch.buffer, rows, len(rows), ALL_BUT_BEGINNINGS)
        assert rows.dtype == FRAME
        left |= set(rows["number"][:kept_rows].tolist())
        count += len(rows)
    assert not {number for number in wanted if number not in left}
    assert len(left) < count / 2
