"""Makes the compiled code of a watch at hand, so that whoever runs it needs not, and may not, compile."""

from __future__ import annotations

import numpy as np

from sensor import setup
from sensor.kernel import layout
from sensor.model import FRAME, LinkType
from sensor.pipeline import Pipeline


def main() -> None:
    """Compiles what is not compiled yet; takes a minute or two the first time."""
    from sensor.capture.blocks import NOTED, walk_block  # noqa: PLC0415 - after the kernel, which says where compiled code is kept
    from sensor.capture.mirror import MirrorWindow  # noqa: PLC0415 - as above
    from sensor.capture.shedding import BULK, shed  # noqa: PLC0415 - as below

    made = setup.read(None)
    for _ in range(2):
        Pipeline(
            made.settings,
            made.signatures,
            made.policy,
            made.networks,
            on_episode=lambda _: None,
            visibility=made.visibility,
        ).warm()
    ring = np.zeros(1 << 12, np.uint8)
    rows = np.zeros(4, FRAME)
    walk_block(
        ring, ring.view(np.uint32), ring.view(np.uint16), 0, len(ring), int(LinkType.ETHERNET), True, 1536, 0, rows, 0,
        np.zeros(len(NOTED), np.int64),
    )  # fmt: skip
    MirrorWindow().look(ring, rows[:0])
    shed(ring, rows, 0, BULK)
    print(f"wardwatch: compiled code is at hand ({layout.FLOW.itemsize} bytes a flow)")  # noqa: T201 - says that it is done


if __name__ == "__main__":
    main()
