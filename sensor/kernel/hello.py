"""Names that stand complete in one packet: TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3) and HTTP Host (RFC 9112 3.2).

Each returns FOUND with the place of the name left in `found` (layout.F_*), NONE where there is none to find, PARTIAL where more bytes
may bring one, or ODD where the decoders in `sensor.decode` should look. Only plain cases are decided here, and exactly as
the decoders decide them: which of the two read a hello must never show.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import (
    F_ECH_CONFIG,
    F_FLAGS,
    F_NAME,
    F_NAME_BYTES,
    HELLO_ECH_INNER,
    HELLO_ECH_OUTER,
    HELLO_ESNI,
)
from sensor.kernel.wire import u8, u16, u24, u32

FOUND, NONE, PARTIAL, ODD = 1, 2, 3, 4

MAX_RECORD_BYTES = 2**14 + 2048  # RFC 5246 6.2.3
SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS = (
    0,
    10,
    13,
    16,
    43,
)  # IANA, TLS extensions
ECH, ESNI = 0xFE0D, 0xFFCE  # RFC 9849 5; its drafts up to 6
MAX_HEAD_BYTES = 16384  # of an HTTP request

LF, CR, TAB, SPACE, DOT, SLASH, COLON = 10, 13, 9, 32, 46, 47, 58

# Those that the decoder knows (RFC 9110 9.3; RFC 5789; RFC 4918; RFC 3253), each with the space behind it, padded with zeros.
METHOD_NAMES = (
    *("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT"),
)
METHODS = np.array([list(f"{name} ".encode().ljust(12, b"\0")) for name in METHOD_NAMES], np.uint8)


@compiled
def plain_name(buf, start, end):
    """Whether these bytes are a name that needs no escaping: letters, digits, '-', '_', '.', ':'."""
    for i in range(start, end):
        c = u8(buf, i)
        letter = 97 <= (c | 32) <= 122
        digit = 48 <= c <= 58  # with the colon
        if not (letter or digit or c == 45 or c == 46 or c == 95):
            return False
    return end > start


@compiled
def is_address(buf, start, length):
    """Whether a plain name is an IP address, which names nobody (RFC 6066 3 forbids it as SNI, and some send it)."""
    for i in range(start, start + length):
        c = u8(buf, i)
        if c == COLON:
            return True
        if c != DOT and not 48 <= c <= 57:
            return False
    return True


@compiled
def put_name(buf, start, end, found):
    """Leaves a name in `found`, without its final dot. Returns FOUND, or ODD where it is not plain."""
    if not plain_name(buf, start, end):
        return ODD
    if u8(buf, end - 1) == DOT:
        end -= 1
    if end == start:
        return ODD
    found[F_NAME] = start
    found[F_NAME_BYTES] = end - start
    return FOUND


@compiled
def client_hello(buf, start, end, found):
    """A TLS record at buf[start:end] that begins with a ClientHello: the caller has seen its first six bytes."""
    if end - start < 9:
        return PARTIAL if end - start < 5 or plain_record(buf, start) else ODD
    if not plain_record(buf, start):
        return ODD
    record_end = start + 5 + u16(buf, start + 3)
    message_end = start + 9 + u24(buf, start + 6)
    if message_end > record_end:
        return ODD  # goes on in the next record
    if message_end > end:
        return PARTIAL
    at = start + 9
    if at + 35 > message_end or u8(buf, at) != 3:
        return ODD
    at += 35 + u8(buf, at + 34)  # version, random, session id
    if at + 2 > message_end or u16(buf, at) & 1:
        return ODD
    at += 2 + u16(buf, at)  # cipher suites
    if at + 1 > message_end:
        return ODD
    at += 1 + u8(buf, at)  # compression methods
    if at == message_end:
        return NONE
    if at + 2 > message_end or at + 2 + u16(buf, at) != message_end:
        return ODD
    return extensions(buf, at + 2, message_end, found)


@inlined
def plain_record(buf, start):
    return u8(buf, start + 1) == 3 and 0 < u16(buf, start + 3) <= MAX_RECORD_BYTES


@compiled
def extensions(buf, at, stop, found):
    """The server name among the extensions (RFC 8446 4.2), if all those that the decoder reads are well formed."""
    answer = NONE
    seen = np.uint64(0)
    found[F_FLAGS] = 0
    while at < stop:
        if at + 4 > stop:
            return ODD
        kind = u16(buf, at)
        body = at + 4
        at = body + u16(buf, at + 2)
        if at > stop:
            return ODD
        if kind in (SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS):
            bit = np.uint64(1) << np.uint64(kind)
            if seen & bit:
                return ODD
            seen |= bit
            if at == body:
                continue
            if kind == SERVER_NAME:
                answer = server_name(buf, body, at, found)
                if answer == ODD:
                    return ODD
            elif not plain_list(buf, body, at, kind):
                return ODD
        elif kind == ECH:
            if found[F_FLAGS] & (HELLO_ECH_OUTER | HELLO_ECH_INNER) or not plain_ech(buf, body, at, found):
                return ODD
        elif kind == ESNI:
            found[F_FLAGS] |= HELLO_ESNI
    return answer


@compiled
def plain_ech(buf, at, end, found):
    """Whether an encrypted ClientHello is well formed (RFC 9849 5); notes which of its two kinds it is."""
    if at + 1 == end and u8(buf, at) == 1:
        found[F_FLAGS] |= HELLO_ECH_INNER
        return True
    if at + 10 > end or u8(buf, at) != 0:
        return False
    payload = at + 8 + u16(buf, at + 6)
    if payload + 2 >= end or payload + 2 + u16(buf, payload) != end:
        return False
    found[F_FLAGS] |= HELLO_ECH_OUTER
    found[F_ECH_CONFIG] = u8(buf, at + 5)
    return True


@compiled
def plain_list(buf, at, end, kind):
    """Whether a list fills its extension: protocol names (RFC 7301 3.1), or 16-bit values behind one length byte or two."""
    if kind == SUPPORTED_VERSIONS:
        return at + 1 + u8(buf, at) == end and not u8(buf, at) & 1
    if at + 2 > end or at + 2 + u16(buf, at) != end:
        return False
    if kind != ALPN:
        return not u16(buf, at) & 1
    at += 2
    while at < end:
        at += 1 + u8(buf, at)
    return at == end


@compiled
def server_name(buf, at, end, found):
    """RFC 6066 3: a list of names of which only type 0, host_name, was ever defined."""
    if end - at < 5 or at + 2 + u16(buf, at) != end or u8(buf, at + 2) != 0 or at + 5 + u16(buf, at + 3) != end:
        return ODD
    return put_name(buf, at + 5, end, found)


@compiled
def method_bytes(buf, start, end):
    """Length of the method at buf[start:end] with the space behind it; 0 where there is none, -1 where it is cut off."""
    for i in range(METHODS.shape[0]):
        k = 0
        while start + k < end and METHODS[i, k] != 0 and buf[start + k] == METHODS[i, k]:
            k += 1
        if METHODS[i, k] == 0:
            return k
        if start + k == end:
            return -1
    return 0


@compiled
def is_http(buf, start, end):
    """Whether a request line of a known method begins here, or may: the payload can be shorter than the method."""
    return method_bytes(buf, start, end) != 0


@compiled
def http_host(buf, start, end, found):
    """The Host field of a request, as soon as its line is complete; targets other than a path are the decoder's."""
    method = method_bytes(buf, start, end)
    if method < 0:
        return PARTIAL
    if method == 0:
        return ODD
    limit = min(end, start + MAX_HEAD_BYTES)
    unfinished = PARTIAL if end - start < MAX_HEAD_BYTES else ODD
    at = start + method
    line_end = end_of_line(buf, at, limit)
    if line_end < 0:
        return unfinished
    if is_connect(buf, start):
        return authority(buf, at, without_cr(buf, at, line_end), found)
    if not plain_request_line(buf, at, without_cr(buf, at, line_end)):
        return ODD
    while True:
        at = line_end + 1
        line_end = end_of_line(buf, at, limit)
        if line_end < 0:
            return unfinished
        stop = without_cr(buf, at, line_end)
        if stop == at:
            return NONE
        if at + 4 < stop and is_host(buf, at):
            after = u8(buf, at + 4)
            if after == COLON:
                return host_value(buf, at + 5, stop, found)
            if after in (SPACE, TAB):
                return ODD
        if not has_colon(buf, at, stop) and u8(buf, at) not in (SPACE, TAB):  # a folded line needs none (RFC 9112 5.2)
            return ODD


@inlined
def end_of_line(buf, at, limit):
    while at < limit:
        if buf[at] == LF:
            return at
        at += 1
    return -1


@inlined
def without_cr(buf, at, line_end):
    return line_end - 1 if line_end > at and u8(buf, line_end - 1) == CR else line_end


@inlined
def has_colon(buf, at, stop):
    while at < stop:
        if buf[at] == COLON:
            return True
        at += 1
    return False


@inlined
def is_host(buf, at):
    return (u32(buf, at) | 0x20202020) == 0x686F7374


@inlined
def is_connect(buf, start):
    """Whether this method is CONNECT: no other that is known has its first three letters."""
    return u24(buf, start) == 0x434F4E


@compiled
def authority(buf, at, stop, found):
    """The host that a proxy is asked for, where name, port and version are all there is (RFC 9112 3.2.3)."""
    space = version_space(buf, at, stop)
    if space < 0 or u8(buf, at) == TAB or u8(buf, space - 1) == TAB:
        return ODD
    return host_value(buf, at, space, found)


@compiled
def plain_request_line(buf, at, stop):
    """Whether a path and a version of HTTP/1 are all there is behind the method (RFC 9112 3)."""
    return version_space(buf, at, stop) >= 0 and u8(buf, at) == SLASH


@compiled
def version_space(buf, at, stop):
    """Where the space before a version of HTTP/1 stands that ends the line; -1 where none does."""
    space = stop - 1
    while space > at and u8(buf, space) != SPACE:
        space -= 1
    # "HTTP", "/1."
    versioned = space + 8 <= stop and u32(buf, space + 1) == 0x48545450 and u24(buf, space + 5) == 0x2F312E
    return space if space > at and versioned else -1


@compiled
def host_value(buf, at, end, found):
    while end > at and u8(buf, end - 1) in (SPACE, TAB):
        end -= 1
    while at < end and u8(buf, at) in (SPACE, TAB):
        at += 1
    stop = at
    while stop < end and u8(buf, stop) != COLON:
        stop += 1
    if end - stop > 6:  # a long port, an IPv6 literal, something odd
        return ODD
    for i in range(stop + 1, end):
        if not 48 <= u8(buf, i) <= 57:
            return ODD
    return put_name(buf, at, stop, found)
