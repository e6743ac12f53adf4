"""The notifier with a store and a receiver: what arrives, how often, and what becomes of what does not."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sensor import setup
from sensor.errors import StoreError
from sensor.model import Activity, Device, Outcome, Severity, Verdict
from sensor.notify import channels
from sensor.notify.composing import Composer
from sensor.notify.service import FAILURES_IN_A_ROW, Notifier
from sensor.store import Store, open_store
from sensor.store.notices import NoticeState
from tests.notify.servers import Authority, Hook, eventually, hook
from tests.store.make import KNOWN, POLICIES, episode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

S = 10**9
HOUR_NS = 3600 * S
CONFIG = """
[devices.names]
"02:00:00:00:00:01" = "Front desk"
[notify]
tries = 3
{more}
[[notify.webhook]]
name = "siem"
url = "https://localhost:{port}/"
ca_file = "{ca}"
allow_private = true
"""


class World:
    """A store, a receiver, and a clock that the test moves."""

    def __init__(self, folder: Path, server: Hook, authority: Authority, more: str = "") -> None:
        self.config = folder / "clinic.toml"
        self.config.write_text(CONFIG.format(port=server.port, ca=authority.ca_file, more=more), "utf-8")
        self.server = server
        self.store: Store = open_store(folder / "store.db")
        self.store.append((), snapshots=KNOWN)
        self.said: list[str] = []
        self.later_ns = 0
        self.made = setup.read(str(self.config))
        self.channel = self.made.settings.notify.channels[0]
        senders = {
            one.name: channels.sender(one, "clinic.toml", self.made, self.said.append)
            for one in self.made.settings.notify.channels
        }
        self.notifier = Notifier(
            self.store,
            Composer.of(self.store, self.made),
            self.made.settings.notify,
            senders,
            self.said.append,
            zone="UTC",
            now_ns=lambda: time.time_ns() + self.later_ns,
        )
        self.notifier.work(self.channel)

    def work(self) -> Any:
        return self.notifier.work(self.channel)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.server.received]


@pytest.fixture
def server(authority: Authority) -> Iterator[Hook]:
    with hook(authority) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, server: Hook, authority: Authority) -> Iterator[World]:
    made = World(tmp_path, server, authority)
    yield made
    made.store.close()


def call(
    severity: Severity = Severity.HIGH, outcome: Outcome = Outcome.VIOLATION, policy: str = POLICIES[0]
) -> Verdict:
    return Verdict(outcome, "policy.disallowed", "WhatsApp is not allowed.", policy, severity, "disallowed")


def test_each_violation_arrives_once_and_nothing_else(world: World) -> None:
    world.store.append([episode(range(1000 * n, 1000 * n + 9)) for n in range(4)])
    world.store.append(
        [episode(range(9000, 9009), outcome=Outcome.REVIEW), episode(range(9900, 9909), outcome=Outcome.ALLOWED)]
    )
    assert world.work().sent == 4
    assert world.work().sent == 0
    assert sorted(one["id"] for one in world.bodies()) == sorted(row.episode.id for row in world.store.violations())
    assert len({one.headers["webhook-id"] for one in world.server.received}) == 4


def test_what_is_revised_before_it_is_sent_is_sent_as_it_stands(world: World) -> None:
    world.store.append([episode(range(10, 15))])
    world.store.append([episode(range(10, 20))])
    world.work()
    (got,) = world.bodies()
    assert (got["evidence_total"], got["bytes_up"], got["occasion"]) == (10, 1000, "new")


def test_revisions_are_not_told_until_it_becomes_a_call(world: World) -> None:
    world.store.append([episode(range(10, 15), activity=Activity.CALL_ATTEMPT)])
    world.work()
    world.store.append([episode(range(10, 18), activity=Activity.CALL_ATTEMPT)])
    world.work()
    assert len(world.bodies()) == 1
    world.store.append([episode(range(10, 25), activity=Activity.VIDEO_CALL, verdict=call())])
    world.work()
    world.store.append([episode(range(10, 30), activity=Activity.VIDEO_CALL, verdict=call())])
    world.work()
    first, second = world.bodies()
    assert first["id"] == second["id"]
    assert (first["occasion"], second["occasion"]) == ("new", "raised")
    assert (second["activity"], second["severity"]) == ("video_call", "high")
    assert len({one.headers["webhook-id"] for one in world.server.received}) == 2


def test_what_the_policy_allows_meanwhile_is_not_told(world: World) -> None:
    world.store.append([episode()])
    world.server.answer = lambda _: 500
    world.work()
    world.store.append([episode(verdict=call(outcome=Outcome.ALLOWED, policy=POLICIES[1]))])
    world.server.answer = lambda _: 204
    world.later_ns = HOUR_NS
    assert world.work().sent == 0
    assert len(world.server.received) == 1
    (dropped,) = world.store.outbox.listed(NoticeState.DROPPED)
    assert dropped.error == "it is no violation any more"


def test_what_was_told_and_turns_out_to_be_something_else_is_taken_back_once(world: World) -> None:
    call_of = {"activity": Activity.VIDEO_CALL, "closed": False}
    world.store.append([episode(range(10, 15), verdict=call(), **call_of)])  # type: ignore[arg-type]  # as make takes it
    world.work()
    other = Verdict(
        Outcome.UNREVIEWED, "withdrawn", "It turned out to be Zoom.", POLICIES[0], Severity.INFORMATION, "withdrawn"
    )
    gone = episode(range(10, 16), verdict=other, **(call_of | {"closed": True}))  # type: ignore[arg-type]  # as above
    for _ in range(2):
        world.store.append([gone])
        world.work()
    first, second = world.bodies()
    assert first["id"] == second["id"]
    assert (second["occasion"], second["policy"]["reason"]) == ("withdrawn", "It turned out to be Zoom.")


def test_failing_is_retried_under_the_same_key_later_and_later_and_given_up(world: World) -> None:
    world.store.append([episode()])
    world.server.answer = lambda _: 500
    waits = []
    for _ in range(3):
        before_ns = time.time_ns() + world.later_ns
        world.work()
        assert world.work().failed == 0, "it is not its time yet"
        (notice, *_rest) = world.store.outbox.listed(NoticeState.WAITING) or world.store.outbox.listed(NoticeState.DEAD)
        waits.append((notice.next_ns - before_ns) / S)
        world.later_ns += HOUR_NS
    assert len({one.headers["webhook-id"] for one in world.server.received}) == 1
    assert len(world.server.received) == 3
    assert 15 <= waits[0] <= 31
    assert 30 <= waits[1] <= 61
    assert notice.state is NoticeState.DEAD
    assert world.said[-1] == f"siem: given up after 3 tries [{notice.key[:8]}]: answered 500"
    assert world.said[0].startswith("siem: not sent (try 1 of 3, again in ")
    world.server.answer = lambda _: 204
    assert world.work().sent == 0
    assert world.store.outbox.resend(notice.key, time.time_ns()) == 1
    assert world.work().sent == 1
    assert {one.headers["webhook-id"] for one in world.server.received} == {notice.key}


def test_a_receiver_that_asks_for_time_gets_it(world: World) -> None:
    world.store.append([episode()])
    world.server.answer = lambda _: 429
    world.server.retry_after = "1800"
    world.work()
    world.server.answer = lambda _: 204
    world.later_ns = 1700 * S
    assert world.work().sent == 0
    world.later_ns = 1900 * S
    assert world.work().sent == 1


def test_a_receiver_that_is_down_is_not_asked_for_every_message(world: World) -> None:
    world.store.append([episode(range(1000 * n, 1000 * n + 9)) for n in range(10)])
    world.server.answer = lambda _: 503
    assert world.work().failed == FAILURES_IN_A_ROW
    untouched = [one for one in world.store.outbox.listed(NoticeState.WAITING) if one.untouched]
    assert len(untouched) == 10 - FAILURES_IN_A_ROW
    world.server.answer = lambda _: 204
    world.later_ns = HOUR_NS
    assert world.work().sent == 10


def test_one_message_that_is_refused_holds_none_of_the_others_back(world: World) -> None:
    bad, *_ = world.store.append([episode(range(1000 * n, 1000 * n + 9)) for n in range(5)]).ids

    def answer(handler: Any) -> int:
        return 400 if json.loads(world.server.received[-1].body)["id"] == bad else 204

    world.server.answer = answer
    sums = world.work()
    assert (sums.sent, sums.failed) == (4, 1)


def test_what_nobody_finished_sending_is_given_up_in_the_end(world: World) -> None:
    """Whoever sends it dies of it each time: the tries are counted before, not after."""
    world.store.append([episode()])
    world.store.outbox.collect("siem", world.notifier._decider(world.channel))
    for tries in (1, 2, 3):
        (claimed,) = world.store.outbox.claim("siem", time.time_ns() + tries * HOUR_NS, S)
        assert claimed.tries == tries
    world.later_ns = 5 * HOUR_NS
    assert world.work().dead == 1
    assert world.server.received == []
    (dead,) = world.store.outbox.listed(NoticeState.DEAD)
    assert dead.error == "sending it was never finished"


def test_what_cannot_be_made_is_a_failure_like_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store.append([episode(), episode(range(500, 510))])
    real = Composer.message
    broken = iter([True])

    def message(self: Composer, notices: Any) -> Any:
        if next(broken, False):
            raise KeyError("x")
        return real(self, notices)

    monkeypatch.setattr(Composer, "message", message)
    sums = world.work()
    assert (sums.sent, sums.failed) == (1, 1)
    assert "cannot be made: KeyError" in world.said[0]


SECRETS = ("02:00:00:00:00:01", "10.0.0.1")


@pytest.mark.parametrize(
    ("devices", "label"),
    [("pseudonym", None), ("label", "Front desk"), ("id", "Front desk")],
)
def test_devices_appear_as_the_configuration_says(
    tmp_path: Path, server: Hook, authority: Authority, devices: str, label: str | None
) -> None:
    world = World(tmp_path, server, authority, f'devices = "{devices}"')
    other = Device("mac:02:00:00:00:00:02", "02:00:00:00:00:02", "10.0.0.2", ("10.0.0.2",))
    world.store.append([episode()])
    world.store.append([episode(range(700, 710), device=other.id)])
    world.work()
    first, second = world.bodies()
    pseudonyms = world.notifier._composer.pseudonyms
    assert first["device"]["label"] == (label or pseudonyms.of("mac:02:00:00:00:00:01"))
    assert second["device"]["label"] == ("10.0.0.1" if devices == "id" else pseudonyms.of(other.id))
    for secret in SECRETS:
        assert (secret in server.received[0].body.decode()) == (devices == "id")
    world.store.close()


def test_it_runs_until_it_is_told_to_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.notify.service.POLL_S", 0.02)
    stop = threading.Event()
    running = threading.Thread(target=world.notifier.run, args=(stop,))
    running.start()
    try:
        world.store.append([episode()])
        eventually(lambda: len(world.server.received) == 1)
        world.store.append([episode(range(700, 710))])
        eventually(lambda: len(world.server.received) == 2)
    finally:
        stop.set()
        running.join(60)
    assert not running.is_alive()
    assert world.store.outbox.counts() == {("siem", "sent"): 2}
    assert world.said == []


def test_progress_is_told_while_no_channel_is_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.notify.service.BEAT_S", 0.02)
    stop = threading.Event()
    beats = iter([False, False, True])

    def beat() -> None:
        if next(beats, False):
            stop.set()

    world.notifier.run(stop, beat)
    assert list(beats) == [], "it was told more than twice"
    assert not world.notifier._is_stuck()
    world.notifier._turned_s["siem"] = time.monotonic() - 10_000
    assert world.notifier._is_stuck()


def test_what_breaks_a_channel_ends_all_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.notifier, "work", breaks)
    with pytest.raises(RuntimeError, match="a bug"):
        world.notifier.run(threading.Event())


def test_a_store_that_was_replaced_ends_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "store.db").rename(tmp_path / "old.db")
    open_store(tmp_path / "store.db").close()
    with pytest.raises(StoreError, match="another one now"):
        world.notifier.run(threading.Event())


def test_a_store_that_is_locked_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.notify.service.POLL_S", 0.02)
    real, failed = world.notifier.work, iter([True, True])

    def work(*arguments: Any) -> Any:
        if next(failed, False):
            raise StoreError("store x is locked by another process")
        return real(*arguments)

    monkeypatch.setattr(world.notifier, "work", work)
    world.store.append([episode()])
    stop = threading.Event()
    running = threading.Thread(target=world.notifier.run, args=(stop,))
    running.start()
    try:
        eventually(lambda: len(world.server.received) == 1)
    finally:
        stop.set()
        running.join(60)
    assert world.said == ["siem: store x is locked by another process"] * 2
