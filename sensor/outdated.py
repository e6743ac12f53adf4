"""What passes by of systems out of support: where the frames still are, each clue that tells of one gets its mark.

Only where the policy asks for it: the loop is as fast as ever otherwise. A User-Agent is what a program says of itself, and a
hello's highest version what a library was told to offer; both are strong evidence, and no proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sensor.classify.systems import AGENT, TLS_NAMES, VERSION
from sensor.kernel import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sensor.classify.systems import System

HEAD_BYTES: Final = 1500  # of a request that are looked through
AGENT_FIELD: Final = b"\r\nuser-agent:"
HELLO_AT: Final = 9  # record header, handshake header; the version follows (RFC 5246 6.2.1, 7.4.1.2)
NONE, SYSTEM = 0, 1  # marks: 0, 1 + the index of the system for requests
VERSION_BIT: Final = 0x8000  # | version, for hellos


class Marker:
    """Marks clues; called with a batch's buffer and the clues that point into it."""

    def __init__(self, systems: Sequence[System]) -> None:
        self._systems = systems
        self._tokens = [(SYSTEM + index, one.token) for index, one in enumerate(systems) if one.token]

    def __call__(self, buffer: NDArray[np.uint8], clues: NDArray[np.void]) -> None:
        clues["mark"] = NONE
        here = clues["offset"] >= 0  # what was put together of fragments lies elsewhere
        hellos = np.flatnonzero(here & (clues["kind"] == layout.KIND_TLS))
        if len(hellos):
            self._hellos(buffer, clues, hellos)
        segments = np.flatnonzero(here & (clues["kind"] == layout.KIND_SEGMENT) & (clues["length"] > HELLO_AT))
        if len(segments):
            self._old_hellos(buffer, clues, segments)
        for at in np.flatnonzero(here & (clues["kind"] == layout.KIND_HTTP)).tolist():
            clues["mark"][at] = self._request(buffer, clues[at])

    def _hellos(self, buffer: NDArray[np.uint8], clues: NDArray[np.void], rows: NDArray[np.intp]) -> None:
        """Hellos whose version is older than TLS 1.2; those of TLS 1.3 say 1.2 there (RFC 8446 4.1.2)."""
        begin = clues["offset"][rows] + np.maximum(-clues["sequence"][rows], 0)
        end = clues["offset"][rows] + clues["length"][rows]
        whole = begin + HELLO_AT + 2 <= np.minimum(end, len(buffer))
        rows, begin = rows[whole], begin[whole]
        version = buffer[begin + HELLO_AT].astype(np.int64) << 8 | buffer[begin + HELLO_AT + 1]
        plain = (buffer[begin] == 22) & (buffer[begin + HELLO_AT - 4] == 1) & np.isin(version, list(TLS_NAMES))
        clues["mark"][rows[plain]] = VERSION_BIT | version[plain]

    def _old_hellos(self, buffer: NDArray[np.uint8], clues: NDArray[np.void], rows: NDArray[np.intp]) -> None:
        """Hellos in the form of SSL 2.0: two bytes of length with the top bit set, type 1, the version (RFC 5246 E.2)."""
        begin = clues["offset"][rows]
        version = buffer[begin + 3].astype(np.int64) << 8 | buffer[begin + 4]
        plain = (buffer[begin] & 0x80 != 0) & (buffer[begin + 2] == 1) & np.isin(version, list(TLS_NAMES))
        chosen = plain & (clues["sequence"][rows] == 0)
        clues["mark"][rows[chosen]] = VERSION_BIT | version[chosen]

    def _request(self, buffer: NDArray[np.uint8], clue: np.void) -> int:
        start = int(clue["offset"])
        head = buffer[start : start + min(int(clue["length"]), HEAD_BYTES)].tobytes()
        at = head.lower().find(AGENT_FIELD)
        if at < 0:
            return NONE
        agent = head[at : head.find(b"\r\n", at + 2) if head.find(b"\r\n", at + 2) > 0 else None]
        return next((mark for mark, token in self._tokens if token in agent), NONE)


def read(mark: int, systems: Sequence[System]) -> tuple[System, str, str] | None:
    """What a mark means: the system, the kind of evidence, and its value."""
    if mark & VERSION_BIT:
        protocol = next((one for one in systems if not one.token), None)
        return None if protocol is None else (protocol, VERSION, f"at most {TLS_NAMES[mark & ~VERSION_BIT]}")
    system = systems[mark - SYSTEM]
    return system, AGENT, system.token.decode()
