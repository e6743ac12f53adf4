"""Certificates in the loop: where a server's own one lies in its first flight, and what names one has, as one short text.

Certificates with the same names speak for a flow alike, so the decoders read each set of names once. Only plain encodings are
decided here; what is odd is the decoders' (`decode.flight`, `decode.x509`).
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.dialect import put
from sensor.kernel.hello import FOUND, NONE, ODD, PARTIAL
from sensor.kernel.layout import F_NAME, F_NAME_BYTES
from sensor.kernel.table import mix
from sensor.kernel.upgrade import CERTIFICATE, HANDSHAKE, MESSAGE_HEAD, RECORD_HEAD, SERVER_HELLO, is_tls_1_3
from sensor.kernel.wire import u8, u16, u24

NAMES_OF = 60  # "<": no host name begins so
SERVER_HELLO_BYTES = 38  # version, random, session id's length, cipher suite, compression method: the least
MAX_CERTIFICATE_BYTES = 16384

# Tags (ITU-T X.690 8.1.2; RFC 5280 4.1): [0] and [3] of the TBSCertificate are its version and its extensions.
INTEGER, OBJECT_IDENTIFIER, SEQUENCE, VERSION, EXTENSIONS = 0x02, 0x06, 0x30, 0xA0, 0xA3
BETWEEN = 3  # signature, issuer, validity: between serial number and subject


@compiled
def leaf_certificate(buf, start, end, found):
    """The first certificate of a server's flight (RFC 5246 7.4.2) that begins with a ServerHello at `start`.

    FOUND leaves its place in `found`; NONE: it will not come; PARTIAL, ODD as in `hello`: messages that records cut are ODD.
    """
    at = start
    record_end = start
    while True:
        if at == record_end:
            if at + RECORD_HEAD + MESSAGE_HEAD > end:
                return NONE if at < end and u8(buf, at) != HANDSHAKE else PARTIAL
            if u8(buf, at) != HANDSHAKE:
                return NONE
            record_end = at + RECORD_HEAD + u16(buf, at + 3)
            at += RECORD_HEAD
        if at + MESSAGE_HEAD > record_end:
            return ODD
        if at + MESSAGE_HEAD > end:
            return PARTIAL
        kind = u8(buf, at)
        after = at + MESSAGE_HEAD + u24(buf, at + 1)
        if after > record_end:
            return ODD
        if kind == CERTIFICATE and at > start + RECORD_HEAD:
            return first_of_list(buf, at + MESSAGE_HEAD, after, end, found)
        if kind != SERVER_HELLO or at != start + RECORD_HEAD:
            return NONE if kind != SERVER_HELLO and at > start + RECORD_HEAD else ODD
        if after > end:
            return PARTIAL
        if after - at < MESSAGE_HEAD + SERVER_HELLO_BYTES:
            return ODD
        if u8(buf, at + 4) != 3 or u8(buf, at + 5) > 3 or u8(buf, at + 38) > 32:
            return ODD
        if is_tls_1_3(buf, start, end):
            return NONE
        at = after


@compiled
def first_of_list(buf, at, stop, end, found):
    """`buf[at:stop]` is the body of a Certificate message, of which what lies before `end` is there."""
    if at + 6 > stop:
        return ODD if at + 3 > stop else NONE
    if at + 6 > end:
        return PARTIAL
    size = u24(buf, at + 3)
    if u24(buf, at) != stop - at - 3 or size + 6 > stop - at or size > MAX_CERTIFICATE_BYTES:
        return ODD
    if at + 6 + size > end:
        return PARTIAL
    found[F_NAME] = at + 6
    found[F_NAME_BYTES] = size
    return FOUND


@compiled
def inside(buf, at, end):
    """The contents of the DER element at `at` (X.690 8.1, 10.1): (begin, end), or (-1, -1) where it is not plain."""
    if at + 2 > end or u8(buf, at) & 0x1F == 0x1F:
        return np.int64(-1), np.int64(-1)
    size = u8(buf, at + 1)
    begin = at + 2
    if size == 0x81 and begin + 1 <= end:
        size = u8(buf, begin)
        begin += 1
    elif size == 0x82 and begin + 2 <= end:
        size = u16(buf, begin)
        begin += 2
    elif size >= 0x80:
        return np.int64(-1), np.int64(-1)
    if begin + size > end:
        return np.int64(-1), np.int64(-1)
    return np.int64(begin), np.int64(begin + size)


@compiled
def hash_bytes(buf, start, end, seed):
    state = seed ^ np.uint64(end - start)
    word = np.uint64(0)
    for i in range(start, end):
        word = (word << np.uint64(8)) | np.uint64(u8(buf, i))
        if (i - start) & 7 == 7:
            state = mix(state ^ word)
            word = np.uint64(0)
    return mix(state ^ word)


@compiled
def names_text(buf, start, end, seed, text):
    """Writes a text that stands for the names in the certificate at buf[start:end]; returns its length, 0 where it is odd."""
    at, stop = inside(buf, start, end)
    if at < 0 or u8(buf, start) != SEQUENCE or u8(buf, at) != SEQUENCE:
        return np.int64(0)
    at, stop = inside(buf, at, stop)
    if at < 0 or at >= stop:
        return np.int64(0)
    if u8(buf, at) == VERSION:
        at = inside(buf, at, stop)[1]
        if at < 0 or at >= stop:
            return np.int64(0)
    if u8(buf, at) != INTEGER:
        return np.int64(0)
    for _ in range(1 + BETWEEN):
        at = inside(buf, at, stop)[1]
        if at < 0 or at >= stop:
            return np.int64(0)
    subject, after = inside(buf, at, stop)
    if subject < 0 or u8(buf, at) != SEQUENCE:
        return np.int64(0)
    text[0] = NAMES_OF
    written = put_hash(text, np.int64(1), hash_bytes(buf, subject, after, seed))
    at = after
    others = np.uint64(0)
    while at < stop:
        begin, after = inside(buf, at, stop)
        if begin < 0:
            return np.int64(0)
        if u8(buf, at) == EXTENSIONS:
            found, others = hash_of_names(buf, begin, after, seed)
            if not found:
                return np.int64(0)
        at = after
    return put_hash(text, written, others)


@compiled
def hash_of_names(buf, at, stop, seed):
    """Of the subjectAltName extension among those at buf[at:stop]: (whether they are plain, its hash, 0 where there is none)."""
    begin, stop = inside(buf, at, stop)
    if begin < 0 or u8(buf, at) != SEQUENCE:
        return False, np.uint64(0)
    at = begin
    while at < stop:
        begin, after = inside(buf, at, stop)
        if begin < 0 or u8(buf, at) != SEQUENCE or begin + 5 > after or u8(buf, begin) != OBJECT_IDENTIFIER:
            return False, np.uint64(0)
        if u8(buf, begin + 1) == 3 and u24(buf, begin + 2) == 0x551D11:  # 2.5.29.17
            return True, hash_bytes(buf, begin, after, seed)
        at = after
    return True, np.uint64(0)


@compiled
def put_hash(text, at, hashed):
    """Appends a hash as letters, four bits each."""
    at = put(text, at, np.int64(hashed >> np.uint64(32)), 8)
    return put(text, at, np.int64(hashed & np.uint64(0xFFFFFFFF)), 8)
