from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from babel.messages.pofile import read_po

import sensor
from api.pages import words
from api.pages.language import LOCALE, SOURCE, TEMPLATES, catalogue, language
from api.pages.messages import extracted
from api.pages.preferences import CHOICES, read
from api.pages.words import Words
from sensor import wording
from sensor.classify import devices, visibility
from sensor.model import Activity, Outcome, Severity, Strength
from sensor.services.follow_up import Action, Reason, State
from sensor.services.people import Role
from tests.api.pages.looking import Look

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

    from tests.api.visiting import Visitor

TRANSLATED = sorted(set(CHOICES["language"]) - {SOURCE})
PLACE = re.compile(r"%\(\w+\)s|\{\w+\}")
BARE = {"wardwatch", "·", "UTC", "English", "Español", "\u2013", "→", "…", "(", ")", ",", ".", ":", ";", "j", "k", "o", "x", "a", "c",
        "Enter", "/", "?", "82", "+"}  # fmt: skip
SPOKEN_ATTRIBUTES = {"title", "alt", "aria-label", "placeholder", "data-label", "data-copied", "data-one", "data-many"}


def catalog(code: str) -> Catalog:
    with catalogue(code).open("rb") as file:
        return read_po(file, locale=code)


def texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def test_there_is_a_catalogue_for_each_language_and_no_other():
    assert sorted(folder.name for folder in LOCALE.iterdir() if folder.is_dir()) == TRANSLATED


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_and_none_is_left_over(code: str):
    wanted = {texts(message.id): message for message in extracted() if message.id}
    known = {texts(message.id): message for message in catalog(code) if message.id}
    assert set(known) == set(wanted), "run `python -m api.pages.messages`"
    assert len(wanted) > 300
    for ids, message in known.items():
        assert not message.fuzzy
        assert all(texts(message.string)), f"{ids} is not translated"


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_have_the_places_of_the_messages(code: str):
    for message in catalog(code):
        if message.id:
            wanted = set(PLACE.findall(texts(message.id)[-1]))
            for text in texts(message.string):
                assert set(PLACE.findall(text)) == wanted, message.id


class Bare(HTMLParser):
    """Text and spoken attributes of a template that are in no message."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self._add(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in SPOKEN_ATTRIBUTES:
                self._add(value or "")

    def _add(self, text: str) -> None:
        self.found += [word for word in text.split() if word not in BARE and re.search(r"\w", word)]


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_no_template_has_bare_text(path: Path):
    text = path.read_text("utf-8")
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{%-?\s*trans\b.*?endtrans\s*-?%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text, flags=re.DOTALL)
    bare = Bare()
    bare.feed(text)
    assert not bare.found


def test_bare_text_is_found():
    bare = Bare()
    bare.feed('<p title="Tip">Hello <b aria-label="There">·</b></p>')
    assert bare.found == ["Tip", "Hello", "There"]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (words.ACTIVITIES, [one.label for one in Activity]),
        (words.SENTENCES, [one.label for one in Activity]),
        (words.SEVERITIES, [one.label for one in Severity]),
        (words.LEVELS, [one.label for one in Severity]),
        (words.STRENGTHS, [one.label for one in Strength]),
        (words.STRENGTHS_MEAN, [one.label for one in Strength]),
        (words.STATES, [one.value for one in State]),
        (words.REASONS, [one.value for one in Reason]),
        (words.DONE, [one.value for one in Action]),
        (words.ROLES, [one.value for one in Role]),
        (words.KINDS, list(wording.KINDS)),
        (words.HIDDEN, list(visibility.KINDS)),
    ],
)
def test_there_is_a_word_for_each_value(table: dict[str, str], values: list[str]):
    assert set(table) == set(values)


def test_there_is_a_word_for_each_verdict():
    assert {one.value for one in Outcome} <= set(words.OUTCOMES)


def said_by(module: str) -> list[str]:
    """Sentences that a module of the sensor puts into `reason` or `note`, with X where something is filled in."""
    tree = ast.parse((Path(sensor.__file__).parent / module).read_text("utf-8"))
    found = []
    for node in ast.walk(tree):
        is_said = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in {"reason", "note"}
        if is_said and isinstance(node, ast.Assign):
            found.append("".join(_text(part) for part in getattr(node.value, "values", [node.value])))
    return [text for text in found if text]


def _text(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    if isinstance(part, ast.FormattedValue) and "id='says'" in ast.dump(part):
        return "which the policy takes as violation (X)"
    if isinstance(part, ast.FormattedValue) and "id='what'" in ast.dump(part):
        return "hides which apps are used"
    if isinstance(part, ast.FormattedValue) and "id='word'" in ast.dump(part):
        return "not allowed"
    is_addition = isinstance(part, ast.FormattedValue) and "note" in ast.dump(part)
    return "" if is_addition else "X"


def test_what_the_policy_says_is_said_in_spanish_too():
    spanish, english = Words(language("es")), Words(language("en"))
    found = said_by("policy.py")
    assert len(found) >= 9
    for text in found:
        assert spanish.said(text) != text, text
        assert english.said(text) == text
    outdated = "Windows XP is out of its maker's support, which the policy takes as review (policy.visibility.outdated)"
    assert "soporte" in spanish.said(outdated)
    listed = "It is WhatsApp or Messenger, and which one cannot be told: "
    reasons = ("WhatsApp is on the list of disallowed apps (policy.disallowed); no host that tells whose account it is was seen",
               "Messenger is on the list of approved apps (policy.approved)")  # fmt: skip
    assert spanish.said(listed + "; ".join(reasons)) == (
        "Es WhatsApp o Messenger, y no se puede saber cuál: WhatsApp está en la lista de aplicaciones prohibidas "
        "(policy.disallowed); no se vio ningún nombre de servidor que diga de quién es la cuenta; "
        "Messenger está en la lista de aplicaciones aprobadas (policy.approved)"
    )


def test_what_is_noted_of_devices_is_said_in_spanish_too():
    spanish = Words(language("es"))
    notes = (devices.BEHIND_ROUTER, devices.SHARED_ADDRESS, devices.RANDOM_MAC, devices.TEMPORARY_ADDRESS)
    assert all(spanish.said(note) != note for note in notes)


def test_a_reason_in_a_list_names_no_key():
    text = "Zoom is on the list of disallowed apps (policy.disallowed); no host that tells whose account it is was seen"
    assert Words(language("en")).briefly(text) == text.replace(" (policy.disallowed)", "")


@pytest.mark.parametrize(
    ("header", "code"),
    [("es-MX,es;q=0.9,en;q=0.5", "es"), ("de-DE,es;q=0.4,en;q=0.8", "en"), ("", "en"), ("fr", "en"), ("es;q=0,en", "en"),
     ("x;q=y,es", "es"), ("*", "en"), ("_,-", "en")],
)  # fmt: skip
def test_the_browser_is_asked_for_its_language(header: str, code: str):
    assert read("", header).language == code
    assert read("language=es", header).language == "es", "what was chosen wins"


@pytest.mark.parametrize("path", ["/?day=2026-03-17", "/violations", f"/violations/{11:016x}", "/devices", "/visibility", "/week",
                                  "/exceptions", "/policy", "/help"])  # fmt: skip
def test_pages_speak_spanish(officer: Visitor, path: str):
    officer.headers["Accept-Language"] = "es"
    answer = officer.get(path)
    look = Look(answer)
    assert '<html lang="es"' in answer.text
    assert "Infracciones" in look.text
    assert "Cerrar sesión" in look.text
    for english in (" the ", " violation", " were ", " was "):
        assert english not in look.text, english
