r"""Domain names, and the small kind of regular expression over them that a signature may use.

An expression is `^`, then labels made of literals, `\d`, classes, groups with `|`, and the quantifiers `?`, `+`, `*`,
`{n}` and `{n,m}`, then a literal domain and `$`. A group may be optional but never repeated, and
the ways in which a name can be tried are counted and bounded.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\Z")
_ENDING: Final = re.compile(rf"((?:\\\.{_LABEL})+)\$\Z")
# In this order: the caret and dollar are taken off before; a quantifier belongs to the atom before it.
_TOKEN: Final = re.compile(
    r"(?P<atom>[a-z0-9_-]|\\\.|\\d|\\-|\[(?:[a-z0-9_]-[a-z0-9_]|[a-z0-9_.]|\\d)+-?\])(?P<times>[?+*]|\{\d{1,2}(?:,\d{1,2})?\})?"
    r"|(?P<open>\((?:\?:)?)|(?P<bar>\|)|(?P<close>\)\??)",
)
MAX_LENGTH: Final = 200
MAX_DEPTH: Final = 3
# In how many ways the parts of an expression can share out a name: the product of what each may take. Every way that is
# tried costs at most the name's length, so a lookup stays below a tenth of a second whatever the name.
MAX_WAYS: Final = 20_000
MAX_NAME: Final = 253  # RFC 1035 section 2.3.4, as text without the final dot


def is_domain(text: str) -> bool:
    """Two labels or more, in small letters, international names as xn--."""
    return len(text) <= MAX_NAME and _DOMAIN.match(text) is not None and not text.replace(".", "").isdigit()


def literal_suffix(expression: str) -> str:
    r"""The domain an expression ends in: "zoom.us" of `^us\d{2}web\.zoom\.us$`; empty where there is none."""
    found = _ENDING.search(expression)
    return found[1].replace("\\.", ".").removeprefix(".") if found else ""


def check(expression: str) -> None:
    """Raises ValueError with the reason where an expression is not of the small kind."""
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    if not expression.startswith("^") or not expression.endswith("$"):
        raise ValueError("must be anchored, ^...$")
    if not is_domain(literal_suffix(expression)):
        raise ValueError("must end in a literal domain of two labels or more, such as \\.example\\.org$")
    _check_body(expression[1:-1])
    try:
        re.compile(expression)
    except re.error as error:  # such as a class or a count that runs backwards
        raise ValueError(str(error)) from None


def _check_body(body: str) -> None:
    at, ways = 0, 1
    open_groups: list[int] = []  # alternatives seen so far in each
    while at < len(body):
        token = _TOKEN.match(body, at)
        if token is None or (not open_groups and (token["bar"] or token["close"])):
            raise ValueError(f"not allowed here: {body[at : at + 12]!r}")
        if token["open"]:
            open_groups.append(1)
        elif token["bar"]:
            open_groups[-1] += 1
        elif token["close"]:
            ways *= open_groups.pop() + (token["close"] == ")?")
        ways *= _counts(token["times"])
        if len(open_groups) > MAX_DEPTH:
            raise ValueError(f"groups are nested more than {MAX_DEPTH} deep")
        if ways > MAX_WAYS:
            raise ValueError("too many repeated or optional parts and alternatives")
        at = token.end()
    if open_groups:
        raise ValueError("a group is not closed")


def _counts(times: str | None) -> int:
    """How many different numbers of times a quantifier allows."""
    if times is None or times[0] == "?":
        return 1 if times is None else 2
    if times in {"+", "*"}:
        return MAX_NAME
    low, _, high = times.strip("{}").partition(",")
    return max(1, int(high) - int(low) + 1) if high else 1
