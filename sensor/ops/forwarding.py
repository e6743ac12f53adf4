"""Tells a centre what the store holds: one batch after the other, each until it is answered. The centre says where to go on.

The store is the outbox: nothing is kept for the centre beside it, so that a week without a line loses nothing and costs nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from sensor.ops.batches import Batch, BatchError, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensor.store import News, Place, Store

BATCH_REVISIONS: Final = 500
FIRST_WAIT_S: Final = 1.0
MOST_WAIT_S: Final = 300.0
OVERLAP_NS: Final = (
    26 * 3600 * 1_000_000_000
)  # sightings are told again from so far back: clocks are set back, a day at most


class UnreachableError(Exception):
    """The centre did not answer, or not as one does. It may be asked again."""


class RefusedError(Exception):
    """The centre answered that it will not: asking again changes nothing until somebody does."""


class TooLargeError(Exception):
    """The centre takes no batch so large."""


class Centre(Protocol):
    """The other end. Each method raises UnreachableError or RefusedError, `send` also TooLargeError."""

    def reached(self, store_id: str) -> Place:
        """How far the centre was told of that store."""
        ...

    def send(self, batch: bytes) -> Place:
        """Gives a batch; how far the centre has come then, which is less than the batch where something before is missing."""
        ...


@dataclass(slots=True)
class Counted:
    """What became of it."""

    batches: int = 0
    episodes: int = 0
    sightings: int = 0
    failures: int = 0


class Forwarder:
    """The sensor's side. `status` is what the sensor says of itself with each batch."""

    def __init__(self, store: Store, centre: Centre, status: Callable[[], Mapping[str, object]]) -> None:
        self._store = store
        self._centre = centre
        self._status = status
        self._store_id = store.store_id()
        self._place: Place | None = None
        self._known: set[str] = set()  # hashes whose texts the centre took in this run
        self._limit = BATCH_REVISIONS
        self.counted = Counted()

    def step(self) -> bool:
        """Sends one batch, also where nothing is new: that the sensor lives is news. Whether there is more.

        Raises UnreachableError, RefusedError, StoreError.
        """
        if self._place is None:
            reached = self._centre.reached(self._store_id)
            self._place = replace(reached, recorded_ns=max(0, reached.recorded_ns - OVERLAP_NS), sighting="")
        try:
            news, answered = self._told(self._place)
        except (UnreachableError, RefusedError):
            self._place = None  # whether it arrived is not known: ask
            self._known.clear()
            self.counted.failures += 1
            raise
        if answered.sequence < news.reached.sequence:
            self._place = None
            return True
        self._place = news.reached
        self._known |= {*news.cited.policies, *news.cited.signatures}
        self.counted.batches += 1
        self.counted.episodes += len(news.episodes)
        self.counted.sightings += len(news.sightings)
        return news.more

    def _told(self, after: Place) -> tuple[News, Place]:
        """Sends what is new, as much of it as one batch holds; what it was, and how far the centre has come."""
        while True:
            news = self._store.news(after, self._limit)
            batch = Batch(
                self._store_id,
                after,
                news.reached,
                news.episodes,
                news.sightings,
                {hash_: text for hash_, text in news.cited.policies.items() if hash_ not in self._known},
                {hash_: text for hash_, text in news.cited.signatures.items() if hash_ not in self._known},
                self._status(),
            )
            try:
                return news, self._centre.send(packed(batch))
            except (BatchError, TooLargeError) as error:
                if self._limit == 1:
                    raise RefusedError("a single revision is larger than the centre takes") from error
                self._limit = max(1, self._limit // 2)

    def run(
        self,
        *,
        every_s: float,
        stopped: Callable[[float], bool],
        say: Callable[[str], None],
        listen: Callable[[], None] = lambda: None,
    ) -> None:
        """Until `stopped`, which waits so many seconds. A centre that does not answer is asked less and less often.

        `listen` hears what the centre has to say, whenever it was told everything; it raises as `step` does.
        """
        wait_s, silent = FIRST_WAIT_S, False
        while True:
            try:
                more = self.step()
                if not more:
                    listen()
            except (UnreachableError, RefusedError) as error:
                if not silent:
                    say(f"the centre takes nothing ({error}); what is stored here waits")
                silent = True
                pause_s = wait_s * random.uniform(0.5, 1.0)  # noqa: S311 - so that forty sensors do not ask at once
                wait_s = min(MOST_WAIT_S, wait_s * 2)
            else:
                if silent:
                    say("the centre takes what is new again")
                wait_s, silent = FIRST_WAIT_S, False
                pause_s = 0.0 if more else every_s
            if stopped(pause_s):
                return
