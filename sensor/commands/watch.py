"""`wardwatch watch`: an interface in, verdicts out as episodes close, until it is told to stop."""

from __future__ import annotations

import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sensor import setup
from sensor.commands.excepting import Excepting
from sensor.commands.keeping import must_stay
from sensor.commands.output import refuse_overwriting
from sensor.commands.reloading import Reloading
from sensor.commands.replay import collect_rarely
from sensor.commands.telling import Told, say
from sensor.opening import Options
from sensor.ops.systemd import Systemd
from sensor.pipeline import Pipeline

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sensor.capture.ring import RingSource
    from sensor.setup import Setup

CLOSE_EVERY_NS = 2_000_000_000


def run(options: argparse.Namespace) -> int:
    """Watches until SIGTERM, SIGINT or the end of `--seconds`; what was seen is stored then. The exit status is 0."""
    from sensor.capture.ring import RingSource  # after the pipeline, which says where compiled code is kept

    made = setup.read(options.config)
    outputs = {"--flows": options.flows, "--episodes": options.episodes, "--visibility": options.visibility}
    refuse_overwriting(outputs, must_stay(options, made, ()))
    capture = made.settings.capture
    source = RingSource(
        options.interface,
        Options(capture.ring_mebibytes << 20, capture.promiscuous, capture.filter, options.capture_socket or ""),
        say=say,
        seconds=options.seconds,
        window_s=made.settings.metrics.window_s,
    )
    collect_rarely()
    with ExitStack() as stack:
        systemd = Systemd()

        def change(new: Setup) -> None:
            told.change(new)
            pipeline.change(new)

        excepting = Excepting(options, made, change)
        made = excepting.begin()
        told = Told(options, made, stack, systemd)

        def progress() -> None:
            systemd.progress()
            told.flush()
            reloading.act()
            excepting.act()

        reloading = Reloading(options.config, made, lambda new: change(excepting.rebase(new)), systemd)
        pipeline = Pipeline(
            made.settings,
            made.signatures,
            made.policy,
            made.networks,
            on_episode=told.episode,
            on_flow=told.lines.flow if told.lines.flows else None,
            on_progress=lambda _: progress(),
            visibility=made.visibility,
            on_open=told.open,
            on_observation=told.observation,
            on_account=told.account,
            on_hours=told.hours,
            close_every_ns=CLOSE_EVERY_NS,
        )
        pipeline.warm()
        with stopping(source), reloading.on_hangup(), excepting.looking():
            totals = pipeline.run(source)
        systemd.stopping()
        told.finish(totals, source.sources[0])
    return 0


@contextmanager
def stopping(source: RingSource) -> Iterator[None]:
    """SIGTERM and SIGINT end the source, and with it everything behind it in good order; a second one ends the process at once."""

    def stop(number: int, _: object) -> None:
        source.stop()
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
