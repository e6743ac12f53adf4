"""What Linux says of an interface and of the clock, by system calls alone."""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sensor.ops.health import Box

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIOCGIFFLAGS, _SIOCETHTOOL = 0x8913, 0x8946
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_ETHTOOL_GFLAGS, _ETHTOOL_GGRO = 0x25, 0x2B  # linux/ethtool.h
_FLAG_LRO = 1 << 15
_TIME_ERROR = 5  # adjtimex(2): not synchronised
_TIMEX_BYTES = 512  # struct timex has 208


def box_of(interface: str, versions: Iterable[str] = ()) -> Box:
    """All of it. `versions`: of signatures, those that are dates count."""
    flags = _flags(interface)
    return Box(
        up=None if flags is None else bool(flags & _IFF_UP),
        carrier=None if flags is None else bool(flags & _IFF_RUNNING),
        offloads=offloads(interface),
        synchronised=synchronised(),
        signature_days=_days_since(versions),
    )


def offloads(interface: str) -> tuple[str, ...] | None:
    """Those that merge frames and are on, as ethtool calls them; None where the interface does not say."""
    gro, flags = _ethtool(interface, _ETHTOOL_GGRO), _ethtool(interface, _ETHTOOL_GFLAGS)
    if gro is None or flags is None:
        return None
    return tuple(name for name, on in (("gro", gro), ("lro", flags & _FLAG_LRO)) if on)


def synchronised() -> bool | None:
    """Whether the kernel's clock is held by a time service."""
    with contextlib.suppress(OSError, AttributeError):
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return None if answer < 0 else bool(answer != _TIME_ERROR)
    return None


def _flags(interface: str) -> int | None:
    request = struct.pack("16sH22x", os.fsencode(interface), 0)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return int(struct.unpack_from("16sH", fcntl.ioctl(asking, _SIOCGIFFLAGS, request))[1])
    return None


def _ethtool(interface: str, command: int) -> int | None:
    value = array.array("I", [command, 0])
    request = struct.pack("16sP16x", os.fsencode(interface), value.buffer_info()[0])
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SIOCETHTOOL, request)
        return value[1]
    return None


def _days_since(versions: Iterable[str]) -> int | None:
    dates = []
    for one in versions:
        with contextlib.suppress(ValueError):
            dates.append(datetime.strptime(one, "%Y.%m.%d").replace(tzinfo=UTC))
    return (datetime.now(UTC) - max(dates)).days if dates else None
