"""What a list is narrowed to, as it stands in the address."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from sensor.model import Outcome
from sensor.services.errors import InvalidError
from sensor.services.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

MANY: Final = ("network", "app", "activity", "severity", "state", "device", "day")
SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "violation": (Outcome.VIOLATION.value,),
    "review": (Outcome.REVIEW.value, Outcome.UNREVIEWED.value),
    "all": tuple(one.value for one in Outcome),
}
MAX_VALUES: Final = 50


@dataclass(frozen=True, slots=True)
class Filters:
    """`chosen`: (name, value) in the order in which they were chosen. `show`: which verdicts."""

    chosen: tuple[tuple[str, str], ...] = ()
    text: str = ""
    mine: bool = False
    show: str = "violation"
    path: str = field(default="/violations")

    @classmethod
    def read(cls, parameters: QueryParams, path: str = "/violations") -> Filters:
        """Unknown names are left aside. Raises InvalidError for too much."""
        chosen = tuple(dict.fromkeys((name, value) for name, value in parameters.multi_items()
                                     if name in MANY and value))  # fmt: skip
        if len(chosen) > MAX_VALUES:
            raise InvalidError(f"has more than {MAX_VALUES} values", "filter")
        show = parameters.get("show", "violation")
        return cls(chosen, parameters.get("q", "").strip(), parameters.get("mine") == "1",
                   show if show in SHOWN else "violation", path)  # fmt: skip

    def query(self, who: str) -> Query:
        """For the services."""
        return Query(
            networks=self.values("network"),
            apps=self.values("app"),
            activities=self.values("activity"),
            severities=self.values("severity"),
            states=self.values("state"),
            devices=self.values("device"),
            days=self.values("day"),
            outcomes=SHOWN[self.show],
            assignee=who if self.mine else "",
            text=self.text,
        )

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.chosen if key == name)

    @property
    def is_narrow(self) -> bool:
        return bool(self.chosen or self.text or self.mine)

    def parameters(self) -> list[tuple[str, str]]:
        """As they go into an address or a form."""
        found = list(self.chosen)
        if self.text:
            found.append(("q", self.text))
        if self.mine:
            found.append(("mine", "1"))
        if self.show != "violation":
            found.append(("show", self.show))
        return found

    def url(self, *more: tuple[str, str]) -> str:
        """Of this list."""
        query = urlencode([*self.parameters(), *more])
        return f"{self.path}?{query}" if query else self.path

    def toggled(self, name: str, value: str) -> str:
        """The list with this value added, or taken away."""
        pair = (name, value)
        kept = tuple(one for one in self.chosen if one != pair)
        chosen = kept if pair in self.chosen else (*self.chosen, pair)
        return Filters(chosen, self.text, self.mine, self.show, self.path).url()

    def without_text(self) -> str:
        return Filters(self.chosen, "", self.mine, self.show, self.path).url()

    def with_mine(self, *, mine: bool) -> str:
        return Filters(self.chosen, self.text, mine, self.show, self.path).url()

    def showing(self, show: str) -> str:
        return Filters(self.chosen, self.text, self.mine, show, self.path).url()

    def export(self, form: str) -> str:
        """All that is found, as a file."""
        return f"/violations.{form}?{urlencode(self.parameters())}"

    def cleared(self) -> str:
        return Filters(show=self.show, path=self.path).url()


def local(target: str, otherwise: str = "/") -> str:
    """A place of ours to go on to; anything else is `otherwise`: nobody is sent to another site."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and len(target) <= 2000
    return target if safe and target.isprintable() and "\\" not in target else otherwise
