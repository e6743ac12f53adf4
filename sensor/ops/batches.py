"""What a sensor tells a centre at a time: JSON, compressed by Zstandard. Data, never code; and of bounded size at both ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import zstandard

from sensor.errors import WardwatchError
from sensor.ops.plain import plain, typed
from sensor.store import Place, Sighting, Snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

from sensor.model import Episode  # noqa: TC001 - `typed` reads the annotations

FORMAT: Final = 1
MAX_SENT_BYTES: Final = 8 << 20  # compressed
MAX_BYTES: Final = 64 << 20
LEVEL: Final = 6


class BatchError(WardwatchError):
    """A batch that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes after a place in a sensor's store, up to `reached`. `status`: what the sensor says of itself."""

    store_id: str
    after: Place
    reached: Place
    episodes: tuple[Episode, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, object] = field(default_factory=dict)

    @property
    def cited(self) -> Snapshots:
        return Snapshots(self.policies, self.signatures)


def packed(batch: Batch) -> bytes:
    """A batch as it is sent. Raises BatchError where it is too large: it should have held less."""
    text = json.dumps({"format": FORMAT, "batch": plain(batch)}, separators=(",", ":")).encode()
    sent = zstandard.ZstdCompressor(level=LEVEL).compress(text)
    if len(text) > MAX_BYTES or len(sent) > MAX_SENT_BYTES:
        raise BatchError(f"a batch of {len(text)} bytes is too large")
    return sent


def unpacked(sent: bytes) -> Batch:
    """What `packed` was given. Raises BatchError."""
    if len(sent) > MAX_SENT_BYTES:
        raise BatchError("the batch is too large")
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_BYTES).stream_reader(sent) as reader:
            text = reader.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise BatchError("the batch is too large once it is unpacked")
        whole = json.loads(text)
        if not isinstance(whole, dict) or whole.get("format") != FORMAT:
            raise BatchError(f"not a batch of format {FORMAT}")
        return typed(Batch, whole["batch"])
    except (zstandard.ZstdError, ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise BatchError("not a batch: " + (str(error).splitlines() or [type(error).__name__])[0][:200]) from error
