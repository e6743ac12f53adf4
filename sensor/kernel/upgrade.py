"""Where TLS begins in a stream that does not begin with it, and how far a server's certificate reaches.

STARTTLS (RFC 3207 SMTP, 9051 IMAP, 2595 POP3, 6120 XMPP, 4511 LDAP, 4217 FTP), proxies (RFC 9110 9.3.6 CONNECT, RFC 1928 SOCKS)
and remote desktops talk in the clear first. So a stream that began with something unknown is watched for a segment that
begins with a hello, for its first 64 KiB. Nothing has to know the talk before it; what stands in the same segment as a hello does.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import CERTIFICATE_BYTES
from sensor.kernel.wire import u8, u16, u24, u32

HANDSHAKE, CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = 22, 1, 2, 11  # RFC 8446 5.1, 4
SUPPORTED_VERSIONS = 43
RECORD_HEAD, MESSAGE_HEAD = 5, 4
HELLO_TELLS = 11  # bytes of a segment that are looked at

PROXY_1_BYTES = 107  # the longest line of version 1
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


@inlined
def begins_hello(buf, start, end):
    """Whether a record that begins with a hello begins here: 1 a client's, 2 a server's, 0 none of them."""
    if end - start < HELLO_TELLS or u8(buf, start) != HANDSHAKE or u8(buf, start + 1) != 3 or u8(buf, start + 2) > 4:
        return 0
    kind = u8(buf, start + 5)
    if kind not in (CLIENT_HELLO, SERVER_HELLO):
        return 0
    if u16(buf, start + 3) < 6:  # a record that ends within what is looked at
        return kind if u8(buf, start + 3) == 0 and u8(buf, start + 4) else 0
    return kind if u8(buf, start + 6) == 0 and u8(buf, start + 9) == 3 else 0


@compiled
def preamble_bytes(buf, start, end):
    """How many bytes stand before the stream proper: 0 nearly always.

    A header of the PROXY protocol; PostgreSQL's request for TLS or GSSAPI (PostgreSQL 17, 53.7); MySQL's request for TLS.
    """
    length = end - start
    if length < 8:
        return 0
    first = u32(buf, start)
    if first == 0x50524F58:  # "PROX"
        return proxy_1_bytes(buf, start, end)
    if first == 0x0D0A0D0A:
        signed = length >= 16 and u32(buf, start + 4) == 0x000D0A51 and u32(buf, start + 8) == 0x5549540A
        return 16 + u16(buf, start + 14) if signed else 0
    if first == 8 and u32(buf, start + 4) in (SSL_REQUEST, GSS_REQUEST):
        return 8
    # A packet of 32 bytes, number 1, whose capabilities have CLIENT_SSL and CLIENT_PROTOCOL_41, up to 23 zeros.
    if first == 0x20000001 and length >= 36 and u8(buf, start + 5) & 0x0A == 0x0A and u32(buf, start + 13) == 0:
        return 36
    return 0


@compiled
def proxy_1_bytes(buf, start, end):
    """The length of "PROXY ... CR LF", 0 where there is none."""
    if u8(buf, start + 4) != 89 or u8(buf, start + 5) != 32:
        return 0
    for i in range(start + 6, min(end, start + PROXY_1_BYTES)):
        if u8(buf, i) == 10:
            return i + 1 - start
    return 0


@compiled
def certificate_end(buf, start, end):
    """How far into its stream a server's certificates may reach, by its first segment; 0: it will show none.

    From TLS 1.3 on they are encrypted; a resumed session has none. Records may cut messages anywhere; one that ends
    outside the segment leaves it open.
    """
    if is_tls_1_3(buf, start, end):
        return np.int64(0)
    at = start
    record_end = at
    while True:
        if at == record_end:
            if at + RECORD_HEAD + MESSAGE_HEAD > end:
                return np.int64(CERTIFICATE_BYTES)
            if u8(buf, at) != HANDSHAKE:
                return np.int64(0)  # no certificate before the keys change
            record_end = at + RECORD_HEAD + u16(buf, at + 3)
            at += RECORD_HEAD
        if at + MESSAGE_HEAD > min(end, record_end):
            return np.int64(CERTIFICATE_BYTES)
        kind = u8(buf, at)
        after = at + MESSAGE_HEAD + u24(buf, at + 1)
        if kind == CERTIFICATE:
            # Of one that goes on in further records the end is not known.
            return min(
                np.int64(after - start if after <= record_end else CERTIFICATE_BYTES), np.int64(CERTIFICATE_BYTES)
            )
        if kind != SERVER_HELLO:
            return np.int64(0)
        if after > record_end:
            return np.int64(CERTIFICATE_BYTES)
        at = after


@compiled
def is_tls_1_3(buf, start, end):
    """Whether the ServerHello that begins here, all of it or what is there, chose a version by extension (RFC 8446 4.2.1)."""
    at = start + RECORD_HEAD + MESSAGE_HEAD + 34
    if at >= end or u16(buf, start + 3) < MESSAGE_HEAD + u24(buf, start + 6):
        return False  # what is cut into records is the decoder's
    at += 1 + u8(buf, at) + 3  # session id, cipher suite, compression method
    if at + 2 > end:
        return False
    stop = min(at + 2 + u16(buf, at), end)
    at += 2
    while at + 4 <= stop:
        if u16(buf, at) == SUPPORTED_VERSIONS:
            return True
        at += 4 + u16(buf, at + 2)
    return False
