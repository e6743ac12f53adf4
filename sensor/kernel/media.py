"""Real-time media by its shape: RTP and what looks like it (SRTP, RFC 3711, leaves the header in clear), and windows of activity.

What counts is continuity: the same source (SSRC) with sequence numbers that go on (RFC 3550 5.1). Random bytes have neither.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import MEDIA_RUN, WINDOW_NS
from sensor.kernel.wire import u8, u16, u32

RTP_HEADER_BYTES = 12
RTCP_LOW, RTCP_HIGH = 64, 95  # payload types that are RTCP's packet types 192 to 223 (RFC 5761 4)
CHANNEL_LOW, CHANNEL_HIGH = 0x40, 0x4F  # TURN ChannelData, the first byte of the channel number (RFC 8656 12)
MAX_STEP = 128  # sequence numbers that loss may skip
REORDERED = 0x10000 - 128


@inlined
def media_run(buf, start, end, row, side, time_ns):
    """Notes a datagram that may be media. Whether it is the one that makes its side's packets a run of media."""
    if end - start < RTP_HEADER_BYTES:
        return False
    first = u8(buf, start)
    if CHANNEL_LOW <= first <= CHANNEL_HIGH:
        if end - start < RTP_HEADER_BYTES + 4 or u16(buf, start + 2) > end - start - 4:
            return False
        start += 4
        first = u8(buf, start)
    if first >> 6 != 2 or RTCP_LOW <= (u8(buf, start + 1) & 0x7F) <= RTCP_HIGH:
        return False
    return continues(row, side, u32(buf, start + 8), u16(buf, start + 2), time_ns)


@compiled
def continues(row, side, ssrc, sequence, time_ns):
    """Whether this RTP packet is the MEDIA_RUN-th of its side that went on where the one before it ended."""
    if side == 0:
        known, last, count = np.int64(row["ssrc_0"]), np.int64(row["rtp_sequence_0"]), np.int64(row["media_0"])
    else:
        known, last, count = np.int64(row["ssrc_1"]), np.int64(row["rtp_sequence_1"]), np.int64(row["media_1"])
    step = (sequence - last) & 0xFFFF
    goes_on = ssrc == known and (0 < step <= MAX_STEP or step >= REORDERED)
    if not goes_on or step <= MAX_STEP:
        if side == 0:
            row["ssrc_0"] = ssrc
            row["rtp_sequence_0"] = sequence
        else:
            row["ssrc_1"] = ssrc
            row["rtp_sequence_1"] = sequence
    if not goes_on:
        return False
    count += 1
    if side == 0:
        row["media_0"] = count
    else:
        row["media_1"] = count
    if row["media_first_ns"] == 0:
        row["media_first_ns"] = time_ns
    row["media_last_ns"] = max(row["media_last_ns"], time_ns)
    return count == MEDIA_RUN


@compiled
def begin_windows(row, time_ns):
    """A new flow: its first window."""
    row["window_ns"] = time_ns - time_ns % WINDOW_NS
    row["tick_ns"] = row["window_ns"] + WINDOW_NS
    row["media_first_ns"] = 0
    row["media_last_ns"] = 0
    row["media_0"] = 0
    row["media_1"] = 0
    row["ssrc_0"] = 0
    row["ssrc_1"] = 0
    row["rtp_sequence_0"] = 0
    row["rtp_sequence_1"] = 0
    keep_counters(row)


@compiled
def keep_counters(row):
    row["tick_bytes_0"] = row["bytes_0"]
    row["tick_bytes_1"] = row["bytes_1"]
    row["tick_packets_0"] = row["packets_0"]
    row["tick_packets_1"] = row["packets_1"]
    row["tick_media_0"] = np.int64(row["media_0"]) & 0xFFFF
    row["tick_media_1"] = np.int64(row["media_1"]) & 0xFFFF


@compiled
def write_tick(tick, row, time_ns):
    """What the flow carried in the window that is over; begins the one of `time_ns`."""
    tick["flow_id"] = row["flow_id"]
    tick["time_ns"] = time_ns
    tick["start_ns"] = row["window_ns"]
    tick["bytes_0"] = row["bytes_0"] - row["tick_bytes_0"]
    tick["bytes_1"] = row["bytes_1"] - row["tick_bytes_1"]
    tick["packets_0"] = row["packets_0"] - row["tick_packets_0"]
    tick["packets_1"] = row["packets_1"] - row["tick_packets_1"]
    tick["media_0"] = (np.int64(row["media_0"]) - np.int64(row["tick_media_0"])) & 0xFFFF
    tick["media_1"] = (np.int64(row["media_1"]) - np.int64(row["tick_media_1"])) & 0xFFFF
    row["window_ns"] = time_ns - time_ns % WINDOW_NS
    row["tick_ns"] = row["window_ns"] + WINDOW_NS
    keep_counters(row)
