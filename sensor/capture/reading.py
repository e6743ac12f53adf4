"""One capture's frames in file order: window and compiled walk put together, for each format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sensor.capture import formats
from sensor.capture.limits import MAX_BLOCK_BYTES, MAX_FRAMES, MAX_INTERFACES
from sensor.capture.window import Damage, NotACapture, Window
from sensor.model import FRAME, Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from sensor.capture.streams import Stream
    from sensor.model import SourceInfo

NOT_A_CAPTURE = "not a pcap or pcapng capture"
EMPTY = "empty file"


def not_a_capture(head: bytes, stream: Stream) -> str:
    """Return why a stream that begins with `head` (at most `formats.SNIFFED_BYTES`) cannot be read at all; "" if it can."""
    if formats.sniff(head):
        return ""
    if stream.damage:
        return stream.damage
    return NOT_A_CAPTURE if head or stream.wrapping else EMPTY


def read_frames(
    stream: Stream,
    info: SourceInfo,
    source: int,
    chunk_bytes: int,
    note: Callable[[str, int], None],
) -> Iterator[Batch]:
    """Yield the frames of one capture, with `source` as their index; sets the format in `info`.

    `note` hears (reason, offset_bytes) of what does not end the reading. Raises Damage where the bytes end or break
    before the capture does, after all frames before that were yielded; NotACapture if it is none.
    """
    window = Window(stream, chunk_bytes)
    head = window.peek(formats.SNIFFED_BYTES)
    if reason := not_a_capture(head, stream):
        raise NotACapture(reason, 0)
    rows = np.empty(min(MAX_FRAMES, len(window.buffer) // 16), FRAME)
    form = formats.sniff(head)
    info.format = form + stream.wrapping
    if form == "pcap":
        yield from _pcap(window, source, rows)
    else:
        yield from _Pcapng(window, source, rows, note).batches()


def _pcap(window: Window, source: int, rows: NDArray[np.void]) -> Iterator[Batch]:
    from sensor.capture import frames  # noqa: PLC0415 - Numba is loaded only when frames are read

    if not window.holds(formats.PCAP_HEADER_BYTES):
        raise window.ended("the file header", 0)
    head = formats.pcap_header(window.peek(formats.PCAP_HEADER_BYTES))
    window.skip(formats.PCAP_HEADER_BYTES)
    number = 0
    while True:
        state, window.start, count = frames.walk_pcap(
            window.buffer,
            window.start,
            window.end,
            head.big,
            head.record_header_bytes,
            head.fraction_ns,
            head.link,
            source,
            number,
            rows,
        )
        number += count
        if count:
            yield Batch(window.buffer[: window.end], rows[:count])
        if state == frames.BAD_LENGTH:
            raise Damage("a record's length is not possible", window.offset_bytes)
        if state == frames.NEED_MORE and not window.refill():
            window.check_end("a record")
            return


class _Pcapng:
    """The sections and interfaces met so far in one pcapng file."""

    def __init__(
        self,
        window: Window,
        source: int,
        rows: NDArray[np.void],
        note: Callable[[str, int], None],
    ) -> None:
        from sensor.capture import frames  # noqa: PLC0415 - Numba is loaded only when frames are read

        self._frames = frames
        self._window = window
        self._source = source
        self._rows = rows
        self._note = note
        self._big = False
        self._interfaces = np.zeros(1, frames.INTERFACE_ROW)
        self._known = 0
        self._clock_doubted = False

    def batches(self) -> Iterator[Batch]:
        window, frames = self._window, self._frames
        self._section()
        number, last_ns = 0, 0
        while True:
            state, window.start, count, bad_clock = frames.walk_pcapng(
                window.buffer,
                window.start,
                window.end,
                self._big,
                self._interfaces,
                self._known,
                self._source,
                number,
                last_ns,
                self._rows,
            )
            if bad_clock >= 0 and not self._clock_doubted:
                self._clock_doubted = True
                self._note("times that no clock gives were set to 0", window.base + bad_clock)
            number += count
            if count:
                last_ns = int(self._rows[count - 1]["time_ns"])
                yield Batch(window.buffer[: window.end], self._rows[:count])
            if not self._go_on(state):
                return

    def _go_on(self, state: int) -> bool:
        """Do what the walk stopped for; False at the end of the file. Raises Damage."""
        window, frames = self._window, self._frames
        if state == frames.SECTION:
            self._section()
        elif state == frames.INTERFACE:
            self._interface()
        elif state == frames.LONG_BLOCK:
            self._pass(self._length(), "a block")
        elif state == frames.BAD_LENGTH:
            raise Damage("a block's length is not possible", window.offset_bytes)
        elif state == frames.NO_INTERFACE:
            raise Damage("a packet belongs to no described interface", window.offset_bytes)
        elif state == frames.LENGTHS_DISAGREE:
            raise Damage("the two lengths of a block differ", window.offset_bytes)
        elif state == frames.NEED_MORE and not window.refill():
            window.check_end("a block")
            return False
        return True

    def _length(self) -> int:
        return int.from_bytes(self._window.peek(8)[4:], "big" if self._big else "little")

    def _pass(self, length: int, what: str) -> None:
        at = self._window.offset_bytes
        if not self._window.skip(length):
            raise self._window.ended(what, at)

    def _section(self) -> None:
        window = self._window
        at = window.offset_bytes
        if not window.holds(formats.SECTION_HEADER_BYTES):
            raise window.ended("a section header", at)
        header = formats.section_header(window.peek(formats.SECTION_HEADER_BYTES))
        if isinstance(header, str):
            raise Damage(header, at)
        self._big, length = header
        self._known = 0
        self._pass(length, "a section header")

    def _interface(self) -> None:
        window = self._window
        at, length = window.offset_bytes, self._length()
        if length > MAX_BLOCK_BYTES:
            raise Damage("a block's length is not possible", at)
        if not window.holds(length):
            raise window.ended("an interface description", at)
        found = formats.interface(window.peek(length), big=self._big)
        if found is None:
            raise Damage("a block's length is not possible", at)
        if self._known == MAX_INTERFACES:
            raise Damage(f"more than {MAX_INTERFACES} interfaces", at)
        if self._known == len(self._interfaces):
            self._interfaces = np.concatenate([self._interfaces, np.zeros_like(self._interfaces)])
        self._interfaces[self._known] = (found.link, *self._clock(found), found.snaplen)
        self._known += 1
        window.skip(length)

    @staticmethod
    def _clock(found: formats.Interface) -> tuple[int, int, int, int]:
        return formats.clock(found.resolution, found.offset_s)
