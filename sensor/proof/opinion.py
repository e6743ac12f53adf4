"""A second opinion: what Wireshark's dissectors, asked through pyshark, make of the frames that evidence cites."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sensor.classify.systems import TLS_NAMES
from sensor.errors import WardwatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sensor.model import Evidence

Fields = dict[str, list[str]]  # by Wireshark's name: every value in the frame, in order

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "tls_sni": ("tls.handshake.extensions_server_name",),
    "quic_sni": ("tls.handshake.extensions_server_name", "gquic.tag.sni"),
    "dtls_sni": ("dtls.handshake.extensions_server_name", "tls.handshake.extensions_server_name"),
    "http_host": ("http.host", "http.request.full_uri"),
    "dns_query": ("dns.qry.name",),
    "dns_answer": ("dns.qry.name",),
    "tls_cert": ("x509ce.dNSName", "x509sat.uTF8String", "x509sat.printableString", "x509sat.teletexString"),
}
METHODS: Final = {
    "Binding": 1,
    "Allocate": 3,
    "Refresh": 4,
    "Send": 6,
    "Data": 7,
    "CreatePermission": 8,
    "ChannelBind": 9,
}
ATTRIBUTE: Final = re.compile(r"\b0x([0-9a-f]{4})\b")
BYTES: Final = re.compile(
    r"(?P<shape>[0-9a-f.]{2}(?:&[0-9a-f]{2})?(?: [0-9a-f.]{2}(?:&[0-9a-f]{2})?)*) at byte (?P<at>\d+)"
)
PREFERENCES: Final = ["-o", "tcp.reassemble_out_of_order:TRUE"]
COOKIE: Final = "2112a442"  # RFC 8489 5
ESCAPED: Final = "\\"
PACKET: Final = re.compile(rb"<packet>.*?</packet>", re.DOTALL)


class Answer(StrEnum):
    """What tshark says."""

    AGREE = "agree"
    DISAGREE = "disagree"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of one piece of evidence; `frame` as the capture that was looked at counts."""

    answer: Answer
    evidence: Evidence
    frame: int
    said: str = ""


@dataclass(slots=True)
class Dissection:
    """What tshark shows of a capture, by frame."""

    frames: dict[int, Fields] = field(default_factory=dict)


def available() -> bool:
    """Whether there is a tshark, and what speaks to it."""
    if shutil.which("tshark") is None:
        return False
    try:
        import pyshark  # noqa: F401, PLC0415 - of use here only
    except ImportError:
        return False
    return True


def dissected(path: Path, frames: Iterable[int] | None = None) -> Dissection:
    """Every frame of a small capture, or some of a larger one. Raises WardwatchError where tshark fails.

    pyshark makes packets of what tshark writes; tshark itself is run here, for pyshark's own way of running it loses the race
    for its exit status against Popen.send_signal now and then, and calls that a crash.
    """
    from pyshark.tshark.output_parser.tshark_xml import packet_from_xml_packet  # noqa: PLC0415 - slow to import

    wanted = ["-Y", "frame.number in {" + ",".join(str(one) for one in sorted(set(frames))) + "}"] if frames else []
    command = ["tshark", "-n", "-r", str(path), "-T", "pdml", *PREFERENCES, *wanted]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - no shell, and the path is no option
    found = Dissection()
    for match in PACKET.finditer(done.stdout):
        packet = packet_from_xml_packet(match[0])
        found.frames[int(packet.number)] = _fields(packet)
    if done.returncode and not found.frames:
        raise WardwatchError(
            f"{path}: tshark failed: {(done.stderr.decode(errors='replace').strip() or '?').splitlines()[-1]}"
        )
    return found


def _fields(packet: Any) -> Fields:
    fields: Fields = {}
    for layer in packet.layers:
        for name in layer.field_names:
            container = layer.get_field(name)
            for one in container.all_fields:
                value = one.get_default_value()
                if value is not None:
                    fields.setdefault(one.name, []).append(str(value))
    return fields


def opinion(evidence: Evidence, frame: int, seen: Dissection) -> Opinion:
    """What tshark says of one piece of evidence in this frame."""
    fields = seen.frames.get(frame)
    if fields is None:
        return Opinion(Answer.DISAGREE, evidence, frame, "there is no such frame")
    flow = _flow(evidence, fields)
    if flow is not None:
        return Opinion(Answer.DISAGREE, evidence, frame, flow)
    if evidence.kind in NAMES:
        return _name(evidence, frame, seen)
    if evidence.kind == "stun":
        return _stun(evidence, frame, fields)
    if evidence.kind == "payload":
        return _payload(evidence, frame, fields)
    if evidence.kind == "user_agent":
        said = fields.get("http.user_agent", [])
        answer = Answer.AGREE if any(evidence.value in one for one in said) else Answer.DISAGREE
        return Opinion(answer, evidence, frame, ", ".join(said))
    if evidence.kind == "tls_version":
        return _version(evidence, frame, fields)
    if evidence.kind == "ip_range":
        ends = [*fields.get("ip.addr", ()), *fields.get("ipv6.addr", ()), *fields.get("ip.src", ()), *fields.get("ip.dst", ()),
                *fields.get("ipv6.src", ()), *fields.get("ipv6.dst", ())]  # fmt: skip
        return Opinion(Answer.AGREE if evidence.value in ends else Answer.DISAGREE, evidence, frame, "addresses")
    return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark has no field for it; the flow is the one that is cited")


def _flow(evidence: Evidence, fields: Fields) -> str | None:
    """What is wrong with the five-tuple in this frame; of a DNS answer the flow is another one than the frame's."""
    if evidence.kind == "dns_answer":
        return None
    flow = evidence.flow
    version = "ipv6" if ":" in flow.src else "ip"
    seen = {*fields.get(f"{version}.src", ()), *fields.get(f"{version}.dst", ())}
    if seen and not {flow.src, flow.dst} <= seen:
        return f"addresses are {', '.join(sorted(seen))}"
    ports = {*fields.get(f"{flow.proto}.srcport", ()), *fields.get(f"{flow.proto}.dstport", ())}
    if ports and not {str(flow.sport), str(flow.dport)} <= ports:
        return f"ports are {', '.join(sorted(ports))}"
    return None


def _name(evidence: Evidence, frame: int, seen: Dissection) -> Opinion:
    """The name in this frame, or in a later one in which all of it had arrived for tshark."""
    names = NAMES[evidence.kind]
    here = _values(seen.frames[frame], names)
    if _says(evidence, here):
        return Opinion(Answer.AGREE, evidence, frame, evidence.value)
    for number in sorted(one for one in seen.frames if one > frame):
        if _flow(evidence, seen.frames[number]) is None and _says(evidence, _values(seen.frames[number], names)):
            return Opinion(Answer.AGREE, evidence, frame, f"{evidence.value}, shown in frame {number}")
    if here and evidence.kind != "tls_cert" and ESCAPED not in evidence.value:
        return Opinion(Answer.DISAGREE, evidence, frame, ", ".join(here))
    return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark shows no name there")


def _values(fields: Fields, names: Sequence[str]) -> list[str]:
    return [value.lower().rstrip(".") for name in names for value in fields.get(name, ())]


def _says(evidence: Evidence, values: Sequence[str]) -> bool:
    """A host may stand there with its port."""
    wanted = evidence.value.lower().rstrip(".")
    if evidence.kind != "http_host":
        return wanted in values
    return any(value == wanted or value.rpartition(":")[0].strip("[]") == wanted for value in values)


def _version(evidence: Evidence, frame: int, fields: Fields) -> Opinion:
    """The version that the ClientHello offers at most; one of TLS 1.3 says more in an extension."""
    said = [int(one, 16) for one in fields.get("tls.handshake.version", ())]
    newer = [int(one, 16) for one in fields.get("tls.handshake.extensions.supported_version", ())]
    if not said:
        return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark shows no hello there")
    wanted = next((number for number, name in TLS_NAMES.items() if evidence.value.endswith(name)), None)
    answer = Answer.AGREE if said[0] == wanted and not newer else Answer.DISAGREE
    return Opinion(answer, evidence, frame, f"0x{said[0]:04x}")


def _stun(evidence: Evidence, frame: int, fields: Fields) -> Opinion:
    what, _, rest = evidence.value.partition(" ")
    if what in {"realm", "software", "username"}:
        names = {"realm": ("stun.att.realm",), "software": ("stun.att.software",), "username": ("stun.att.username",)}[
            what
        ]
        values = [value for name in names for value in fields.get(name, ())]
        if not values:
            return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark does not read this message as STUN")
        fits = any(value.strip("\x00").lower() == rest.lower() or value.startswith(rest) for value in values)
        fits = fits or _bytes_of(rest) in bytes.fromhex("".join(fields.get("udp.payload", ())).replace(":", ""))
        return Opinion(Answer.AGREE if fits else Answer.DISAGREE, evidence, frame, ", ".join(values))
    asked = {int(one, 16) for one in ATTRIBUTE.findall(evidence.value.partition(" with ")[2])}
    method = int(rest.split(" ")[0], 16) if what == "method" else METHODS.get(what)
    read = _stun_read(fields) or _stun_bytes(fields)
    if read is None or method is None:
        return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark does not read this message as STUN")
    seen_method, attributes, how = read
    fits = seen_method == method and asked <= attributes
    shown = f"{how}: method 0x{seen_method:03x}, attributes {', '.join(f'0x{one:04x}' for one in sorted(attributes))}"
    return Opinion(Answer.AGREE if fits else Answer.DISAGREE, evidence, frame, shown)


def _bytes_of(text: str) -> bytes:
    """A text with its escaped bytes, as evidence holds what is no text."""
    parts = re.split(r"\\(\d{3})", text)
    return b"".join(bytes([int(part)]) if at % 2 else part.encode() for at, part in enumerate(parts))


def _stun_read(fields: Fields) -> tuple[int, set[int], str] | None:
    """As tshark's own dissector has it; types of attributes that it does not list are read from the bytes that it shows."""
    methods = fields.get("stun.type.method")
    if not methods:
        return None
    listed = {int(one, 16) for one in fields.get("stun.att.type", ())}
    beside = _stun_bytes(fields)
    return int(methods[0], 16), listed | (beside[1] if beside else set()), "STUN"


def _stun_bytes(fields: Fields) -> tuple[int, set[int], str] | None:
    """Of the types that vendors made up tshark shows the bytes only; they are read here by RFC 8489 section 5."""
    for text in (*fields.get("udp.payload", ()), *fields.get("data.data", ())):
        raw = text.replace(":", "")
        if len(raw) < 40 or raw[8:16] != COOKIE:
            continue
        kind, at, attributes = int(raw[0:4], 16), 40, set()
        while at + 8 <= len(raw):
            attributes.add(int(raw[at : at + 4], 16))
            at += 8 + 2 * (int(raw[at + 4 : at + 8], 16) + 3 & ~3)
        return kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2, attributes, "bytes"
    return None


def _payload(evidence: Evidence, frame: int, fields: Fields) -> Opinion:
    """The bytes that tshark shows there, against those that the rule asks for."""
    asked = BYTES.fullmatch(evidence.value)
    texts = [*fields.get(f"{evidence.flow.proto}.payload", ()), *fields.get("data.data", ())]
    if asked is None or not texts:
        return Opinion(Answer.CANNOT_TELL, evidence, frame, "tshark shows no bytes there")
    shapes, at = asked["shape"].split(" "), int(asked["at"])
    for text in texts:
        raw = bytes.fromhex(text.replace(":", ""))
        part = raw[at : at + len(shapes)]
        if len(part) == len(shapes) and all(map(_byte_fits, part, shapes)):
            return Opinion(Answer.AGREE, evidence, frame, part.hex(" "))
    return Opinion(Answer.DISAGREE, evidence, frame, texts[0][:48])


def _byte_fits(byte: int, shape: str) -> bool:
    """`4.` is any byte with 4 in front, `xx&mm` single bits."""
    value, _, mask = shape.partition("&")
    if mask:
        return byte & int(mask, 16) == int(value, 16)
    return all(want in {".", have} for want, have in zip(value, f"{byte:02x}", strict=True))
