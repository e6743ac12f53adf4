"""An AF_PACKET socket with its ring in shared memory (packet(7), TPACKET_V3), by the standard library alone."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sensor.capture import bpf
from sensor.capture.blocks import BLOCK_STATUS, STATUS_KERNEL, STATUS_USER
from sensor.errors import CaptureError
from sensor.model import LinkType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sensor.capture.bpf import Instruction

# The kernel hands a block over when it is full, or after this time; then even one frame fills it. So on a quiet link the ring
# holds as many times this time as it has blocks: with 256 blocks the sensor may stand still for 25 s and lose nothing.
RETIRE_MS = 100
BLOCK_BYTES = 256 << 10  # a longer frame would be cut off; with GRO they have up to 64 KiB
_FRAME_BYTES = 2048  # TPACKET_V3 asks for it and packs frames without regard to it
RESERVE_BYTES = 16  # in front of each frame, for the VLAN tag that is put back

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP, _PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION, _PACKET_RESERVE = 1, 5, 6, 10, 12
_TPACKET_V3 = 2
_MR_PROMISC = 1
_ETH_P_ALL = 3
_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8927, 0x8933
_IFF_UP = 1
_IFREQ = struct.Struct("16s24s")
_REQUEST = struct.Struct("7I")  # struct tpacket_req3
_STATISTICS = struct.Struct("3I")  # struct tpacket_stats_v3
_MEMBERSHIP = struct.Struct("iHH8s")  # struct packet_mreq

# ARPHRD_* (linux/if_arp.h): frames of loopback look like Ethernet's, tunnels without a link layer begin with IP.
LINKS = {
    1: LinkType.ETHERNET, 772: LinkType.ETHERNET, 801: LinkType.IEEE802_11, 803: LinkType.IEEE802_11_RADIOTAP,
    65534: LinkType.RAW, 519: LinkType.RAW, 768: LinkType.RAW, 769: LinkType.RAW, 776: LinkType.RAW,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How to capture. `ring_bytes` is rounded down to whole blocks; an empty `program` lets everything through."""

    ring_bytes: int = 64 << 20
    promiscuous: bool = True
    program: tuple[Instruction, ...] = ()


class GoneError(CaptureError):
    """There is no such interface (any more)."""


def interfaces() -> list[str]:
    """Names of the interfaces there are."""
    return sorted(name for _, name in socket.if_nameindex())


class Ring:
    """One socket and its ring: made, then `begin`, then blocks as they come."""

    def __init__(self, interface: str, options: Options) -> None:
        """Raises CaptureError: no such interface, not permitted, of a kind that cannot be read."""
        self.interface = interface
        try:
            self.index = socket.if_nametoindex(interface)
        except (OSError, ValueError) as error:
            raise GoneError(f"{interface}: there is no such interface (there are {', '.join(interfaces())})") from error
        self._socket = _opened(interface)
        try:
            self.link = self._link()
            self._set_up(options)
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"{interface}: cannot be watched: {error.strerror}") from error
        except CaptureError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._next = 0

    def _set_up(self, options: Options) -> None:
        sock = self._socket
        self.blocks = max(options.ring_bytes // BLOCK_BYTES, 2)
        size = self.blocks * BLOCK_BYTES
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        sock.setsockopt(_SOL_PACKET, _PACKET_RESERVE, RESERVE_BYTES)
        frames = size // _FRAME_BYTES
        request = _REQUEST.pack(BLOCK_BYTES, self.blocks, _FRAME_BYTES, frames, RETIRE_MS, 0, 0)
        try:
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise CaptureError(f"{self.interface}: no memory for a ring of {size >> 20} MiB") from error
            raise
        if options.program:
            try:
                bpf.attach(sock, options.program)
            except OSError as error:
                raise CaptureError(f"{self.interface}: the kernel refuses the capture filter") from error
        self._promiscuous = options.promiscuous
        self._map = mmap.mmap(sock.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.buffer: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.words, self.shorts = self.buffer.view(np.uint32), self.buffer.view(np.uint16)

    def begin(self) -> None:
        """Frames are captured from now on. Raises CaptureError, GoneError."""
        try:
            self._socket.bind((self.interface, _ETH_P_ALL))
            if self._promiscuous:
                membership = _MEMBERSHIP.pack(self.index, _MR_PROMISC, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        except OSError as error:
            kind = GoneError if error.errno in {errno.ENODEV, errno.ENXIO} else CaptureError
            raise kind(f"{self.interface}: cannot be watched: {error.strerror}") from error

    def shut(self) -> None:
        """Captures nothing more; what is in the ring can still be read."""
        with contextlib.suppress(OSError):
            bpf.attach(self._socket, bpf.NOTHING)

    def wait(self, milliseconds: int, stop: int) -> None:
        """Until a block is ready, the socket has an error, or `stop` can be read; at most so long."""
        self._poll.register(stop, select.POLLIN)
        self._poll.poll(milliseconds)

    def error(self) -> int:
        """The socket's error since it was last asked, such as ENETDOWN; 0 for none."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def ready(self, most: int) -> list[int]:
        """Offsets of blocks that may be read, in order, at most `most`; they are ours until `release`.

        Called after `wait`, whose system call keeps reads of a block behind the one of its status.
        """
        found: list[int] = []
        while len(found) < min(most, self.blocks):
            base = (self._next + len(found)) % self.blocks * BLOCK_BYTES
            if not self.words[(base + BLOCK_STATUS) >> 2] & STATUS_USER:
                break
            found.append(base)
        return found

    def release(self, blocks: Sequence[int]) -> None:
        """Gives blocks back to the kernel, in the order of `ready`."""
        for base in blocks:
            self.words[(base + BLOCK_STATUS) >> 2] = STATUS_KERNEL
        self._next = (self._next + len(blocks)) % self.blocks

    def statistics(self) -> tuple[int, int, int]:
        """Since the last call: frames that came (dropped ones too), of them dropped, times that the ring was full."""
        packets, drops, freezes = _STATISTICS.unpack(
            self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        )
        return packets, drops, freezes

    def is_there(self) -> bool:
        """Whether the interface still exists; another one of the same name is not it."""
        try:
            return bool(struct.unpack_from("i", self._ask(_SIOCGIFINDEX))[0] == self.index)
        except OSError:
            return False

    def is_up(self) -> bool:
        """Whether it is up, as `ip link set ... up` makes it."""
        try:
            return bool(struct.unpack_from("H", self._ask(_SIOCGIFFLAGS))[0] & _IFF_UP)
        except OSError:
            return False

    def longest_bytes(self) -> int:
        """The longest frame that one frame of the wire can be: MTU, Ethernet's header and two tags."""
        return int(struct.unpack_from("i", self._ask(_SIOCGIFMTU))[0]) + 22

    def _link(self) -> LinkType:
        kind = struct.unpack_from("H", self._ask(_SIOCGIFHWADDR))[0]
        if kind not in LINKS:
            raise CaptureError(f"{self.interface}: frames of this kind of interface cannot be read (ARPHRD {kind})")
        return LINKS[kind]

    def _ask(self, what: int) -> bytes:
        request = array.array("B", _IFREQ.pack(os.fsencode(self.interface), b""))
        fcntl.ioctl(self._socket, what, request)
        return request.tobytes()[16:]

    def close(self) -> None:
        """Lets go of the socket and, where nobody else holds on to `buffer`, of the ring."""
        self._socket.close()
        del self.buffer, self.words, self.shorts
        with contextlib.suppress(BufferError):  # a batch that still points there keeps the memory until it goes
            self._map.close()


def _opened(interface: str) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # of no protocol: nothing comes before `begin`
    except PermissionError as error:
        raise CaptureError(
            f"{interface}: watching needs CAP_NET_RAW: run it as root, or give it that capability"
        ) from error
    except OSError as error:
        raise CaptureError(f"{interface}: cannot be watched: {error.strerror}") from error
