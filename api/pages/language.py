"""English and Spanish: catalogues are read as they stand in api/locale, so that no step of building is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from babel.core import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).parents[1]
LOCALE: Final = HERE / "locale"
TEMPLATES: Final = HERE / "templates"
DOMAIN: Final = "wardwatch"
SOURCE: Final = "en"  # messages are written in it
FORMATS: Final = {"en": "en_GB", "es": "es"}  # by whose rules dates and numbers are written


def N_(text: str) -> str:  # noqa: N802 - the name by which catalogues find it
    """Marks a message that is translated where it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its messages, its rules for dates and numbers, its templates."""

    code: str
    locale: Locale
    gettext: Callable[[str], str]
    ngettext: Callable[[str, str, int], str]
    templates: Environment

    def say(self, message: str, **values: object) -> str:
        """A message with its {places} filled."""
        return self.gettext(message).format(**values)


@cache
def language(code: str) -> Language:
    """Read once."""
    translations = _translations(code)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["app_name"] = lambda app, named: named(app)
    installed: Any = environment
    installed.install_gettext_translations(translations, newstyle=True)
    return Language(code, Locale.parse(FORMATS[code]), translations.gettext, translations.ngettext, environment)


def catalogue(code: str) -> Path:
    """Where the messages of a language stand."""
    return LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _translations(code: str) -> NullTranslations:
    if code == SOURCE:
        return NullTranslations()
    with catalogue(code).open("rb") as file:
        messages = read_po(file, locale=code, domain=DOMAIN)
    binary = BytesIO()
    write_mo(binary, messages)
    binary.seek(0)
    return Translations(binary)
