"""Times, lengths, sizes and numbers as people of one language read them. A time never goes without its zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from babel import dates, numbers
from markupsafe import Markup

from sensor import wording

if TYPE_CHECKING:
    from api.pages.language import Language

NS: Final = 1_000_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_NS: Final = 253_402_214_400 * NS  # the end of 9999


@dataclass(frozen=True, slots=True)
class Clock:
    """`zone`: an IANA name or UTC, as it is shown too."""

    zone: str
    language: Language

    def at(self, time_ns: int) -> datetime:
        """The wall clock's time; what a capture claims beyond 9999 is its last day."""
        seconds = max(0, min(time_ns, LATEST_NS)) // NS
        return (EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo(self.zone))

    def time(self, time_ns: int) -> Markup:
        """09:10:14, readable by machines as well."""
        return self._marked(time_ns, self.at(time_ns).strftime("%H:%M:%S"))

    def hour(self, time_ns: int) -> str:
        """09:00."""
        return self.at(time_ns).strftime("%H:%M")

    def moment(self, time_ns: int) -> Markup:
        """17 Mar 2026, 09:10:14."""
        return self._marked(time_ns, f"{self.short_day(self.at(time_ns).date())}, {self.at(time_ns):%H:%M:%S}")

    def day_of(self, time_ns: int) -> str:
        """2026-03-17."""
        return self.at(time_ns).date().isoformat()

    def long_day(self, day: date | str) -> str:
        """Tuesday 17 March 2026."""
        return dates.format_date(_date(day), "full", locale=self.language.locale)

    def short_day(self, day: date | str) -> str:
        """17 Mar 2026."""
        return dates.format_date(_date(day), "medium", locale=self.language.locale)

    def weekday(self, day: date | str) -> str:
        """Tue 17."""
        return dates.format_date(_date(day), "EEE d", locale=self.language.locale)

    def span(self, start_ns: int, end_ns: int) -> Markup:
        """From when to when, on one day or two."""
        if self.at(start_ns).date() == self.at(end_ns).date():
            return Markup("{}&ndash;{}").format(self.time(start_ns), self.time(end_ns))
        return Markup("{} &ndash; {}").format(self.moment(start_ns), self.moment(end_ns))

    def length(self, duration_ns: int) -> str:
        """In its two largest units, with the symbols of the SI, which are those of both languages."""
        return wording.length(max(0, duration_ns)).replace(" ", "\u00a0")

    def size(self, count: int) -> str:
        """338 kB; 2,2 kB in Spanish."""
        number, _, unit = wording.size(count).partition(" ")
        return f"{numbers.format_decimal(number, locale=self.language.locale)} {unit}"

    def number(self, count: int) -> str:
        """12,345."""
        return numbers.format_decimal(count, locale=self.language.locale)

    def percent(self, share: float) -> str:
        """87 %."""
        return numbers.format_percent(share, locale=self.language.locale)

    @staticmethod
    def _marked(time_ns: int, text: str) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(wording.rfc3339(time_ns), text)


def _date(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
