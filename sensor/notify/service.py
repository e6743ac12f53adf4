"""The notifier: takes from the outbox, sends, and writes down what became of it."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.errors import StoreError
from sensor.notify.deciding import decide, wait_s
from sensor.notify.sending import SendError
from sensor.settings_notify import EmailChannel
from sensor.wording import NS, length

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensor.notify.composing import Composer
    from sensor.notify.sending import Sender
    from sensor.settings_notify import Channel, NotifySettings
    from sensor.store import Store
    from sensor.store.notices import News, Notice, Plan

POLL_S: Final = 2.0
LONGEST_REST_S: Final = 60.0
FAILURES_IN_A_ROW: Final = 3  # then the channel rests: whoever does not answer is not asked for every message
LETTERS_AT_ONCE: Final = 10  # of more that are due, such as after the replay of a month, one letter is made
BEAT_S: Final = 1.0
TIDY_EVERY_S: Final = 3600.0
PATIENCE_S: Final = 60.0
LOST: Final = "sending it was never finished"


@dataclass(slots=True)
class Sums:
    """What one round did."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    in_a_row: int = 0  # failures since the last that was sent


class Notifier:
    """Every channel goes its own way: one that hangs keeps none of the others waiting."""

    def __init__(
        self,
        store: Store,
        composer: Composer,
        settings: NotifySettings,
        senders: Mapping[str, Sender],
        say: Callable[[str], None],
        *,
        zone: str,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._composer = composer
        self._settings = settings
        self._senders = senders
        self._say = say
        self._zone = zone
        self._now_ns = now_ns
        self._turned_s: dict[str, float] = {}  # when each channel got on last
        self._broken: list[Exception] = []
        self._tidied_s = 0.0

    def run(self, stop: threading.Event, on_progress: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set; what is being sent then is finished. `on_progress`: now and then, while no channel is stuck.

        Raises StoreError where the store's file is another one now: whoever starts this again opens that one.
        """
        threads = [
            threading.Thread(target=self._guarded, args=(channel, stop), name=channel.name)
            for channel in self._settings.channels
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(BEAT_S / len(threads))
            if not self._is_stuck():
                on_progress()
            self._tidy()
        if self._broken:
            raise self._broken[0]

    def _tidy(self) -> None:
        """Once an hour: what was told of episodes that retention has taken goes too."""
        now_s = time.monotonic()
        if now_s < self._tidied_s + TIDY_EVERY_S:
            return
        self._tidied_s = now_s
        with contextlib.suppress(StoreError):  # it can wait
            self._store.outbox.forget()

    def _is_stuck(self) -> bool:
        now_s = time.monotonic()
        return any(
            now_s - self._turned_s.get(one.name, now_s) > LONGEST_REST_S + 3 * one.timeout_s + PATIENCE_S
            for one in self._settings.channels
        )

    def _guarded(self, channel: Channel, stop: threading.Event) -> None:
        """What goes wrong beyond what is expected ends the others too, so that somebody notices."""
        try:
            self._serve(channel, stop)
        except Exception as error:  # noqa: BLE001 - raised again by run
            self._broken.append(error)
            stop.set()

    def _serve(self, channel: Channel, stop: threading.Event) -> None:
        rest_s = 0.0
        in_a_row = 0
        while not stop.wait(rest_s):
            if not self._store.is_there():
                raise StoreError("the store's file has gone, or is another one now")
            try:
                sums = self.work(channel, stop)
            except StoreError as error:
                self._say(f"{channel.name}: {error}")
                sums = Sums(failed=1, in_a_row=1)
            in_a_row = sums.in_a_row + (0 if sums.sent else in_a_row)
            rest_s = min(LONGEST_REST_S, POLL_S * 2 ** min(in_a_row, 10))

    def work(self, channel: Channel, stop: threading.Event | None = None) -> Sums:
        """Sends what is due to one channel, until nothing is, or several have failed in a row. Raises StoreError."""
        outbox = self._store.outbox
        outbox.collect(channel.name, self._decider(channel))
        sums = Sums()
        most = LETTERS_AT_ONCE if isinstance(channel, EmailChannel) else None
        lease_ns = (
            2 * channel.timeout_s + 5
        ) * NS  # nothing takes longer than its timeout, but the machine may be slow
        while sums.in_a_row < FAILURES_IN_A_ROW and not (stop is not None and stop.is_set()):
            self._turned_s[channel.name] = time.monotonic()
            notices = outbox.claim(channel.name, self._now_ns(), lease_ns, most)
            if not notices:
                break
            self._deliver(channel, notices, sums)
        return sums

    def _decider(self, channel: Channel) -> Callable[[News, tuple[Notice, ...]], Plan | None]:
        return lambda news, told: decide(channel, self._zone, news, told, self._now_ns())

    def _deliver(self, channel: Channel, notices: tuple[Notice, ...], sums: Sums) -> None:
        if notices[0].tries > self._settings.tries:  # it was begun so often, and every time somebody died of it
            self._give_up(channel, notices, notices[0].error or LOST, sums)
            return
        try:
            message, gone = self._composer.message(notices)
            for why, some in gone.items():
                self._store.outbox.dropped(some, why)
            notices = tuple(one for one in notices if not any(one in some for some in gone.values()))
            if message is None:
                return
            self._senders[channel.name].send(message)
        except SendError as error:
            self._failed(channel, notices, str(error), error.wait_s, sums)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one message that cannot be made must not silence the channel
            self._failed(channel, notices, f"cannot be made: {type(error).__name__}", None, sums)
        else:
            self._store.outbox.sent(notices)
            sums.sent += 1
            sums.in_a_row = 0

    def _failed(self, channel: Channel, notices: tuple[Notice, ...], why: str, asked_s: int | None, sums: Sums) -> None:
        sums.failed += 1
        sums.in_a_row += 1
        tries = notices[0].tries
        if tries >= self._settings.tries:
            self._give_up(channel, notices, why, sums)
            return
        chance = secrets.SystemRandom().random()
        later_s = wait_s(tries, self._settings.first_wait_s, self._settings.longest_wait_s, chance)
        later_s = max(later_s, asked_s or 0)
        self._store.outbox.failed(notices, why, self._now_ns() + int(later_s * NS))
        again = length(int(later_s * NS))
        self._say(f"{channel.name}: not sent (try {tries} of {self._settings.tries}, again in {again}): {why}")

    def _give_up(self, channel: Channel, notices: tuple[Notice, ...], why: str, sums: Sums) -> None:
        sums.dead += 1
        self._store.outbox.failed(notices, why, None)
        key = notices[0].message_key[:8]
        self._say(f"{channel.name}: given up after {self._settings.tries} tries [{key}]: {why}")
