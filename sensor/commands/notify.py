"""`wardwatch notify`: tells new violations to those the configuration names."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from sensor import setup, wording
from sensor.commands.output import standard_output
from sensor.errors import NotifyError, UsageError
from sensor.store import open_store
from sensor.tables import escape_plain

if TYPE_CHECKING:
    import argparse

    from sensor.notify.sending import Sender
    from sensor.settings_notify import NotifySettings
    from sensor.store import Store

WARNINGS = 3


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT, or once; or tries, lists or puts back. 3: with --once, something was not sent."""
    made = setup.read(options.config)
    settings = made.settings.notify
    with open_store(options.store or made.settings.store.url, create=False) as store:
        if options.dead:
            return _dead(store, made.settings.site.timezone)
        if options.resend is not None:
            return _resend(store, options.resend)
        if not settings.channels:
            where = options.config or "no configuration is given, and so"
            raise UsageError(f"{where}: [notify] names no channel")
        return _tell(options, made, store)


def _tell(options: argparse.Namespace, made: setup.Setup, store: Store) -> int:
    from sensor.notify import channels
    from sensor.notify.composing import Composer
    from sensor.notify.service import Notifier
    from sensor.ops.systemd import Systemd

    settings = made.settings.notify
    composer = Composer.of(store, made)
    if options.test is not None:
        return _test(options, made, composer)
    senders = {one.name: channels.sender(one, options.config, made, say) for one in settings.channels}
    notifier = Notifier(store, composer, settings, senders, say, zone=made.settings.site.timezone)
    if options.once:
        return _once(notifier, settings, store)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(number, stop))
    systemd = Systemd()
    say(f"telling {', '.join(one.name for one in settings.channels)}")
    notifier.run(stop, systemd.progress)
    systemd.stopping()
    say("stopped")
    return 0


def say(text: str) -> None:
    """One line for the journal."""
    print(f"wardwatch: {escape_plain(text)}", file=sys.stderr, flush=True)


def _stopper(number: int, stop: threading.Event) -> Any:
    before = signal.getsignal(number)

    def handle(*_: object) -> None:
        stop.set()
        signal.signal(number, before)  # a second one ends the process at once

    return handle


def _once(notifier: Any, settings: NotifySettings, store: Store) -> int:
    failed = 0
    for channel in settings.channels:
        sums = notifier.work(channel)
        failed += sums.failed + sums.dead
        counts = store.outbox.counts()
        left = sum(counts.get((channel.name, state), 0) for state in ("waiting", "sending"))
        dead = counts.get((channel.name, "dead"), 0)
        with standard_output():
            print(f"{channel.name}: {sums.sent} sent, {sums.failed} failed; {left} wait, {dead} dead letters")
    return WARNINGS if failed else 0


def _test(options: argparse.Namespace, made: setup.Setup, composer: Any) -> int:
    from sensor.notify import channels, trying
    from sensor.notify.sending import SendError

    settings = made.settings.notify
    channel = next((one for one in settings.channels if one.name == options.test), None)
    if channel is None:
        names = ", ".join(one.name for one in settings.channels)
        raise UsageError(f"--test: {options.test!r} is no channel; there are {names}")
    sender: Sender = channels.sender(channel, options.config, made, say)
    try:
        sender.send(trying.message(composer))
    except SendError as error:
        raise NotifyError(f"{channel.name}: not sent: {error}") from error
    with standard_output():
        print(f"{channel.name}: sent")
    return 0


def _dead(store: Store, zone: str) -> int:
    from sensor.store.notices import NoticeState

    letters: dict[str, list[Any]] = {}
    for one in store.outbox.listed(NoticeState.DEAD):
        letters.setdefault(one.message_key, []).append(one)
    with standard_output():
        for key, notices in letters.items():
            last = notices[-1]
            what = f"digest of {len(notices)}" if last.batch else f"episode {last.episode_id[:8]}"
            when = wording.clock(last.changed_ns, zone)
            print(escape_plain(f"{key} {last.channel}: {what}, {last.tries} tries, given up {when}: {last.error}"))
        if not letters:
            print("There are no dead letters.")
    return 0


def _resend(store: Store, key: str) -> int:
    from sensor.commands.user import actor

    count = store.outbox.resend(None if key == "all" else key, time.time_ns())
    if not count and key != "all":
        raise UsageError(f"--resend: no dead letter has a key that begins with {key!r}")
    if count:
        store.link("admin", {"actor": actor(), "what": "dead letters sent again", "key": key, "count": count})
    with standard_output():
        print(f"{count} to be sent again.")
    return 0
