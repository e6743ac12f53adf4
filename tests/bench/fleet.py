"""The figures of docs/scale.md that are of stores and lines: `python -m tests.bench.fleet CAPTURE...`.

What the captures give is stored in SQLite, told to a centre on a PostgreSQL of its own, and weighed at both ends.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from sensor import capture, setup
from sensor.classify.episodes import stamped
from sensor.classify.signatures import canonical
from sensor.ops.forwarding import Forwarder
from sensor.pipeline import Pipeline
from sensor.services.ingest import Ingest
from sensor.services.people import Role, somebody
from sensor.store import Snapshots, open_store
from tests import postgres

if TYPE_CHECKING:
    from sensor.model import Episode
    from sensor.setup import Setup
    from sensor.store import Place, Store

AT_ONCE = 500
WHO = somebody("clinic-a", Role.SENSOR)


class Line:
    """A line to a centre in this process. `sent`: the sizes of batches in bytes."""

    def __init__(self, centre: Store) -> None:
        self._ingest = Ingest(centre)
        self.sent: list[int] = []

    def reached(self, store_id: str) -> Place:
        return self._ingest.reached(WHO, store_id)

    def send(self, batch: bytes) -> Place:
        self.sent.append(len(batch))
        return self._ingest.take(WHO, batch).reached


def episodes_of(made: Setup, paths: list[str]) -> list[Episode]:
    found: list[Episode] = []
    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=lambda one: found.append(stamped(one)),
        visibility=made.visibility,
        repeatable=True,
    )
    pipeline.run(capture.open_paths(paths))
    return found


def main(paths: list[str]) -> None:
    """Prints one figure a line."""
    made = setup.read(None)
    episodes = episodes_of(made, paths)
    count = len(episodes)
    known = Snapshots(
        {made.policy.hash: made.policy_json()},
        {one.hash: canonical(one.apps.values(), made.signatures.limits) for one in (made.signatures, made.visibility)},
    )
    print(f"{count} episodes, {sum(len(one.evidence) for one in episodes) / count:.1f} pieces of evidence each")
    with tempfile.TemporaryDirectory() as folder, postgres.running() as cluster:
        place = Path(folder) / "sensor.db"
        url = cluster.store()
        with open_store(place) as sensor, open_store(url) as centre:
            sensor.append((), snapshots=known)
            began = time.perf_counter()
            for first in range(0, count, AT_ONCE):
                sensor.append(episodes[first : first + AT_ONCE])
            print(f"SQLite: {count / (time.perf_counter() - began):.0f} episodes/s stored")
            line = Line(centre)
            forwarder = Forwarder(sensor, line, dict)
            began = time.perf_counter()
            while forwarder.step():
                pass
            seconds = time.perf_counter() - began
            with centre._engine.connect() as connection:
                size = connection.scalar(text("SELECT pg_database_size(current_database())"))
            forwarder.step()
        print(f"PostgreSQL: {count / seconds:.0f} episodes/s told and stored, {size / count:.0f} bytes each")
        print(
            f"line: {sum(line.sent[:-1]) / count:.0f} bytes an episode; {line.sent[-1]} bytes for a batch without news"
        )
        print(f"SQLite: {place.stat().st_size / count:.0f} bytes an episode")


if __name__ == "__main__":
    main(sys.argv[1:])
