"""HTTP/1 requests: which host is asked for (RFC 9112, 3 and 5; RFC 9110, 7.2)."""

from __future__ import annotations

from dataclasses import dataclass

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.text import host, text

MAX_HEAD_BYTES = 16 * 1024  # request line and fields; servers allow 8 to 16 KiB

# RFC 9110, 9.3; RFC 5789; WebDAV (RFC 4918, RFC 3253), as file shares use it.
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT".split()
)
MAX_METHOD_BYTES = max(map(len, METHODS))


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request, as far as its Host field."""

    method: str
    target: str  # as sent, escaped
    host: str | None  # lower case, without port, brackets and final dot; None in HTTP/1.0 without a name


@decoder
def request(data: bytes) -> HttpRequest:
    """The request at the start of `data`, as soon as its host is known or its head has ended.

    The host is that of the target where the target has one (RFC 9112, 3.2.2 and 3.2.3), else of the first Host field.
    """
    cursor = Cursor(data)
    if data[:1] in {b"\r", b"\n"}:
        _line(cursor)  # RFC 9112, 2.2: one empty line before a request is overlooked
    start = cursor.offset
    method = _method(cursor)
    line = _line(cursor)
    target, _, version = line.rpartition(b" ")
    if not version.startswith(b"HTTP/1.") or not target:
        raise Bad("not an HTTP/1 request line", start)
    target = target.strip(b" ")
    if method == b"CONNECT":
        name = _host(target)  # authority-form
    elif b"://" in target and not target.startswith(b"/"):
        name = _host(_authority(target))  # absolute-form
    else:
        name = _host_field(cursor)
    return HttpRequest(method.decode("ascii"), text(target), name)


def _method(cursor: Cursor) -> bytes:
    """The method and the space behind it; refuses at once what no method begins with."""
    head = cursor.data[cursor.offset : cursor.offset + MAX_METHOD_BYTES + 1]
    method, space, _ = head.partition(b" ")
    if space and method in METHODS:
        cursor.skip(len(method) + 1)
        return method
    if not space and any(known.startswith(head) for known in METHODS):
        raise NeedMore
    raise Bad("not a known HTTP method", cursor.offset)


def _line(cursor: Cursor) -> bytes:
    """The next line of the head, without its end."""
    line = cursor.line(MAX_HEAD_BYTES - cursor.offset)
    if line is not None:
        return line
    if len(cursor.data) >= MAX_HEAD_BYTES:
        raise Bad("the head is longer than 16 KiB", MAX_HEAD_BYTES)
    raise NeedMore


def _host_field(cursor: Cursor) -> str | None:
    """The value of the first Host field; field names know no case (RFC 9110, 5.1)."""
    while True:
        at = cursor.offset
        line = _line(cursor)
        if not line:
            return None
        name, colon, value = line.partition(b":")
        if not colon and line[:1] not in {b" ", b"\t"}:  # a folded line continues the one before (RFC 9112, 5.2)
            raise Bad("a field without a colon", at)
        if name.rstrip(b" \t").lower() == b"host":
            return _host(value.strip(b" \t"))


def _authority(target: bytes) -> bytes:
    """The authority of an absolute URI (RFC 3986, 3.2)."""
    rest = target.partition(b"://")[2]
    for end in (b"/", b"?", b"#"):
        rest = rest.partition(end)[0]
    return rest


def _host(authority: bytes) -> str | None:
    """The host of `[userinfo@]host[:port]`; an IPv6 address loses its brackets."""
    name = authority.rpartition(b"@")[2]
    name = name[1:].partition(b"]")[0] if name.startswith(b"[") else name.partition(b":")[0]
    return host(name) or None
