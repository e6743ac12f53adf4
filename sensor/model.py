"""Every type that crosses a folder's border.

Times are integer nanoseconds since 1970 UTC. Addresses are 16 bytes inside (IPv4 as ::ffff:a.b.c.d) and text outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# One row per captured frame, whatever it was read from. `offset` counts from the start of the batch's buffer.
FRAME = np.dtype(
    [
        ("offset", "<i8"),
        ("time_ns", "<i8"),
        ("number", "<i8"),  # frame number in its file, from 1, as Wireshark counts
        ("captured_bytes", "<i4"),
        ("wire_bytes", "<i4"),
        ("link", "<i4"),  # LINKTYPE_* value
        ("source", "<i4"),  # index into FrameSource.sources
    ],
)


class LinkType(IntEnum):
    """LINKTYPE_* values that the compiled loop reads (tcpdump.org/linktypes.html)."""

    NULL = 0
    ETHERNET = 1
    PPP = 9
    FDDI = 10
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPP_ETHER = 51
    RAW = 101
    C_HDLC = 104
    IEEE802_11 = 105
    LOOP = 108
    LINUX_SLL = 113
    IEEE802_11_RADIOTAP = 127
    PPI = 192
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    LINUX_SLL2 = 276


@dataclass(frozen=True, slots=True)
class MirrorState:
    """What a live source's frames say of the mirror port, in one window. Conversations: by addresses and ports, of three packets and more."""

    seconds: float
    over: bool  # the window has ended; the next counts from nothing
    looked: int  # frames of TCP and UDP to one receiver
    conversations: int
    one_way: int  # of these, those of which one side was seen
    acks: int  # of TCP, that could be compared
    gaps: int  # of these, those of data that was never seen
    untagged: int  # frames
    vlans: tuple[int, ...]  # tags seen


@dataclass(frozen=True, slots=True)
class SourceState:
    """What became of the frames of a live source since its start: seen = handed on + dropped + waiting, exactly."""

    seen: int  # by the kernel, where the capture filter lets them through
    dropped: int  # by the kernel, for the ring was full
    waiting: int  # in the ring
    time_ns: int = 0  # when this was so
    ring_full: int = 0  # how often it was
    interruptions: int = 0  # of the interface: down, or gone
    tags_put_back: int = 0  # VLAN tags that the card or the kernel had taken off
    oversized: int = 0  # frames longer than the interface's MTU: packets merged by offloads
    snapped: int = 0  # cut short
    damaged_blocks: int = 0  # of the ring; never, unless the kernel's layout is not the one known
    mirror: MirrorState | None = None
    shed: int = 0  # of those handed on: left out before the loop, for the ring was nearly full


@dataclass(slots=True)
class Batch:
    """Some frames in time order. `buffer`: uint8[n]; `frames`: FRAME rows. Both are valid until the next batch only.

    A live source also gives batches without frames: packet time has come as far as `time_ns`. `state`: now and then.
    """

    buffer: NDArray[np.uint8]
    frames: NDArray[np.void]
    time_ns: int | None = None
    state: SourceState | None = None


@dataclass(slots=True)
class SourceInfo:
    """One capture file (or ring) and what became of it."""

    path: str
    size_bytes: int | None = None
    format: str = ""  # "pcap", "pcapng", with "+gzip" or "+zstd"
    frames: int = 0
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(frozen=True, slots=True)
class CaptureWarning:
    """Something in a capture that could not be read; `offset_bytes` is where, in the uncompressed stream."""

    path: str
    reason: str
    offset_bytes: int | None = None

    def __str__(self) -> str:
        where = "" if self.offset_bytes is None else f" at byte {self.offset_bytes}"
        return f"{self.path}: {self.reason}{where}"


class FrameSource(Protocol):
    """Where frames come from: files, standard input, a ring."""

    sources: list[SourceInfo]
    warnings: list[CaptureWarning]
    total_bytes: int | None  # on disk, for the progress bar; None when it cannot be known
    read_bytes: int

    def batches(self) -> Iterator[Batch]:
        """Yield batches until the source ends. Raises CaptureError only if it gives nothing at all."""
        ...


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a decoder answers where the bytes break the protocol. `offset` counts from the start of its input."""

    reason: str
    offset: int


class Strength(IntEnum):
    """How much one piece of evidence proves."""

    SUPPORTING = 1  # published address range, port, shape: never a violation on its own
    STRONG = 2  # DNS answered this address for such a name, to this client, shortly before
    CONCLUSIVE = 3  # a name or handshake that only this application uses, in this flow

    @property
    def label(self) -> str:
        return self.name.lower()


class Activity(IntEnum):
    """What was done, in the order in which one outweighs another within an episode."""

    BACKGROUND = 1
    MESSAGING = 2
    FILE_TRANSFER = 3
    CALL_ATTEMPT = 4
    VOICE_CALL = 5
    VIDEO_CALL = 6
    MEETING = 7

    @property
    def label(self) -> str:
        return self.name.lower()


class Outcome(StrEnum):
    """What the policy says of an episode."""

    ALLOWED = "allowed"
    UNREVIEWED = "unreviewed"
    REVIEW = "review"
    VIOLATION = "violation"


class Severity(IntEnum):
    """How loudly to tell it."""

    INFORMATION = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class FlowKey:
    """A five-tuple; `src` opened the flow, as far as can be told. Addresses as text."""

    proto: str  # "tcp", "udp", "icmp", "icmp6" or the IP protocol's number
    src: str
    sport: int
    dst: str
    dport: int

    def __str__(self) -> str:
        src = f"[{self.src}]" if ":" in self.src else self.src
        dst = f"[{self.dst}]" if ":" in self.dst else self.dst
        return f"{self.proto} {src}:{self.sport} -> {dst}:{self.dport}"


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One signature rule that fits: `app` is the signature's id, `rule` is "app/rule-id"."""

    app: str
    rule: str
    strength: Strength
    service: str = ""
    activity: Activity = Activity.BACKGROUND
    context: bool = False  # says whose service it is and accuses nobody
    media: bool = False  # holds where real-time media flows, and only there


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing seen in one packet, and what it is evidence of."""

    kind: str  # tls_sni, quic_sni, http_host, dns_answer, dns_query, ip_range, stun, payload, media, tied
    value: str  # the name, range or attribute
    file: str  # base name of the capture, or the interface
    frame: int
    time_ns: int
    flow: FlowKey
    match: RuleMatch
    packet_id: str = ""  # 16 hex digits of the packet's time and five-tuple, the kind and the value; names no file
    detail: str = ""  # what else it says, for people: "TLS 1.3, ALPN h2, JA4 t13d1516h2_..."


@dataclass(frozen=True, slots=True)
class Device:
    """Who used it. `id` is "mac:..." where a MAC that is not a router's is visible, else "ip:..."."""

    id: str
    mac: str = ""
    address: str = ""  # the address seen in the first evidence
    addresses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # "random MAC", "IPv6 temporary address", "behind a router", "several devices (NAT)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy in force says, and which of its rules decided."""

    outcome: Outcome
    rule: str  # key in the policy, such as "policy.disallowed" or "policy.exception[2]"
    reason: str  # one sentence in plain words
    policy_hash: str
    severity: Severity = Severity.INFORMATION
    kind: str = ""  # approved_app, approved_variant, exception, schedule, disallowed, unlisted, candidates, context


@dataclass(frozen=True, slots=True)
class Window:
    """What an episode carried in the ten seconds from `start_ns` on."""

    start_ns: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True, slots=True)
class Episode:
    """One device, one app, one stretch of use. A new revision replaces none: it is kept beside the earlier ones."""

    id: str
    device: Device
    network: str
    app: str | None  # None where candidates remain
    candidates: tuple[str, ...]
    services: tuple[str, ...]
    activity: Activity
    strength: Strength
    start_ns: int
    end_ns: int
    bytes_up: int  # from the device
    bytes_down: int
    packets: int
    flows: int
    evidence: tuple[Evidence, ...]  # in time order, capped
    evidence_total: int  # how many there were before the cap
    names: tuple[str, ...]
    verdict: Verdict
    signatures_hash: str
    signature_version: str
    closed: bool = True
    notes: tuple[str, ...] = field(default=())
    profile: tuple[Window, ...] = field(default=())  # windows in which something flowed


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that hides the use of apps, seen of one device in one hour; of an excluded network, of all its devices together.

    Recorded, and no violation by itself: docs/visibility.md.
    """

    kind: str  # ech, encrypted_dns, private_relay, vpn, tor, chat_proxy
    network: str
    device: Device | None  # None: the network is excluded, nothing of its devices is kept
    hour_ns: int  # when the hour began; a flow counts in the hour in which it began
    flows: int
    packets: int
    bytes_up: int  # from the devices
    bytes_down: int
    first_ns: int
    last_ns: int
    strength: Strength
    services: tuple[str, ...]  # of the rules that fitted
    evidence: tuple[Evidence, ...]  # the first few; none of an excluded network
    outcome: str = "recorded"  # or what the policy makes of it: review, violation
