"""Reads what the compiled joiner hands over: odd DNS messages and those over TCP, STUN, first bytes, certificates' names.

What is read goes back into the clue rows (a name's number, a kind) and the answer rows, so that the joiner sees everything
in packet-time order, whoever read it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor import announcing
from sensor.certificates import speaking_name
from sensor.decode import dns, stun
from sensor.decode.ech import public_names
from sensor.decode.x509 import CertificateNames, certificate_names
from sensor.held_streams import HeldStreams
from sensor.kernel import layout
from sensor.kernel.hot import PEER
from sensor.kernel.names import TTL_LIMIT_S
from sensor.networks import packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from sensor.kernel.state import Names
    from sensor.model import Malformed, RuleMatch

MAX_QUESTIONS = 16  # of one message
TCP = 6
MAX_MESSAGES = 64  # of one segment

# The clue's fields that are read here, in this order: rows as tuples cost a tenth of rows as records.
FIELDS = ["kind", "flow_id", "side", "offset", "length", "sequence", "name_id", "src_port", "dst_port", "proto"]
ENDS = ("src_high", "src_low", "dst_high", "dst_low")
MAX_PUBLIC_NAMES = 4096  # names that encrypted hellos show, learned from HTTPS records


@dataclass(slots=True)
class _Extra:
    """What one clue brought beside its own name: further names, and answers."""

    names: list[tuple[int, int, int]] = field(default_factory=list)  # (clue, name number, whether a response)
    answers: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)  # fields of layout.ANSWER


class HandOver:
    """Decoders with the memory they need between packets, bounded; `counts` tells what came of it."""

    def __init__(
        self,
        names: Names,
        match_stun: Callable[[stun.StunMessage, Any], tuple[str, tuple[RuleMatch, ...]]],
        match_first: Callable[[Any, int, bytes], tuple[str, tuple[RuleMatch, ...]]],
        match_name: Callable[[str], tuple[RuleMatch, ...]],
    ) -> None:
        """Each `match_` gives what a signature knows, the first two with a text.

        In a STUN message and its clue, in a flow's first bytes, of a name.
        """
        self._names = names
        self._match_stun = match_stun
        self._match_first = match_first
        self._match_name = match_name
        self.matched: dict[int, tuple[RuleMatch, ...]] = {}  # by name number: what is no host name but STUN text
        # What an encrypted ClientHello shows instead of its server's name; and when each was learned, packet time.
        self.public_names: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self._streams = HeldStreams(self.counts)  # by flow and side: flow id * 2 + side

    def reset(self) -> None:
        """Forgets everything but the counts."""
        self._streams.reset()
        self.matched.clear()
        self.public_names.clear()

    def change(self, match_name: Callable[[str], tuple[RuleMatch, ...]]) -> None:
        """What signatures know of a name, from now on."""
        self._match_name = match_name

    def forget(self, flow_ids: NDArray[np.int64]) -> None:
        """These flows have ended."""
        if self._streams:
            self._streams.forget({*(flow_ids * 2).tolist(), *(flow_ids * 2 + 1).tolist()})

    def read(
        self, kept: NDArray[np.uint8], clues: NDArray[np.void], answers: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Reads every clue that was handed over; returns the clues and answers with what was found put in."""
        extra = _Extra()
        indexes = np.flatnonzero(clues["read"] == layout.READ_HAND_OVER)
        for index, row in zip(indexes.tolist(), clues[FIELDS][indexes].tolist(), strict=True):
            kind, flow_id, side, start, length, sequence, name_id, src_port, dst_port, proto = row
            key = flow_id * 2 + side
            payload = kept[start : start + length].tobytes()
            clue = clues[index]
            if kind == layout.KIND_SEGMENT:
                if key in self._streams.settled:
                    continue
                self._segment(index, clue, key, sequence, payload, extra)
            elif kind == layout.KIND_CERT:
                self._certificate_names(clue, sequence, payload)
            elif kind == layout.KIND_DNS:
                self._dns_messages(
                    index, clue, dns.tcp_messages(payload)[0] if proto == TCP else (dns.message(payload),), extra
                )
            elif kind == layout.KIND_STUN:
                self._stun(index, clue, name_id, payload, extra)
            elif kind == layout.KIND_FIRST:
                self._beginning(clue, name_id, payload)
            elif kind == layout.KIND_NAMING:
                self._naming(index, clue, announcing.protocol_of(src_port, dst_port), payload, extra)
        return _with_extra(clues, answers, extra)

    def _segment(self, index: int, clue: Any, key: int, sequence: int, payload: bytes, extra: _Extra) -> None:
        """A piece of a stream of DNS messages."""
        stream = self._streams.add(key, sequence, payload)
        prefix = stream.pieces.prefix()
        if not prefix:
            return
        messages, used = dns.tcp_messages(prefix[stream.taken :])
        stream.taken += used
        self._dns_messages(index, clue, messages, extra)
        if stream.pieces.full:
            self._streams.settle(key)

    def _certificate_names(self, clue: Any, text: int, payload: bytes) -> None:
        """The first certificate with these names, `text` being their number: what it says holds for all of them."""
        number = self._speaking(payload)
        if text:
            self._names.speaks[text] = number or -1
        _set_name(clue, layout.KIND_CERT, number)

    def _speaking(self, certificate: bytes) -> int:
        """The number of the name that speaks for a certificate's flow; 0 where none does."""
        names = certificate_names(certificate)
        if isinstance(names, CertificateNames):
            return self._names.intern(speaking_name(names, self._match_name))
        self.counts["certificates_malformed"] += 1
        return 0

    def _dns_messages(
        self, index: int, clue: Any, messages: Iterable[dns.DnsMessage | Malformed | None], extra: _Extra
    ) -> None:
        first = True
        for message in islice(messages, MAX_MESSAGES):
            if isinstance(message, dns.DnsMessage):
                self._dns(index, clue, message, extra, first=first)
                first = False
            else:
                self.counts["dns_malformed"] += 1

    def _dns(self, index: int, clue: Any, message: dns.DnsMessage, extra: _Extra, *, first: bool) -> None:
        """Puts a message's questions and addresses where the joiner finds them."""
        if message.damaged is not None:
            self.counts["dns_damaged"] += 1
        if message.forward_pointers:
            self.counts["dns_forward_pointers"] += 1
        numbers = [self._names.intern(question.name) for question in message.questions[:MAX_QUESTIONS]]
        response = int(message.response)
        for number in numbers:
            if first:
                _set_name(clue, layout.KIND_DNS, number)
                clue["sequence"] = response
                first = False
            else:
                extra.names.append((index, number, response))
        if not response or message.rcode or not numbers or message.opcode:
            return
        alias = 0
        for record in message.answers:
            if record.cls != 1:
                continue
            if record.service is not None and record.service.ech:
                self._learn_public_names(record.service.ech, int(clue["time_ns"]))
            if record.type == 5 and record.target:
                alias = self._names.intern(record.target)
            for address in _addresses(record):
                extra.answers.append((index, numbers[0], alias, min(record.ttl, TTL_LIMIT_S), *_halves(address)))

    def _learn_public_names(self, config_list: bytes, time_ns: int) -> None:
        names = public_names(config_list)
        if not isinstance(names, tuple):
            self.counts["ech_malformed"] += 1
        elif len(self.public_names) < MAX_PUBLIC_NAMES:
            for name in names:
                self.public_names.setdefault(name, time_ns)

    def _naming(self, index: int, clue: Any, port: int, payload: bytes, extra: _Extra) -> None:
        """Multicast DNS, LLMNR and NetBIOS names are counted; what is DNS in truth is read as such."""
        clue["read"] = layout.READ_DONE
        if announcing.may_be_asked_of_a_server(payload, port):
            src_high, src_low, dst_high, dst_low = (int(clue[name]) for name in ENDS)
            message = announcing.asked_of_a_server(payload, port, _text(src_high, src_low), _text(dst_high, dst_low))
            if message is not None:
                self._dns(index, clue, message, extra, first=True)
                return
        announcing.count(port, payload, self.counts)

    def _stun(self, index: int, clue: Any, number: int, payload: bytes, extra: _Extra) -> None:
        """The first message of its dialect: what it says holds for all of them. Or one that names a peer."""
        clue["read"] = layout.READ_DONE
        message = stun.message(payload)
        if not isinstance(message, stun.StunMessage):
            self.counts["stun_malformed"] += 1
            clue["name_id"] = 0
            return
        for address, port in map(_address_and_port, message.peers):
            extra.answers.append((index, int(PEER), port, 0, *_halves(address)))
        text, matches = self._match_stun(message, clue)
        if not matches:
            return
        if not number:  # a dialect too long for a text of its own
            number = self._names.intern("!" + " ".join((text, *(match.rule for match in matches))))
            clue["name_id"] = number
        self.matched[number] = matches
        self._names.shown[number] = text

    def _beginning(self, clue: Any, number: int, payload: bytes) -> None:
        """The first payload that fits these rules: what it means holds for all that do."""
        clue["read"] = layout.READ_DONE
        text, matches = self._match_first(clue, number, payload)
        self.matched[number] = matches
        self._names.shown[number] = text


def _text(high: int, low: int) -> str:
    """Two int64 halves -> an address as text."""
    whole = (high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1
    found = IPv6Address(whole)
    return str(found.ipv4_mapped or found)


def _set_name(clue: Any, kind: int, number: int) -> None:
    clue["kind"] = kind
    clue["name_id"] = number
    clue["read"] = layout.READ_DONE


def _halves(address: str) -> tuple[int, int]:
    data = packed(address)
    return int.from_bytes(data[:8], "big", signed=True), int.from_bytes(data[8:], "big", signed=True)


def _address_and_port(text: str) -> tuple[str, int]:
    """From "192.0.2.1:3478" or "[2001:db8::1]:3478"."""
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def _addresses(record: dns.Record) -> tuple[str, ...]:
    if record.address:
        return (record.address,)
    if record.service:
        return (*record.service.ipv4hint, *record.service.ipv6hint)
    return ()


def _with_extra(
    clues: NDArray[np.void], answers: NDArray[np.void], extra: _Extra
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The clues with those of `extra` put behind the ones they came with, the answers in order of their clues."""
    if extra.answers:
        answers = np.concatenate([answers, np.array(extra.answers, layout.ANSWER)])
        answers = answers[np.argsort(answers["clue"], kind="stable")]
    if extra.names:
        behind = np.array([index for index, _, _ in extra.names], np.int64)
        more = clues[behind]
        more["kind"] = layout.KIND_DNS
        more["name_id"] = [number for _, number, _ in extra.names]
        more["sequence"] = [response for _, _, response in extra.names]
        answers = answers.copy()
        answers["clue"] += np.searchsorted(behind, answers["clue"], side="left").astype(np.int32)
        order = np.argsort(np.concatenate([np.arange(len(clues)), behind]), kind="stable")
        clues = np.concatenate([clues, more])[order]
    return clues, answers
