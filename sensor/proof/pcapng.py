"""A small capture written by dpkt: pcapng with nanoseconds, a comment at each frame that proves something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpkt import pcapng

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.proof.frames import Frame

NANOSECONDS: Final = b"\x09"  # if_tsresol: powers of ten
APPLICATION: Final = "wardwatch"


def written(frames: Sequence[Frame], comments: Mapping[int, str]) -> bytes:
    """The capture's bytes: equal frames and comments are equal bytes. `comments`: by place, from 1."""
    links = sorted({frame.link for frame in frames})
    parts = [bytes(pcapng.SectionHeaderBlockLE(opts=[_text(pcapng.PCAPNG_OPT_SHB_USERAPPL, APPLICATION), _end()]))]
    for link in links:
        resolution = pcapng.PcapngOptionLE(code=pcapng.PCAPNG_OPT_IF_TSRESOL, data=NANOSECONDS)
        parts.append(bytes(pcapng.InterfaceDescriptionBlockLE(linktype=link, snaplen=0, opts=[resolution, _end()])))
    for place, frame in enumerate(frames, 1):
        options = [_text(pcapng.PCAPNG_OPT_COMMENT, comments[place]), _end()] if place in comments else []
        block = pcapng.EnhancedPacketBlockLE(
            iface_id=links.index(frame.link),
            ts_high=frame.time_ns >> 32,
            ts_low=frame.time_ns & 0xFFFFFFFF,
            caplen=len(frame.data),
            pkt_len=max(frame.wire_bytes, len(frame.data)),
            pkt_data=frame.data,
            opts=options,
        )
        parts.append(bytes(block))
    return b"".join(parts)


def _text(code: int, text: str) -> Any:
    return pcapng.PcapngOptionLE(code=code, data=text.encode("utf-8", "backslashreplace"))


def _end() -> Any:
    return pcapng.PcapngOptionLE()
