"""The report as one page: a self-contained HTML, the PDF made of it, and the numbers as files beside."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from sensor.errors import WardwatchError
from sensor.proof.report import charts
from sensor.proof.report.numbers import MAX_APPENDIX, REASONS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from sensor.proof.report.numbers import Numbers
    from sensor.proof.report.words import Words

CALLS: Final = frozenset({"voice_call", "video_call", "meeting"})
SHORT_HASH: Final = 16
MAX_SERIES: Final = charts.MAX_SERIES
VISIBILITY: Final = 8  # the number of its section
MAX_ROWS: Final = 25  # of a chart or a table of sums


@dataclass(frozen=True, slots=True)
class About:
    """What stands at the head of the report. `made` is by the site's clock."""

    site: str
    version: str
    made: datetime


def html(numbers: Numbers, words: Words, about: About) -> str:
    """The page; everything it needs is in it."""
    source = resources.files("sensor.proof.report").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        t=words,
        about=about,
        asked=numbers.asked,
        cards=_cards(numbers, words),
        sentences=_sentences(numbers, words),
        charts=_charts(numbers, words),
        where=_records(numbers.count("network", "app").head(MAX_ROWS)),
        devices=_records(numbers.repeated().head(MAX_ROWS)),
        states=_states(numbers),
        times=_times(numbers, words),
        exceptions=_records(numbers.exceptions),
        visibility=_visibility(numbers, words),
        versions=_records(numbers.versions),
        appendix=_records(numbers.appendix),
        violations=len(numbers.violations),
        shown=min(len(numbers.violations), MAX_APPENDIX),
        moment=lambda text: words.moment(datetime.fromisoformat(text)),
        code=_code,
        short=SHORT_HASH,
    )


def _code(text: str) -> Markup:
    """What stands between backticks, as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def pdf(page: str) -> bytes:
    """The page as PDF. It fetches nothing."""
    import weasyprint  # noqa: PLC0415 - slow to import
    from weasyprint.urls import FatalURLFetchingError, URLFetcher  # noqa: PLC0415 - as above

    out = io.BytesIO()
    try:
        nowhere = URLFetcher(allowed_protocols=(), fail_on_errors=True)
        weasyprint.HTML(string=page, url_fetcher=nowhere).write_pdf(out)
    except FatalURLFetchingError as error:
        raise WardwatchError(f"the report asks for something from outside: {error}") from error
    return out.getvalue()


def write_numbers(numbers: Numbers, folder: Path) -> list[str]:
    """Each table as CSV and as Parquet. Answers the names. Raises WardwatchError."""
    written: list[str] = []
    try:
        for name, table in numbers.tables().items():
            for suffix in ("csv", "parquet"):
                path = folder / f"{name}.{suffix}"
                if suffix == "csv":
                    _harmless(table).to_csv(path, index=False, lineterminator="\n")
                else:
                    table.to_parquet(path, index=False)
                written.append(path.name)
    except OSError as error:
        raise WardwatchError(f"{folder}: cannot be written: {error.strerror}") from error
    return written


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection)."""
    return table.map(
        lambda value: (
            f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
        )
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in one.items()} for one in table.to_dict("records")]


def _open(numbers: Numbers) -> int:
    return int((numbers.follow_up["state"] != "closed").sum())


def _hours(numbers: Numbers) -> tuple[int, int]:
    """Hours of networks that were watched, and those in which the view was impaired. A silent network is no impaired view of another."""
    return len(numbers.hours), int((~numbers.hours["seen"].astype(bool)).sum()) if len(numbers.hours) else 0


def _cards(numbers: Numbers, words: Words) -> list[tuple[str, str]]:
    hours, blind = _hours(numbers)
    return [
        (words("summary.card_violations"), words.number(len(numbers.violations))),
        (words("summary.card_devices"), words.number(numbers.violations["device"].nunique())),
        (words("summary.card_open"), words.number(_open(numbers))),
        (words("summary.card_blind"), f"{words.number(blind)} / {words.number(hours)}"),
    ]


def _counted(words: Words, key: str, count: int) -> str:
    form = {0: "none", 1: "one"}.get(count, "many")
    form = form if f"{key}_{form}" in words.texts else "many"
    return words(f"{key}_{form}", count=words.number(count))


def _sentences(numbers: Numbers, words: Words) -> list[str]:
    """The summary in words."""
    found = numbers.violations
    said: list[str] = []
    if found.empty:
        said.append(_counted(words, "summary.violations", 0) + ".")
    else:
        head = [
            _counted(words, "summary.violations", len(found)),
            _counted(words, "summary.on_devices", found["device"].nunique()),
        ]
        said.append(f"{' '.join(head)}; {_counted(words, 'summary.open', _open(numbers))}.")
        most = numbers.count("network", "app").iloc[0]
        said.append(
            words("summary.most", app=most["app"], network=most["network"], count=words.number(most["violations"]))
        )
        calls = int(found["activity"].isin(CALLS).sum())
        if calls:
            said.append(_counted(words, "summary.calls", calls))
        files = int((found["activity"] == "file_transfer").sum())
        if files:
            said.append(_counted(words, "summary.files", files))
    hours, blind = _hours(numbers)
    if not hours:
        said.append(words("summary.unwatched"))
    elif blind:
        said.append(
            words("summary.blind_some", blind=words.number(blind), hours=words.number(hours), section=VISIBILITY)
        )
    else:
        said.append(words("summary.blind_none", hours=words.number(hours)))
    return said


def _charts(numbers: Numbers, words: Words) -> dict[str, str]:
    if numbers.violations.empty:
        return {}
    with charts.style():
        when = _fewer(numbers.over_time("network"), words)
        labels = [_label(str(one)) for one in when.index]
        return {
            "when": charts.stacked_columns(when, labels, list(map(str, when.columns)), words("chart.when")),
            "where": _bars(numbers, words, "where", ("network", "app")),
            "activities": _bars(numbers, words, "activities", ("app", "activity")),
        }


def _bars(numbers: Numbers, words: Words, name: str, by: tuple[str, str]) -> str:
    import pandas as pd  # noqa: PLC0415 - at hand already

    table = pd.crosstab(numbers.violations[by[0]], numbers.violations[by[1]])
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index].head(MAX_ROWS)
    colours = None
    if by[1] == "activity":  # each has its colour, the lightest first
        table = table[[one for one in charts.OF_ACTIVITY if one in table.columns]]
        colours = [charts.OF_ACTIVITY[str(one)] for one in table.columns]
    else:
        table = _fewer(table, words)
    names = [words.of("activity", str(one)) for one in table.columns]
    return charts.stacked_bars(table, list(map(str, table.index)), names, words(f"chart.{name}"), colours)


def _label(period: str) -> str:
    """2026-03-17 as 17/03; weeks as they are."""
    parts = period.split("-")
    return f"{parts[2]}/{parts[1]}" if len(parts) == 3 else period


def _fewer(table: pd.DataFrame, words: Words) -> pd.DataFrame:
    """The columns with most, and what is left as one."""
    order = table.sum().sort_values(ascending=False, kind="stable").index
    if len(order) <= MAX_SERIES:
        return table[order]
    made = table[order[: MAX_SERIES - 1]].copy()
    made[words("chart.others")] = table[order[MAX_SERIES - 1 :]].sum(axis=1)
    return made


def _states(numbers: Numbers) -> list[dict[str, Any]]:
    found = numbers.follow_up.groupby(["state", "reason"]).size().reset_index(name="count")
    order = {"new": 0, "acknowledged": 1, "investigating": 2, "closed": 3}
    found["order"] = found["state"].map(order)
    return _records(found.sort_values(["order", "reason"], ignore_index=True))


def _times(numbers: Numbers, words: Words) -> list[str]:
    said = []
    for column, some, none, name in (
        ("looked_at_s", "text.times", "text.times_none", "looked"),
        ("closed_s", "text.closed", "text.closed_none", "closed"),
    ):
        times = numbers.follow_up[column].dropna()
        if times.empty:
            said.append(words(none))
        else:
            half, most = (words.length(float(times.quantile(share))) for share in (0.5, 0.9))
            said.append(words(some, **{name: half, f"{name}_most": most}))
    return said


def _visibility(numbers: Numbers, words: Words) -> list[dict[str, Any]]:
    made = []
    for one in _records(numbers.blind()):
        why = [f"{words.of('blind', reason)} ({words.number(one[reason])})" for reason in REASONS if one[reason]]
        made.append({**one, "why": ", ".join(why)})
    return made
