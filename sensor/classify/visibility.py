"""What hides the use of an app: encrypted DNS and hellos, relays, VPNs, Tor, chat proxies. Data: signatures/visibility/.

The files are of the same format as those of apps, and so is their check; here is what reads them, and what of a flow fits
which rule. docs/visibility.md says what each kind means, and what it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.classify import format as signature_format
from sensor.classify import yamlfile
from sensor.classify.signatures import BUILTIN, SignatureSet, files
from sensor.errors import SignatureError
from sensor.model import RuleMatch, Strength

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sensor.classify.rules import App, Range, Rule, Side

FOLDER: Final = BUILTIN / "visibility"
KINDS: Final = ("ech", "encrypted_dns", "private_relay", "vpn", "tor", "chat_proxy", "outdated")
WIFI_CALLING: Final = "wifi_calling"  # looks like a VPN and is none: where it is told, a tunnel is not
QUESTION: Final = "question"  # the service of rules that count when a name is asked for, and only then
MAX_PLACED: Final = 65536  # servers whose place is remembered
ANY_BITS: Final = 96  # a range of this prefix or shorter holds every IPv4 address
# What no file can say, for it is learned: names that HTTPS records gave out, and hellos without any name.
LEARNED: Final = RuleMatch("ech", "ech/learned", Strength.CONCLUSIVE, "hello")
ESNI: Final = RuleMatch("ech", "ech/esni", Strength.CONCLUSIVE, "hello")


def load(apps: SignatureSet, folder: Path = FOLDER) -> VisibilitySet:
    """The files of a folder. `apps`: the signatures whose ranges some rules lie outside of. Raises SignatureError."""
    found: dict[str, App] = {}
    for file in files(folder):
        one = read(file)
        found[one.id] = one
    return VisibilitySet(found, apps)


def read(file: Path) -> App:
    """One file. Raises SignatureError, also where its id is no kind."""
    top = yamlfile.read(file)
    app = signature_format.app(top, visibility=True)
    if app.id not in {*KINDS, WIFI_CALLING}:
        raise SignatureError(f"{app.file}:{app.line}: id: {app.id!r} is none of {', '.join((*KINDS, WIFI_CALLING))}")
    if app.extends:
        raise SignatureError(f"{app.file}:{app.line}: extends: goes with applications only")
    return app


class VisibilitySet:
    """The rules in force. Every lookup is total."""

    def __init__(self, kinds: dict[str, App], apps: SignatureSet) -> None:
        self._set = SignatureSet(kinds, apps.limits)
        self.apps = self._set.apps
        self.hash = self._set.hash
        self._outside = {
            rule.match.rule: [one for name in rule.outside if name in apps.rules for one in apps.rules[name].ranges]
            for rule in self._set.rules.values()
            if rule.outside
        }

        self._placed: dict[tuple[str, bytes], bool] = {}

    @property
    def rules(self) -> dict[str, Rule]:
        return self._set.rules

    def says_of_name(self, name: str) -> bool:
        """Whether any rule knows the name, wherever it goes."""
        return bool(self._set.match_name(name))

    def of_question(self, name: str) -> tuple[RuleMatch, ...]:
        """What it means that a name is asked for."""
        return tuple(match for match in self._set.match_name(name) if match.service == QUESTION)

    def of_name(self, name: str, proto: str, port: int, address: bytes) -> tuple[RuleMatch, ...]:
        """What it means that a flow to this server is known by this name."""
        found = (match for match in self._set.match_name(name) if match.service != QUESTION)
        return tuple(match for match in found if self._holds(match, proto, port, address))

    def of_address(self, proto: str, port: int, address: bytes) -> tuple[RuleMatch, ...]:
        """What the server's address and port mean by themselves."""
        return self._set.match_address(address, proto, port)

    def of_first_bytes(
        self, proto: str, side: Side, payload: bytes, port: int, address: bytes
    ) -> tuple[RuleMatch, ...]:
        """What it means that one side of a flow begins so; `port` and `address` are the server's."""
        found = self._set.match_first_bytes(proto, side, payload, port, address)
        return tuple(match for match in found if self._holds(match, proto, port, address))

    def first_bytes_rules(self) -> list[Rule]:
        return self._set.first_bytes_rules()

    def ranges(self) -> list[tuple[bytes, bytes, RuleMatch]]:
        """Addresses that mean something at some port; not those of rules that take in every address."""
        return [
            (low, high, match)
            for low, high, _, _, _, match in self._set.ranges()
            if int.from_bytes(high, "big") - int.from_bytes(low, "big") < 0xFFFFFFFF
        ]

    def ports(self) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """Ports that mean something at any address, and those that do at the addresses of `ranges`."""
        anywhere: set[tuple[str, int]] = set()
        somewhere: set[tuple[str, int]] = set()
        for rule in self._set.rules.values():
            if rule.kind == "ranges":
                into = anywhere if any(one.bits <= ANY_BITS for one in rule.ranges) else somewhere
                into |= {(ports.proto, port) for ports in rule.ports for port in _each(ports.low, ports.high)}
        return anywhere, somewhere

    def outside(self, rule: str) -> tuple[Range, ...]:
        """The ranges that a rule stays outside of."""
        return tuple(self._outside.get(rule, ()))

    def _holds(self, match: RuleMatch, proto: str, port: int, address: bytes) -> bool:
        rule = self._set.rules[match.rule]
        return rule.port_fits(proto, port) and not (match.rule in self._outside and self._inside(match.rule, address))

    def _inside(self, rule: str, address: bytes) -> bool:
        """Whether an address lies in the ranges that a rule stays outside of; a server is asked about again and again."""
        place = rule, address
        if place not in self._placed:
            if len(self._placed) >= MAX_PLACED:
                self._placed.clear()
            number = int.from_bytes(address, "big")
            self._placed[place] = any(one.holds(number) for one in self._outside[rule])
        return self._placed[place]


def _each(low: int, high: int) -> Iterable[int]:
    """The ports of a rule; of one without any number, such as "esp", the one that flows without ports have."""
    return (0,) if (low, high) == (0, 65535) else range(low, high + 1)
