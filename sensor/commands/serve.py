"""`wardwatch serve`: the API and the pages, until it is told to stop."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from api.app import create_app
from sensor.errors import WardwatchError
from sensor.services.desk import Desk

if TYPE_CHECKING:
    import argparse

    from sensor.settings_api import ApiSettings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run(options: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT. Raises UsageError, ConfigError, StoreError."""
    with Desk.open(options.config, options.store) as desk:
        settings = desk.setup.settings.api
        address, port = options.address or settings.address, settings.port if options.port is None else options.port
        desk.store.columns.current()  # read once before the first visitor comes
        listener = _listener(address, port)
        url = _url(settings, address, listener.getsockname()[1])
        _say(f"open {url}")
        if settings.certificate is None and address not in LOOPBACK:
            _say("warning: without a certificate ([api] certificate, key) what is sent can be read on the way")
        token = desk.accounts.first_invitation()
        if token is not None:
            _say(f"there are no users yet; make the first one within a day: {url}/welcome?token={token}")
        config = uvicorn.Config(
            create_app(desk),
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=list(settings.proxies),
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            limit_concurrency=512,
            h11_max_incomplete_event_size=32_768,
        )
        sys.setswitchinterval(0.001)  # many short requests at once: who waits for a thread's turn waits five times less
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise WardwatchError(f"{address} port {port}: cannot be listened on: {error.strerror}") from error
    return listener


def _url(settings: ApiSettings, address: str, port: int) -> str:
    if settings.public_url:
        return settings.public_url
    shown = f"[{address}]" if ":" in address else address
    return f"{'https' if settings.certificate else 'http'}://{shown}:{port}"


def _say(text: str) -> None:
    print(f"wardwatch: {text}", file=sys.stderr, flush=True)
