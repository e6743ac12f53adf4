"""Which of a certificate's names speaks for the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.decode.x509 import CertificateNames
    from sensor.model import RuleMatch

MAX_NAMES_ASKED = 64  # of one certificate; those of single companies have fewer


def speaking_name(names: CertificateNames, match_name: Callable[[str], tuple[RuleMatch, ...]]) -> str:
    """One name, so that a certificate shared between siblings accuses none of them; "" where there is none.

    The subject's common name, or where that is none of a host the first DNS name (RFC 6125, 6.4.4 has clients look at those
    alone). A further DNS name speaks only where no signature knows that one, and all that signatures know among the others
    agree: a certificate for *.facebook.com that also holds for *.messenger.com says Facebook, not Messenger.
    """
    common = names.common_name
    first = common if common and is_host(common) else next(iter(names.dns_names), common or "")
    if match_name(first):
        return first
    known = [(name, match_name(name)) for name in names.dns_names[:MAX_NAMES_ASKED]]
    known = [(name, matches) for name, matches in known if matches]
    apps = {frozenset(match.app for match in matches) for _, matches in known}
    return known[0][0] if len(apps) == 1 else first


def is_host(name: str) -> bool:
    """Whether a common name can be a host's: people, firms and authorities have spaces or no dot."""
    return "." in name and "\\" not in name
