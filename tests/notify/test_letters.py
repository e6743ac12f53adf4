"""Letters: against golden files in both languages, equally complete, and harmless whatever a device calls itself."""

from __future__ import annotations

import dataclasses
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.model import Activity, Severity, Strength
from sensor.notify.letters import MAX_ROWS, Letter, Manner, letter, plain
from sensor.notify.model import Occasion
from sensor.notify.sending import Message
from sensor.notify.words import ENGLISH, LANGUAGES, SPANISH, Words
from sensor.settings_notify import Language, ShownAs
from tests.notify.make import HOSTILE, NS, START_NS, hostile, told

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
ZONE = "Europe/Madrid"


def violations() -> tuple[Any, ...]:
    quiet = told(
        id="00c0ffee00c0ffee",
        activity=Activity.BACKGROUND,
        severity=Severity.INFORMATION,
        start_ns=START_NS - 3600 * NS,
    )
    chat = told(
        id="11c0ffee00c0ffee",
        activity=Activity.MESSAGING,
        severity=Severity.LOW,
        apps=(("messenger", "Messenger"), ("whatsapp", "WhatsApp")),
    )
    return quiet, chat, told(id="22c0ffee00c0ffee", activity=Activity.MESSAGING, severity=Severity.LOW), told()


MESSAGES = {
    "call": Message("k", START_NS, (told(ShownAs.LABEL),)),
    "raised": Message("k", START_NS, (told(occasion=Occasion.RAISED, closed=False, network="", site=""),)),
    "withdrawn": Message(
        "k",
        START_NS,
        (told(occasion=Occasion.WITHDRAWN, kind="withdrawn", rule="withdrawn", reason="It turned out to be Zoom."),),
    ),
    "digest": Message("k", START_NS, violations(), digest=True),
    "hostile": Message("k", START_NS, (hostile(),)),
    "hostile-digest": Message("k", START_NS, (hostile(), hostile()), digest=True),
}


def written(name: str, language: Language) -> Letter:
    return letter(MESSAGES[name], Manner(language, ZONE, "https://wardwatch.clinic.example"))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", MESSAGES)
def test_each_letter_is_as_its_golden_file_has_it(name: str, language: Language) -> None:
    made = written(name, language)
    file = GOLDEN / f"letter-{name}.{language.value}"
    assert f"{made.subject}\n\n{made.text}" == file.with_suffix(f".{language.value}.txt").read_text("utf-8")
    assert made.html == file.with_suffix(f".{language.value}.html").read_text("utf-8")


def fillings(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_languages_are_equally_complete() -> None:
    assert set(LANGUAGES) == set(Language)
    for field in dataclasses.fields(Words):
        one, other = getattr(ENGLISH, field.name), getattr(SPANISH, field.name)
        if isinstance(one, str):
            assert fillings(one) == fillings(other), field.name
            assert other.strip(), field.name
            same = {"either", "over", "id", "at_once_anywhere"}
            assert (one != other) or field.name in same, f"{field.name} is not translated"
        elif field.name != "reasons":
            assert set(one) == set(other), field.name
    assert all(fillings(text) <= {"app"} for text in SPANISH.reasons.values())


def test_spanish_is_that_of_the_pages() -> None:
    from babel.messages.pofile import read_po

    with (ROOT / "api" / "locale" / "es" / "LC_MESSAGES" / "wardwatch.po").open("rb") as stream:
        catalogue = {str(one.id).lower(): str(one.string).lower() for one in read_po(stream) if isinstance(one.id, str)}
    pairs = [
        *((ENGLISH.severities[one], SPANISH.severities[one]) for one in Severity),
        *((ENGLISH.strengths[one], SPANISH.strengths[one]) for one in Strength),
        *((ENGLISH.activities[one], SPANISH.activities[one]) for one in Activity if one is not Activity.MESSAGING),
        ("messages", SPANISH.activities[Activity.MESSAGING]),
        *SPANISH.notes.items(),
        *(
            (getattr(ENGLISH, name), getattr(SPANISH, name))
            for name in ("device", "network", "severity", "policy", "what")
        ),
    ]
    known = [(english.lower(), spanish.lower()) for english, spanish in pairs if english.lower() in catalogue]
    assert len(known) >= len(pairs) - 2
    assert [(english, catalogue[english]) for english, _ in known] == known


def test_every_kind_of_violation_has_its_sentence_in_spanish() -> None:
    source = (Path(__file__).parents[2] / "sensor" / "policy.py").read_text("utf-8")
    kinds = set(re.findall(r'_Decision\([^"]*"(\w+)"', source)) | {"candidates"}
    assert {"disallowed", "unlisted", "schedule", "visibility"} <= kinds
    allowed = {"excluded", "context", "exception", "approved_variant", "approved_app"}  # these accuse nobody
    assert kinds - allowed <= set(SPANISH.reasons)


def test_an_unknown_note_or_kind_is_told_as_it_is() -> None:
    made = told(kind="new_kind", reason="Because of it", notes=("something new",))
    text = letter(Message("k", 0, (made,)), Manner(Language.SPANISH, ZONE)).text
    assert "Because of it." in text
    assert "something new" in text


class Tags(HTMLParser):
    """What a browser makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_the_html_fetches_nothing_and_runs_nothing() -> None:
    for name in MESSAGES:
        parser = Tags()
        parser.feed(written(name, Language.ENGLISH).html)
        assert set(parser.tags) <= {"html", "head", "meta", "title", "body", "p", "h1", "h2", "table", "tr", "th", "td"}
        assert set(parser.attributes) <= {"lang", "charset", "style", "scope"}


@given(st.text(st.characters(codec=None), max_size=80) | st.just(HOSTILE))
def test_whatever_a_name_is_it_stays_in_its_place(name: str) -> None:
    made = told(
        network=name, apps=((name, name),), names=(name,), notes=(name,), site=name, reason=name, id="5f0c9d2b7a31e846",
        device=dataclasses.replace(told().device, label=name),
    )  # fmt: skip
    usual = told(device=dataclasses.replace(told().device, label="x"), names=("x",), notes=("x",))
    manner = Manner(Language.ENGLISH, ZONE)
    for digest in (False, True):
        found, normal = (letter(Message("k", 0, (one,), digest), manner) for one in (made, usual))
        assert len(found.subject.splitlines()) == 1
        assert found.subject.isprintable() or plain(found.subject) == found.subject
        assert len(found.subject) <= 120
        assert len(found.text.splitlines()) <= len(normal.text.splitlines())
        found.text.encode()
        parser, other = Tags(), Tags()
        parser.feed(found.html)
        other.feed(normal.html)
        assert len(parser.tags) <= len(other.tags)
        assert parser.attributes == other.attributes[: len(parser.attributes)] or set(parser.attributes) <= set(
            other.attributes
        )


def test_a_long_digest_is_cut_and_says_so() -> None:
    many = tuple(told(id=f"{number:016x}") for number in range(MAX_ROWS + 37))
    made = letter(Message("k", 0, many, digest=True), Manner(Language.ENGLISH, ZONE))
    assert made.subject == "[wardwatch Clínica del Mar] 237 violations"
    assert "And 37 more" in made.text
    assert made.html.count("<tr>") == MAX_ROWS + 2
