"""Counts by day as stacked bars: SVG drawn by matplotlib. Drawn once for the same numbers, words and colours."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

MOST_SERIES: Final = 5  # the rest goes into "others"
WIDE, NARROW = (11.4, 2.9), (4.2, 3.4)  # inches
DRAWING: Final = threading.Lock()  # matplotlib's settings belong to the whole process
FONTS: Final = ["system-ui", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "DejaVu Sans", "sans-serif"]


@dataclass(frozen=True, slots=True)
class Theme:
    ink: str
    soft: str
    line: str
    colours: tuple[str, ...]  # of series, each told from its neighbours by lightness too


THEMES: Final = {
    "light": Theme("#17211f", "#52615f", "#dbe2e1", ("#0f6b66", "#5fb0a6", "#2b5c93", "#8db4dc", "#8c4f00", "#c9cfce")),
    "dark": Theme("#e6eeec", "#a2b3b0", "#2d3937", ("#6fcfc4", "#2f8379", "#92bff0", "#4778a8", "#f2b765", "#5b6a67")),
}


@dataclass(frozen=True, slots=True)
class Chart:
    """`series`: label and count of each day, the largest first."""

    days: tuple[str, ...]
    series: tuple[tuple[str, tuple[int, ...]], ...]
    others: str
    theme: str
    is_narrow: bool = False  # for a telephone: higher than wide, the legend below

    @property
    def drawn(self) -> list[tuple[str, tuple[int, ...]]]:
        """At most MOST_SERIES, and the sum of the rest."""
        rest = self.series[MOST_SERIES:]
        if not rest:
            return list(self.series)
        sums = tuple(map(sum, zip(*(counts for _, counts in rest), strict=True)))
        return [*self.series[:MOST_SERIES], (self.others, sums)]


def tag(chart: Chart) -> str:
    """Names what is drawn."""
    return hashlib.sha256(repr(chart).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache(maxsize=128)
def svg(chart: Chart) -> bytes:
    """The picture, its words as text."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, which only who looks at a week has to wait for
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    theme = THEMES[chart.theme]
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "wardwatch", "font.family": ["DejaVu Sans"], "font.size": 10,
                "text.parse_math": False}  # fmt: skip
    with DRAWING, mpl.rc_context(settings):
        figure = Figure(figsize=NARROW if chart.is_narrow else WIDE, layout="constrained")
        FigureCanvasSVG(figure)
        axes: Any = figure.add_subplot()
        bottom = [0] * len(chart.days)
        for number, (label, counts) in enumerate(chart.drawn):
            colour = theme.colours[min(number, MOST_SERIES)]
            axes.bar(chart.days, counts, 0.62, bottom, label=_short(label), color=colour, edgecolor="none", zorder=2)
            bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
        _dress(axes, theme, bottom)
        if chart.series:
            where: Any = "outside lower left" if chart.is_narrow else "outside right upper"
            legend = figure.legend(loc=where, frameon=False, labelcolor=theme.ink, reverse=not chart.is_narrow,
                                   handlelength=0.8, handleheight=0.8, borderaxespad=0, ncols=1 + chart.is_narrow)  # fmt: skip
            legend.set_in_layout(True)
        out = BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    families = ", ".join(f"'{name}'" if " " in name else name for name in FONTS)
    return out.getvalue().replace(b"'DejaVu Sans'", families.encode())


def _dress(axes: Any, theme: Theme, heights: list[int]) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.soft)
    axes.tick_params(colors=theme.soft, length=0)
    axes.grid(axis="y", color=theme.line, linewidth=0.8, zorder=0)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=5)
    top = max([*heights, 1])
    axes.set_ylim(0, top * 1.14)
    for at, height in enumerate(heights):
        if height:
            axes.text(
                at, height + top * 0.02, str(height), ha="center", va="bottom", color=theme.ink, fontweight="bold"
            )


def _short(label: str) -> str:
    """What fits beside the bars; one that begins with "_" would be left out of the legend."""
    text = label if len(label) <= 24 else f"{label[:23]}…"
    return f"\u200b{text}" if text.startswith("_") else text
