"""Names found in the compiled loop: kept once each under a small number, 0 for none.

`index`: open-addressing table of name numbers; `arena`: the names' bytes, lower-cased, one after the other.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.certificate import names_text
from sensor.kernel.compiling import compiled
from sensor.kernel.dialect import stun_dialect, with_places
from sensor.kernel.first import beginning_text
from sensor.kernel.layout import (
    KIND_CERT,
    KIND_DNS,
    KIND_DTLS,
    KIND_FIRST,
    KIND_HTTP,
    KIND_NAMING,
    KIND_QUIC,
    KIND_STUN,
    KIND_TLS,
    PORT_LLMNR,
    PORT_MDNS,
    PORT_NBNS,
    READ_DONE,
    READ_HAND_OVER,
    READ_PENDING,
)
from sensor.kernel.places import places_of
from sensor.kernel.table import mix
from sensor.kernel.wire import i64, u8, u16, u32

# Slots of the names' `control` array (int64).
N_COUNT, N_ARENA, N_FULL, N_BROKEN, N_MDNS, N_LLMNR, N_NBNS, N_SIZE = range(8)

ODD, BROKEN = np.int64(-1), np.int64(-2)

DNS_A, DNS_NS, DNS_CNAME, DNS_PTR, DNS_AAAA, DNS_DNAME, DNS_SVCB, DNS_HTTPS, DNS_IN = 1, 2, 5, 12, 28, 39, 64, 65, 1
TCP = 6
# Requests and indications that name a peer (RFC 8656 18): what flows to it is of the same call.
STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND, STUN_SEND = 0x0008, 0x0009, 0x0016
POINTER_TO_QUESTION = 0xC00C
MAX_NAME_TEXT = 253  # 255 bytes on the wire (RFC 1035 2.3.4) are two more than the text
MAX_POINTERS = 16  # of one name; the decoder takes more
MAX_ANSWERS = 64  # records read of one message in the compiled loop; longer ones are handed over
TTL_LIMIT_S = 86400 * 7  # RFC 8767 4 suggests capping at a week


@compiled
def hash_name(buf, start, length, seed):
    state = seed ^ np.uint64(length)
    word = np.uint64(0)
    for i in range(length):
        c = u8(buf, start + i)
        if 65 <= c <= 90:
            c |= 32
        word = (word << np.uint64(8)) | np.uint64(c)
        if i & 7 == 7:
            state = mix(state ^ word)
            word = np.uint64(0)
    return mix(state ^ word)


@compiled
def intern(buf, start, length, index, starts, lengths, hashes, arena, control, seed):
    """The number of the name at buf[start:start+length], upper case folded; 0 where the table is full."""
    if length <= 0 or length > 255:
        return np.int64(0)
    hashed = hash_name(buf, start, length, seed)
    mask = np.uint64(index.shape[0] - 1)
    place = hashed & mask
    while True:
        number = np.int64(index[place])
        if number == 0:
            break
        if hashes[number] == hashed and lengths[number] == length:
            at = starts[number]
            same = True
            for i in range(length):
                c = u8(buf, start + i)
                if 65 <= c <= 90:
                    c |= 32
                if u8(arena, at + i) != c:
                    same = False
                    break
            if same:
                return number
        place = (place + np.uint64(1)) & mask
    if control[N_COUNT] + 1 >= starts.shape[0] or control[N_ARENA] + length > arena.shape[0]:
        control[N_FULL] += 1
        return np.int64(0)
    control[N_COUNT] += 1
    number = control[N_COUNT]
    at = control[N_ARENA]
    for i in range(length):
        c = u8(buf, start + i)
        if 65 <= c <= 90:
            c |= 32
        arena[at + i] = c
    control[N_ARENA] = at + length
    starts[number] = at
    lengths[number] = length
    hashes[number] = hashed
    index[place] = number
    return number


@compiled
def dns_name(buf, start, at, end, text):
    """Reads a name (RFC 1035 4.1.4) into `text`. Returns (bytes of text, where the record goes on).

    Or (ODD, at) where the decoder should look: anything but letters, digits, '-' and '_' in a label, an extreme length,
    a pointer that does not lead towards the start; (BROKEN, at) where no decoder could read it: a reserved label type,
    the end of the message.
    """
    written = 0
    after = np.int64(-1)
    lowest = at
    pointers = 0
    while True:
        if at >= end:
            return BROKEN, at
        length = u8(buf, at)
        if length >= 0xC0:
            if at + 2 > end:
                return BROKEN, at
            if after < 0:
                after = at + 2
            at = start + (u16(buf, at) & 0x3FFF)
            pointers += 1
            if at >= lowest or pointers > MAX_POINTERS:
                return ODD, at
            if at < start + 12:
                return ODD, at
            lowest = at
            continue
        if length >= 0x40:
            return BROKEN, at
        at += 1
        if length == 0:
            return np.int64(written), at if after < 0 else after
        if written + length + 1 > MAX_NAME_TEXT:
            return ODD, at
        if at + length > end:
            return BROKEN, at
        if written > 0:
            text[written] = 46
            written += 1
        for i in range(length):
            c = u8(buf, at + i)
            if not (97 <= (c | 32) <= 122 or 48 <= c <= 57 or c == 45 or c == 95):
                return ODD, at
            text[written] = c
            written += 1
        at += length


@compiled
def read_dns(buf, clue, index_of_clue, answers, used, text, index, starts, lengths, hashes, arena, control, seed):
    """Reads a plain DNS message: one question, records of the answer section. Returns answers used, ODD or BROKEN.

    The clue gets the question's name; `sequence` 1 says it is a response. Odd messages change nothing and are handed over;
    of broken ones nothing can be read. Answers before a damaged one count, as for the decoder.
    """
    start = clue["offset"]
    end = start + clue["length"]
    if clue["proto"] == TCP:  # each message behind its length (RFC 1035 4.2.2); several are the decoder's
        if end - start < 2 or start + 2 + u16(buf, start) != end:
            return ODD
        start += 2
    if end - start < 12:
        return ODD
    flags = u16(buf, start + 2)
    count = u16(buf, start + 6)
    response = flags & 0x8000
    if flags & 0x7800 or u16(buf, start + 4) != 1 or count > MAX_ANSWERS or (not response and count):
        return ODD
    length, at = dns_name(buf, start, start + 12, end, text)
    if length < 0:
        return length
    if length == 0:
        return ODD
    if at + 4 > end:
        return BROKEN
    if u16(buf, at + 2) != DNS_IN or (response and used + count > answers.shape[0]):
        return ODD
    at += 4
    name_id = intern(text, 0, length, index, starts, lengths, hashes, arena, control, seed)
    if response and not flags & 0x000F:
        used = read_answers(
            buf, start, at, end, count, index_of_clue, name_id, answers, used, text,
            index, starts, lengths, hashes, arena, control, seed,
        )  # fmt: skip
        if used < 0:
            return used
    clue["name_id"] = name_id
    clue["sequence"] = 1 if response else 0
    return used


@compiled
def read_answers(buf, start, at, end, count, index_of_clue, name_id, answers, used, text,
                 index, starts, lengths, hashes, arena, control, seed):  # fmt: skip
    """Addresses in the answer section, up to where it breaks. Returns answers used, or ODD."""
    alias_id = np.int64(0)
    for _ in range(count):
        if at + 2 <= end and u16(buf, at) == POINTER_TO_QUESTION:  # nearly always; that name has been read
            at += 2
        else:
            length, at = dns_name(buf, start, at, end, text)
            if length == ODD:
                return ODD
            if length == BROKEN:
                return used
        if at + 10 > end:
            return used
        kind, klass, size = u16(buf, at), u16(buf, at + 2), u16(buf, at + 8)
        ttl = u32(buf, at + 4)
        at += 10
        if at + size > end:
            return used
        if klass != DNS_IN or kind in (DNS_SVCB, DNS_HTTPS):
            return ODD  # address hints and the meanings of other classes are the decoder's
        if kind in (DNS_NS, DNS_PTR, DNS_DNAME):
            length, after = dns_name(buf, start, at, end, text)
            if length <= 0 or after != at + size:
                return ODD  # how many names may fail is the decoder's, too
        elif kind == DNS_CNAME:
            length, after = dns_name(buf, start, at, end, text)
            if length <= 0 or after != at + size:
                return ODD
            alias_id = intern(text, 0, length, index, starts, lengths, hashes, arena, control, seed)
        elif kind in (DNS_A, DNS_AAAA):
            if size != (4 if kind == DNS_A else 16):
                return ODD
            row = answers[used]
            row["clue"] = index_of_clue
            row["name_id"] = name_id
            row["alias_id"] = alias_id
            row["ttl_s"] = 0 if ttl & 0x80000000 else min(ttl, TTL_LIMIT_S)  # RFC 2181 8
            if kind == DNS_A:
                row["high"] = 0
                row["low"] = (np.int64(0xFFFF) << 32) | u32(buf, at)
            else:
                row["high"] = i64(buf, at)
                row["low"] = i64(buf, at + 8)
            used += 1
        at += size
    return used


@compiled
def count_question(buf, clue, control):
    """Counts what a device calls out to its neighbours, where it is a question and nothing else: that announces no name.

    Whether it was one. A question that wants recursion may be meant for a resolver (`announcing.asked_of_a_server`).
    """
    start = clue["offset"]
    if clue["length"] < 12 or u8(buf, start + 2) & 0x81 or u16(buf, start + 6) or u32(buf, start + 8):
        return False
    for which, port in ((N_MDNS, PORT_MDNS), (N_LLMNR, PORT_LLMNR), (N_NBNS, PORT_NBNS)):
        if port in (clue["src_port"], clue["dst_port"]):
            control[which] += 1
            return True
    return False


@compiled
def read_names(buf, clues, answers, wanted, prefixes, places, rules, held, speaks, text,
               index, starts, lengths, hashes, arena, control, seed):  # fmt: skip
    """Numbers the names of all clues that have one in plain sight; marks the others for the decoders.

    A STUN message gets the number of its dialect; only the first of each dialect is handed over. `wanted` and
    `prefixes` are those of `dialect.stun_dialect`, `places` those of `places.places_of`, `rules` and
    `held` those of `first.beginning_text`; `text` is uint8[256] to work in. First bytes that fit no rule are no more of a clue.

    Returns (answers written, clues that are to be handed over).
    """
    used = np.int64(0)
    odd = 0
    for i in range(clues.shape[0]):
        clue = clues[i]
        kind = clue["kind"]
        if clue["read"] == READ_PENDING:
            if kind in (KIND_TLS, KIND_HTTP, KIND_QUIC, KIND_DTLS):
                clue["name_id"] = intern(
                    buf, clue["name_offset"], np.int64(clue["name_length"]),
                    index, starts, lengths, hashes, arena, control, seed,
                )  # fmt: skip
                clue["read"] = READ_DONE
            elif kind == KIND_DNS:
                after = read_dns(
                    buf, clue, i, answers, used, text, index, starts, lengths, hashes, arena, control, seed
                )
                clue["read"] = READ_HAND_OVER if after == ODD else READ_DONE
                if after == BROKEN:
                    control[N_BROKEN] += 1
                elif after >= 0:
                    used = after
            elif kind == KIND_STUN:
                known = control[N_COUNT]
                length = stun_dialect(buf, clue["offset"], clue["offset"] + clue["length"], wanted, prefixes, text)
                length = with_places(text, length, places_of(clue, places))
                if length > 0:
                    clue["name_id"] = intern(text, 0, length, index, starts, lengths, hashes, arena, control, seed)
                names_peer = u16(buf, clue["offset"]) in (STUN_SEND, STUN_CREATE_PERMISSION, STUN_CHANNEL_BIND)
                fresh = length < 0 or control[N_COUNT] > known or names_peer
                clue["read"] = READ_HAND_OVER if fresh else READ_DONE
            elif kind == KIND_FIRST:
                known = control[N_COUNT]
                length = beginning_text(buf, clue, rules, held, text)
                if length > 0:
                    clue["name_id"] = intern(text, 0, length, index, starts, lengths, hashes, arena, control, seed)
                clue["read"] = READ_HAND_OVER if control[N_COUNT] > known else READ_DONE
            elif kind == KIND_CERT:
                length = names_text(buf, clue["offset"], clue["offset"] + clue["length"], seed, text)
                number = intern(text, 0, length, index, starts, lengths, hashes, arena, control, seed)
                clue["name_id"] = max(0, speaks[number])
                if speaks[number] == 0:
                    clue["sequence"] = number  # the decoders say what it stands for
                    clue["read"] = READ_HAND_OVER
                else:
                    clue["read"] = READ_DONE
            elif kind == KIND_NAMING:
                clue["read"] = READ_DONE if count_question(buf, clue, control) else READ_HAND_OVER
        if clue["read"] == READ_HAND_OVER:
            odd += 1
    return used, odd
