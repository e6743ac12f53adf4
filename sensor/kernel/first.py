"""How streams and datagrams begin, compared with what signatures know: a sieve that never loses a match.

What passes it gets a short text that says which rules it fits, by its bytes and by the server's address and port. The first
of each text is handed over, and the signatures (`classify.rules.FirstBytes`) say what it means; what has the same text fits
the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.dialect import put
from sensor.kernel.places import place_of
from sensor.kernel.wire import u8

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MAX_RULES = 128
MAX_BYTES = 64  # that one rule compares
MATCHES, TOO_SHORT = 1, 2
TCP, UDP = 0, 1
CLIENT, SERVER, EITHER = 0, 1, 2
IP_TCP = 6

# Columns of the numbers of a rule.
AT, LENGTH, LEAST, MOST, SIDE, COLUMNS = range(6)
ONE = np.uint64(1)

BEGINNING = 61  # "=": no host name begins so

Sieve = tuple["NDArray[np.uint64]", "NDArray[np.int64]", "NDArray[np.uint8]", "NDArray[np.uint8]"]


def sieve(rules: Iterable[tuple[int, int, int, bytes, bytes, int, int]]) -> Sieve:
    """From (TCP or UDP, CLIENT, SERVER or EITHER, offset, value, mask, least and most bytes), what `first_bytes` takes.

    Where there are more than MAX_RULES, those beyond pass everything.
    """
    listed = list(rules)[:MAX_RULES]
    by_first = np.zeros((2, 256, MAX_RULES // 64), np.uint64)
    numbers = np.zeros((MAX_RULES, COLUMNS), np.int64)
    values = np.zeros((MAX_RULES, MAX_BYTES), np.uint8)
    masks = np.zeros((MAX_RULES, MAX_BYTES), np.uint8)
    for number, (proto, side, at, value, mask, least, most) in enumerate(listed):
        numbers[number] = (at, len(value), least, most, side)
        values[number, : len(value)] = np.frombuffer(value, np.uint8)
        masks[number, : len(value)] = np.frombuffer(mask, np.uint8)
        for byte in range(256):
            if at or byte & mask[0] == value[0]:
                by_first[proto, byte, number // 64] |= np.uint64(1 << (number % 64))
    return by_first, numbers, values, masks


@compiled
def first_bytes(buf, start, end, missing, proto, side, rules):
    """MATCHES where a payload begins as some rule says, TOO_SHORT where more bytes may make it so, else 0.

    `missing`: bytes of the payload that the capture cut off. `side`: CLIENT or SERVER.
    """
    by_first, numbers, values, masks = rules
    if end <= start:
        return 0
    first = u8(buf, start)
    answer = 0
    for word in range(by_first.shape[2]):
        bits = by_first[proto, first, word]
        number = word * 64
        while bits != 0:
            if bits & ONE:
                found = one_rule(buf, start, end, missing, side, numbers, values, masks, number)
                if found == MATCHES:
                    return MATCHES
                answer = max(answer, found)
            bits >>= ONE
            number += 1
    return answer


@compiled
def one_rule(buf, start, end, missing, side, numbers, values, masks, number):
    if numbers[number, SIDE] != EITHER and numbers[number, SIDE] != side:
        return 0
    at = start + numbers[number, AT]
    length = numbers[number, LENGTH]
    for k in range(min(length, max(end - at, 0))):
        if u8(buf, at + k) & masks[number, k] != values[number, k]:
            return 0
    if at + length > end or end - start + missing < numbers[number, LEAST]:
        return TOO_SHORT
    return 0 if numbers[number, MOST] >= 0 and end - start + missing > numbers[number, MOST] else MATCHES


@compiled
def beginning_text(buf, clue, rules, held, text):
    """Writes which rules a clue's payload fits; returns the text's length, 0 where it fits none.

    `held`: (places.Places, int64[n, 2]): of each rule the places of which the server must be in one, and those in which it
    must not be, as bits; 0 where that does not matter. The payload is all that was captured of it.
    """
    by_first, numbers, values, masks = rules
    (ranges, ports), needs = held
    start = clue["offset"]
    end = start + clue["length"]
    if end <= start:
        return np.int64(0)
    proto = TCP if clue["proto"] == IP_TCP else UDP
    if clue["side"] == clue["opener"]:
        side, high, low, port = CLIENT, clue["dst_high"], clue["dst_low"], np.int64(clue["dst_port"])
    else:
        side, high, low, port = SERVER, clue["src_high"], clue["src_low"], np.int64(clue["src_port"])
    text[0] = BEGINNING
    at = np.int64(1)
    first = u8(buf, start)
    places = np.int64(-1)
    for word in range(by_first.shape[2]):
        bits = by_first[proto, first, word]
        number = word * 64
        while bits != 0:
            if bits & ONE and one_rule(buf, start, end, 0, side, numbers, values, masks, number) == MATCHES:
                if places < 0:
                    places = place_of(high, low, port, ranges, ports)
                wanted, refused = needs[number, 0], needs[number, 1]
                if (wanted == 0 or places & wanted) and not places & refused:
                    at = put(text, at, number, 2)
            bits >>= ONE
            number += 1
    return at if at > 1 else np.int64(0)
