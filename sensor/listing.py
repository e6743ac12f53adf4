"""Flows one by one, as they end: only where somebody asked for the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.following import row_key
from sensor.networks import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sensor.classify.flows import Flow
    from sensor.classify.signatures import SignatureSet
    from sensor.following import Follower
    from sensor.hellos import HelloFacts, Hellos
    from sensor.model import FlowKey


@dataclass(slots=True)
class FlowRow:
    """One flow that ended: its row in the flow table, the names it showed (kind, name, frame), and what was made of it.

    `context`: whose network its server is in, where that is all there is to say.
    """

    row: Any
    key: FlowKey
    file: str
    names: list[tuple[str, str, int]]
    flow: Flow | None
    context: tuple[str, ...] = ()
    hello: HelloFacts | None = None


class Lister:
    """Hands each flow that ended to `on_flow`, once what became of it is settled."""

    def __init__(
        self, follower: Follower, hellos: Hellos, signatures: SignatureSet, on_flow: Callable[[FlowRow], None]
    ) -> None:
        follower.listed = {}
        self._follower = follower
        self._hellos = hellos
        self._signatures = signatures
        self._on_flow = on_flow
        self._unsettled: list[FlowRow] = []

    def change(self, signatures: SignatureSet) -> None:
        """These hold from now on."""
        self._signatures = signatures

    def end(self, rows: NDArray[np.void]) -> None:
        """These flows have ended."""
        listed = self._follower.listed or {}
        for row in rows[np.argsort(rows["flow_id"], kind="stable")]:
            flow_id, file = int(row["flow_id"]), self._follower.files[int(row["source"])]
            names, hello = listed.pop(flow_id, []), self._hellos.listed(flow_id)
            if not self._follower.is_excluded(row):
                key = row_key(row)
                flow = self._follower.flows.get(flow_id)
                listing = FlowRow(row, key, file, names, flow, self._contexts_of(key), hello)
                if listing.flow is not None:
                    self._unsettled.append(listing)  # what its episode is of may be settled by what comes later
                else:
                    self._on_flow(listing)

    def _contexts_of(self, key: FlowKey) -> tuple[str, ...]:
        """Ids that accuse nobody, of the published range that one end lies in."""
        ends = ((key.dst, key.dport), (key.src, key.sport))
        found = (self._signatures.match_address(packed(address), key.proto, port) for address, port in ends)
        return tuple(dict.fromkeys(one.app for matches in found for one in matches if one.context))

    def settle(self, *, everything: bool = False) -> None:
        """Lists flows that ended, once their episodes have closed; or all that are left."""
        waiting, self._unsettled = self._unsettled, []
        for listing in waiting:
            flow = listing.flow
            open_still = flow is not None and (flow.waits or (flow.episode is not None and not flow.episode.closed))
            if open_still and not everything:
                self._unsettled.append(listing)
            else:
                self._on_flow(listing)
