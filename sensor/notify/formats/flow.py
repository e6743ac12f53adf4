"""What several formats say of a flow and a sentence."""

from __future__ import annotations

import base64
import hashlib
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sensor.notify.model import Occasion
from sensor.wording import ACTIVITIES, length, size

if TYPE_CHECKING:
    from sensor.notify.model import Proof, Violation

PROTOCOLS: Final = {"tcp": 6, "udp": 17}
NAME_KINDS: Final = ("tls_sni", "quic_sni", "dtls_sni", "http_host", "dns_answer", "tls_cert")


def community_id(proof: Proof) -> str:
    """Community ID 1, seed 0 (github.com/corelight/community-id-spec); "" where an end is not known or has no port."""
    number = PROTOCOLS.get(proof.proto)
    if number is None or not proof.device_address or not proof.server_address:
        return ""
    try:
        ends = sorted(
            (ip_address(address).packed, port)
            for address, port in (
                (proof.device_address, proof.device_port),
                (proof.server_address, proof.server_port),
            )
        )
    except ValueError:
        return ""
    (one, one_port), (other, other_port) = ends
    data = struct.pack("!H", 0) + one + other + struct.pack("!BBHH", number, 0, one_port, other_port)
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def first_flow(violation: Violation) -> Proof | None:
    """The flow that stands for an episode where a format has room for one: that of its first, strongest evidence."""
    return max(violation.proofs, key=lambda proof: proof.strength, default=None)


def server_name(violation: Violation) -> str:
    """A name that this flow's server bore, or ""."""
    proof = first_flow(violation)
    return proof.value if proof is not None and proof.kind in NAME_KINDS else ""


def sentence(violation: Violation) -> str:
    """One line in plain words."""
    what = ACTIVITIES[violation.activity].capitalize()
    lasted, carried = length(violation.end_ns - violation.start_ns), size(violation.bytes_up + violation.bytes_down)
    where = f" on {violation.network}" if violation.network else ""
    text = f"{what}, {violation.app_name}, {lasted}, {carried}, {violation.device.label}{where}"
    return f"Withdrawn: {text}" if violation.occasion is Occasion.WITHDRAWN else text


def without_empty(record: dict[str, object]) -> dict[str, object]:
    """The record without what is not known: None, "", and empty lists and objects; numbers stay, also 0."""
    found: dict[str, object] = {}
    for key, value in record.items():
        kept = without_empty(value) if isinstance(value, dict) else value
        if kept or isinstance(kept, bool | int | float):
            found[key] = kept
    return found
