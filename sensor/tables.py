"""What the commands show on a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from sensor import wording
from sensor.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from sensor.capture import CaptureSource
    from sensor.model import Episode, Observation
    from sensor.setup import Setup
    from sensor.statement import Statement
    from sensor.totals import Totals

MAX_ROWS = 100
MAX_WARNINGS = 50
ID_LENGTH = 8
PIPE_WIDTH = 150  # columns where there is no terminal to ask
STYLES = {Outcome.VIOLATION: "bold red", Outcome.REVIEW: "yellow", Outcome.UNREVIEWED: "cyan", Outcome.ALLOWED: "green"}
ORDER = {Outcome.VIOLATION: 0, Outcome.REVIEW: 1, Outcome.UNREVIEWED: 2, Outcome.ALLOWED: 3}


def console() -> Console:
    """Standard output, wide enough for the table where it is a pipe."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and --json needs none of it

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(width=None if on_terminal else PIPE_WIDTH, highlight=False, soft_wrap=False)


def escape(text: str) -> str:
    """Text from the wire, harmless on a terminal and to rich."""
    from rich.markup import escape as plain  # noqa: PLC0415 - as above

    return plain("".join(c if c.isprintable() else "?" for c in text))


def episodes(
    found: Sequence[Episode],
    made: Setup,
    stored_ids: Mapping[str, str],
    *,
    most: int | None = MAX_ROWS,
    nothing: str = "No use of any known app was seen.",
) -> None:
    """The table of a replay or a list, what matters most first: `most` rows of it, or what to say of `nothing`."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    out = console()
    if not found:
        out.print(nothing)
        return
    zone = made.settings.site.timezone
    days = {wording.clock(one.start_ns, zone, "%Y-%m-%d") for one in found}
    day = f"{days.pop()}, " if len(days) == 1 else ""
    table = Table(title=f"Who used what ({day}times are {zone})", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("Verdict", "Device", "Network", "App", "Activity", "Start"):
        table.add_column(heading, overflow="fold")
    for heading in ("Length", "Up", "Down"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Evidence")
    table.add_column("Id", no_wrap=True)
    form = "%H:%M:%S" if day else "%Y-%m-%d %H:%M:%S"
    rows = sorted(found, key=lambda one: (ORDER[one.verdict.outcome], -one.verdict.severity, one.start_ns, one.id))
    for one in rows[:most]:
        outcome = one.verdict.outcome
        shown = "VIOLATION" if outcome is Outcome.VIOLATION else outcome.value
        table.add_row(
            f"[{STYLES[outcome]}]{shown}[/]",
            escape(made.label(one.device)),
            escape(one.network),
            escape(wording.app_text(one, made.app_names)),
            wording.ACTIVITIES[one.activity],
            wording.clock(one.start_ns, zone, form),
            wording.length(one.end_ns - one.start_ns),
            wording.size(one.bytes_up),
            wording.size(one.bytes_down),
            one.strength.label,
            stored_ids.get(one.id, one.id)[:ID_LENGTH],
        )
    out.print(table)
    if most is not None and len(rows) > most:
        out.print(f"... and {len(rows) - most} more; `wardwatch violations` lists what is stored.")


def summary(totals: Totals, source: CaptureSource, stored: str) -> None:
    """What passed, and that it adds up."""
    out = console()
    out.print(accounted(totals.frames, totals.counters), soft_wrap=True)
    share = (
        f", {totals.flows_named} named by themselves, {totals.flows_named_by_dns} by DNS only" if totals.flows else ""
    )
    out.print(f"{totals.flows} flows{share}.", soft_wrap=True)
    left_out(totals)
    out.print(stored)
    if source.skipped:
        out.print(f"{len(source.skipped)} files are no captures and were skipped: {_listed(source)}", soft_wrap=True)


def accounted(frames: int, counters: Mapping[str, int]) -> str:
    """One line: frames = classified + ignored + dropped, each by reason."""
    reasons = {
        kind: {
            name.removeprefix(f"{kind}_"): count for name, count in counters.items() if count and name.startswith(kind)
        }
        for kind in ("classified", "ignored", "dropped")
    }
    parts = [
        f"{sum(named.values())} {kind}" + (f" ({', '.join(f'{n} {r}' for r, n in _most(named))})" if named else "")
        for kind, named in reasons.items()
    ]
    return f"{frames} frames = {' + '.join(parts)}"


def left_out(totals: Totals) -> None:
    """What was counted and nothing else kept of."""
    out = console()
    for network, count in sorted(totals.excluded_flows.items()):
        out.print(
            f"Network {escape(network)} is excluded: {count} flows to known apps were counted, nothing else kept."
        )
    if totals.unmonitored_flows:
        out.print(f"{totals.unmonitored_flows} flows to known apps belong to no configured network.")


REASONS = {
    "silent": "nothing was heard of it while other networks were",
    "dark": "most bytes had no readable name",
    "one_way": "most flows showed one side only",
    "lost": "frames were lost",
}
MAX_SEEN = 12


def visibility(found: Statement | None, seen: Sequence[Observation], made: Setup) -> None:
    """The visibility statement: what could not be read, and when "no violation" means "could not see"."""
    if found is None:
        return
    out = console()
    total = found.total
    out.print()
    if not total.all_flows:
        out.print("Visibility: no flows between monitored devices and servers elsewhere.")
    else:
        words = ("named by themselves", "named by DNS only", "with an encrypted name", "in tunnels", "unnamed")
        parts = [
            f"{share(flows, total.all_flows)} {word} ({share(size, total.all_bytes)})"
            for word, flows, size in zip(words, total.flows, total.bytes, strict=True)
        ]
        out.print(
            f"Visibility: of {total.all_flows} flows to servers elsewhere (in brackets, of their bytes)", soft_wrap=True
        )
        out.print(
            f"{', '.join(parts)}; {share(total.one_way_flows, total.all_flows)} showed one side only.", soft_wrap=True
        )
    if found.lost:
        out.print(f"{found.lost} of {found.frames} frames were lost: cut off, or no room in the flow table.")
    _observed(out, seen, made)
    blind = [one for one in found.hours if one.reasons]
    zone = made.settings.site.timezone
    for one in blind[:MAX_SEEN]:
        hour = wording.clock(one.hour_ns, zone, "%Y-%m-%d %H:%M")
        why = ", ".join(REASONS[reason] for reason in one.reasons)
        out.print(
            f'{escape(one.network)}, hour from {hour}: "no violation" means "could not see" ({why}).', soft_wrap=True
        )
    if len(blind) > MAX_SEEN:
        out.print(f"... and {len(blind) - MAX_SEEN} more such hours; --visibility FILE has them all.")


def _observed(out: Console, seen: Sequence[Observation], made: Setup) -> None:
    """One line for each kind and network: how many devices and flows, in how many hours."""
    groups: dict[tuple[str, str], list[Observation]] = {}
    for one in seen:
        groups.setdefault((one.network, one.kind), []).append(one)
    for (network, kind), each in sorted(groups.items()):
        devices = {one.device.id for one in each if one.device is not None}
        who = f"{counted(len(devices), 'device')}, " if devices else ""
        flows, size = sum(one.flows for one in each), sum(one.bytes_up + one.bytes_down for one in each)
        name = made.app_names.get(kind, kind)
        hours = len({one.hour_ns for one in each})
        most = max(one.strength for one in each).label
        out.print(
            f"{escape(network)}: {name}, {who}{counted(flows, 'flow')}, {wording.size(size)}, "
            f"in {counted(hours, 'hour')} ({most}).",
            soft_wrap=True,
        )


def counted(number: int, thing: str) -> str:
    """A number and its thing: one flow, two flows."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def share(part: int, whole: int) -> str:
    """A share for people; never 0 % of something nor 100 % of less than all."""
    if not whole or not part:
        return "0 %"
    percent = round(100 * part / whole)
    return f"{min(max(percent, 1), 99) if part < whole else 100} %"


def _most(named: Mapping[str, int]) -> list[tuple[str, int]]:
    return Counter(named).most_common()


def _listed(source: CaptureSource) -> str:
    names = [escape(warning.path.rsplit("/", 1)[-1]) for warning in source.skipped]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def warnings(source: CaptureSource) -> None:
    """One line each on standard error."""
    for warning in source.warnings[:MAX_WARNINGS]:
        print(f"wardwatch: warning: {escape_plain(str(warning))}", file=sys.stderr)
    if len(source.warnings) > MAX_WARNINGS:
        print(f"wardwatch: warning: ... and {len(source.warnings) - MAX_WARNINGS} more", file=sys.stderr)


def escape_plain(text: str) -> str:
    """Text from outside on one harmless line."""
    return "".join(c if c.isprintable() else "?" for c in text)
