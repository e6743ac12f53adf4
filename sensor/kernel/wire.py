"""Big-endian reads for the compiled loop, and copies. The caller has checked the bounds.

Offsets are made unsigned before they index, for a signed index costs a test for negative values at every byte; every byte is
widened before it is shifted, for what `u8 << 8` is differs between compiled and interpreted code.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import inlined

ONE, TWO, THREE = np.uintp(1), np.uintp(2), np.uintp(3)


@inlined
def u8(buf, at):
    return np.int64(buf[np.uintp(at)])


@inlined
def u16(buf, at):
    i = np.uintp(at)
    return (np.int64(buf[i]) << 8) | np.int64(buf[i + ONE])


@inlined
def u24(buf, at):
    i = np.uintp(at)
    return (np.int64(buf[i]) << 16) | (np.int64(buf[i + ONE]) << 8) | np.int64(buf[i + TWO])


@inlined
def u32(buf, at):
    i = np.uintp(at)
    return (
        (np.int64(buf[i]) << 24)
        | (np.int64(buf[i + ONE]) << 16)
        | (np.int64(buf[i + TWO]) << 8)
        | np.int64(buf[i + THREE])
    )


@inlined
def u48(buf, at):
    return (u16(buf, at) << 32) | u32(buf, at + 2)


@inlined
def i64(buf, at):
    """Eight bytes as a signed 64-bit value: address halves are compared and hashed, never counted with."""
    return (u32(buf, at) << 32) | u32(buf, at + 4)


@inlined
def little16(buf, at):
    i = np.uintp(at)
    return np.int64(buf[i]) | (np.int64(buf[i + ONE]) << 8)


@inlined
def copy_bytes(into, offset, buf, at, length):
    """Copies `length` bytes of `buf` from `at` on to `into`, from `offset` on; they do not overlap."""
    for i in range(length):
        into[np.uintp(offset + i)] = buf[np.uintp(at + i)]
