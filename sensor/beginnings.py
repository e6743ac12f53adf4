"""How flows begin, where the compiled loop cannot tell: odd or broken hellos, streams with holes, QUIC Initials, DTLS.

It works beside the loop, on one batch of clues at a time. What a hello says goes back into its clue: the name as plain bytes
behind the batch's payloads, for whoever joins clues to number; and the hello itself in place of the payload.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.decode import http, tls
from sensor.decode.dtls import DtlsHello
from sensor.decode.ech import Ech, ech
from sensor.decode.flight import ServerFlight, server_flight
from sensor.decode.quic import QuicHello
from sensor.decode.text import is_address
from sensor.held_streams import HeldStreams
from sensor.kernel import layout
from sensor.kernel.first import CLIENT, MATCHES, SERVER, TCP, TOO_SHORT, first_bytes
from sensor.kernel.fnv import fnv1a_128
from sensor.kernel.gather import beginnings_of
from sensor.kernel.state import CLUES_PER_CALL
from sensor.model import Malformed
from sensor.quic_flows import QuicFlows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sensor.kernel.first import Sieve

SPARE_BYTES = 1 << 16  # for names, beside the payloads
TLS_FIRST_BYTES = frozenset({22, *range(0x80, 0x100)})  # a handshake record, or an SSLv2-compatible hello

# The clue's fields that are read here, in this order: rows as tuples cost a tenth of rows as records.
FIELDS = ["kind", "flow_id", "side", "offset", "length", "sequence", "name_length", "src_port", "dst_port", "flags"]


class _Payloads:
    """The bytes that clues point into, and room behind them."""

    def __init__(self, kept: NDArray[np.uint8], used: int) -> None:
        self._kept = kept
        self._used = used

    def read(self, start: int, length: int) -> bytes:
        return self._kept[start : start + length].tobytes()

    def put(self, data: bytes) -> tuple[int, int]:
        """Where these bytes now lie; (0, 0) where there is no more room."""
        start, end = self._used, self._used + len(data)
        if end > len(self._kept):
            return 0, 0
        self._kept[start:end] = np.frombuffer(data, np.uint8)
        self._used = end
        return start, len(data)


class Beginnings:
    """Decoders with the memory they need between packets, bounded; `counts` tells what came of it."""

    def __init__(self, rules: Sieve) -> None:
        """`rules`: of first bytes, as the loop has them."""
        self.counts: Counter[str] = Counter()
        self._indexes = np.zeros(CLUES_PER_CALL, np.int64)
        self._rules = rules
        self._streams = HeldStreams(self.counts)  # by flow and side: flow id * 2 + side
        self._named: set[int] = set()  # sides whose hello had a name: the other side's certificate tells nothing new
        self._quic = QuicFlows(self.counts, assembler=partial(QuicHello, fnv1a_128))
        self._dtls = QuicFlows(self.counts, assembler=DtlsHello, malformed="dtls_malformed")

    @property
    def spare_bytes(self) -> int:
        """How much room behind the payloads what is held here may need."""
        return self._streams.held_bytes + self._quic.held_bytes + self._dtls.held_bytes + SPARE_BYTES

    def change(self, rules: Sieve) -> None:
        """The loop's rules, from now on."""
        self._rules = rules

    def reset(self) -> None:
        """Forgets everything but the counts."""
        self._streams.reset()
        self._quic.reset()
        self._dtls.reset()
        self._named.clear()

    def forget(self, flow_ids: NDArray[np.int64]) -> None:
        """These flows have ended."""
        if not (self._streams or self._quic or self._dtls):
            return
        ended = {*(flow_ids * 2).tolist(), *(flow_ids * 2 + 1).tolist()}
        self._streams.forget(ended)
        self._quic.forget(ended)
        self._dtls.forget(ended)
        self._named -= ended

    def read(self, clues: NDArray[np.void], kept: NDArray[np.uint8]) -> None:
        """Reads what was handed over of streams and hellos; DNS, STUN and the like are left to others.

        `kept`: the payloads one after the other, and room behind them.
        """
        if len(clues) > len(self._indexes):
            self._indexes = np.zeros(len(clues), np.int64)
        indexes = self._indexes[: beginnings_of(clues, self._indexes)]
        if not len(indexes):
            return
        payloads = _Payloads(kept, int(clues["length"].sum()))
        rows = clues[indexes][FIELDS].tolist()
        clues["read"][indexes] = layout.READ_DONE
        for index, row in zip(indexes.tolist(), rows, strict=True):
            kind, flow_id, side, start, length, sequence, before, _, _, flags = row
            key = flow_id * 2 + side
            if kind == layout.KIND_SEGMENT and flags & layout.HELLO_BEGINS:
                self._streams.begin_anew(key)
            elif key in self._streams.settled:
                continue
            payload = payloads.read(start, length)
            clue = clues[index]
            if kind == layout.KIND_QUIC:
                self._datagram(clue, key, payload, payloads)
            elif kind == layout.KIND_DTLS:
                self._dtls_hello(clue, key, payload, payloads)
            else:
                if before:  # what the loop had put together
                    self._segment(clue, key, 0, payload[:before], payloads)
                self._segment(clue, key, sequence, payload[before:], payloads)
        for index in indexes.tolist():
            if clues[index]["read"] == layout.READ_DONE:  # it said nothing
                clues[index]["length"] = 0

    def _segment(self, clue: Any, key: int, sequence: int, payload: bytes, payloads: _Payloads) -> None:
        stream = self._streams.add(key, sequence, payload)
        prefix = stream.pieces.prefix()
        if prefix and (self._begins(clue, key, prefix, payloads) or stream.pieces.full):
            self._streams.settle(key)

    def _begins(self, clue: Any, key: int, prefix: bytes, payloads: _Payloads) -> bool:
        """Reads the beginning of a TLS or HTTP stream; whether there is nothing more to wait for."""
        if prefix[0] not in TLS_FIRST_BYTES:
            return self._other(clue, prefix, payloads)
        if len(prefix) > 5 and prefix[0] == tls.HANDSHAKE and prefix[5] == tls.SERVER_HELLO:
            return self._flight(clue, key, prefix, payloads)
        hello = tls.first_handshake(prefix)
        if hello is None:
            return False
        if isinstance(hello, Malformed):
            self.counts["tls_malformed"] += 1
        elif isinstance(hello, tls.ClientHello):
            if hello.damaged is not None:
                self.counts["tls_damaged"] += 1
            _tell(clue, layout.KIND_TLS, hello, prefix, payloads)
            if hello.sni and not is_address(hello.sni):
                self._named.add(key)
                clue["flags"] |= layout.HELLO_HOST
        return True

    def _other(self, clue: Any, prefix: bytes, payloads: _Payloads) -> bool:
        """HTTP, or first bytes that signatures may know."""
        request = http.request(prefix)
        if request is None:
            return False
        if isinstance(request, http.HttpRequest):
            if request.host:
                _set_name(clue, layout.KIND_HTTP, request.host, payloads)
            return True
        if request.offset == 0:  # no method of HTTP at all
            side = CLIENT if clue["side"] == clue["opener"] else SERVER
            found = first_bytes(np.frombuffer(prefix, np.uint8), 0, len(prefix), 0, TCP, side, self._rules)
            if found == MATCHES:
                clue["kind"], clue["read"] = layout.KIND_FIRST, layout.READ_PENDING
                clue["offset"], clue["length"] = payloads.put(prefix)
                return True
            if found == TOO_SHORT and len(prefix) < layout.FIRST_STREAM_BYTES:
                return False
        self.counts["http_malformed"] += 1
        return True

    def _flight(self, clue: Any, key: int, prefix: bytes, payloads: _Payloads) -> bool:
        """A server's first flight; its certificate names the flow where the client did not."""
        flight = None if key ^ 1 in self._named else server_flight(prefix)
        if flight is None:
            return key ^ 1 in self._named
        if not isinstance(flight, ServerFlight):
            self.counts["tls_malformed"] += 1
        elif flight.certificate is not None:
            clue["kind"], clue["read"] = layout.KIND_CERT, layout.READ_PENDING
            clue["offset"], clue["length"] = payloads.put(flight.certificate)
        return True

    def _datagram(self, clue: Any, key: int, payload: bytes, payloads: _Payloads) -> None:
        hello = self._quic.read(key, payload)
        if hello is None:
            return
        self._streams.settled.add(key)
        if isinstance(hello, Malformed):
            return
        if isinstance(hello, tls.ClientHello):
            _tell(clue, layout.KIND_QUIC, hello, hello.raw, payloads)
        elif hello.sni:
            _set_name(clue, layout.KIND_QUIC, hello.sni, payloads)
        self._quic.drop(key ^ 1)  # what the server says names nothing
        self._streams.settled.add(key ^ 1)

    def _dtls_hello(self, clue: Any, key: int, payload: bytes, payloads: _Payloads) -> None:
        hello = self._dtls.read(key, payload)
        if hello is None:
            return
        self._streams.settled.add(key)
        if isinstance(hello, tls.ClientHello):
            _tell(clue, layout.KIND_DTLS, hello, hello.raw, payloads)


def _tell(clue: Any, kind: int, hello: tls.ClientHello, raw: bytes, payloads: _Payloads) -> None:
    """Puts into a clue what a hello says."""
    _set_name(clue, kind, hello.sni or "", payloads)
    clue["flags"], clue["ech_config"] = hello_flags(hello)
    clue["sequence"] = 0
    clue["offset"], clue["length"] = payloads.put(raw)


def _set_name(clue: Any, kind: int, name: str, payloads: _Payloads) -> None:
    clue["kind"], clue["read"] = kind, layout.READ_PENDING
    clue["length"] = 0
    clue["name_offset"], clue["name_length"] = payloads.put(name.encode("ascii", "replace"))


def hello_flags(hello: tls.ClientHello) -> tuple[int, int]:
    """What a hello says of a hidden name: (HELLO_* flags, config_id), as the compiled loop notes it of plain ones."""
    flags = layout.HELLO_ESNI if tls.ESNI in hello.extensions else 0
    seen = None if hello.ech is None else ech(hello.ech)
    if not isinstance(seen, Ech):
        return flags, 0
    return flags | (layout.HELLO_ECH_INNER if seen.inner else layout.HELLO_ECH_OUTER), seen.config_id
