"""A capture filter in the kernel: classic BPF, as `tcpdump -ddd` prints it, attached to a socket (socket(7), SO_ATTACH_FILTER)."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand

NOTHING: tuple[Instruction, ...] = ((6, 0, 0, 0),)  # return 0: no frame passes
_SOL_SOCKET, _SO_ATTACH_FILTER = 1, 26
_INSTRUCTION = struct.Struct("@HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Let only frames through that `program` accepts, from now on. Raises OSError where the kernel refuses it."""
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in program))
    sock.setsockopt(_SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(len(program), ctypes.addressof(code)))
