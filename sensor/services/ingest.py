"""What a centre does with what its sensors tell: keeps it as if it had seen it, and answers how far it has come.

Nothing here minds being told twice, or late: an episode is known by its packets. Networks, and devices known by their address only,
are told apart by the sensor in front: every clinic has a 192.168.1.7, and most have a Ward 3.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sensor.ops.batches import Batch, BatchError, unpacked
from sensor.services.errors import ConflictError, InvalidError
from sensor.services.people import Right

if TYPE_CHECKING:
    from sensor.model import Device, Episode
    from sensor.services.people import Who
    from sensor.store import Place, Sensor, Sighting, Store

BY_ADDRESS: Final = "ip:"
SEPARATOR: Final = "/"


class GapError(ConflictError):
    """Something before this batch is missing; `reached` is where to go on."""

    def __init__(self, reached: Place) -> None:
        super().__init__(f"the batch begins behind {reached.sequence}, which is as far as this sensor has told")
        self.reached = reached


@dataclass(frozen=True, slots=True)
class Taken:
    """How far the sensor has told now, and what was new in the batch."""

    reached: Place
    added: int
    revised: int
    unchanged: int


class Ingest:
    """The centre's side. Which sensor it is says the key, never the batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def reached(self, who: Who, store_id: str) -> Place:
        """Where the sensor should go on. Raises ForbiddenError."""
        who.require(Right.TELL)
        return self._store.fleet.reached(who.name, store_id)

    def take(self, who: Who, sent: bytes) -> Taken:
        """Keeps a batch; on disk when this returns. Raises ForbiddenError, InvalidError, GapError, StoreError."""
        who.require(Right.TELL)
        try:
            batch = unpacked(sent)
        except BatchError as error:
            raise InvalidError(str(error), "body") from error
        reached = self.reached(who, batch.store_id)
        if _before(reached, batch.after):
            raise GapError(reached)
        sensor = who.name
        result = self._store.append([_of(sensor, one) for one in batch.episodes], snapshots=batch.cited)
        self._store.observe([_seen_by(sensor, one) for one in batch.sightings])
        now_ns = time.time_ns()
        place = self._store.fleet.arrived(
            sensor, batch.store_id, batch.reached, result.ids, _status(batch, now_ns), now_ns
        )
        return Taken(place, result.added, result.revised, result.unchanged)

    def order_for(self, who: Who) -> tuple[str, str] | None:
        """What the sensor is to judge by, and the signature; None where nothing was ordered. Raises ForbiddenError."""
        who.require(Right.TELL)
        return self._store.fleet.order_for(who.name)

    def sensors(self, who: Who) -> list[Sensor]:
        """What there is to say of each sensor. Raises ForbiddenError."""
        who.require(Right.READ)
        return self._store.fleet.sensors()


def _before(reached: Place, after: Place) -> bool:
    """Whether what lies between was not told. Sightings overlap on purpose, and only revisions are counted without gaps."""
    return reached.sequence < after.sequence


def _status(batch: Batch, now_ns: int) -> dict[str, object]:
    said: dict[str, object] = dict(batch.status)
    clock_ns = said.get("clock_ns")
    if isinstance(clock_ns, int):
        said["clock_behind_s"] = round((now_ns - clock_ns) / 1e9, 3)  # with the time that the batch took
    return said


def _network(sensor: str, network: str) -> str:
    return f"{sensor}{SEPARATOR}{network}"


def _device_id(sensor: str, device_id: str) -> str:
    if not device_id.startswith(BY_ADDRESS):
        return device_id
    return f"{BY_ADDRESS}{sensor}{SEPARATOR}{device_id.removeprefix(BY_ADDRESS)}"


def _of(sensor: str, episode: Episode) -> Episode:
    device: Device = replace(episode.device, id=_device_id(sensor, episode.device.id))
    return replace(episode, device=device, network=_network(sensor, episode.network))


def _seen_by(sensor: str, one: Sighting) -> Sighting:
    details: dict[str, Any] = dict(one.details)
    network = details["network"] = _network(sensor, one.network)
    device_id = _device_id(sensor, one.device_id)
    if details.get("device_id"):
        details["device_id"] = _device_id(sensor, str(details["device_id"]))
    return replace(one, network=network, device_id=device_id, details=details)
