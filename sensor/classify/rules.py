"""What a signature says: an application, its rules and its examples. The format is described in docs/signatures.md."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sensor.model import RuleMatch

Kind = Literal["exact", "regex", "suffix", "ranges", "stun", "first_bytes"]
Side = Literal["client", "server", "either"]


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """Server ports, both ends included; `proto` is "tcp" or "udp", or "esp", which has none (RFC 4303)."""

    proto: str
    low: int
    high: int

    def fits(self, proto: str, port: int) -> bool:
        return proto == self.proto and self.low <= port <= self.high

    def __str__(self) -> str:
        return f"{self.proto} {self.low}-{self.high}"


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """A range of addresses as 128-bit numbers, IPv4 as ::ffff:a.b.c.d: `bits` of prefix, `low` its first address."""

    bits: int
    low: int

    @property
    def high(self) -> int:
        return self.low | ((1 << (128 - self.bits)) - 1)

    def holds(self, address: int) -> bool:
        return address >> (128 - self.bits) == self.low >> (128 - self.bits)

    def __str__(self) -> str:
        if self.bits >= 96 and self.low >> 32 == 0xFFFF:
            return f"{ipaddress.IPv4Address(self.low & 0xFFFFFFFF)}/{self.bits - 96}"
        return f"{ipaddress.IPv6Address(self.low)}/{self.bits}"


@dataclass(frozen=True, slots=True)
class Stun:
    """What a STUN message must carry; every part that is given must fit, of a list one item."""

    realm: str = ""
    username: str = ""
    software: str = ""
    methods: tuple[int, ...] = ()  # RFC 8489 section 5, without the class bits
    attributes: tuple[int, ...] = ()
    length: int | None = None  # of the attribute's value, in bytes
    value: bytes = b""  # with which the attribute's value starts
    carries: tuple[int, ...] = ()  # attributes that must all be there beside
    only: tuple[int, ...] | None = None  # attributes beside which there may be none
    fan_out: int | None = None  # this app asks so many servers from one socket; tells it from siblings that do not

    def compared(self) -> dict[int, int]:
        """Types of the attributes that it asks about, and how many bytes of each it compares."""
        asked = dict.fromkeys((*self.carries, *(self.only or ())), 0)
        return asked | dict.fromkeys(self.attributes, len(self.value))


def _masked(value: int, mask: int) -> str:
    digits = f"{value:02x}"
    plain = {0xFF: digits, 0xF0: f"{digits[0]}.", 0x0F: f".{digits[1]}", 0: ".."}
    return plain.get(mask, f"{digits}&{mask:02x}")


@dataclass(frozen=True, slots=True)
class FirstBytes:
    """How one side's first payload begins: after masking, `value` stands at offset `at`."""

    proto: str
    side: Side
    at: int
    value: bytes
    mask: bytes
    min_bytes: int
    max_bytes: int | None

    def shown(self) -> str:
        """The bytes that it asks for, as "14 00 .. 4. at byte 0": dots stand for what may be anything, `xx&mm` for single bits."""
        return " ".join(map(_masked, self.value, self.mask)) + f" at byte {self.at}"

    def fits(self, proto: str, side: Side, payload: bytes) -> bool:
        """Whether a TCP stream or UDP datagram from `side` begins so."""
        if proto != self.proto or (side != self.side and "either" not in {side, self.side}):
            return False
        if len(payload) < self.min_bytes or (self.max_bytes is not None and len(payload) > self.max_bytes):
            return False
        seen = payload[self.at : self.at + len(self.value)]
        return bytes(a & b for a, b in zip(seen, self.mask, strict=True)) == self.value


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to know an application. `kind` says which of the fields below it are in use."""

    id: str
    kind: Kind
    match: RuleMatch
    names: tuple[str, ...] = ()  # exact, suffix: domain names; regex: expressions
    exceptions: tuple[str, ...] = ()  # suffix: names below which it does not hold
    ranges: tuple[Range, ...] = ()  # ranges; first_bytes, stun: only at these addresses
    ports: tuple[Ports, ...] = ()  # ranges, first_bytes, stun, names of visibility: only at these ports of the server
    outside: tuple[str, ...] = ()  # visibility: not at the addresses of these rules of applications
    stun: Stun | None = None
    first_bytes: FirstBytes | None = None
    source: str = ""
    seen: str = ""
    confidence: str = ""
    note: str = ""
    proven: tuple[str, ...] = ()  # real captures, public ones, in which it was met
    file: str = ""
    line: int = 0

    def port_fits(self, proto: str, port: int) -> bool:
        return not self.ports or any(ports.fits(proto, port) for ports in self.ports)

    def address_fits(self, address: int) -> bool:
        return not self.ranges or any(one.holds(address) for one in self.ranges)

    def holds(self, proto: str, address: int, port: int) -> bool:
        return self.port_fits(proto, port) and self.address_fits(address)


@dataclass(frozen=True, slots=True)
class App:
    """One application. `context`: it says whose service a flow uses and accuses nobody."""

    id: str
    name: str
    vendor: str
    family: str
    context: bool
    version: str
    rules: tuple[Rule, ...]
    examples: tuple[Example, ...] = ()
    extends: bool = False  # a clinic's change of one of ours, not yet put together with it
    disable: tuple[tuple[str, int], ...] = ()  # ids of rules, and the lines that name them
    file: str = ""
    line: int = 1

    def rule(self, rule_id: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.id == rule_id), None)


@dataclass(frozen=True, slots=True)
class Example:
    """Something a file says must match (`rule` is "app/rule-id") or, with no rule, must match nothing of its app."""

    rule: str
    name: str = ""
    address: int | None = None
    ports: Ports | None = None
    realm: str = ""
    username: str = ""
    software: str = ""
    method: int | None = None
    attributes: tuple[tuple[int, bytes], ...] = ()
    payload: bytes = b""
    side: Side = "client"
    kind: str = ""  # name, dns, address, stun or bytes
    text: str = field(default="", compare=False)  # as the report shows it
    line: int = field(default=0, compare=False)
