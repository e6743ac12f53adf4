"""The examples of a signature file: what must match, and what must not.

Every function here raises SignatureError("file:line: key: reason") and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from sensor.classify.rules import Example
from sensor.classify.values import V4_MAPPED, ports, side
from sensor.classify.yamlfile import Field

_EXAMPLE_KINDS: Final = ("name", "dns", "address", "stun", "bytes")
_EXAMPLE_KEYS: Final = (*_EXAMPLE_KINDS, "rule", "port", "proto", "from", "length")
_EXAMPLE_STUN_KEYS: Final = ("realm", "username", "software", "method", "attributes")
_LONG_HEX: Final = re.compile(r"([0-9a-f]{2}){1,1500}\Z")


def examples(app_id: str, keys: dict[str, Field], *, visibility: bool) -> tuple[list[Example], list[Example]]:
    """Positive and negative ones."""
    if "examples" not in keys:
        return [], []
    sides = keys["examples"].mapping(("positive", "negative"))
    positive, negative = (
        [_example(item, known_by, visibility=visibility) for item in sides[side].items()] if side in sides else []
        for side, known_by in (("positive", app_id), ("negative", ""))
    )
    return positive, negative


def _example(top: Field, app_id: str, *, visibility: bool) -> Example:
    """One example; a positive one, known by `app_id`, names the rule that must match."""
    keys = top.mapping(
        _EXAMPLE_KEYS if app_id else [key for key in _EXAMPLE_KEYS if key != "rule"], ("rule",) if app_id else ()
    )
    placed = {"bytes", "stun", "name"} if visibility else {"bytes", "stun"}
    given = [kind for kind in _EXAMPLE_KINDS if kind in keys and not (kind == "address" and placed & keys.keys())]
    if len(given) != 1:
        top.fail(
            f"an example has exactly one of {', '.join(_EXAMPLE_KINDS)}, this one has {', '.join(given) or 'none'}"
        )
    if app_id and not keys["rule"].text().startswith(f"{app_id}/"):
        keys["rule"].fail(f"expected {app_id}/ and the id of a rule")
    with_port = {"bytes", "name"} if visibility else {"bytes"}
    if ("address" in keys or given[0] in with_port) and "port" not in keys:
        top.fail("an example of an address or of bytes has a port such as 'udp 3478'")
    name = keys["name"] if "name" in keys else keys.get("dns")
    stun = keys["stun"].mapping(_EXAMPLE_STUN_KEYS) if "stun" in keys else {}
    return Example(
        rule=keys["rule"].text() if app_id else "",
        name=name.text() if name else "",
        address=_address(keys["address"]) if "address" in keys else None,
        ports=ports(keys["port"]) if "port" in keys else None,
        realm=stun["realm"].text() if "realm" in stun else "",
        username=stun["username"].text() if "username" in stun else "",
        software=stun["software"].text() if "software" in stun else "",
        method=stun["method"].integer(0, 0xFFF) if "method" in stun else None,
        attributes=tuple(_attribute(item) for item in stun["attributes"].items()) if "attributes" in stun else (),
        payload=_payload(keys) if "bytes" in keys else b"",
        side=side(keys["from"]) if "from" in keys else "client",
        kind=given[0],
        text=_shown(keys[given[0]]),
        line=top.line,
    )


def _shown(item: Field) -> str:
    if isinstance(item.value, dict):
        return ", ".join(f"{key} {_shown(field)}" for key, field in item.value.items())
    if isinstance(item.value, list):
        return ", ".join(_shown(field) for field in item.value)
    return item.value if len(item.value) <= 60 else f"{item.value[:60]}..."


def _address(item: Field) -> int:
    text = item.text()
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        item.fail(f"{text!r} is not an IP address")
    return int(found) | V4_MAPPED if found.version == 4 else int(found)


def _attribute(item: Field) -> tuple[int, bytes]:
    """Text such as "0x4000" or "0x0014 7475726e": a STUN attribute's type and the value's bytes."""
    number, _, value = item.text(longest=3000).partition(" ")
    if value and not _LONG_HEX.match(value):
        item.fail("expected a type such as 0x4000, then, if any, the value in small hexadecimal digits")
    return Field(item.file, item.line, item.key, number).integer(0, 0xFFFF), bytes.fromhex(value)


def _payload(keys: dict[str, Field]) -> bytes:
    """The bytes, filled up with zeros to `length`."""
    text = keys["bytes"].text(longest=3000)
    if not _LONG_HEX.match(text):
        keys["bytes"].fail("expected pairs of small hexadecimal digits")
    value = bytes.fromhex(text)
    return value.ljust(keys["length"].integer(len(value), 1500) if "length" in keys else 0, b"\0")
