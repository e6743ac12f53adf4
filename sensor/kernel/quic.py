"""Which datagrams may hold a piece of a QUIC client's hello, by version and type alone; the decoder proves it."""

from __future__ import annotations

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import QUIC_CLUES, QUIC_REPLY_CLUES
from sensor.kernel.wire import u8, u16, u32

LEAST_BYTES = 40  # what the shortest header, a hash or tag, and a piece of a hello take
PADDED_BYTES = 1200  # a client's first datagrams (RFC 9000 14.1); Google's have 1350


@compiled
def quic_clues(buf, start, first, length, missing, is_client):
    """How many payloads of this sender are to be read, if this one is of the kind; 0 where it is not.

    `length` is at least LEAST_BYTES. `is_client` is where the ports or the first packet leave no doubt that the sender
    does not answer. Where they speak against it, as for a capture that starts with an answer, the id that a client
    makes up for the server (8 bytes at least: RFC 9000 7.2) and the padding speak for it.
    """
    if first < 0xC0:  # Google's public flags up to Q043: version and id of 8 bytes, then "Q0"
        if first & 0xCB != 0x09 or u16(buf, start + 9) != 0x5130:
            return 0
    elif not is_initial(first, u32(buf, start + 1)):
        return 0
    if is_client:
        return QUIC_CLUES
    if length + missing >= PADDED_BYTES and (first < 0xC0 or u8(buf, start + 5) >= 8):
        return QUIC_REPLY_CLUES
    return 0


@inlined
def is_initial(first, version):
    """A long header of type Initial, in any version that the decoder reads.

    RFC 9000 17.2.2; RFC 9369 3.2 (version 2 numbers the types anew); drafts 22 to 34; versions that no server knows
    (RFC 9000 15); Meta's; Google's Q044 to Q050, T050 and T051.
    """
    if version == 1:
        return (first & 0x30) == 0
    if version == 0x6B3343CF:
        return (first & 0x30) == 0x10
    if (version >> 8) == 0x513034:  # "Q04": up to Q045 the type had seven bits
        return first == 0xFF if version <= 0x51303435 else (first & 0x30) == 0
    known = (
        0xFF000016 <= version <= 0xFF000022
        or (version & 0x0F0F0F0F) == 0x0A0A0A0A
        or 0xFACEB000 <= version <= 0xFACEB01F
        or version == 0xFACEFEED
        or version == 0x51303530
        or version == 0x54303530
        or version == 0x54303531
    )
    return known and (first & 0x30) == 0
