"""The activity of an episode in windows of ten seconds, as a picture that is drawn here and as words beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from api.pages.frame import Frame
    from sensor.model import Window

WINDOW_NS: Final = 10_000_000_000
WIDTH, HEIGHT = 720, 120  # units of the picture; half the height is for each direction
LEFT: Final = 72
MOST_BARS: Final = 240


@dataclass(frozen=True, slots=True)
class Bar:
    """A window, or several in one; `up` and `down` are heights."""

    x: float
    width: float
    up: float
    down: float


@dataclass(frozen=True, slots=True)
class Line:
    x: float
    label: str


def profile(windows: Sequence[Window], page: Frame) -> Markup | str:
    """The picture with its words; "" where nothing is kept."""
    if not windows:
        return ""
    first_ns, last_ns = windows[0].start_ns, windows[-1].start_ns + WINDOW_NS
    slots = max(1, (last_ns - first_ns) // WINDOW_NS)
    merged = -(-slots // MOST_BARS)
    bars_count = -(-slots // merged)
    up, down = [0] * bars_count, [0] * bars_count
    for one in windows:
        at = (one.start_ns - first_ns) // WINDOW_NS // merged
        up[at] += one.bytes_up
        down[at] += one.bytes_down
    top = max(*up, *down, 1)
    step = (WIDTH - LEFT) / bars_count
    width = max(0.8, min(step - min(1.5, step / 4), 40))
    half = HEIGHT / 2 - 1
    bars = [Bar(LEFT + at * step, width, half * up[at] / top, half * down[at] / top) for at in range(bars_count)]
    busiest = max(windows, key=lambda one: one.bytes_up + one.bytes_down)
    module = page.language.templates.get_template("profile.html").make_module({
        "bars": bars,
        "lines": _lines(page, first_ns, last_ns),
        "size": (WIDTH, HEIGHT, LEFT),
        "top": page.clock.size(top),
        "span": page.clock.span(first_ns, last_ns),
        "zone": page.clock.zone,
        "seconds": merged * 10,
        "active": len(windows),
        "slots": int(slots),
        "busiest": page.clock.time(busiest.start_ns),
        "busiest_size": page.clock.size(busiest.bytes_up + busiest.bytes_down),
    })  # fmt: skip
    made: Markup = module.__html__()
    return made


def _lines(page: Frame, first_ns: int, last_ns: int) -> list[Line]:
    """Up to five times along the way."""
    count = 4 if last_ns - first_ns >= 4 * WINDOW_NS else 1
    return [Line(LEFT + (WIDTH - LEFT) * at / count, page.clock.at(first_ns + (last_ns - first_ns) * at // count).strftime("%H:%M:%S"))
            for at in range(count + 1)]  # fmt: skip
