"""NetBIOS names over UDP port 137 (RFC 1001, 14; RFC 1002, 4.2): DNS messages whose names are written in half bytes.

They name devices, people's machines among them, never servers of an app.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensor.decode import dns
from sensor.decode.cursor import Bad, decoder
from sensor.decode.text import text
from sensor.model import Malformed

# Operations (RFC 1002, 4.2.1.1).
QUERY, REGISTRATION, RELEASE, WAIT, REFRESH = 0, 5, 6, 7, 8

ENCODED_BYTES = 32  # a name's 16 bytes, each as two letters from "a" on
PLAIN_BYTES = 15  # the last of the 16 says what the name is of (RFC 1001, 14.1)
HEADER_BYTES = 12


@dataclass(frozen=True, slots=True)
class NetbiosName:
    """`kind` is the sixteenth byte: 0x00 a workstation, 0x20 a file server, 0x1b to 0x1e a domain's roles."""

    name: str
    kind: int
    scope: str = ""


@dataclass(frozen=True, slots=True)
class NetbiosMessage:
    """One message. `announced`: names whose holder says that they are its own."""

    id: int
    response: bool
    opcode: int
    rcode: int
    asked: tuple[NetbiosName, ...]
    announced: tuple[NetbiosName, ...]


@decoder
def message(data: bytes) -> NetbiosMessage | None:
    """The message in one datagram; None where it is cut off."""
    found = dns.message(data)
    if found is None:
        return None
    if isinstance(found, Malformed):
        raise Bad(found.reason, found.offset)
    asked = tuple(_name(question.name) for question in found.questions)
    # Who registers or refreshes a name puts it among the additional records (RFC 1002, 4.2.2); who answers, among the answers.
    telling = found.answers if found.response else found.additional
    announced = tuple(_name(record.name) for record in telling) if not found.rcode and found.opcode != RELEASE else ()
    return NetbiosMessage(found.id, found.response, found.opcode & 0xF, found.rcode, asked, announced)


def _name(written: str) -> NetbiosName:
    """First-level encoding (RFC 1001, 14.1), in which the scope follows as an ordinary name."""
    first, _, scope = written.partition(".")
    if len(first) != ENCODED_BYTES or not all("a" <= letter <= "p" for letter in first):
        raise Bad("a label that is no encoded NetBIOS name", HEADER_BYTES)
    halves = [ord(letter) - ord("a") for letter in first]
    plain = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return NetbiosName(text(plain[:PLAIN_BYTES].rstrip(b" \0")), plain[PLAIN_BYTES], scope)
