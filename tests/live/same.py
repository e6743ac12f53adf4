"""What a live run and a replay of the same frames must have in common, and how the replay's file is made."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sensor.capture import open_paths
from tests.commands.running import lines, wardwatch

if TYPE_CHECKING:
    from pathlib import Path

NS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Record = dict[str, Any]

# What is made of absolute times, or of the name of the source. Profiles are of windows: packets next to a border may be in either.
NOT_COMPARED = frozenset({"id", "packet_id", "file", "profile", "duration_s"})
TIMES = frozenset({"first_seen", "last_seen", "start", "end", "time"})


def retimed(capture: Path, into: Path, begin_ns: int, divisor: int) -> Path:
    """The same frames as a pcap file that begins at `begin_ns`, its times divided."""
    source = open_paths([capture])
    first_ns = 0
    with into.open("wb") as out:
        for batch in source.batches():
            if not out.tell():
                first_ns = int(batch.frames[0]["time_ns"])
                link = int(batch.frames[0]["link"])
                out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
            for offset, time_ns, _, captured, wire, *_ in batch.frames.tolist():
                seconds, rest = divmod(begin_ns + (time_ns - first_ns) // divisor, NS)
                out.write(struct.pack("<IIII", seconds, rest, captured, wire))
                out.write(batch.buffer[offset : offset + captured].tobytes())
    return into


def frames_in(capture: Path) -> int:
    return sum(len(batch.frames) for batch in open_paths([capture]).batches())


def to_ns(text: str) -> int:
    """From RFC 3339 with nine decimals."""
    whole = datetime.fromisoformat(text[:19] + "+00:00") - EPOCH
    return (whole.days * 86400 + whole.seconds) * NS + int(text[20:29])


def begin_ns(flows: list[Record]) -> int:
    """When the first frame came."""
    return min(to_ns(one["first_seen"]) for one in flows)


def timeless(value: Any) -> Any:
    """A record without what is not compared, and without times, as something that can be in a set."""
    if isinstance(value, dict):
        return tuple((key, timeless(one)) for key, one in sorted(value.items()) if key not in NOT_COMPARED | TIMES)
    if isinstance(value, list):
        return tuple(timeless(one) for one in value)
    return value


def seen(value: Any) -> list[tuple[int, int]]:
    """Each frame that a record tells of, and when it was there."""
    if isinstance(value, dict):
        number, when = (
            value.get(one) for one in (("first_frame", "first_seen") if "first_frame" in value else ("frame", "time"))
        )
        here = [(int(number), to_ns(when))] if number is not None and when is not None else []
        return here + [one for key, inner in value.items() if key not in NOT_COMPARED for one in seen(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in seen(inner)]
    return []


def replayed(capture: Path, folder: Path, *arguments: str | Path) -> tuple[list[Record], list[Record]]:
    """Flows and episodes of a file."""
    flows, episodes = folder / "replayed.flows", folder / "replayed.episodes"
    done = wardwatch("replay", "--no-store", "--flows", flows, "--episodes", episodes, *arguments, capture)
    assert done.status == 0, done.err
    return lines(flows.read_text("utf-8")), lines(episodes.read_text("utf-8"))


def check_same(live: list[Record], filed: list[Record]) -> None:
    """Both say the same as sets, and the live run tells times as frames come: later of a later one.

    How well tcpreplay keeps the times of the file is not the sensor's doing: on a busy machine it comes seconds late.
    """
    assert sorted(map(repr, map(timeless, live))) == sorted(map(repr, map(timeless, filed)))
    ours, theirs = sorted(seen(live)), sorted(seen(filed))
    assert [number for number, _ in ours] == [number for number, _ in theirs]
    moments = [time_ns for _, time_ns in ours]
    assert moments == sorted(moments)
    if moments:
        span_ns, in_file_ns = moments[-1] - moments[0], theirs[-1][1] - theirs[0][1]
        assert span_ns >= in_file_ns - NS
