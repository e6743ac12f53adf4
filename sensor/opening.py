"""The one thing that needs CAP_NET_RAW: a packet socket with its ring. The standard library alone, and nothing here reads a packet.

Either in the process that reads the ring, or in one of its own, which passes the socket's descriptor over a Unix socket
(SCM_RIGHTS) to whoever asks, again and again. That one takes three numbers and a filter, and gives a descriptor or one line.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Instruction = tuple[int, int, int, int]  # classic BPF: code, jump if true, jump if false, operand

RETIRE_MS = 100  # a block that is not full is handed over after this time
BLOCK_BYTES = 256 << 10
FRAME_BYTES = 2048  # TPACKET_V3 asks for it and packs frames without regard to it
RESERVE_BYTES = 16  # in front of each frame, for the VLAN tag that is put back
MAX_RING_BYTES = 4 << 30
SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_VERSION, _PACKET_RESERVE, _TPACKET_V3 = 5, 10, 12, 2
_REQUEST = struct.Struct("7I")  # struct tpacket_req3
_SOL_SOCKET, _SO_ATTACH_FILTER = 1, 26
_INSTRUCTION = struct.Struct("@HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
MAX_MESSAGE_BYTES = 1 << 18
ASK_S = 10.0
SOCKET_MODE = 0o660  # the group may ask


@dataclass(frozen=True, slots=True)
class Options:
    """How to capture. `ring_bytes` is rounded down to whole blocks; an empty `program` lets everything through."""

    ring_bytes: int = 64 << 20
    promiscuous: bool = True
    program: tuple[Instruction, ...] = ()
    service: str = ""  # the socket of the capture service that opens the ring; empty: this process does

    @property
    def blocks(self) -> int:
        return max(self.ring_bytes // BLOCK_BYTES, 2)


class GoneError(CaptureError):
    """There is no such interface (any more)."""


def interfaces() -> list[str]:
    """Names of the interfaces there are."""
    return sorted(name for _, name in socket.if_nameindex())


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Let only frames through that `program` accepts, from now on. Raises OSError where the kernel refuses it."""
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in program))
    sock.setsockopt(_SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(len(program), ctypes.addressof(code)))


def opened(interface: str, options: Options) -> socket.socket:
    """A packet socket with its ring and filter, bound to nothing yet. Raises CaptureError, GoneError."""
    try:
        socket.if_nametoindex(interface)
    except (OSError, ValueError) as error:
        raise GoneError(f"{interface}: there is no such interface (there are {', '.join(interfaces())})") from error
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # of no protocol: nothing comes before it is bound
    except PermissionError as error:
        raise CaptureError(
            f"{interface}: watching needs CAP_NET_RAW: run it as root, or give it that capability"
        ) from error
    except OSError as error:
        raise CaptureError(f"{interface}: cannot be watched: {error.strerror}") from error
    try:
        _with_ring(sock, interface, options)
    except OSError as error:
        sock.close()
        raise CaptureError(f"{interface}: cannot be watched: {error.strerror}") from error
    except CaptureError:
        sock.close()
        raise
    return sock


def _with_ring(sock: socket.socket, interface: str, options: Options) -> None:
    size = options.blocks * BLOCK_BYTES
    sock.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
    sock.setsockopt(SOL_PACKET, _PACKET_RESERVE, RESERVE_BYTES)
    request = _REQUEST.pack(BLOCK_BYTES, options.blocks, FRAME_BYTES, size // FRAME_BYTES, RETIRE_MS, 0, 0)
    try:
        sock.setsockopt(SOL_PACKET, _PACKET_RX_RING, request)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise CaptureError(f"{interface}: no memory for a ring of {size >> 20} MiB") from error
        raise
    if options.program:
        try:
            attach(sock, options.program)
        except OSError as error:
            raise CaptureError(f"{interface}: the kernel refuses the capture filter") from error


def asked_of(path: str, interface: str, options: Options) -> socket.socket:
    """The same from the process that listens at `path`. Raises CaptureError, GoneError."""
    request = {"interface": interface, "ring_bytes": options.ring_bytes, "program": options.program}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(ASK_S)
            asking.connect(path)
            asking.send(json.dumps(request).encode())
            answer, descriptors, _, _ = socket.recv_fds(asking, MAX_MESSAGE_BYTES, 1)
    except OSError as error:
        raise CaptureError(f"{path}: the capture service does not answer: {error.strerror or error}") from error
    if descriptors:
        return socket.socket(fileno=descriptors[0])
    try:
        said = json.loads(answer)
        kind = GoneError if said["gone"] else CaptureError
        raise kind(str(said["error"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CaptureError(f"{path}: the capture service does not answer as it should") from error


def serve(interface: str, path: Path, ready: Callable[[], None], alive: Callable[[], None]) -> None:
    """Gives packet sockets of one interface to whoever may connect to `path`, until SIGTERM or SIGINT.

    `ready` is called once it listens, `alive` each second. Raises CaptureError where it cannot listen.
    """
    stop, stopper = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(stopper, b"."))
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        try:
            listening.bind(str(path))
            path.chmod(SOCKET_MODE)
            listening.listen(4)
        except OSError as error:
            raise CaptureError(f"{path}: cannot be listened at: {error.strerror}") from error
        ready()
        while True:
            waiting, _, _ = select.select([listening.fileno(), stop], [], [], 1.0)
            alive()
            if stop in waiting:
                break
            if waiting:
                _answer(listening, interface)
    path.unlink(missing_ok=True)


def _answer(listening: socket.socket, interface: str) -> None:
    """One question. Whoever asks wrongly gets a line, and harms nobody."""
    with contextlib.suppress(OSError):
        asking, _ = listening.accept()
        with asking:
            asking.settimeout(1.0)
            try:
                sock = opened(interface, _options(asking.recv(MAX_MESSAGE_BYTES), interface))
            except CaptureError as error:
                asking.send(json.dumps({"gone": isinstance(error, GoneError), "error": str(error)}).encode())
                return
            with sock:
                socket.send_fds(asking, [b"{}"], [sock.fileno()])


def _options(question: bytes, interface: str) -> Options:
    """Raises CaptureError for anything but what `asked_of` sends, of this interface."""
    try:
        asked = json.loads(question)
        ring_bytes, program = asked["ring_bytes"], tuple(tuple(one) for one in asked["program"])
        array.array("I", [number for one in program for number in one])  # 32 bits each
        right = (
            asked["interface"] == interface
            and isinstance(ring_bytes, int)
            and 0 < ring_bytes <= MAX_RING_BYTES
            and len(program) <= MAX_INSTRUCTIONS
            and all(len(one) == 4 and one[0] < 1 << 16 and max(one[1:3]) < 1 << 8 for one in program)
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        right = False
    if not right:
        raise CaptureError(f"{interface}: that is not what this capture service is for")
    return Options(ring_bytes, True, program)
