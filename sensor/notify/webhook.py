"""Webhooks: one violation in one POST, signed as Standard Webhooks has it (standardwebhooks.com), never redirected.

`webhook-id` is the same in every try. The signature is `v1,` and the base64 of HMAC-SHA256 over id, time stamp and body,
divided by full stops; `webhook-timestamp` are the seconds of this try, so an old message cannot be sent again by others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sensor.notify import formats
from sensor.notify.connecting import Deadline, allowed, connect, resolve, secured
from sensor.notify.sending import SendError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sensor.notify.sending import Message
    from sensor.settings_notify import WebhookChannel

MAX_WAIT_S: Final = 86_400
PORTS: Final = {"http": 80, "https": 443}
TOO_MANY, UNAVAILABLE = 429, 503


def signature(key: bytes, id_: str, time_s: int, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = f"{id_}.{time_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


class Webhook:
    """The sender of one webhook. `context` verifies certificates; it is not used over http."""

    def __init__(
        self,
        channel: WebhookChannel,
        context: ssl.SSLContext,
        *,
        key: bytes | None,
        authorization: str | None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._context = context
        self._key = key
        self._authorization = authorization
        self._now_s = now_s

    def send(self, message: Message) -> None:
        """One POST; any answer but 2xx is a failure. Raises SendError."""
        for violation in message.violations:
            self._post(message.key, formats.text(violation, self._channel.format).encode("utf-8", "backslashreplace"))

    def _post(self, id_: str, body: bytes) -> None:
        deadline = Deadline(self._channel.timeout_s)
        parts = urlsplit(self._channel.url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        addresses = resolve(host, port, deadline)
        if not self._channel.allow_private:
            allowed(host, addresses)
        connection = connect(addresses, port, deadline)
        if parts.scheme == "https":
            connection = secured(connection, self._context, host, deadline)
        answer = http.client.HTTPConnection(host, port)
        answer.default_port = PORTS[parts.scheme]
        answer.sock = connection  # so it opens none of its own
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with deadline.over(connection):
                connection.settimeout(deadline.left_s())
                answer.request("POST", target, body, self._headers(id_, body))
                status, wait_s = _status(answer)
        except http.client.HTTPException as error:
            deadline.left_s()
            raise SendError(f"what it answers is not HTTP: {type(error).__name__}") from error
        finally:
            answer.close()
        _judge(status, wait_s)

    def _headers(self, id_: str, body: bytes) -> dict[str, str]:
        now_s = int(self._now_s())
        found = {
            "Content-Type": formats.content_type(self._channel.format),
            "User-Agent": "wardwatch",
            "Connection": "close",
            "Idempotency-Key": id_,
            "webhook-id": id_,
            "webhook-timestamp": str(now_s),
        }
        if self._key is not None:
            found["webhook-signature"] = signature(self._key, id_, now_s, body)
        if self._authorization is not None:
            found["Authorization"] = self._authorization
        return found


def _status(answer: http.client.HTTPConnection) -> tuple[int, int | None]:
    """The status, and how long to wait where the answer says so. The body is nobody's concern."""
    response = answer.getresponse()
    after = response.getheader("Retry-After", "").strip()
    wait_s = min(int(after), MAX_WAIT_S) if after.isascii() and after.isdigit() and len(after) < 10 else None
    return response.status, wait_s


def _judge(status: int, wait_s: int | None) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise SendError(f"answered {status}, a redirection, which is not followed: give the final URL")
    raise SendError(f"answered {status}", wait_s if status in {TOO_MANY, UNAVAILABLE} else None)
