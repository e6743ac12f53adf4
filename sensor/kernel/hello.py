"""Names that stand complete in one packet: TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3) and HTTP Host (RFC 9112 3.2).

Each returns FOUND with the place of the name left in `found`, NONE where there is none to find, PARTIAL where more bytes
may bring one, or ODD where the decoders in `sensor.decode` should look. Only plain cases are decided here.
"""

from __future__ import annotations

from numba import njit

from sensor.kernel.wire import u8, u16, u24

FOUND, NONE, PARTIAL, ODD = 1, 2, 3, 4

RECORD_HANDSHAKE, CLIENT_HELLO, EXTENSION_SERVER_NAME = 22, 1, 0


@njit(cache=True, nogil=True)
def plain_name(buf, start, end):
    """Whether these bytes are a name that needs no escaping: letters, digits, '-', '_', '.', ':'."""
    for i in range(start, end):
        c = u8(buf, i)
        letter = 97 <= (c | 32) <= 122
        digit = 48 <= c <= 58  # with the colon
        if not (letter or digit or c == 45 or c == 46 or c == 95):
            return False
    return end > start


@njit(cache=True, nogil=True)
def client_hello(buf, start, end, found):
    """A TLS record at buf[start:end] that begins with a ClientHello."""
    if end - start < 9:
        return PARTIAL
    record_end = start + 5 + u16(buf, start + 3)
    message_end = start + 9 + u24(buf, start + 6)
    if message_end > record_end:
        return ODD if end >= record_end else PARTIAL  # goes on in the next record
    if message_end > end:
        return PARTIAL
    at = start + 9 + 34
    if at + 1 > message_end:
        return ODD
    at += 1 + u8(buf, at)  # session id
    if at + 2 > message_end:
        return ODD
    at += 2 + u16(buf, at)  # cipher suites
    if at + 1 > message_end:
        return ODD
    at += 1 + u8(buf, at)  # compression methods
    if at == message_end:
        return NONE
    if at + 2 > message_end:
        return ODD
    stop = at + 2 + u16(buf, at)
    if stop != message_end:
        return ODD
    at += 2
    while at + 4 <= stop:
        kind = u16(buf, at)
        length = u16(buf, at + 2)
        at += 4
        if at + length > stop:
            return ODD
        if kind == EXTENSION_SERVER_NAME:
            return server_name(buf, at, at + length, found)
        at += length
    return NONE if at == stop else ODD


@njit(cache=True, nogil=True)
def server_name(buf, at, end, found):
    """RFC 6066 3: a list of names of which only type 0, host_name, was ever defined."""
    if end - at < 5:
        return NONE if end == at else ODD
    if at + 2 + u16(buf, at) != end or u8(buf, at + 2) != 0:
        return ODD
    name = at + 5
    length = u16(buf, at + 3)
    if name + length != end or not plain_name(buf, name, end):
        return ODD
    found[0] = name
    found[1] = length
    return FOUND


@njit(cache=True, nogil=True, forceinline=True)
def is_http(buf, start, end):
    """Whether a request line of a common method begins here."""
    if end - start < 8:
        return False
    word = (u16(buf, start) << 16) | u16(buf, start + 2)
    return (
        word == 0x47455420  # "GET "
        or word == 0x504F5354  # "POST"
        or word == 0x48454144  # "HEAD"
        or word == 0x434F4E4E  # "CONN"
        or word == 0x50555420  # "PUT "
        or word == 0x4F505449  # "OPTI"
    )


@njit(cache=True, nogil=True)
def http_host(buf, start, end, found):
    """The Host header of a request whose header block is complete here."""
    if u8(buf, start) == 0x43:  # CONNECT: the authority is in the request line
        return ODD
    at = start
    limit = min(end, start + 16384)
    while at < limit:
        # One line at a time; `at` is at the line's beginning.
        line_end = at
        while line_end < limit and buf[line_end] != 10:
            line_end += 1
        if line_end >= limit:
            return PARTIAL
        length = line_end - at
        if length == 0 or (length == 1 and u8(buf, at) == 13):
            return NONE
        if length > 6 and at > start and u8(buf, at + 4) == 58 and (u8(buf, at) | 32) == 104:
            if (u8(buf, at + 1) | 32) == 111 and (u8(buf, at + 2) | 32) == 115 and (u8(buf, at + 3) | 32) == 116:
                return host_value(buf, at + 5, line_end, found)
        at = line_end + 1
    return PARTIAL


@njit(cache=True, nogil=True)
def host_value(buf, at, end, found):
    while end > at and (u8(buf, end - 1) == 13 or u8(buf, end - 1) == 32):
        end -= 1
    while at < end and u8(buf, at) == 32:
        at += 1
    stop = at
    while stop < end and u8(buf, stop) != 58:
        stop += 1
    if end - stop > 6 or not plain_name(buf, at, stop):  # a long port, an IPv6 literal, something odd
        return ODD
    for i in range(stop + 1, end):
        if not 48 <= u8(buf, i) <= 57:
            return ODD
    found[0] = at
    found[1] = stop - at
    return FOUND
