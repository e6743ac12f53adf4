"""What was done, by what flowed: a call that was held from one that rang, messages from a phone in a pocket.

The thresholds are data (`signatures/activity.toml`), each with its reason; docs/activity.md tells the rules in words.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sensor.errors import SignatureError
from sensor.model import Activity

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.classify.flows import Carried, Flow

NS = 1_000_000_000
WINDOW_NS = 10 * NS
HTTPS = 443
MAX_WINDOWS = 4320  # 12 hours; of longer episodes the profile keeps the beginning
HELD = frozenset({Activity.VOICE_CALL, Activity.VIDEO_CALL, Activity.MEETING})


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds; names as in the file, with the table in front."""

    call_media_packets: int
    call_media_ms: int
    call_stream_packets: int
    call_stream_side_packets: int
    video_frame_bytes: int
    video_bits_per_s: int
    messaging_opening_s: int
    messaging_window_bytes: int
    messaging_windows: int
    messaging_within_s: int
    file_transfer_upload_bytes: int
    file_transfer_download_bytes: int


def read_limits(path: Path) -> Limits:
    """Raises SignatureError, one line naming file and key."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SignatureError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    given: dict[str, Any] = {}
    for table, values in tables.items():
        if not isinstance(values, dict):
            raise SignatureError(f"{path}: {table}: is no table")
        given.update({f"{table}_{key}": value for key, value in values.items()})
    known = {one.name for one in fields(Limits)}
    for name in sorted(given.keys() ^ known):
        raise SignatureError(f"{path}: {name.replace('_', '.', 1)}: {'unknown' if name in given else 'missing'}")
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise SignatureError(f"{path}: {name}: is no positive whole number")
    return Limits(**given)


class Judged(NamedTuple):
    """What an episode's use amounts to; the times are those of the call itself, where one was held."""

    activity: Activity
    start_ns: int | None = None
    end_ns: int | None = None


@dataclass(slots=True)
class Stream:
    """Packets and bytes each way in one window, and the part of it in which they flowed."""

    packets_up: int = 0
    packets_down: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    first_ns: int = 1 << 63
    last_ns: int = 0

    def merge(self, other: Stream) -> None:
        self.packets_up += other.packets_up
        self.packets_down += other.packets_down
        self.bytes_up += other.bytes_up
        self.bytes_down += other.bytes_down
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)


@dataclass(slots=True)
class Use:
    """What the flows of one episode carried. Sums only, so that the order of flows does not matter."""

    limits: Limits
    profile: dict[int, list[int]] = field(default_factory=dict)  # by window: bytes up, bytes down
    media: Stream = field(default_factory=Stream)  # flows with RTP: packets in sequence, all bytes, when
    streams: dict[int, Stream] = field(default_factory=dict)  # by window: busy UDP flows without
    chat: dict[int, list[int]] = field(default_factory=dict)  # by window: bytes up, down, after the opening
    file_up: int = 0
    file_down: int = 0

    def copied(self) -> Use:
        """The same, to add to."""
        return Use(
            self.limits,
            {start: list(both) for start, both in self.profile.items()},
            replace(self.media),
            {start: replace(stream) for start, stream in self.streams.items()},
            {start: list(both) for start, both in self.chat.items()},
            self.file_up,
            self.file_down,
        )

    def add(self, flow: Flow) -> None:
        """Takes in a flow: all of it once it has ended, before that what its windows tell."""
        windows = _windows(flow)
        for window in windows:
            _sum(self.profile, window.start_ns, window.bytes_up, window.bytes_down)
        told = {one.match.activity for one in (*flow.own, *flow.tied, *flow.told)}
        if flow.key.proto == "udp":
            self._add_datagrams(flow)
        if Activity.MESSAGING in told:
            after_ns = flow.first_ns + self.limits.messaging_opening_s * NS
            for window in windows:
                if window.start_ns >= after_ns:
                    _sum(self.chat, window.start_ns, window.bytes_up, window.bytes_down)
        if Activity.FILE_TRANSFER in told:
            self.file_up += flow.bytes_up if flow.ended else sum(one.bytes_up for one in windows)
            self.file_down += flow.bytes_down if flow.ended else sum(one.bytes_down for one in windows)

    def _add_datagrams(self, flow: Flow) -> None:
        if flow.media_up or flow.media_down:
            self.media.merge(
                Stream(
                    flow.media_up,
                    flow.media_down,
                    flow.bytes_up,
                    flow.bytes_down,
                    flow.media_first_ns,
                    flow.media_last_ns,
                )
            )
            return
        if flow.media and not flow.ended:  # how many of them are media is known at its end
            for window in flow.windows:
                last_ns = window.start_ns + WINDOW_NS
                self.media.merge(Stream(*window[3:], *window[1:3], flow.media[0].time_ns, last_ns))
            return
        if any(one.kind == "quic_sni" for one in flow.own) or _is_page(flow):
            return  # a page over HTTP/3 is as busy both ways, and is no media that hide their header
        for window in _windows(flow):
            if max(window.packets_up, window.packets_down) >= self.limits.call_stream_packets:
                first_ns = max(window.start_ns, flow.first_ns)
                end_ns = window.start_ns + WINDOW_NS
                last_ns = min(end_ns, flow.last_ns) if flow.ended else end_ns
                part = Stream(
                    window.packets_up, window.packets_down, window.bytes_up, window.bytes_down, first_ns, last_ns
                )
                self._stream_of(window.start_ns).merge(part)

    def _stream_of(self, start_ns: int) -> Stream:
        return self.streams.setdefault(start_ns, Stream())

    def absorb(self, other: Use) -> None:
        for mine, theirs in ((self.profile, other.profile), (self.chat, other.chat)):
            for start_ns, (up, down) in theirs.items():
                _sum(mine, start_ns, up, down)
        for start_ns, stream in other.streams.items():
            self._stream_of(start_ns).merge(stream)
        self.media.merge(other.media)
        self.file_up += other.file_up
        self.file_down += other.file_down

    def call(self, named: Activity, *, meeting: bool) -> Judged:
        """A call: held where media went both ways; else an attempt, or what a name says that is met in calls alone."""
        held = self._held_media() or self._held_streams()
        if held is None:
            return Judged(named if named in HELD else Activity.CALL_ATTEMPT)
        if meeting:
            return Judged(Activity.MEETING, held.first_ns, held.last_ns)
        activity = Activity.VIDEO_CALL if self._is_video(held) else Activity.VOICE_CALL
        return Judged(activity, held.first_ns, held.last_ns)

    def other(self) -> Judged:
        """Use that is no call, by what flowed to the names that stand for messages and for files."""
        limits = self.limits
        if self.file_up >= limits.file_transfer_upload_bytes or self.file_down >= limits.file_transfer_download_bytes:
            return Judged(Activity.FILE_TRANSFER)
        if self._talked():
            return Judged(Activity.MESSAGING)
        return Judged(Activity.BACKGROUND)

    def _talked(self) -> bool:
        """Whether windows in which messages went both ways lie as close together as in a conversation."""
        limits = self.limits
        busy = sorted(start for start, both in self.chat.items() if min(both) >= limits.messaging_window_bytes)
        apart = limits.messaging_windows - 1
        within_ns = limits.messaging_within_s * NS
        return any(last - first <= within_ns for first, last in zip(busy, busy[apart:], strict=False))

    def _held_media(self) -> Stream | None:
        media, limits = self.media, self.limits
        long_enough = media.last_ns - media.first_ns >= limits.call_media_ms * 1_000_000
        both_ways = min(media.packets_up, media.packets_down) >= limits.call_media_packets
        return media if long_enough and both_ways else None

    def _held_streams(self) -> Stream | None:
        held = Stream()
        for start_ns in sorted(self.streams):
            stream = self.streams[start_ns]
            if min(stream.packets_up, stream.packets_down) >= self.limits.call_stream_side_packets:
                held.merge(stream)
        return held if held.last_ns else None

    def _is_video(self, held: Stream) -> bool:
        seconds = max(held.last_ns - held.first_ns, NS) / NS
        return any(
            size >= self.limits.video_frame_bytes * packets and size * 8 >= self.limits.video_bits_per_s * seconds
            for size, packets in ((held.bytes_up, held.packets_up), (held.bytes_down, held.packets_down))
            if packets
        )


def _windows(flow: Flow) -> tuple[Carried, ...]:
    """Those that are over, and of a flow that has ended the one in which it did."""
    return (*flow.windows, flow.last_window) if flow.ended else tuple(flow.windows)


def _is_page(flow: Flow) -> bool:
    """Whether nothing but DNS speaks of a flow to HTTPS's port: QUIC whose beginning was not captured, far more often than media."""
    server_port = flow.key.dport if flow.device_is_src else flow.key.sport
    return server_port == HTTPS and not flow.own and not flow.tied


def _sum(into: dict[int, list[int]], start_ns: int, up: int, down: int) -> None:
    found = into.get(start_ns)
    if found is not None:
        found[0] += up
        found[1] += down
    elif len(into) < MAX_WINDOWS:
        into[start_ns] = [up, down]
