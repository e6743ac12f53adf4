"""Small captures made for a test, and what a replay says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import wrpcap

from sensor import capture, records, setup
from sensor.pipeline import Pipeline
from tests.decode import samples

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.model import Episode, Observation
    from sensor.totals import Totals

START_S = 1_700_000_400  # 2023-11-14 22:20:00 UTC
PHONE, PHONE_MAC, PEER_MAC = "192.168.1.7", "02:00:5e:00:53:07", "02:00:5e:00:53:08"
RESOLVER = "192.168.1.1"


@dataclass
class Seen:
    """What a replay gave."""

    flows: list[dict[str, Any]] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    totals: Totals | None = None

    def kinds(self) -> list[str]:
        return [one.kind for one in self.observations]


def packet(src: str, dst: str, transport: Any, *, at: float = 0, vlan: int = 0) -> Any:
    """A frame; the phone has a MAC of its own, everybody else that of its peer."""
    macs = (PHONE_MAC, PEER_MAC) if src == PHONE else (PEER_MAC, PHONE_MAC)
    frame = Ether(src=macs[0], dst=macs[1])
    if vlan:
        frame /= Dot1Q(vlan=vlan)
    frame = frame / (IPv6(src=src, dst=dst) if ":" in src else IP(src=src, dst=dst)) / transport
    frame.time = START_S + at
    return frame


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes, **more: Any) -> Any:
    return packet(src, dst, UDP(sport=sport, dport=dport) / payload, **more)


def tcp(src: str, sport: int, dst: str, dport: int, payload: bytes, *, flags: str = "PA", **more: Any) -> Any:
    return packet(src, dst, TCP(sport=sport, dport=dport, flags=flags, seq=1) / payload, **more)


def hello(name: str, *extensions: bytes) -> bytes:
    """A ClientHello in one record; without a name where there is none."""
    named = (samples.server_name(name.encode()),) if name else ()
    return samples.records(samples.client_hello(*named, *extensions))


ECH = samples.extension(0xFE0D, samples.ECH_OUTER)
ESNI = samples.extension(0xFFCE, b"e" * 40)


def question(name: str, kind: str = "A") -> bytes:
    return dns.message.make_query(f"{name}.", kind).to_wire()


def answer(name: str, *values: str, kind: str = "A") -> bytes:
    made = dns.message.make_response(dns.message.make_query(f"{name}.", kind), recursion_available=True)
    made.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *values))
    return made.to_wire()


def replayed(folder: Path, frames: list[Any], settings: str = "", *, flows: bool = False) -> Seen:
    """Replays frames in order of time, under the configuration `settings`."""
    frames = sorted(frames, key=lambda one: one.time)
    path = folder / "made.pcap"
    wrpcap(str(path), frames)
    toml = folder / "made.toml"
    toml.write_text(settings, "utf-8")
    return read(setup.read(str(toml)), [path], flows=flows)


def read(
    made: setup.Setup, paths: list[Path], *, flows: bool = False, chunk_bytes: int = 1 << 22, parallel: bool = False
) -> Seen:
    """Replays captures."""
    seen = Seen()
    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=seen.episodes.append,
        on_flow=(lambda row: seen.flows.append(records.flow_record(row))) if flows else None,
        visibility=made.visibility,
        on_observation=seen.observations.append,
        parallel=parallel,
    )
    seen.totals = pipeline.run(capture.open_paths(paths, chunk_bytes=chunk_bytes))
    return seen
