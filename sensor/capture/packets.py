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
from typing import TYPE_CHECKING

import numpy as np

from sensor.capture.blocks import BLOCK_STATUS, STATUS_KERNEL, STATUS_USER
from sensor.errors import CaptureError
from sensor.model import LinkType
from sensor.opening import BLOCK_BYTES, SOL_PACKET, GoneError, Instruction, asked_of, attach, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sensor.opening import Options

# The kernel hands a block over when it is full, or after RETIRE_MS; then even one frame fills it. So on a quiet link the ring
# holds as many times this time as it has blocks: with 256 blocks the sensor may stand still for 25 s and lose nothing.
# A frame longer than a block would be cut off; with GRO they have up to 64 KiB.
_PACKET_ADD_MEMBERSHIP, _PACKET_STATISTICS = 1, 6
_NOTHING: tuple[Instruction, ...] = ((6, 0, 0, 0),)  # a filter: return 0, no frame passes
_MR_PROMISC = 1
_ETH_P_ALL = 3
_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8927, 0x8933
_IFF_UP = 1
_IFREQ = struct.Struct("16s24s")
_STATISTICS = struct.Struct("3I")  # struct tpacket_stats_v3
_MEMBERSHIP = struct.Struct("iHH8s")  # struct packet_mreq

# ARPHRD_* (linux/if_arp.h): frames of loopback look like Ethernet's, tunnels without a link layer begin with IP.
LINKS = {
    1: LinkType.ETHERNET, 772: LinkType.ETHERNET, 801: LinkType.IEEE802_11, 803: LinkType.IEEE802_11_RADIOTAP,
    65534: LinkType.RAW, 519: LinkType.RAW, 768: LinkType.RAW, 769: LinkType.RAW, 776: LinkType.RAW,
}  # fmt: skip


class Ring:
    """One socket and its ring: made, then `begin`, then blocks as they come."""

    def __init__(self, interface: str, options: Options) -> None:
        """Raises CaptureError: no such interface, not permitted, of a kind that cannot be read."""
        self.interface = interface
        self._socket = asked_of(options.service, interface, options) if options.service else opened(interface, options)
        try:
            self.index = int(struct.unpack_from("i", self._ask(_SIOCGIFINDEX))[0])
            self.link = self._link()
            self.blocks = options.blocks
            self._promiscuous = options.promiscuous
            size = options.blocks * BLOCK_BYTES
            self._map = mmap.mmap(self._socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            self._socket.close()
            kind = GoneError if error.errno == errno.ENODEV else CaptureError
            raise kind(f"{interface}: cannot be watched: {error.strerror}") from error
        except CaptureError:
            self._socket.close()
            raise
        self.buffer: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.words, self.shorts = self.buffer.view(np.uint32), self.buffer.view(np.uint16)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._next = 0

    def begin(self) -> None:
        """Frames are captured from now on. Raises CaptureError, GoneError."""
        try:
            self._socket.bind((self.interface, _ETH_P_ALL))
            if self._promiscuous:
                membership = _MEMBERSHIP.pack(self.index, _MR_PROMISC, 0, b"")
                self._socket.setsockopt(SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        except OSError as error:
            kind = GoneError if error.errno in {errno.ENODEV, errno.ENXIO} else CaptureError
            raise kind(f"{self.interface}: cannot be watched: {error.strerror}") from error

    def shut(self) -> None:
        """Captures nothing more; what is in the ring can still be read."""
        with contextlib.suppress(OSError):
            attach(self._socket, _NOTHING)

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

    def is_filled(self, share: float) -> bool:
        """Whether so much of the ring waits to be read: blocks are filled in order."""
        base = (self._next + int(self.blocks * share)) % self.blocks * BLOCK_BYTES
        return bool(self.words[(base + BLOCK_STATUS) >> 2] & STATUS_USER)

    def release(self, blocks: Sequence[int]) -> None:
        """Gives blocks back to the kernel, in the order of `ready`."""
        for base in blocks:
            self.words[(base + BLOCK_STATUS) >> 2] = STATUS_KERNEL
        self._next = (self._next + len(blocks)) % self.blocks

    def statistics(self) -> tuple[int, int, int]:
        """Since the last call: frames that came (dropped ones too), of them dropped, times that the ring was full."""
        packets, drops, freezes = _STATISTICS.unpack(
            self._socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
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
