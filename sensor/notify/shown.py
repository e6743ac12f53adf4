"""From a stored episode to what may be told of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sensor.notify.model import Proof, Violation, Who
from sensor.services.pseudonyms import hider
from sensor.settings_notify import ShownAs
from sensor.wording import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensor.model import Device, Episode, Evidence
    from sensor.notify.model import Occasion

MAX_PROOFS: Final = 10  # the rest is in the store; a message is no evidence pack


def violation(
    episode: Episode,
    *,
    sequence: int,
    recorded_ns: int,
    occasion: Occasion,
    label: str,
    names: Mapping[str, str],
    site: str,
    version: str,
    devices: ShownAs,
) -> Violation:
    """What is told of an episode. `label`: what its device is called, as `devices` has it; `names`: of apps, by id.

    But with `ShownAs.ID` nothing else tells which device it is: its addresses are left out, and where evidence or a note
    repeats them, the label stands in their place.
    """
    device = episode.device
    shown = devices is ShownAs.ID
    hide = hider(() if shown else _spellings(device), label)
    ids = (episode.app,) if episode.app is not None else episode.candidates
    verdict = episode.verdict
    return Violation(
        id=episode.id,
        sequence=sequence,
        occasion=occasion,
        recorded_ns=recorded_ns,
        site=site,
        version=version,
        device=Who(label, device.id, device.mac, device.addresses) if shown else Who(label),
        network=episode.network,
        apps=tuple((id_, names.get(id_, UNNAMED.get(id_, id_))) for id_ in ids),
        services=episode.services,
        activity=episode.activity,
        strength=episode.strength,
        severity=verdict.severity,
        start_ns=episode.start_ns,
        end_ns=episode.end_ns,
        bytes_up=episode.bytes_up,
        bytes_down=episode.bytes_down,
        packets=episode.packets,
        flows=episode.flows,
        closed=episode.closed,
        rule=verdict.rule,
        kind=verdict.kind,
        reason=hide(verdict.reason),
        policy_hash=verdict.policy_hash,
        signatures_hash=episode.signatures_hash,
        signature_version=episode.signature_version,
        names=tuple(hide(name) for name in episode.names),
        notes=tuple(hide(note) for note in (*device.notes, *episode.notes)),
        proofs=tuple(_proof(one, device, hide, shown=shown) for one in episode.evidence[:MAX_PROOFS]),
        proofs_total=episode.evidence_total,
    )


def _proof(evidence: Evidence, device: Device, hide: Callable[[str], str], *, shown: bool) -> Proof:
    """The device's end is the one whose address is the device's; where neither is, it is the one that opened the flow."""
    flow = evidence.flow
    ends = [(flow.src, flow.sport), (flow.dst, flow.dport)]
    if flow.src not in device.addresses and flow.dst in device.addresses:
        ends.reverse()
    (device_address, device_port), (server_address, server_port) = ends
    return Proof(
        kind=evidence.kind,
        value=hide(evidence.value),
        time_ns=evidence.time_ns,
        app=evidence.match.app,
        rule=evidence.match.rule,
        strength=evidence.match.strength,
        file=hide(evidence.file),
        frame=evidence.frame,
        packet_id=evidence.packet_id if shown else "",  # made of the addresses, few enough to be tried out
        proto=flow.proto,
        device_address=device_address if shown else "",
        device_port=device_port if shown else 0,
        server_address=server_address,
        server_port=server_port,
        detail=hide(evidence.detail),
    )


def _spellings(device: Device) -> set[str]:
    """Every way in which evidence may write the device's addresses."""
    found = {device.mac, device.mac.replace(":", "-"), device.id.partition(":")[2], device.address, *device.addresses}
    for address in (device.address, *device.addresses):
        try:
            found.add(ip_address(address).exploded)
        except ValueError:
            continue
    return found
