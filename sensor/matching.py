"""What signatures say of what the compiled joiner numbers: names, STUN dialects, first bytes, ranges. Each is asked about once."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import numpy as np

from sensor.classify.flows import CALL_SERVICES
from sensor.following import halves, telling
from sensor.kernel.dialect import PREFIX_BYTES
from sensor.kernel.first import CLIENT, EITHER, SERVER, sieve
from sensor.kernel.first import TCP as TCP_RULES
from sensor.kernel.first import UDP as UDP_RULES
from sensor.kernel.ranges import Ranges
from sensor.kernel.state import MAX_MATCHES
from sensor.networks import packed
from sensor.places import beginning_places, disjoint, stun_places

if TYPE_CHECKING:
    from sensor.classify.rules import Rule, Side
    from sensor.classify.signatures import SignatureSet
    from sensor.classify.visibility import VisibilitySet
    from sensor.decode.stun import StunMessage
    from sensor.kernel.first import Sieve
    from sensor.kernel.state import Joiner, Scanner
    from sensor.model import RuleMatch
    from sensor.networks import Networks
    from sensor.settings import Settings
    from sensor.watching import Watcher

TCP = 6
# RFC 8489 18.2, RFC 8656 17.
STUN_METHODS = {
    1: "Binding",
    3: "Allocate",
    4: "Refresh",
    6: "Send",
    7: "Data",
    8: "CreatePermission",
    9: "ChannelBind",
}
# Where devices are while no network is configured: RFC 1918, 6598, 3927, 1122, 4193, 4291.
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
           "fc00::/7", "fe80::/10")  # fmt: skip


class Matching:
    """`matches` by number, 0 for none: the same number for what says the same."""

    def __init__(self, signatures: SignatureSet, joiner: Joiner) -> None:
        self.matches: list[tuple[RuleMatch, ...]] = [()]
        self.watcher: Watcher | None = None
        self._signatures = signatures
        self._joiner = joiner
        self._names = joiner.names
        self._numbers: dict[tuple[RuleMatch, ...], int] = {(): 0}
        self._classified = 0

    def tell(self, scanner: Scanner, settings: Settings, networks: Networks, visibility: VisibilitySet | None) -> None:
        """Tells scanner and joiner what they have to know of networks and signatures."""
        joiner, signatures = self._joiner, self._signatures
        joiner.locals = Ranges.of(_locals(settings, networks))
        joiner.ranges = Ranges.of(
            disjoint([(low, high, match) for low, high, _, _, _, match in signatures.ranges()], self._range_number)
        )
        asked = [rule.stun for rule in signatures.rules.values() if rule.stun]
        compared: dict[int, int] = {}
        for stun in asked:
            for number, count in stun.compared().items():
                compared[number] = max(compared.get(number, 0), count)
        joiner.stun_places = stun_places(signatures)
        joiner.stun_wanted = np.array(sorted(compared.items()), np.int64).reshape(-1, 2)
        names = sorted({stun.username.encode()[:PREFIX_BYTES] for stun in asked if stun.username})
        long_enough = [name for name in names if len(name) == PREFIX_BYTES]
        joiner.stun_usernames = np.frombuffer(b"".join(long_enough), np.uint8).reshape(-1, PREFIX_BYTES)
        scanner.rules = joiner.beginnings = sieve_of(signatures, visibility)
        joiner.beginnings_held = beginning_places(_beginnings(signatures, visibility), visibility)

    def change(self, signatures: SignatureSet) -> None:
        """These signatures hold from now on, for every name that was ever seen; `tell` has to follow."""
        self._signatures = signatures
        self._names.ask_again()
        self._classified = 0

    def classify(self, matched: dict[int, tuple[RuleMatch, ...]], *, listed: bool) -> None:
        """Asks about names not seen before, and takes over what was `matched` meanwhile, by number; which it empties.

        `listed`: also what cannot make an episode is wanted.
        """
        for number in range(self._classified + 1, len(self._names) + 1):
            name = self._names.text(number)
            matches = self._signatures.match_name(name)
            if self.watcher is not None:
                self.watcher.classify(number, name)
            if any(telling(match) for match in matches):
                self._names.match[number] = self.number(matches)
            elif matches and listed:
                self._names.match[number] = -self.number(matches)
        self._classified = len(self._names)
        for number, matches in matched.items():
            self._names.match[number] = self.number(matches)
        matched.clear()

    def forget_names(self) -> None:
        """The numbers of names begin anew."""
        self._classified = 0

    def number(self, matches: tuple[RuleMatch, ...]) -> int:
        """The number of these matches."""
        number = self._numbers.get(matches)
        if number is None:
            number = self._numbers[matches] = len(self.matches)
            self.matches.append(matches)
            if number < MAX_MATCHES:
                self._joiner.calls[number] = any(one.service in CALL_SERVICES for one in matches)
        return number

    def _range_number(self, matches: tuple[RuleMatch, ...]) -> int:
        """0 where a range only says whose network it is: that makes no flow part of an episode."""
        return self.number(tuple(match for match in matches if not match.context))

    def of_stun(self, message: StunMessage, clue: Any) -> tuple[str, tuple[RuleMatch, ...]]:
        """What the signatures know in a STUN message seen there, and how to name it."""
        ends = [(halves(clue[f"{end}_high"], clue[f"{end}_low"]), int(clue[f"{end}_port"])) for end in ("src", "dst")]
        matches = self._signatures.match_stun(
            message.realm, message.software, message.username, message.method, message.attributes, ends
        )
        # Only what all messages of the dialect have: a user name that no rule asked for is another one in each session.
        rules = [self._signatures.rules[match.rule].stun for match in matches]
        told = message.username if any(rule and rule.username for rule in rules) else None
        parts = (("realm", message.realm), ("software", message.software), ("username", told))
        said = [f"{what} {text}" for what, text in parts if text]
        return said[0] if said else self._method(message, matches), matches

    def _method(self, message: StunMessage, matches: tuple[RuleMatch, ...]) -> str:
        """What a message asks for, and which of the attributes that told it carries: "Allocate with attribute 0x4000"."""
        rules = [self._signatures.rules[match.rule].stun for match in matches]
        asked = {kind for rule in rules if rule for kind in (*rule.attributes, *rule.carries)}
        carried = sorted({kind for kind, _ in message.attributes} & asked)
        name = STUN_METHODS.get(message.method, f"method 0x{message.method:03x}")
        if not carried:
            return name
        return (
            f"{name} with attribute{'s' if len(carried) > 1 else ''} {', '.join(f'0x{kind:04x}' for kind in carried)}"
        )

    def of_first(self, clue: Any, number: int, payload: bytes) -> tuple[str, tuple[RuleMatch, ...]]:
        """What the signatures know of how one side of a flow begins, and the bytes that say so. `number`: of its text."""
        from_client = clue["side"] == clue["opener"]
        proto = "tcp" if clue["proto"] == TCP else "udp"
        end = "dst" if from_client else "src"
        server, port = halves(clue[f"{end}_high"], clue[f"{end}_low"]), int(clue[f"{end}_port"])
        side: Side = "client" if from_client else "server"
        if self.watcher is not None:
            self.watcher.beginning(number, proto, side, payload, port, server)
        matches = self._signatures.match_first_bytes(proto, side, payload, port, server)
        first = self._signatures.rules[matches[0].rule].first_bytes if matches else None
        return ("", ()) if first is None else (first.shown(), matches)


def sieve_of(signatures: SignatureSet, visibility: VisibilitySet | None) -> Sieve:
    """The rules of first bytes as the compiled loop takes them."""
    return sieve(map(_sieved, _beginnings(signatures, visibility)))


def _beginnings(signatures: SignatureSet, visibility: VisibilitySet | None) -> list[Rule]:
    return [*signatures.first_bytes_rules(), *(visibility.first_bytes_rules() if visibility is not None else ())]


def _locals(settings: Settings, networks: Networks) -> list[tuple[bytes, bytes, int]]:
    """Where devices are: in the clinic's networks, else in the private ranges."""
    if settings.networks:
        return [(each.low, each.high, 0) for each in networks.ranges()]
    nets = [ip_network(cidr) for cidr in PRIVATE]
    return sorted((packed(str(net.network_address)), packed(str(net.broadcast_address)), 0) for net in nets)


def _sieved(rule: Rule) -> tuple[int, int, int, bytes, bytes, int, int]:
    """A rule as the compiled loop takes it."""
    first = rule.first_bytes
    if first is None:
        raise AssertionError(rule.id)
    side = {"client": CLIENT, "server": SERVER, "either": EITHER}[first.side]
    most = -1 if first.max_bytes is None else first.max_bytes
    proto = TCP_RULES if first.proto == "tcp" else UDP_RULES
    return proto, side, first.at, first.value, first.mask, first.min_bytes, most
