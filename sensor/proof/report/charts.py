"""Charts as SVG, drawn on the server: no script, nothing fetched, letters as shapes so that they look the same everywhere."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by nearly everybody, in an order whose greys differ too.
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#595959")
# What was done, from what weighs least to what weighs most.
OF_ACTIVITY: Final = {
    "background": "#C3CCD5", "messaging": "#56B4E9", "file_transfer": "#E69F00", "call_attempt": "#CC79A7",
    "voice_call": "#D55E00", "video_call": "#0072B2", "meeting": "#009E73",
}  # fmt: skip
INK, FAINT = "#1f2933", "#d5dbe1"
WIDTH_INCH: Final = 7.0
SETTINGS: Final[Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "wardwatch",
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
MAX_SERIES: Final = len(COLOURS)


def stacked_columns(table: pd.DataFrame, labels: Sequence[str], names: Sequence[str], said: str) -> str:
    """Rows of the table as columns, its columns stacked. `labels`: of rows; `names`: of columns; `said`: for who cannot see it."""
    figure, axes = _new(2.6)
    bottom = [0.0] * len(table)
    for at, (column, name) in enumerate(zip(table.columns, names, strict=True)):
        values = [float(one) for one in table[column]]
        axes.bar(range(len(table)), values, bottom=bottom, color=COLOURS[at % MAX_SERIES], width=0.7, label=name)
        bottom = [a + b for a, b in zip(bottom, values, strict=True)]
    every = max(1, len(labels) // 12)
    axes.set_xticks(range(0, len(labels), every), [labels[at] for at in range(0, len(labels), every)])
    _whole(axes.yaxis, axes)
    _legend(axes, len(names))
    return _svg(figure, said)


def stacked_bars(
    table: pd.DataFrame, labels: Sequence[str], names: Sequence[str], said: str, colours: Sequence[str] | None = None
) -> str:
    """As `stacked_columns`, lying, the first row on top, with the sum at each end."""
    figure, axes = _new(0.9 + 0.34 * len(table))
    left = [0.0] * len(table)
    for at, (column, name) in enumerate(zip(table.columns, names, strict=True)):
        values = [float(one) for one in table[column]]
        colour = (colours or COLOURS)[at % MAX_SERIES]
        axes.barh(range(len(table)), values, left=left, color=colour, height=0.62, label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    for at, total in enumerate(left):
        axes.annotate(f"{total:.0f}", (total, at), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    _whole(axes.xaxis, axes)
    _legend(axes, len(names))
    return _svg(figure, said)


def style() -> AbstractContextManager[None]:
    """In it the charts are drawn."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    return mpl.rc_context(SETTINGS)


def _new(height_inch: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=(WIDTH_INCH, height_inch), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _whole(axis: Any, axes: Axes) -> None:
    """Counts are whole numbers."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - slow to import

    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis="y" if axis is axes.yaxis else "x", color=FAINT, linewidth=0.6)
    axes.tick_params(length=0)


def _legend(axes: Axes, names: int) -> None:
    if names > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=min(names, 4), frameon=False, handlelength=1)


def _svg(figure: Figure, said: str) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    described = said.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{described}"', 1)
