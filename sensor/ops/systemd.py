"""What systemd is told (sd_notify(3)): a datagram to the socket that it names. Without one, nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time

FEED_PART = 4  # of the watchdog's time


class Systemd:
    """Ready, alive by progress, reloading, stopping. The socket is the environment's NOTIFY_SOCKET."""

    def __init__(self) -> None:
        place = os.environ.get("NOTIFY_SOCKET", "")
        self._place = "\0" + place[1:] if place.startswith("@") else place
        mine = os.environ.get("WATCHDOG_PID") in {None, str(os.getpid())}
        self._every_s = int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6 / FEED_PART if mine else 0.0
        self._fed_s = 0.0
        self._ready = False

    def progress(self) -> None:
        """The packet loop has got on: the first time it is ready, and each time it is alive."""
        if not self._place:
            return
        if not self._ready:
            self._ready = True
            self._send("READY=1")
        now_s = time.monotonic()
        if self._every_s and now_s >= self._fed_s + self._every_s:
            self._fed_s = now_s
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def reloading(self) -> None:
        """Until `reloaded`."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self) -> None:
        """Whatever came of it."""
        self._send("READY=1")

    def stopping(self) -> None:
        """No more frames; what was seen is being stored."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._place:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.sendto(text.encode(), self._place)
