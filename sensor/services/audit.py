"""The log of who did and read what: links of the chain, for auditors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensor.services.people import Right

if TYPE_CHECKING:
    from sensor.services.material import Material
    from sensor.services.people import Who


@dataclass(frozen=True, slots=True)
class Entry:
    """One link. `content` None: retention took it."""

    sequence: int
    recorded_ns: int
    kind: str
    content: Any
    hash: str


class Audit:
    """Reads; the reading itself is recorded."""

    def __init__(self, material: Material) -> None:
        self._material = material

    def entries(self, who: Who, *, kind: str | None = None, after: int = 0, limit: int = 100) -> tuple[Entry, ...]:
        """Oldest first. Devices are pseudonyms unless who asks may see whose they are. Raises ForbiddenError."""
        who.require(Right.AUDIT)
        found = self._material.store.links(kind=kind, after=after, limit=limit)
        self._material.recorder.read(who, "audit", [], kind=kind, after=after, limit=limit)
        return tuple(
            Entry(one.sequence, one.recorded_ns, one.kind,
                  None if one.content is None else self._masked(who, json.loads(one.content)), one.hash)
            for one in found
        )  # fmt: skip

    def _masked(self, who: Who, content: Any, key: str = "") -> Any:
        """Ids of devices, wherever a link has them."""
        if isinstance(content, dict):
            return {name: self._masked(who, value, name) for name, value in content.items()}
        if isinstance(content, list):
            return [self._masked(who, value, key) for value in content]
        if key in {"device_id", "devices"} and isinstance(content, str):
            return self._material.device_of_id(who, content).text
        return content
