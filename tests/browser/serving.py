"""The pages as a real server on the loopback serves them, and Debian's Chromium to look at them."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import uvicorn

from api.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.services.desk import Desk

CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS: Final = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip
START_S: Final = 60.0


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """The address; tests ask more often in a minute than people do."""
    settings = replace(desk.setup.settings.api, requests_per_minute=1_000_000)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(create_app(desk, settings), log_level="warning", access_log=False, ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        end_s = time.monotonic() + START_S
        while not server.started and time.monotonic() < end_s:
            time.sleep(0.02)
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_S)
        listener.close()
