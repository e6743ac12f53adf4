"""Packet time on a link where nothing passes."""

from __future__ import annotations

from sensor.kernel.compiling import compiled
from sensor.kernel.table import advance_clock


@compiled
def move_on(flows, heads, wheel, free, ended, control, notices, time_ns):
    """No frame older than `time_ns` will come: ends what has been idle for too long by then."""
    advance_clock(flows, heads, wheel, free, ended, control, notices, time_ns)
