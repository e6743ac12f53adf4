"""Letters: subject, plain text and HTML of one violation or of many. Pure; names from the network are made harmless here."""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.model import Activity
from sensor.notify.model import Occasion
from sensor.notify.words import LANGUAGES, Words
from sensor.wording import clock, length, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sensor.notify.model import Violation
    from sensor.notify.sending import Message
    from sensor.settings_notify import Language

MAX_ROWS: Final = 200  # of a digest; the rest is counted
MAX_SUBJECT: Final = 120  # characters
MAX_NAMES: Final = 10
ELLIPSIS: Final = "..."
UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")  # also what turns the direction of writing
STYLE: Final = "font-family:sans-serif;font-size:15px;line-height:1.45;color:#1a1a1a;background:#ffffff"
CELL: Final = "text-align:left;vertical-align:top;padding:3px 14px 3px 0"
LINED: Final = "text-align:left;vertical-align:top;padding:6px 14px 6px 0;border-bottom:1px solid #d0d0d0"


@dataclass(frozen=True, slots=True)
class Letter:
    """`subject` is one line without anything that could begin another."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How letters are written: in which language, by which clock, and where the page is, if anywhere."""

    language: Language
    zone: str
    page_url: str = ""

    @property
    def words(self) -> Words:
        return LANGUAGES[self.language]


def letter(message: Message, manner: Manner) -> Letter:
    """The letter that tells a message."""
    if message.digest:
        return _digest(message.violations, manner)
    return _single(message.violations[0], manner)


def plain(text: str) -> str:
    """One line of what can be printed, whatever a device calls itself."""
    return " ".join("".join(" " if unicodedata.category(one) in UNPRINTABLE else one for one in text).split())


def _subject(text: str, site: str) -> str:
    line = plain(f"[wardwatch{f' {site}' if site else ''}] {text}")
    line = line.replace("=?", "= ?")  # an encoded word (RFC 2047) would be decoded on the way, line ends and all
    return line if len(line) <= MAX_SUBJECT else line[: MAX_SUBJECT - len(ELLIPSIS)].rstrip() + ELLIPSIS


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _app(violation: Violation, words: Words) -> str:
    return plain(words.either.join(name for _, name in violation.apps))


def _what(violation: Violation, words: Words) -> str:
    form = words.of if violation.activity is Activity.BACKGROUND else words.over
    return _capital(form.format(what=words.activities[violation.activity], app=_app(violation, words)))


def _told(violation: Violation, words: Words) -> str:
    """What, or that it is withdrawn."""
    what = _what(violation, words)
    return words.withdrawn.format(subject=what) if violation.occasion is Occasion.WITHDRAWN else what


def _reason(violation: Violation, words: Words) -> str:
    """The verdict's own sentence, or that of the language for its kind, with the rule's key."""
    known = words.reasons.get(violation.kind)
    text = violation.reason if known is None else f"{known.format(app=_app(violation, words))} ({violation.rule})"
    return plain(text).rstrip(".") + "."


def _note(note: str, words: Words) -> str:
    return plain(words.notes.get(note, note))


def _single(violation: Violation, manner: Manner) -> Letter:
    words = manner.words
    what = _what(violation, words)
    form = words.at_once if violation.network else words.at_once_anywhere
    subject = form.format(what=what, network=violation.network)
    head = words.head
    if violation.occasion is Occasion.RAISED:
        subject, head = words.raised.format(subject=subject), words.head_raised
    elif violation.occasion is Occasion.WITHDRAWN:
        subject, head = words.withdrawn.format(subject=subject), words.head_withdrawn
    elif violation.occasion is Occasion.TEST:
        subject, head = words.test.format(subject=subject), words.test_text
    rows = _rows(violation, manner)
    feet = _feet(violation, manner)
    width = max(len(name) for name, _ in rows) + 2
    text = "\n".join([head, "", what, "", *(f"{name:<{width}}{value}" for name, value in rows), "", *feet, ""])
    body = (
        f'<p>{_h(head)}</p><h1 style="font-size:19px;margin:14px 0">{_h(what)}</h1>'
        f'<table style="border-collapse:collapse">{"".join(_row(one, CELL, head=True) for one in rows)}</table>'
        + "".join(f"<p>{_h(line)}</p>" for line in feet)
    )
    return Letter(_subject(subject, violation.site), text, _page(subject, body, manner))


def _rows(violation: Violation, manner: Manner) -> list[tuple[str, str]]:
    words = manner.words
    end = clock(violation.end_ns, manner.zone)
    pieces = words.pieces.format(strength=words.strengths[violation.strength], count=violation.proofs_total)
    found = [
        (words.device, plain(violation.device.label)),
        (words.network, plain(violation.network)),
        (words.begin, f"{clock(violation.start_ns, manner.zone)} ({manner.zone})"),
        (words.end, end if violation.closed else f"{end}, {words.going_on}"),
        (words.lasted, length(violation.end_ns - violation.start_ns)),
        (words.carried, size(violation.bytes_up + violation.bytes_down)),
        (words.severity, words.severities[violation.severity]),
        (words.evidence, pieces),
        (words.names, _listed(map(plain, violation.names))),
        (words.remarks, "; ".join(_note(note, words) for note in violation.notes)),
        (words.policy, _reason(violation, words)),
        (words.id, plain(violation.id)),
    ]
    return [(name, value) for name, value in found if value]


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = [ELLIPSIS] if len(every) > MAX_NAMES else []
    return ", ".join([*every[:MAX_NAMES], *more])


def _feet(violation: Violation, manner: Manner) -> list[str]:
    words = manner.words
    found = [words.not_a_person]
    if violation.occasion is not Occasion.TEST:
        found.append(words.why.format(id=plain(violation.id)))
        if manner.page_url:
            found.append(words.page.format(url=f"{manner.page_url.rstrip('/')}/violations/{plain(violation.id)}"))
    return [*found, words.sent_by]


def _digest(violations: Sequence[Violation], manner: Manner) -> Letter:
    words = manner.words
    count = len(violations)
    subject = words.digest_one if count == 1 else words.digest_many.format(count=count)
    ordered = sorted(violations, key=lambda one: (-one.severity, -one.activity, one.start_ns, one.id))
    rows = [_line(one, manner) for one in ordered[:MAX_ROWS]]
    totals = sorted(Counter(_told(one, words) for one in violations).items(), key=lambda item: (-item[1], item[0]))
    more = [words.more.format(count=count - MAX_ROWS)] if count > MAX_ROWS else []
    feet = [*more, words.clock.format(zone=manner.zone), words.not_a_person, words.sent_by]
    heads = (
        words.severity,
        words.begin,
        words.what,
        words.device,
        words.network,
        words.lasted,
        words.carried,
        words.id,
    )
    text = "\n".join([
        words.head_digest, "", f"{words.summary}:", *(f"{number:>6}  {what}" for what, number in totals), "",
        *("\n".join([f"{row[1]}  {row[2]} ({row[0]})", f"    {', '.join(one for one in row[3:7] if one)}  [{row[7]}]"])
          for row in rows),
        "", *feet, "",
    ])  # fmt: skip
    body = (
        f'<p>{_h(words.head_digest)}</p><h2 style="font-size:16px">{_h(words.summary)}</h2>'
        f'<table style="border-collapse:collapse">{"".join(_row((what, str(number)), CELL) for what, number in totals)}</table>'
        f'<h2 style="font-size:16px">{_h(subject)}</h2><table style="border-collapse:collapse"><tr>'
        + "".join(f'<th scope="col" style="{LINED}">{_h(one)}</th>' for one in heads)
        + f"</tr>{''.join(_row(row, LINED) for row in rows)}</table>"
        + "".join(f"<p>{_h(line)}</p>" for line in feet)
    )
    return Letter(_subject(subject, violations[0].site), text, _page(subject, body, manner))


def _line(violation: Violation, manner: Manner) -> tuple[str, ...]:
    """Severity, begin, what, device, network, length, size, id."""
    words = manner.words
    return (
        words.severities[violation.severity],
        clock(violation.start_ns, manner.zone),
        _told(violation, words),
        plain(violation.device.label),
        plain(violation.network),
        length(violation.end_ns - violation.start_ns),
        size(violation.bytes_up + violation.bytes_down),
        plain(violation.id)[:8],
    )


def _h(text: str) -> str:
    return html.escape(plain(text))


def _row(cells: Sequence[str], style: str, *, head: bool = False) -> str:
    """A table's row; with `head` its first cell says what the others are."""
    first = (
        f'<th scope="row" style="{style}">{_h(cells[0])}</th>' if head else f'<td style="{style}">{_h(cells[0])}</td>'
    )
    return "<tr>" + first + "".join(f'<td style="{style}">{_h(one)}</td>' for one in cells[1:]) + "</tr>"


def _page(title: str, body: str, manner: Manner) -> str:
    return (
        f'<!doctype html><html lang="{manner.language.value}"><head><meta charset="utf-8"><title>{_h(title)}</title></head>'
        f'<body style="{STYLE}">{body}</body></html>\n'
    )
