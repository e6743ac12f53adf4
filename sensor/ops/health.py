"""What is wrong with a mirror port, and what to do about it: from the frames of one window, and from the box itself.

Each check is a function of what was counted; the thresholds stand beside their reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sensor.model import MirrorState

# Conversations of three packets and more of which one side only was seen. Scans and dead servers are some in a hundred.
ONE_WAY_LEAST, ONE_WAY_SHARE = 10, 0.5
DUPLICATE_SHARE: Final = 0.05  # a few are routed frames seen on both sides; a doubled mirror shows every second one
TRUNCATED_SHARE: Final = 0.001
# Acknowledgements of data that never came. Mirrors that reorder show some; one in a hundred is loss before the port.
GAP_LEAST_ACKS, GAP_SHARE = 100, 0.01
SIGNATURE_DAYS: Final = 120  # servers and ranges of apps move within months
HABIT_DAYS, HABIT_LEAST, HABIT_SHARE = (
    7,
    10,
    0.1,
)  # episodes a day on average before, and what of it counts as far below


class State(IntEnum):
    """In the order in which they weigh."""

    UNKNOWN = 0
    RIGHT = 1
    DOUBTFUL = 2
    WRONG = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `name` is its key in metrics and records; `fix` for whoever reads it, empty where all is right."""

    name: str
    state: State
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in one window of time."""

    frames: int
    duplicates: int
    truncated: int
    oversized: int
    lost: int  # by the kernel, for the ring was full
    mirror: MirrorState


@dataclass(frozen=True, slots=True)
class Box:
    """What the machine says of itself; None: it does not say."""

    up: bool | None = None
    carrier: bool | None = None
    offloads: tuple[str, ...] | None = None  # that merge frames, and are on
    synchronised: bool | None = None
    signature_days: int | None = None  # since the newest


def of_window(window: Window, interface: str, vlans: Sequence[int]) -> Iterator[Finding]:
    """`vlans`: those that the configured networks have."""
    mirror = window.mirror
    yield _traffic(window, interface)
    yield _directions(mirror)
    yield _duplicates(window)
    yield _truncated(window)
    yield _vlans(mirror, vlans)
    yield _gaps(mirror)
    yield _lost(window)
    if window.oversized:
        yield Finding("oversized", State.DOUBTFUL, f"{window.oversized} frames are longer than the MTU: the card or the kernel merges packets",
                      f"ethtool -K {interface} gro off lro off rx-gro-hw off")  # fmt: skip


def of_box(box: Box, interface: str) -> Iterator[Finding]:
    """What the machine says of itself."""
    if box.up is not None:
        fix = "" if box.up else f"ip link set {interface} up"
        yield Finding("up", State.RIGHT if box.up else State.WRONG, f"{interface} is {'up' if box.up else 'down'}", fix)
    if box.up and box.carrier is False:
        yield Finding(
            "carrier",
            State.WRONG,
            f"{interface} has no link",
            "check the cable, the SFP and that the switch's port is not shut down",
        )
    if box.offloads is not None:
        wrong = bool(box.offloads)
        says = f"these offloads are on: {', '.join(box.offloads)}" if wrong else "no offload merges frames"
        fix = f"ethtool -K {interface} {' '.join(f'{one} off' for one in box.offloads)}" if wrong else ""
        yield Finding("offloads", State.DOUBTFUL if wrong else State.RIGHT, says, fix)
    if box.synchronised is None:
        yield Finding("clock", State.UNKNOWN, "whether the clock is synchronised cannot be told here")
    else:
        says = f"the clock is {'' if box.synchronised else 'not '}synchronised"
        fix = (
            ""
            if box.synchronised
            else "set up NTP: systemctl enable --now systemd-timesyncd (or chrony); evidence is dated by this clock"
        )
        yield Finding("clock", State.RIGHT if box.synchronised else State.DOUBTFUL, says, fix)
    if box.signature_days is not None:
        old = box.signature_days > SIGNATURE_DAYS
        fix = "install a newer version of wardwatch" if old else ""
        says = f"the newest signatures are {max(box.signature_days, 0)} days old"
        yield Finding("signatures", State.DOUBTFUL if old else State.RIGHT, says, fix)


def _traffic(window: Window, interface: str) -> Finding:
    seconds = window.mirror.seconds
    if window.frames:
        return Finding("traffic", State.RIGHT, f"{window.frames} frames in {seconds:.0f} s")
    fix = f"on the switch: is the mirror session on, with this port as its destination? On the box: is {interface} the port that is plugged in (ethtool -p {interface})?"
    return Finding("traffic", State.WRONG, f"no frame in {seconds:.0f} s", fix)


def _directions(mirror: MirrorState) -> Finding:
    said = f"{mirror.one_way} of {mirror.conversations} conversations show one side only"
    if mirror.conversations < ONE_WAY_LEAST:
        return Finding("directions", State.UNKNOWN, f"{said}: too few to tell")
    if mirror.one_way > ONE_WAY_SHARE * mirror.conversations:
        fix = "on the switch: mirror both directions of the source (Cisco: `monitor session 1 source ... both`)"
        return Finding("directions", State.WRONG, said, fix)
    return Finding("directions", State.RIGHT, said)


def _duplicates(window: Window) -> Finding:
    said = f"{window.duplicates} of {window.frames} frames came twice"
    if not window.frames:
        return Finding("duplicates", State.UNKNOWN, "no frame to tell it by")
    if window.duplicates > DUPLICATE_SHARE * window.frames:
        fix = "they are dropped and do no harm but load: mirror each port in one place only (not a port and its trunk, nor both ends in both directions)"
        return Finding("duplicates", State.DOUBTFUL, said, fix)
    return Finding("duplicates", State.RIGHT, said)


def _truncated(window: Window) -> Finding:
    said = f"{window.truncated} of {window.frames} frames are cut short"
    if not window.frames:
        return Finding("truncated", State.UNKNOWN, "no frame to tell it by")
    if window.truncated > TRUNCATED_SHARE * window.frames:
        fix = "on the switch: take away the snap length (packet slicing, `mtu` of the mirror session)"
        return Finding("truncated", State.WRONG, said, fix)
    return Finding("truncated", State.RIGHT, said)


def _vlans(mirror: MirrorState, expected: Sequence[int]) -> Finding:
    seen = ", ".join(map(str, mirror.vlans)) or "none"
    if not expected:
        return Finding("vlans", State.RIGHT, f"VLANs seen: {seen}; no network is configured by VLAN")
    missing = sorted(set(expected) - set(mirror.vlans))
    if not missing:
        return Finding("vlans", State.RIGHT, f"all {len(set(expected))} configured VLANs are seen")
    if not mirror.looked and not mirror.vlans:
        return Finding("vlans", State.UNKNOWN, "no traffic to tell VLANs by")
    fix = "on the switch: add the VLANs to the mirror's source, and let the destination port keep tags (Cisco: `encapsulation replicate`)"
    return Finding(
        "vlans", State.DOUBTFUL, f"configured and not seen: {', '.join(map(str, missing))} (seen: {seen})", fix
    )


def _gaps(mirror: MirrorState) -> Finding:
    said = f"{mirror.gaps} of {mirror.acks} acknowledgements are of data that was not seen"
    if mirror.acks < GAP_LEAST_ACKS:
        return Finding("gaps", State.UNKNOWN, f"{said}: too few to tell")
    if mirror.gaps > GAP_SHARE * mirror.acks:
        fix = "frames are lost before they reach this port: the mirror's destination is slower than its sources together, or the card drops (ethtool -S)"
        return Finding("gaps", State.WRONG, said, fix)
    return Finding("gaps", State.RIGHT, said)


def _lost(window: Window) -> Finding:
    if window.lost:
        fix = "make [capture] ring_mebibytes larger, filter what need not be seen, or use a faster box"
        return Finding("drops", State.WRONG, f"the kernel dropped {window.lost} frames, for the ring was full", fix)
    return Finding("drops", State.RIGHT, "the kernel dropped no frame")


class Habits:
    """Episodes of each app by day: an app that falls far below its habit says that something has changed, in the app or the mirror."""

    def __init__(self) -> None:
        self._days: dict[int, dict[str, int]] = {}

    def note(self, app: str, day: int) -> None:
        """One episode more."""
        self._days.setdefault(day, {}).setdefault(app, 0)
        self._days[day][app] += 1
        for old in [one for one in self._days if one < day - HABIT_DAYS]:
            del self._days[old]

    def missed(self, day: int) -> list[Finding]:
        """Apps of which this day, which is over, had far less than the days before."""
        before = [self._days.get(one, {}) for one in range(day - HABIT_DAYS, day)]
        if not all(before):
            return []
        found = []
        for app in sorted({app for one in before for app in one}):
            usual = sum(one.get(app, 0) for one in before) / HABIT_DAYS
            now = self._days.get(day, {}).get(app, 0)
            if usual >= HABIT_LEAST and now < HABIT_SHARE * usual:
                found.append(
                    Finding(f"habit_{app}", State.DOUBTFUL, f"{app}: {now} episodes in a day, {usual:.0f} in the days before",
                            "has the app moved to other servers (newer signatures?), or does the mirror show less?")
                )  # fmt: skip
        return found
