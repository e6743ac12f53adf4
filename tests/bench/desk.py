"""How the desk behaves over a million violations: `python -m tests.bench.desk FOLDER` makes the store once, serves it, and lets
20 people read and 2 write, each with a second of thought between two acts, while a sensor stores what it sees.

Prints p50, p95 and the largest of each act, the size of the first page, and how long the sensor's appends took.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import insert

from sensor.model import Activity, Outcome, Severity
from sensor.services.desk import Desk
from sensor.services.people import Role
from sensor.store import open_store, schema
from tests.services.clinic import TOML
from tests.store.make import KNOWN, POLICIES, SIGNATURES, episode

if TYPE_CHECKING:
    from collections.abc import Callable

NS, DAY_NS = 1_000_000_000, 86_400_000_000_000
PASSWORD = "a very good password"
APPS = ("whatsapp", "facetime", "messenger", "zoom", "telegram", "signal")
NETWORKS = tuple(f"Ward {number}" for number in range(1, 13))
DEVICES, DAYS, PART = 3000, 730, 20_000
THINK_S = 1.0
WARM_S = 8.0  # in which all begin at once, and nothing is counted


def seed(path: Path, count: int) -> None:
    """A store with so many violations; written by SQL, since a sensor would take years."""
    chance = random.Random(7)
    with open_store(path) as store:
        for app in APPS:
            store.append([episode((1,), app=app, candidates=(app,), device=f"mac:{app}")], snapshots=KNOWN)
        columns = [column.name for column in schema.revisions.columns if column.name != "sequence"]
        with store._engine.begin() as connection:
            model = dict(connection.execute(schema.revisions.select().limit(1)).one()._mapping)
            devices = [f"mac:02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}" for n in range(DEVICES)]
            connection.execute(insert(schema.devices), [{"id": one, "recorded_ns": 1} for one in devices])
            pairs = [(device, app) for device in devices for app in APPS]
            connection.execute(insert(schema.subjects), [{"id": 100 + n, "device_id": device, "app_key": app}
                                                         for n, (device, app) in enumerate(pairs)])  # fmt: skip
        now_ns = time.time_ns()
        for begin in range(0, count, PART):
            rows: dict[str, list[dict[str, Any]]] = {"episodes": [], "revisions": [], "heads": []}
            for number in range(begin, min(count, begin + PART)):
                start = now_ns - int(DAYS * DAY_NS * (1 - number / count)) + chance.randrange(NS)
                which = chance.randrange(len(pairs))
                activity = Activity(chance.choice((1, 2, 2, 2, 3, 5, 6, 7)))
                head = {
                    "episode_id": f"{chance.getrandbits(44):011x}{number:05x}"[:16], "lineage_id": 1, "step": 1,
                    "subject_id": 100 + which, "device_id": pairs[which][0], "app_key": pairs[which][1],
                    "network": NETWORKS[which % len(NETWORKS)], "outcome": Outcome.VIOLATION.value, "activity": int(activity),
                    "severity": int(Severity.HIGH if activity > 4 else Severity.LOW), "start_ns": start,
                    "end_ns": start + 60 * NS, "capped": 0, "merged_into": None, "listed": 1, "judged": 0,
                    "state": "new" if number > count - 5000 else "closed", "changed_ns": now_ns,
                }  # fmt: skip
                rows["heads"].append(head)
                rows["episodes"].append(
                    {"id": head["episode_id"], "subject_id": head["subject_id"], "recorded_ns": start}
                )
                rows["revisions"].append({name: model[name] for name in columns} | {
                    name: head[name] for name in ("episode_id", "lineage_id", "step", "network", "activity", "severity",
                                                  "start_ns", "end_ns")} | {"recorded_ns": start})  # fmt: skip
            with store._engine.begin() as connection:
                for name, part in rows.items():
                    connection.execute(insert(schema.metadata.tables[name]), part)
            print(f"\r{begin + PART} of {count}", end="", file=sys.stderr)
        print(file=sys.stderr)


class Person(threading.Thread):
    """Acts, thinks for a second, acts: a closed loop."""

    def __init__(self, url: str, acts: list[tuple[str, Callable[[Person], Any]]], until_s: float, seed_: int) -> None:
        super().__init__(daemon=True)
        self.client = httpx.Client(base_url=url, timeout=60, headers={"Origin": url})
        self.chance = random.Random(seed_)
        self.took: list[tuple[str, float]] = []
        self.failed: list[str] = []
        self._acts, self._until_s = acts, until_s
        self._from_s = time.monotonic() + WARM_S
        answer = self.client.post("/api/v1/session", json={"name": "otto", "password": PASSWORD})
        answer.raise_for_status()
        # The client keeps no cookies of an http:// address that are for https:// only; a browser does on the loopback.
        cookie = answer.headers["set-cookie"].partition(";")[0]
        self.client.headers.update({"X-CSRF-Token": answer.json()["csrf"], "Cookie": cookie})

    def run(self) -> None:
        time.sleep(self.chance.random() * THINK_S)
        while time.monotonic() < self._until_s:
            name, act = self.chance.choice(self._acts)
            began = time.perf_counter()
            answer = act(self)
            if time.monotonic() > self._from_s:
                self.took.append((name, time.perf_counter() - began))
            if answer.status_code >= 400 and answer.status_code != 412:
                self.failed.append(f"{name}: {answer.status_code} {answer.text[:200]}")
            time.sleep(THINK_S)


def listing(**asked: Any) -> Callable[[Person], Any]:
    return lambda person: person.client.get("/api/v1/violations", params=asked)


def changing(person: Person) -> Any:
    """Reads the newest that are new, and acknowledges one of them."""
    rows = person.client.get("/api/v1/violations", params={"state": "new", "limit": 100, "facets": False}).json()[
        "rows"
    ]
    row = person.chance.choice(rows)
    path, headers = f"/api/v1/violations/{row['id']}/changes", {"If-Match": f'"{row["version"]}"'}
    return person.client.post(path, json={"action": "acknowledge"}, headers=headers)


READING: list[tuple[str, Callable[[Person], Any]]] = [
    ("list and facets", listing()),
    ("list and facets, open", listing(state=["new", "acknowledged", "investigating"])),
    ("list and facets, two filters", listing(app="whatsapp", severity="high")),
    ("list and facets, ward and day range", listing(network="Ward 3", since="2026-01-01T00:00:00Z")),
    ("list and facets, text", listing(text="zoom")),
]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--seconds", type=float, default=40)
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    config, store = chosen.folder / "clinic.toml", chosen.folder / f"desk-{chosen.count}.sqlite"
    config.write_text(TOML + "\n[api]\nrequests_per_minute = 1000000\n", "utf-8")
    if not store.exists():
        made = store.with_suffix(".making")
        seed(made, chosen.count)
        with Desk.open(str(config), str(made)) as desk:
            desk.accounts.add("bench", "otto", Role.OFFICER, PASSWORD)
        made.rename(store)
    command = [
        sys.executable,
        "-m",
        "sensor.cli",
        "serve",
        "--config",
        str(config),
        "--store",
        str(store),
        "--port",
        "8199",
    ]
    began_s = time.monotonic()
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        server.stderr.readline()
        print(f"ready after {time.monotonic() - began_s:.1f} s")
        measure("http://127.0.0.1:8199", store, chosen.seconds, server.pid)
    finally:
        server.terminate()
        server.wait(20)
    return 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(url: str, store: Path, seconds: float, pid: int) -> None:
    until_s = time.monotonic() + seconds
    people = [Person(url, READING, until_s, number) for number in range(20)]
    people += [Person(url, [("change", changing)], until_s, 100 + number) for number in range(2)]
    first = people[0].client.get("/api/v1/violations")
    squeezed = people[0].client.get("/api/v1/violations", headers={"Accept-Encoding": "gzip"})
    print(f"first page: {len(first.content)} bytes, {squeezed.headers.get('content-length', '?')} compressed")
    appends: list[float] = []
    cpu_s = 0.0
    for person in people:
        person.start()
    with open_store(store) as sensor:
        number = 0
        while time.monotonic() < until_s:
            number += 1
            if not cpu_s and time.monotonic() > until_s - seconds + WARM_S:
                cpu_s = _cpu_s(pid)
            now_ns = time.time_ns()
            seen = episode(
                (now_ns,), id_=f"{now_ns:016x}", device="mac:bench", policy=POLICIES[0], signatures=SIGNATURES[0]
            )
            began = time.perf_counter()
            sensor.append([seen])
            appends.append(time.perf_counter() - began)
            time.sleep(1)
    for person in people:
        person.join(60)
    took: dict[str, list[float]] = {}
    for person in people:
        for name, one in person.took:
            took.setdefault(name, []).append(one)
    took["all lists"] = [one for name, some in took.items() if name != "change" for one in some]
    took["the sensor's append"] = appends
    for name, some in took.items():
        p95 = statistics.quantiles(some, n=20)[-1] if len(some) > 1 else some[0]
        print(f"{name:38} n {len(some):5}  p50 {statistics.median(some) * 1e3:6.0f} ms  p95 {p95 * 1e3:6.0f} ms  "
              f"most {max(some) * 1e3:6.0f} ms")  # fmt: skip
    acts = sum(len(person.took) for person in people)
    print(f"the server took {(_cpu_s(pid) - cpu_s) / acts * 1e3:.0f} ms of a core for each of {acts} acts")
    failed = [one for person in people for one in person.failed]
    print(f"failed: {len(failed)} {failed[:3]}")
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    print(next(line for line in status.splitlines() if line.startswith("VmHWM")), f"on {os.cpu_count()} cores")
    print(json.dumps({"violations": people[0].client.get("/api/v1/health").json()["violations"]}))


if __name__ == "__main__":
    sys.exit(main())
