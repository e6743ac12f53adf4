"""Plain words for people: times, lengths, sizes, apps, activities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sensor.model import Activity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.model import Episode

NS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ACTIVITIES = {
    Activity.BACKGROUND: "background",
    Activity.MESSAGING: "messaging",
    Activity.FILE_TRANSFER: "file transfer",
    Activity.CALL_ATTEMPT: "call attempt",
    Activity.VOICE_CALL: "voice call",
    Activity.VIDEO_CALL: "video call",
    Activity.MEETING: "meeting",
}
UNNAMED = {"unknown_call": "no known app"}
KINDS = {
    "tls_sni": "the name in the TLS ClientHello",
    "quic_sni": "the name in the QUIC Initial's ClientHello",
    "dtls_sni": "the name in the DTLS ClientHello",
    "tls_cert": "the name in the server's certificate",
    "http_host": "the Host of an HTTP request",
    "dns_answer": "the name that DNS had given this server's address for",
    "dns_query": "a DNS question",
    "ip_range": "the server's address in the app's published range",
    "stun": "what a STUN message carries",
    "payload": "how this side of the flow begins",
    "user_agent": "what a program says of its system in an HTTP request",
    "tls_version": "the highest version that the ClientHello offers",
    "media": "what a call's voice or video looks like",
    "tied": "the local socket of a call that other evidence names",
}


def rfc3339(time_ns: int) -> str:
    """UTC with nine decimals: "2024-05-01T10:00:00.123456789Z"."""
    seconds, rest = divmod(time_ns, NS)
    try:
        text = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:  # a capture may claim any time; its own clock is all there is to report
        text = "9999-12-31T23:59:59"
    return f"{text}.{rest:09d}Z"


def clock(time_ns: int, zone: str, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """The site's wall clock."""
    try:
        return (EPOCH + timedelta(seconds=time_ns // NS)).astimezone(ZoneInfo(zone)).strftime(form)
    except OverflowError:
        return "beyond 9999"


def length(duration_ns: int) -> str:
    """A length of time in its two largest units: "14 min 20 s", "2 h 5 min", "3 s"."""
    seconds = duration_ns // NS
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds} s"


def size(count: int) -> str:
    """Bytes in decimal units: "96 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def app_text(episode: Episode, names: Mapping[str, str]) -> str:
    """The app's name, or "WhatsApp or Messenger"."""
    return " or ".join(names.get(app, UNNAMED.get(app, app)) for app in episode.candidates)


def headline(episode: Episode, names: Mapping[str, str], label: str) -> str:
    """One line: "Video call over WhatsApp, 14 min 20 s, 96 MB, tablet (mac:...) on Ward 3"."""
    what = ACTIVITIES[episode.activity].capitalize()
    link = "of" if episode.activity is Activity.BACKGROUND else "over"
    total = size(episode.bytes_up + episode.bytes_down)
    return (
        f"{what} {link} {app_text(episode, names)}, {length(episode.end_ns - episode.start_ns)}, {total}, "
        f"{label} on {episode.network}"
    )
