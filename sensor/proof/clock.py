"""Whether the system's clock is kept right, as the kernel has it (adjtimex(2))."""

from __future__ import annotations

import ctypes
import struct
from typing import Final

TIME_ERROR: Final = 5  # the clock is not synchronised
TIMEX_BYTES: Final = 512  # more than the structure has
FIELDS: Final = struct.Struct("@Illlli")  # modes, offset, freq, maxerror, esterror, status


def state() -> dict[str, object]:
    """Said of the moment in which it is asked; nothing where the kernel does not answer."""
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)  # modes 0: only asks
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return {"synchronised": None}
    if answer < 0:
        return {"synchronised": None}
    _, _, _, most_us, _, _ = FIELDS.unpack_from(buffer)
    return {"synchronised": answer != TIME_ERROR, "maximum_error_us": most_us}
