"""What every device does: look a name up, open TLS or QUIC to it, say a little, listen."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcaps import quic, tls
from pcaps.tcp import Tcp
from pcaps.tls import Profile, Turn
from pcaps.wire import Link, Station, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcaps.names import Resolver

DEFAULT = {"windows": tls.CHROME, "android": tls.ANDROID, "apple": tls.APPLE, "linux": tls.NATIVE}


@dataclass(slots=True)
class World:
    """The trace and what all scenes share."""

    trace: Trace
    resolver: Resolver
    _ports: dict[str, itertools.count[int]] = field(default_factory=dict)

    def port(self, client: Station) -> int:
        """The next ephemeral port of a device (RFC 6335 section 6)."""
        first = 49152 + self.trace.rng(f"port/{client.name}").randrange(8000)
        return next(self._ports.setdefault(client.name, itertools.count(first)))

    def visit(self, client: Station, name: str, at: float, turns: Sequence[Turn], *, profile: Profile | None = None,
              h3: bool = False, six: bool = False, port: int = 443, alpn: Sequence[str] = (), ask: bool = True,
              kinds: Sequence[str] = ("A", "AAAA"), rtt: float = 0.018, scrambled: bool = False,
              order: Sequence[int] = (), again: int = -1, cuts: Sequence[int] = (), end: bool = True) -> float:  # fmt: skip
        """Look a name up (`ask`) and use it. Returns the time of the end."""
        server = self.resolver.entries[name].station()
        if ask:
            at, server = self.resolver.look_up(client, name, at, kinds, six=six)
        hello = profile or DEFAULT[client.system]
        if h3:
            link = Link(client, self.port(client), server, port, six)
            return quic.session(self.trace, link, name, hello, turns, at=at, rtt=rtt, scrambled=scrambled)
        tcp = Tcp(self.trace, client, self.port(client), server, port, at=at, rtt=rtt, six=six)
        tls.session(tcp, name, hello, turns, alpn=alpn, order=order, again=again, cuts=cuts, end=end)
        return tcp.at


PAGE = (Turn(0.02, 520, 2900), Turn(0.6, 340, 1100))
SMALL = (Turn(0.02, 380, 900),)
