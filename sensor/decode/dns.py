"""DNS messages (RFC 1035; EDNS RFC 6891; SVCB and HTTPS records RFC 9460), over UDP and over TCP (RFC 7766).

Names come out in lower case, without the final dot ("." is the root), escaped as in master files. What is done for
mDNS, LLMNR and NetBIOS names is the caller's: they share the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.text import ipv4, ipv6, labels, text
from sensor.model import Malformed

# Fixed parts (RFC 1035, 4.1.1 to 4.1.3): id, flags and four counts; type and class; type, class, TTL and length.
HEADER = Struct(">6H")
QUESTION = Struct(">HH")
RECORD = Struct(">HHIH")

# Flags (RFC 1035, 4.1.1).
RESPONSE = 0x8000
TRUNCATED = 0x0200
RECURSION_DESIRED = 0x0100

# Record types and the one class read (IANA, DNS parameters). The class's top bit has another meaning in mDNS.
A, NS, CNAME, PTR, AAAA, DNAME, SVCB, HTTPS = 1, 2, 5, 12, 28, 39, 64, 65
IN = 1
CLASS_BITS = 0x7FFF
READ_TYPES = frozenset({A, AAAA, NS, CNAME, PTR, DNAME, SVCB, HTTPS})
SERVICE_TYPES = frozenset({SVCB, HTTPS})
IN_TYPES = SERVICE_TYPES | {A, AAAA}  # these have another shape, or none, in other classes

# Service parameters (RFC 9460, 14.3.2).
ALPN, PORT, IPV4HINT, ECH, IPV6HINT = 1, 3, 4, 5, 6

MAX_NAME_BYTES = 255  # RFC 1035, 2.3.4
MAX_LABEL_BYTES = 63
MAX_POINTERS = 127  # as many as a name can have labels
MAX_FORWARD = 4  # pointers of one message's questions that lead away from the start, before it is given up
MAX_FAILURES = 8  # records with unreadable contents before the message is given up; names that fail are not remembered
POINTER = 0xC0
ROOT = "."


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    type: int
    cls: int


@dataclass(frozen=True, slots=True)
class Service:
    """What an SVCB or HTTPS record says (RFC 9460, 2). Priority 0 is an alias; target "." is the record's own name."""

    priority: int
    target: str
    alpn: tuple[str, ...] = ()
    port: int | None = None
    ipv4hint: tuple[str, ...] = ()
    ipv6hint: tuple[str, ...] = ()
    ech: bytes | None = None  # an ECHConfigList


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; of types that are not read there is no more than this head."""

    name: str
    type: int
    cls: int
    ttl: int  # seconds
    address: str | None = None  # A, AAAA
    target: str | None = None  # CNAME, NS, PTR, DNAME
    service: Service | None = None  # SVCB, HTTPS


@dataclass(frozen=True, slots=True)
class DnsMessage:
    """One message. Where records are damaged, those before the damage are here and `damaged` says where it is."""

    id: int
    response: bool
    opcode: int
    rcode: int  # the four bits of the header; OPT may extend them
    truncated: bool
    questions: tuple[Question, ...]
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()  # OPT is among them: its class is the largest UDP payload (RFC 6891, 6.1.2)
    damaged: Malformed | None = None
    recursion_desired: bool = False  # multicast DNS never sets it (RFC 6762, 18.6)
    forward_pointers: int = 0  # in questions: some resolvers follow them, no honest client writes them


@decoder
def message(data: bytes) -> DnsMessage:
    """The message in one datagram.

    Records that are damaged or cut off do not cost the questions. A header without all its questions is no message: it
    is None (cut off) or Malformed, for then even the header may be chance.
    """
    return _message(Cursor(data))


def tcp_messages(stream: bytes) -> tuple[tuple[DnsMessage | Malformed, ...], int]:
    """The whole messages at the start of a TCP stream and the bytes they took (RFC 1035, 4.2.2: a length before each).

    A message that cannot be read stands as Malformed, its offset counted in the stream; those after it are read. The
    `damaged` of a message counts from the start of that message.
    """
    found: list[DnsMessage | Malformed] = []
    taken = 0
    while len(stream) - taken >= 2:
        start = taken + 2
        end = start + Cursor(stream, taken).u16()
        if end > len(stream):
            break
        one = _framed(stream[start:end])
        found.append(Malformed(one.reason, start + one.offset) if isinstance(one, Malformed) else one)
        taken = end
    return tuple(found), taken


def _framed(data: bytes) -> DnsMessage | Malformed:
    """The message in one TCP frame: it ends where the frame ends, so nothing more can come."""
    try:
        return _message(Cursor(data, 0, len(data)))
    except Bad as bad:
        return Malformed(bad.reason, bad.offset)


def _message(cursor: Cursor) -> DnsMessage:
    ident, flags, questions, *counts = cursor.unpack(HEADER)
    reader = _Reader(cursor.data)
    asked = tuple([reader.question(cursor) for _ in range(questions)])
    answers, authority, additional = [reader.records(cursor, count) if count else () for count in counts]
    return DnsMessage(
        ident,
        flags & RESPONSE != 0,
        flags >> 11 & 0xF,
        flags & 0xF,
        flags & TRUNCATED != 0,
        asked,
        answers,
        authority,
        additional,
        reader.damaged,
        flags & RECURSION_DESIRED != 0,
        reader.forward,
    )


class _Reader:
    """Questions, records and names of one message; `damaged` is the first record that could not be read."""

    __slots__ = ("_cut", "_data", "_failures", "_names", "damaged", "forward")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._names: dict[int, tuple[str, int]] = {}  # by offset: the text and its bytes; each is read once
        self._cut = False  # no further record is to be read
        self._failures = 0
        self.forward = 0  # pointers of questions that led away from the start
        self.damaged: Malformed | None = None

    def question(self, cursor: Cursor) -> Question:
        name = self.name(cursor, forward=MAX_FORWARD)
        kind, cls = cursor.unpack(QUESTION)
        return Question(name, kind, cls)

    def records(self, cursor: Cursor, count: int) -> tuple[Record, ...]:
        """One section, up to where the message breaks."""
        found: list[Record] = []
        try:
            for _ in range(0 if self._cut else count):
                found.append(self.record(cursor))  # noqa: PERF401 - those before the damage are kept
        except Bad as bad:
            self._damage(bad)
            self._cut = True
        except NeedMore:
            self._damage(Bad("the message is cut off", cursor.end))
            self._cut = True
        return tuple(found)

    def _damage(self, bad: Bad) -> None:
        if self.damaged is None:
            self.damaged = Malformed(bad.reason, bad.offset)

    def record(self, cursor: Cursor) -> Record:
        """The record at the cursor (RFC 1035, 4.1.3). Where only its contents are damaged, its head is still given."""
        name = self.name(cursor)
        kind, cls, ttl, length = cursor.unpack(RECORD)
        if ttl & 0x8000_0000:
            ttl = 0  # RFC 2181, 8
        other_class = cls & CLASS_BITS != IN
        if kind not in READ_TYPES or (other_class and (kind in IN_TYPES or not length)):
            cursor.skip(length)  # an update deletes with records of other classes that are empty (RFC 2136, 2.4)
            return Record(name, kind, cls, ttl)
        contents = cursor.sub(length)
        try:
            if kind == A:
                record = Record(name, kind, cls, ttl, ipv4(contents.take(4)))
            elif kind == AAAA:
                record = Record(name, kind, cls, ttl, ipv6(contents.take(16)))
            elif kind in SERVICE_TYPES:
                record = Record(name, kind, cls, ttl, None, None, self._service(contents))
            else:
                record = Record(name, kind, cls, ttl, None, self.name(contents))
            if contents.remaining:
                raise Bad("a record longer than its contents", contents.offset)  # noqa: TRY301 - one way out
        except Bad as bad:
            self._failures += 1
            if self._failures > MAX_FAILURES:
                raise
            self._damage(bad)
            return Record(name, kind, cls, ttl)
        return record

    def name(self, cursor: Cursor, forward: int = 0) -> str:
        """The name at the cursor (RFC 1035, 4.1.4).

        Every compression pointer must point before the run of labels that it ends, so that no loop can be; and what
        lies at an offset is read once per message, so that no tower of pointers costs more than its bytes. Large
        resolvers answer questions that break this rule, so a name may be hidden there: `forward` is how many
        pointers of the message may, and bounds the loops that they could make.
        """
        start = cursor.offset
        limit = len(self._data) if cursor.fenced else None
        parts = cursor.strings(MAX_LABEL_BYTES, MAX_NAME_BYTES)
        size = cursor.offset - start + 1
        runs = [(start, 0, 1)]  # where each run of labels starts; how many labels and bytes come before it
        tail = ""
        while size <= MAX_NAME_BYTES and (first := cursor.u8()):
            at = cursor.offset - 1
            if first < POINTER:
                raise Bad("a label of a reserved type", at)
            place = (first & ~POINTER) << 8 | cursor.u8()
            if place >= runs[-1][0]:
                beyond = limit is not None and place >= limit
                if self.forward >= forward or place <= at + 1 or beyond:
                    raise Bad("a compression pointer that does not lead towards the start", at)
                self.forward += 1
            if len(runs) > MAX_POINTERS:
                raise Bad("more compression pointers than a name can have labels", at)
            known = self._names.get(place)
            if known:
                tail, tail_bytes = known
                size += tail_bytes - 1
                break
            runs.append((place, len(parts), size))
            cursor = Cursor(self._data, place, limit)
            parts += cursor.strings(MAX_LABEL_BYTES, MAX_NAME_BYTES - size)
            size += cursor.offset - place
        if size > MAX_NAME_BYTES:
            raise Bad("a name longer than 255 bytes", start)
        for place, before, before_bytes in runs:
            own = labels(parts[before:])
            self._names[place] = (f"{own}.{tail}" if own and tail else own or tail, size - before_bytes + 1)
        return self._names[start][0] or ROOT

    def _service(self, contents: Cursor) -> Service:
        """RFC 9460, 2.2: keys in strictly rising order, each at most once."""
        priority = contents.u16()
        target = self.name(contents)
        found: dict[int, Cursor] = {}
        last = -1
        while contents.remaining:
            at = contents.offset
            key = contents.u16()
            if key <= last:
                raise Bad("service parameters out of order", at)
            last = key
            found[key] = contents.sub(contents.u16())
        port = found.get(PORT)
        ech = found.get(ECH)
        return Service(
            priority,
            target,
            alpn=_alpn(found.get(ALPN)),
            port=None if port is None else port.u16(),
            ipv4hint=_hints(found.get(IPV4HINT), 4),
            ipv6hint=_hints(found.get(IPV6HINT), 16),
            ech=None if ech is None else ech.rest(),
        )


def _alpn(value: Cursor | None) -> tuple[str, ...]:
    """RFC 9460, 7.1.1: protocol names, each behind its length."""
    found = []
    while value is not None and value.remaining:
        found.append(text(value.take(value.u8())))
    return tuple(found)


def _hints(value: Cursor | None, size_bytes: int) -> tuple[str, ...]:
    """RFC 9460, 7.3: addresses of one family."""
    found = []
    while value is not None and value.remaining:
        raw = value.take(size_bytes)
        found.append(ipv4(raw) if size_bytes == 4 else ipv6(raw))
    return tuple(found)
