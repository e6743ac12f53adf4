"""DNS as the clinic's resolver answers it (RFC 1035, RFC 9460): CNAME chains, AAAA, HTTPS, empty answers, TCP."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.tcp import Tcp
from pcaps.wire import Link, Station, Trace, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "HTTPS": 65}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the resolver knows of a name: aliases on the way, then addresses."""

    name: str
    v4: tuple[str, ...]
    v6: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    ttl: int = 300
    hops: int = 54  # TTL left on packets of this server
    h3: bool = False  # has an HTTPS record that offers HTTP/3

    def station(self) -> Station:
        return Station(self.name, self.v4[0], self.v6[0] if self.v6 else "", ttl=self.hops)


class Message:
    """Writes one DNS message with name compression."""

    def __init__(self, ident: int, flags: int, name: str, kind: int) -> None:
        self._at: dict[str, int] = {}
        self._counts = [0, 0]
        self._body = bytearray(12)
        self._name(name)
        self._body += struct.pack("!HH", kind, 1)
        self._start = (ident, flags)

    def add(
        self, name: str, kind: str, ttl: int, value: str | bytes | Sequence[str], *, authority: bool = False
    ) -> None:
        """A record; `value` is text for an address or a name, the names of an SOA, or bytes as they are."""
        self._name(name)
        self._body += struct.pack("!HHIH", TYPES[kind], 1, ttl, 0)
        start = len(self._body)
        if kind in {"A", "AAAA"}:
            self._body += packed(str(value))
        elif kind == "CNAME":
            self._name(str(value))
        elif kind == "SOA":
            for part in value:
                self._name(str(part))
            self._body += struct.pack("!5I", 2026031701, 7200, 900, 1209600, 300)
        else:
            self._body += bytes(value) if isinstance(value, bytes) else b""
        struct.pack_into("!H", self._body, start - 2, len(self._body) - start)
        self._counts[authority] += 1

    def bytes(self) -> bytes:
        struct.pack_into("!6H", self._body, 0, *self._start, 1, *self._counts, 0)
        return bytes(self._body)

    def _name(self, name: str) -> None:
        labels = [label for label in name.split(".") if label]
        for index, label in enumerate(labels):
            tail = ".".join(labels[index:])
            if tail in self._at:
                self._body += struct.pack("!H", 0xC000 | self._at[tail])
                return
            self._at[tail] = len(self._body)
            self._body += bytes((len(label),)) + label.encode("ascii")
        self._body.append(0)


class Resolver:
    """The clinic's resolver: looks names up for devices, and leaves the packets in the trace."""

    def __init__(self, trace: Trace, station: Station, entries: Sequence[Entry]) -> None:
        self.trace, self.station = trace, station
        self.entries = {entry.name: entry for entry in entries}
        self._rng = trace.rng("resolver")

    def look_up(
        self, client: Station, name: str, at: float, kinds: Sequence[str] = ("A", "AAAA"), *, six: bool = False
    ) -> tuple[float, Station]:
        """Ask over UDP, all kinds at once, as systems do. Returns the time of the last answer and the server."""
        entry = self.entries[name]
        done = at
        for kind in kinds:
            link = Link(client, self._rng.randrange(49152, 65535), self.station, 53, six)
            ident = self._rng.getrandbits(16)
            asked = self.trace.udp(at, link, Message(ident, 0x0100, name, TYPES[kind]).bytes())
            self.trace.say("dns_query", name, client.address(six), [asked], type=kind)
            replied = at + self._rng.uniform(0.0008, 0.03)
            answered = self.trace.udp(replied, link.turned(), self._answer(ident, entry, kind))
            self.trace.say("dns_answer", name, client.address(six), [answered], type=kind)
            at += 0.0002
            done = max(done, replied)
        return done + 0.0004, entry.station()

    def look_up_tcp(self, client: Station, name: str, text: str, at: float, sport: int) -> float:
        """A TXT record too large for UDP: a truncated answer, then the same over TCP (RFC 7766)."""
        ident = self._rng.getrandbits(16)
        link = Link(client, self._rng.randrange(49152, 65535), self.station, 53)
        query = Message(ident, 0x0100, name, TYPES["TXT"]).bytes()
        refs = [self.trace.udp(at, link, query)]
        refs.append(self.trace.udp(at + 0.004, link.turned(), Message(ident, 0x8380, name, TYPES["TXT"]).bytes()))
        tcp = Tcp(self.trace, client, sport, self.station, 53, at=at + 0.005, rtt=0.0007)
        refs += tcp.send(struct.pack("!H", len(query)) + query, up=True)
        answer = Message(ident, 0x8180, name, TYPES["TXT"])
        parts = [text[start : start + 250].encode("ascii") for start in range(0, len(text), 250)]
        answer.add(name, "TXT", 3600, b"".join(bytes((len(part),)) + part for part in parts))
        body = answer.bytes()
        refs += tcp.send(struct.pack("!H", len(body)) + body, up=False)[-1:]
        tcp.close()
        for ref, kind, proto in zip(refs, ("dns_query", "dns_answer") * 2, ("udp", "udp", "tcp", "tcp"), strict=True):
            self.trace.say(kind, name, client.ip4, [ref], type="TXT", over=proto)
        return tcp.at

    def _answer(self, ident: int, entry: Entry, kind: str) -> bytes:
        answer = Message(ident, 0x8180, entry.name, TYPES[kind])
        owner = entry.name
        for alias in entry.chain:
            answer.add(owner, "CNAME", entry.ttl, alias)
            owner = alias
        values = {"A": entry.v4, "AAAA": entry.v6}.get(kind, ())
        for value in values:
            answer.add(owner, kind, min(entry.ttl, 60) if entry.chain else entry.ttl, value)
        if kind == "HTTPS" and entry.h3:
            hint = b"".join(packed(address) for address in entry.v4)
            alpn = b"\0\1\0\x06\x02h3\x02h2"
            answer.add(owner, "HTTPS", entry.ttl, b"\0\1\0" + alpn + b"\0\4" + struct.pack("!H", len(hint)) + hint)
        elif not values:
            zone = ".".join(owner.split(".")[-2:])
            answer.add(zone, "SOA", 300, (f"ns1.{zone}", f"hostmaster.{zone}"), authority=True)
        return answer.bytes()
