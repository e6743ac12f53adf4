"""A clinic's port, a switch that mirrors it, and the sensor's port, each in a network namespace of its own.

clinic: c0 -- s0 :switch: m0 -- m1 :sensor        everything that s0 receives is mirrored out of m0 (tc, u32 and mirred)
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.commands.running import COMMAND, Done

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLONE_NEWNET = 0x40000000
TOOLS = ("ip", "tc", "tcpreplay", "ethtool")
ACCOUNT = re.compile(
    r"(?P<frames>\d+) frames = (?P<classified>\d+) classified.*? \+ (?P<ignored>\d+) ignored.*? \+ (?P<dropped>\d+) dropped"
)
_numbers = itertools.count()


def run(*command: str | Path, timeout_s: float = 60) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def need_namespaces() -> None:
    """Skips the test where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    probe = f"wwp{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        pytest.skip("network namespaces cannot be made here")
    run("ip", "netns", "del", probe)


@dataclass
class Mirror:
    """Names of the three namespaces."""

    clinic: str
    switch: str
    sensor: str

    def send(self, capture: Path, *options: str, timeout_s: float = 120) -> None:
        """Sends a capture from the clinic; without options at the times it has."""
        run("ip", "netns", "exec", self.clinic, "tcpreplay", "-q", "-i", "c0", *options, capture, timeout_s=timeout_s)

    def set(self, *words: str) -> None:
        """`ip link set` at the sensor's port."""
        run("ip", "-n", self.sensor, "link", "set", "m1", *words)

    def plug(self) -> None:
        """The wire from the switch to the sensor, and the mirror onto it."""
        run("ip", "link", "add", "m0", "netns", self.switch, "type", "veth", "peer", "name", "m1", "netns", self.sensor)
        for where, port in ((self.switch, "m0"), (self.sensor, "m1")):
            run("ip", "-n", where, "link", "set", port, "mtu", "65535", "up")
        subprocess.run(
            ["tc", "-n", self.switch, "qdisc", "del", "dev", "s0", "ingress"], capture_output=True, check=False
        )
        run("tc", "-n", self.switch, "qdisc", "add", "dev", "s0", "ingress")
        words = "parent ffff: protocol all u32 match u32 0 0 action mirred egress mirror dev m0"
        run("tc", "-n", self.switch, "filter", "add", "dev", "s0", *words.split())

    def unplug(self) -> None:
        """The sensor's port vanishes."""
        run("ip", "-n", self.switch, "link", "del", "m0")


@contextlib.contextmanager
def mirror() -> Iterator[Mirror]:
    """Made for one test, and taken away after it."""
    need_namespaces()
    tag = f"ww{os.getpid()}n{next(_numbers)}"
    made = Mirror(f"{tag}c", f"{tag}s", f"{tag}m")
    names = (made.clinic, made.switch, made.sensor)
    try:
        for name in names:
            run("ip", "netns", "add", name)
            # Nobody speaks there but the capture that is sent: no neighbour discovery of the namespaces' own.
            run(
                "ip",
                "netns",
                "exec",
                name,
                "sysctl",
                "-q",
                "-w",
                "net.ipv6.conf.all.disable_ipv6=1",
                "net.ipv6.conf.default.disable_ipv6=1",
            )
        run("ip", "link", "add", "c0", "netns", made.clinic, "type", "veth", "peer", "name", "s0", "netns", made.switch)
        for where, port in ((made.clinic, "c0"), (made.switch, "s0")):
            run("ip", "-n", where, "link", "set", port, "mtu", "65535", "up")
        made.plug()
        yield made
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextlib.contextmanager
def within(namespace: str) -> Iterator[None]:
    """This thread is in that network namespace; what is opened in it stays there."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        if libc.setns(here, CLONE_NEWNET) != 0:
            os.abort()  # the tests that follow would run elsewhere
        os.close(there)
        os.close(here)


class Watch:
    """`wardwatch watch` in the sensor's namespace, with what it says as it says it."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.said: list[str] = []
        self.out: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._threads = [threading.Thread(target=self._hear), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def _hear(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self._lines.put(line)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.out.extend(stream)

    def wait_for(self, words: str, timeout_s: float = 30) -> str:
        """The first line on standard error, not waited for before, that has these words."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(until - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"{words!r} was not said, but {self.said}") from None
            self.said.append(line)
            if words in line:
                return line

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 10) -> Done:
        self.process.send_signal(number)
        return self.end(timeout_s)

    def end(self, timeout_s: float = 30) -> Done:
        """Waits until it has ended."""
        self.process.wait(timeout_s)
        for thread in self._threads:
            thread.join(timeout_s)
        while not self._lines.empty():
            self.said.append(self._lines.get())
        return Done(self.process.returncode, "".join(self.out), "".join(self.said))


@contextlib.contextmanager
def watching(where: Mirror, *arguments: str | Path) -> Iterator[Watch]:
    """Watches, from the moment at which frames are seen; ended whatever happens."""
    command = ["ip", "netns", "exec", where.sensor, COMMAND, "watch", "m1", *arguments]
    one = Watch(list(map(str, command)))
    try:
        one.wait_for("watching", 120)  # the compiled loop may have to be made first
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.end()


def accounted(done: Done) -> dict[str, int]:
    """The account of everything since the start."""
    line = next(line for line in done.err.splitlines() if "since the start" in line and " frames = " in line)
    found = ACCOUNT.search(line)
    assert found is not None, line
    return {name: int(count) for name, count in found.groupdict().items()}
