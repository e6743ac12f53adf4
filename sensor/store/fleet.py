"""What a centre knows of its sensors: how far each has told, and when it was heard last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, func, insert, select, update

from sensor.store import chain
from sensor.store.failures import translated
from sensor.store.opening import READING
from sensor.store.records import Place, Sensor
from sensor.store.schema_fleet import orders, origins, sensors
from sensor.store.texts import printable, to_json
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

columns = sensors.c
ADMIN = "admin"  # the kind of link


class Fleet:
    """Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def reached(self, sensor: str, store_id: str) -> Place:
        """How far a sensor has told of that store; nowhere, where it is not the store it told of before."""
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            row = connection.execute(select(sensors).where(columns.id == printable(sensor))).first()
        return Place() if row is None or row.store_id != store_id else _place(row)

    def arrived(
        self, sensor: str, store_id: str, place: Place, ids: Sequence[str], status: Mapping[str, object], now_ns: int
    ) -> Place:
        """Notes what a sensor told. How far it has come; never back, except with another store."""
        name, told = printable(sensor), {"seen_ns": now_ns, "status": to_json(status)}
        at = {"sequence": place.sequence, "recorded_ns": place.recorded_ns, "sighting": printable(place.sighting)}
        of_store = {"store_id": printable(store_id), **at}
        with translated(self._place), self._engine.begin() as connection:
            insert_missing(connection, sensors, [{"id": name, "first_ns": now_ns, **told, **of_store}])
            row = connection.execute(select(sensors).where(columns.id == name).with_for_update()).one()
            ahead = row.store_id != of_store["store_id"] or _order(place) > _order(_place(row))
            changed = told | of_store if ahead else told
            connection.execute(update(sensors).where(columns.id == name).values(changed))
            insert_missing(connection, origins, [{"episode_id": id_, "sensor_id": name} for id_ in sorted(set(ids))])
            return place if ahead else _place(row)

    def order(self, actor: str, serial: int, sensor: str, body: str, signature: str, now_ns: int) -> None:
        """Keeps an order for one sensor, or for all where `sensor` is empty."""
        values = {"serial": serial, "sensor_id": printable(sensor), "body": body, "signature": signature}
        with translated(self._place), self._engine.begin() as connection:
            connection.execute(insert(orders), values | {"recorded_ns": now_ns})
            told = {"actor": actor, "what": "order given", "sensor": sensor, "serial": serial, "signature": signature}
            chain.append(connection, ADMIN, told)

    def order_for(self, sensor: str) -> tuple[str, str] | None:
        """The order that holds for a sensor, and its signature; None where there is none."""
        query = select(orders.c.body, orders.c.signature).where(orders.c.sensor_id.in_(["", printable(sensor)]))
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            row = connection.execute(query.order_by(orders.c.serial.desc()).limit(1)).first()
        return None if row is None else (row.body, row.signature)

    def sensors(self) -> list[Sensor]:
        """All of them, by id."""
        count = select(func.count()).where(origins.c.sensor_id == columns.id).scalar_subquery()
        query = select(sensors, count.label("episodes")).order_by(columns.id)
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return [_sensor(row) for row in connection.execute(query)]


def _order(place: Place) -> tuple[int, int, str]:
    return place.sequence, place.recorded_ns, place.sighting


def _place(row: Any) -> Place:
    return Place(row.sequence, row.recorded_ns, row.sighting)


def _sensor(row: Any) -> Sensor:
    return Sensor(row.id, row.store_id, row.first_ns, row.seen_ns, _place(row), row.episodes, json.loads(row.status))
