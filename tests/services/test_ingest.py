"""Whatever happens to batches on the way, the centre ends with what the sensors hold."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensor.model import Activity, Outcome
from sensor.ops.batches import Batch, BatchError, packed, unpacked
from sensor.ops.forwarding import Forwarder, UnreachableError
from sensor.services.errors import ForbiddenError, InvalidError
from sensor.services.ingest import GapError, Ingest
from sensor.services.people import Role, Who, somebody
from sensor.store import Filter, Place, Sighting, Store, open_store
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sensor.model import Episode

EVERYTHING = Filter(outcomes=tuple(Outcome))
ADMIN = somebody("anna", Role.ADMIN)


def sensor(name: str) -> Who:
    return somebody(name, Role.SENSOR)


def clock() -> dict[str, object]:
    return {"clock_ns": time.time_ns()}


class Line:
    """A line to the centre that does what it is told: "lost" on the way there, "unanswered", "twice", "late" (an old batch again)."""

    def __init__(self, ingest: Ingest, sensor: str, faults: Iterator[str]) -> None:
        self._ingest = ingest
        self._sensor = sensor
        self._faults = faults
        self._sent: list[bytes] = []

    def reached(self, store_id: str) -> Place:
        if next(self._faults, "") == "lost":
            raise UnreachableError("cut")
        return self._ingest.reached(sensor(self._sensor), store_id)

    def send(self, batch: bytes) -> Place:
        fault = next(self._faults, "")
        if fault == "lost":
            raise UnreachableError("cut")
        if fault == "late" and self._sent:
            self._take(self._sent[0])
        answered = self._take(batch)
        self._sent.append(batch)
        if fault == "twice":
            answered = self._take(batch)
        if fault == "unanswered":
            raise UnreachableError("cut")
        return answered

    def _take(self, batch: bytes) -> Place:
        try:
            return self._ingest.take(sensor(self._sensor), batch).reached
        except GapError as gap:
            return gap.reached


def forward(forwarder: Forwarder, tries: int = 200) -> None:
    for _ in range(tries):
        try:
            if not forwarder.step():
                return
        except UnreachableError:
            continue
    raise AssertionError("it never came to an end")


def shown(store: Store) -> list[tuple[Any, ...]]:
    """What a store tells of its episodes, without what a centre adds in front."""
    rows = [store.episode(row.episode.id).episode for row in store.violations(EVERYTHING)]
    return sorted((one.id, _bare(one.device.id), _bare(one.network), *_rest(one)) for one in rows)


def _bare(text: str) -> str:
    return text.replace("clinic-a/", "").replace("clinic-b/", "").replace("clinic-c/", "")


def _rest(one: Episode) -> tuple[Any, ...]:
    return (one.app, one.candidates, one.activity, one.start_ns, one.end_ns, one.bytes_up, one.bytes_down, one.flows,
            one.packets, one.evidence, one.evidence_total, one.names, one.verdict, one.signatures_hash, one.closed,
            one.profile, one.strength, one.notes)  # fmt: skip


@pytest.fixture
def sensor_store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "sensor.db") as opened:
        opened.append((), snapshots=KNOWN)
        yield opened


def fill(store: Store) -> None:
    store.append([episode(range(number, number + 5), device=f"ip:10.0.0.{number % 7}") for number in range(0, 300, 10)])
    store.append([episode(range(5000, 5040), app=None, candidates=("whatsapp", "messenger"))])
    store.append(
        [episode(range(5020, 5060), app=None, candidates=("whatsapp", "messenger"), activity=Activity.VOICE_CALL)]
    )
    store.observe([Sighting("hour", "", "Ward 3", "", 0, 3, 900, {"record": "hour", "network": "Ward 3", "hour": "x"})])


def test_what_a_sensor_holds_is_at_the_centre_and_told_once(sensor_store: Store, store: Store) -> None:
    fill(sensor_store)
    ingest = Ingest(store)
    forwarder = Forwarder(sensor_store, Line(ingest, "clinic-a", iter(())), clock)
    forward(forwarder)
    assert shown(store) == shown(sensor_store)
    assert {row.episode.network for row in store.violations(EVERYTHING)} == {"clinic-a/Ward 3"}
    before = store.counts()
    forward(forwarder)
    forward(Forwarder(sensor_store, Line(ingest, "clinic-a", iter(())), clock))
    assert store.counts() == before
    (known,) = ingest.sensors(ADMIN)
    assert (known.id, known.episodes, known.reached.sequence) == (
        "clinic-a",
        32,
        sensor_store.news(Place()).reached.sequence,
    )
    assert abs(float(str(known.status["clock_behind_s"]))) < 60


def test_two_clinics_with_the_same_addresses_stay_apart(sensor_store: Store, store: Store, tmp_path: Path) -> None:
    fill(sensor_store)
    with open_store(tmp_path / "other.db") as other:
        other.append((), snapshots=KNOWN)
        other.append([episode(range(100, 105), device="ip:10.0.0.3"), episode(range(5000, 5005), device="mac:9")])
        for name, one in (("clinic-a", sensor_store), ("clinic-b", other)):
            forward(Forwarder(one, Line(Ingest(store), name, iter(())), clock))
        assert len(list(store.violations(replace(EVERYTHING, device="ip:clinic-b/10.0.0.3")))) == 1
        assert shown(store) == sorted(shown(sensor_store) + shown(other))
        assert [one.episodes for one in Ingest(store).sensors(ADMIN)] == [32, 2]


def test_a_store_that_was_replaced_begins_anew(sensor_store: Store, store: Store, tmp_path: Path) -> None:
    fill(sensor_store)
    forward(Forwarder(sensor_store, Line(Ingest(store), "clinic-a", iter(())), clock))
    with open_store(tmp_path / "new.db") as new:
        new.append((), snapshots=KNOWN)
        new.append([episode(range(9000, 9005))])
        forward(Forwarder(new, Line(Ingest(store), "clinic-a", iter(())), clock))
    assert len(shown(store)) == len(shown(sensor_store)) + 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_lines_and_batches_twice_or_late_lose_and_double_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Three sensors, episodes that grow and merge while batches are under way."""
    folder = tmp_path_factory.mktemp("fleet")
    with open_store(folder / "centre.db") as centre:
        ingest = Ingest(centre)
        sensors = [_Clinic(folder, f"clinic-{letter}", ingest, data) for letter in "abc"]
        for _ in range(data.draw(st.integers(1, 4))):
            for one in sensors:
                one.live()
        for one in sensors:
            one.settle()
        there, here = shown(centre), sorted(row for one in sensors for row in shown(one.store))
        assert [row[0] for row in there] == [row[0] for row in here]
        for theirs, ours in zip(there, here, strict=True):
            assert theirs == ours, [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b]
        for one in sensors:
            one.store.close()


class _Clinic:
    """A sensor to which things happen: it sees something, sends over a bad line, is killed and starts again."""

    def __init__(self, folder: Path, name: str, ingest: Ingest, data: st.DataObject) -> None:
        self.store = open_store(folder / f"{name}.db")
        self.store.append((), snapshots=KNOWN)
        self._device = f"mac:{name}"
        self._data = data
        self._line: Callable[[list[str]], Line] = lambda faults: Line(ingest, name, iter(faults))
        self._forwarder = Forwarder(self.store, self._line([]), clock)

    def live(self) -> None:
        draw = self._data.draw
        first = draw(st.integers(0, 40))
        seen = episode(range(first, first + draw(st.integers(1, 12))), device=self._device)
        self.store.append([seen])
        faults = draw(st.lists(st.sampled_from(["", "lost", "unanswered", "twice", "late"]), max_size=4))
        if draw(st.booleans()):
            self._forwarder = Forwarder(self.store, self._line(faults), clock)  # killed, and started again
        for _ in range(draw(st.integers(0, 3))):
            try:
                self._forwarder.step()
            except UnreachableError:
                continue

    def settle(self) -> None:
        forward(Forwarder(self.store, self._line([]), clock))


@pytest.mark.parametrize(
    "sent",
    [b"", b"{}", b"\x28\xb5\x2f\xfd" + bytes(40), packed(Batch("s", Place(), Place()))[:-4]],
    ids=["empty", "no frame", "damaged", "cut off"],
)
def test_what_is_no_batch_is_refused_in_one_line(store: Store, sent: bytes) -> None:
    with pytest.raises(InvalidError, match=r"^(not a batch|the batch)") as refused:
        Ingest(store).take(sensor("clinic-a"), sent)
    assert "\n" not in str(refused.value)
    assert not Ingest(store).sensors(ADMIN)


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=9)))
def test_data_of_another_shape_is_refused(value: Any) -> None:
    import zstandard

    sent = zstandard.ZstdCompressor().compress(json.dumps({"format": 1, "batch": value}).encode())
    with pytest.raises(BatchError):
        unpacked(sent)


def test_a_bomb_is_not_unpacked() -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor(level=19).compress(b" " * (200 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(BatchError, match="too large"):
        unpacked(bomb)


def test_a_batch_behind_a_gap_changes_nothing(sensor_store: Store, store: Store) -> None:
    fill(sensor_store)
    news = sensor_store.news(Place(), 10)
    later = sensor_store.news(news.reached, 10)
    batch = Batch(
        "store", news.reached, later.reached, later.episodes, (), later.cited.policies, later.cited.signatures
    )
    with pytest.raises(GapError) as gap:
        Ingest(store).take(sensor("clinic-a"), packed(batch))
    assert gap.value.reached == Place()
    assert not list(store.violations(EVERYTHING))


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SENSOR])
def test_only_a_sensor_may_tell(store: Store, role: Role) -> None:
    with pytest.raises(ForbiddenError):
        Ingest(store).take(somebody("anna", role), packed(Batch("s", Place(), Place())))
    with pytest.raises(ForbiddenError):
        Ingest(store).reached(somebody("anna", role), "s")
    with pytest.raises(ForbiddenError):
        Ingest(store).sensors(sensor("clinic-a"))
