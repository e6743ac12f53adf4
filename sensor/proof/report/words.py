"""The report's words: one catalogue for each language, complete (a test compares them), and how numbers and days are written."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, format_percent

if TYPE_CHECKING:
    from datetime import date, datetime

LANGUAGES: Final = ("en", "es")
LOCALES: Final = {"en": "en_GB", "es": "es_ES"}


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    language: str
    texts: dict[str, str]
    locale: Locale

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key, with what goes into it. Raises KeyError for a key that the catalogue has not."""
        return self.texts[key].format(**values)

    def of(self, group: str, name: str) -> str:
        """A word for a value, such as `activity.voice_call`; the value itself where there is none."""
        return self.texts.get(f"{group}.{name}", name)

    def number(self, value: float, digits: int = 0) -> str:
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(value, format=pattern, locale=self.locale)

    def share(self, value: float) -> str:
        return format_percent(value, format="#,##0 %", locale=self.locale)

    def day(self, value: date) -> str:
        return format_date(value, "long", locale=self.locale)

    def moment(self, value: datetime) -> str:
        return format_datetime(value, "dd/MM/yyyy HH:mm", locale=self.locale)

    def length(self, seconds: float) -> str:
        """A length of time in its two largest units."""
        if seconds < 60:
            return f"{self.number(round(seconds))} s"
        minutes = round(seconds / 60)
        if minutes < 60:
            return f"{self.number(minutes)} min"
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return f"{self.number(hours)} h {minutes} min" if minutes else f"{self.number(hours)} h"
        return f"{self.number(seconds / 86_400, 1)} {self('unit.days')}"


@lru_cache(maxsize=len(LANGUAGES))
def words(language: str) -> Words:
    text = resources.files("sensor.proof.report").joinpath(f"{language}.toml").read_text("utf-8")
    return Words(language, _flat(tomllib.loads(text)), Locale.parse(LOCALES[language]))


def _flat(tables: dict[str, Any]) -> dict[str, str]:
    return {f"{table}.{key}": text for table, texts in tables.items() for key, text in texts.items()}
