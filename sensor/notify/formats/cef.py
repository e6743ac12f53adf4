r"""ArcSight Common Event Format, version 0 (CEF implementation standard, revision 25).

`CEF:0|vendor|product|version|class id|name|severity|key=value ...` In the header "\" and "|" are escaped, in values "\",
"=" and line ends. Everything else that does not print becomes a blank, so one event is always one line.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from sensor.model import Severity
from sensor.notify.formats.flow import first_flow, sentence, server_name
from sensor.notify.model import Occasion
from sensor.wording import ACTIVITIES

if TYPE_CHECKING:
    from sensor.notify.model import Violation

SEVERITIES: Final = {Severity.INFORMATION: 2, Severity.LOW: 4, Severity.MEDIUM: 6, Severity.HIGH: 8}  # of 0 to 10
MS: Final = 1_000_000
MAX_VALUE: Final = 1023  # characters, the longest that the dictionary of keys allows most texts
UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")


def header(value: str) -> str:
    r"""A field of the header: "|" and "\" escaped, no line ends."""
    return _printable(value.replace("\r", " ").replace("\n", " ")).replace("\\", "\\\\").replace("|", "\\|")


def extension(value: str) -> str:
    r"""A value: "\", "=" and line ends escaped; cut before it is escaped, so no escape is cut apart."""
    parts = [_printable(part) for part in value[:MAX_VALUE].replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\\n".join(part.replace("\\", "\\\\").replace("=", "\\=") for part in parts)


def _printable(value: str) -> str:
    return "".join(" " if unicodedata.category(one) in UNPRINTABLE else one for one in value)


def line(violation: Violation) -> str:
    """One event without its line end."""
    name = f"{ACTIVITIES[violation.activity].capitalize()} over {violation.app_name}"
    fields = (
        "CEF:0",
        "wardwatch",
        "wardwatch",
        header(violation.version),
        header(f"{violation.kind}:{violation.activity.label}"),
        header(name),
        str(SEVERITIES[violation.severity]),
    )
    pairs = " ".join(f"{key}={extension(value)}" for key, value in _pairs(violation) if value)
    return "|".join((*fields, pairs))


def _pairs(violation: Violation) -> list[tuple[str, str]]:
    """Keys of the dictionary; what it has no key for is in the numbered ones, each with its label."""
    proof = first_flow(violation)
    device_address = (proof.device_address if proof else "") or next(iter(violation.device.addresses), "")
    server = proof.server_address if proof else ""
    return [
        ("rt", str(violation.recorded_ns // MS)),
        ("start", str(violation.start_ns // MS)),
        ("end", str(violation.end_ns // MS)),
        ("externalId", violation.id),
        ("cat", violation.kind),
        ("act", "withdrawn" if violation.occasion is Occasion.WITHDRAWN else "detected"),
        ("app", violation.app),
        ("msg", sentence(violation)),
        ("reason", violation.reason),
        ("dvchost", violation.site),
        ("shost", violation.device.label),
        *_address("src", device_address),
        ("smac", violation.device.mac),
        ("spt", str(proof.device_port) if proof and proof.device_address else ""),
        ("dhost", server_name(violation)),
        *_address("dst", server),
        ("dpt", str(proof.server_port) if proof else ""),
        ("proto", proof.proto.upper() if proof else ""),
        ("in", str(violation.bytes_up)),  # from source to destination, as the dictionary has it
        ("out", str(violation.bytes_down)),
        ("cnt", "1"),
        *_named("cs1", "network", violation.network),
        *_named("cs2", "activity", violation.activity.label),
        *_named("cs3", "strength", violation.strength.label),
        *_named("cs4", "policyRule", violation.rule),
        *_named("cs5", "policyHash", violation.policy_hash),
        *_named("cs6", "names", ", ".join(violation.names)),
        *_named("cn1", "revision", str(violation.sequence)),
        *_named("cn2", "packets", str(violation.packets)),
        *_named("cn3", "flows", str(violation.flows)),
        *_named("flexString1", "occasion", violation.occasion.value),
        *_named("flexString2", "notes", "; ".join(violation.notes)),
    ]


def _address(key: str, address: str) -> tuple[tuple[str, str], ...]:
    """IPv4 is in src and dst; IPv6 has numbered keys: c6a2 is the source's, c6a3 the destination's."""
    if ":" not in address:
        return ((key, address),)
    return (
        _named("c6a2", "Source IPv6 Address", address)
        if key == "src"
        else _named("c6a3", "Destination IPv6 Address", address)
    )


def _named(key: str, label: str, value: str) -> tuple[tuple[str, str], ...]:
    """A numbered key and its label; neither where there is nothing to say."""
    return ((key, value), (f"{key}Label", label)) if value else ()
