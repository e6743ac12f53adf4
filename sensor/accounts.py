"""Which host names tell whose account a service is used with: `example.zoom.us`, but not `us02web.zoom.us`.

A service that gives each customer a host of its own (a vanity host) shares all its other hosts between customers, and
those say nothing. The table below is data; a name it does not know as shared counts as somebody's account, so that a
stranger's meeting is never taken for the clinic's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class AccountZone:
    """`zones`: parents of customers' hosts, one label below them; `shared`: the labels there that are no customer's."""

    zones: tuple[str, ...]
    shared: re.Pattern[str]

    def is_account(self, host: str) -> bool:
        """Whether `host` (lower case, no final dot) is a customer's."""
        label, _, parent = host.partition(".")
        return parent in self.zones and self.shared.fullmatch(label) is None


# Zoom: clusters are named by region and number (us02web, us05www3, eu01web), media and zone controllers end in mmr and zc, and a
# vanity label has four characters or more (Zoom Support, "Guidelines for Vanity URL requests").
_ZOOM_SHARED: Final = re.compile(
    r".{0,3}|www\d*|(us|eu|au|in|ca|jp|br|hk|sg|de)\d{2}.*|web-[a-z]{2}\d{2}-.*|zoom[a-z]{2,4}[a-z0-9]*(zc|mmr)|"
    r"rwc?[a-z0-9]*\d[a-z]*|(st|static|cdn|assets?|files?|logs?|logfiles|images?)\d*|"
    r"explore|support|marketplace|applications|accounts?|developers?|success|status|trust|blog|launcher|"
    r"docs|events|community|learning|partners?|telemetry|nws|zpns|xmpp.*|whiteboard|scheduler|calendar|mail|contacts"
)
_WEBEX_SHARED: Final = re.compile(
    r"www\d*|meet\d+|api|web|teams|signin|idbroker.*|identity.*|settings|help|collaborationhelp|apphelp|binaries|"
    r"globalpage.*|.*-prod|cdn|static|assets|status|developer|blog|community|hub|admin|join"
)
ACCOUNT_ZONES: Final[Mapping[str, AccountZone]] = {
    "zoom": AccountZone(("zoom.us", "zoom.com", "zoom.com.cn", "zoomgov.com"), _ZOOM_SHARED),
    "webex": AccountZone(("webex.com",), _WEBEX_SHARED),
}
_ANY_SHARED: Final = re.compile(r"www\d*")


def zone_of(app: str, own_hosts: Collection[str]) -> AccountZone:
    """The zone of an app; of an app not in the table, the hosts beside the clinic's own (`b.example.net` beside `a.example.net`)."""
    known = ACCOUNT_ZONES.get(app)
    if known is not None:
        return known
    parents = {host.partition(".")[2] for host in own_hosts}
    return AccountZone(tuple(sorted(parent for parent in parents if "." in parent)), _ANY_SHARED)


def is_below(host: str, parent: str) -> bool:
    """Whether `host` is `parent` or a name below it."""
    return host == parent or host.endswith(f".{parent}")
