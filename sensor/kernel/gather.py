"""Copies out of a batch what is read after the batch has gone."""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled
from sensor.kernel.layout import KIND_HTTP, KIND_MEDIA, KIND_NEW_FLOW, KIND_TLS


@compiled
def gather(buf, joined, clues, kept):
    """Copies what is wanted of the payloads into `kept`, and lets the clues point there. Returns the bytes used.

    An offset below 0 is one in `joined`, the datagrams put together: -1 is its first byte.
    Of a Host in plain sight only the name; of a new flow nothing. `kept` has room for all payloads.
    """
    used = 0
    for i in range(clues.shape[0]):
        clue = clues[i]
        elsewhere = clue["offset"] < 0
        if elsewhere:
            clue["offset"] = -1 - clue["offset"]
            clue["name_offset"] = -1 - clue["name_offset"]
        if clue["kind"] in (KIND_NEW_FLOW, KIND_MEDIA):
            start, length = 0, 0
        elif clue["kind"] == KIND_HTTP:
            start, length = clue["name_offset"], np.int64(clue["name_length"])
        else:
            start, length = clue["offset"], np.int64(clue["length"])
        if elsewhere:
            for k in range(length):
                kept[used + k] = joined[start + k]
        else:
            for k in range(length):
                kept[used + k] = buf[start + k]
        within = clue["kind"] == KIND_TLS and clue["name_length"] > 0
        clue["name_offset"] = used + clue["name_offset"] - start if within else used
        clue["offset"] = used
        clue["length"] = length
        used += length
    return used
