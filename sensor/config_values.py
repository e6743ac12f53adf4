"""What the single values of the TOML file mean. Each parser raises WrongValueError; `toml_table` adds file and key."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum, StrEnum
from ipaddress import IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sensor.toml_table import WrongValueError, suggestion, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sensor.settings import IPNetwork

MAX_TEXT: Final = 500  # characters; a reason is a sentence, not a page
MAX_BPF: Final = 4096  # instructions that Linux takes (BPF_MAXINSNS)
BPF_LIMITS: Final = (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF)
BPF_RETURN: Final = 6
MAX_YEAR: Final = 9999
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # in the order of datetime.weekday()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND: Final = int((datetime(MAX_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
_APP: Final = re.compile(r"[a-z0-9_]{1,64}")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_HOST: Final = re.compile(
    r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}"
)  # RFC 1035 section 2.3.1, and underscores
_MAC: Final = re.compile(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}")
_STORE_URL: Final = re.compile(r"(sqlite|postgresql)(\+[a-z0-9_]+)?://.*")

E = TypeVar("E", bound=StrEnum)
L = TypeVar("L", bound=IntEnum)


def text(value: object) -> str:
    """One printable line that is not blank."""
    if not isinstance(value, str):
        raise WrongValueError(f"must be a text in quotes, not {type_name(value)}")
    if not value.strip():
        raise WrongValueError("must not be empty")
    if not value.isprintable():
        raise WrongValueError("must be one line of printable characters")
    if len(value) > MAX_TEXT:
        raise WrongValueError(f"is longer than {MAX_TEXT} characters")
    return value


def switch(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise WrongValueError(f"must be true or false, not {type_name(value)}")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """A whole number of `low` to `high`."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise WrongValueError(f"must be a whole number, not {type_name(value)}")
        if not low <= value <= high:
            raise WrongValueError(f"{value} is not between {low} and {high}")
        return value

    return parse


def bpf_program(value: object) -> tuple[tuple[int, int, int, int], ...]:
    """What `tcpdump -ddd` prints: how many instructions, then each as code, jump if true, jump if false, operand.

    Parts are divided by lines or commas. Empty: no filter. That its jumps stay inside is for the kernel to check.
    """
    if not isinstance(value, str):
        raise WrongValueError(f"must be a text in quotes, not {type_name(value)}")
    parts = [part.split() for part in re.split(r"[,\n]", value) if part.strip()]
    if not parts:
        return ()
    if not all(word.isascii() and word.isdigit() for part in parts for word in part):
        raise WrongValueError("must be the numbers that `tcpdump -ddd` prints for a filter")
    numbers = [tuple(map(int, part)) for part in parts]
    if len(numbers[0]) != 1 or numbers[0][0] != len(numbers) - 1:
        raise WrongValueError(f"must begin with how many instructions follow, which are {len(numbers) - 1}")
    if not 0 < numbers[0][0] <= MAX_BPF:
        raise WrongValueError(f"must have 1 to {MAX_BPF} instructions")
    program = []
    for at, one in enumerate(numbers[1:]):
        if len(one) != 4 or any(number > most for number, most in zip(one, BPF_LIMITS, strict=False)):
            raise WrongValueError(f"instruction {at} is not a code, two jumps and an operand")
        program.append((one[0], one[1], one[2], one[3]))
    if program[-1][0] & 7 != BPF_RETURN:
        raise WrongValueError("must end with a return")
    return tuple(program)


def power_of_two(low: int, high: int) -> Callable[[object], int]:
    """A power of two of `low` to `high`."""
    in_range = whole(low, high)

    def parse(value: object) -> int:
        number = in_range(value)
        if number & (number - 1):
            raise WrongValueError(
                f"{number} is not a power of two (nearest: {1 << (number.bit_length() - 1)}, {1 << number.bit_length()})"
            )
        return number

    return parse


def member(what: str, known: Sequence[str]) -> Callable[[object], str]:
    """One of the texts in `known`."""

    def parse(value: object) -> str:
        word = text(value)
        if word not in known:
            raise WrongValueError(f"{word!r} is no {what}{suggestion(word, known)}")
        return word

    return parse


def choice(options: type[E]) -> Callable[[object], E]:
    """One of the values of `options`."""

    def parse(value: object) -> E:
        word = text(value)
        if word not in [each.value for each in options]:
            raise WrongValueError(f"{word!r} is none of {', '.join(options)}")
        return options(word)

    return parse


def level(options: type[L], least: int = 0) -> Callable[[object], L]:
    """One of the ordered `options` not below `least`, by its name in lower case."""
    names = {each.name.lower(): each for each in options if each >= least}

    def parse(value: object) -> L:
        word = text(value)
        if word not in names:
            raise WrongValueError(f"{word!r} is none of {', '.join(names)}")
        return names[word]

    return parse


def timezone(value: object) -> str:
    """A name of the IANA time zone database."""
    name = text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of the database, such as "Europe"
        raise WrongValueError(f"{name!r} is no IANA time zone, such as 'Europe/Madrid'") from error
    return name


def network(value: object) -> IPNetwork:
    """An IPv4 or IPv6 network in CIDR notation, without host bits."""
    word = text(value)
    try:
        found = ip_network(word.replace("%", "?"), strict=False)  # an interface after "%" is no part of a network
    except ValueError as error:
        raise WrongValueError(f"{word!r} is not a network") from error
    if ip_address(word.partition("/")[0]) != found.network_address:
        raise WrongValueError(f"{word!r} has host bits set; the network is {str(found)!r}")
    if isinstance(found, IPv6Network) and found.prefixlen >= 96 and found.network_address.ipv4_mapped is not None:
        raise WrongValueError(f"{word!r} is IPv4 inside IPv6; write it as an IPv4 network")
    return found


def mac(value: object) -> str:
    """A device's MAC, written in any of the three usual ways -> lower case with colons."""
    word = text(value)
    if not _MAC.fullmatch(word.lower()):
        raise WrongValueError(f"{word!r} is not a MAC, such as '02:00:5e:00:53:01'")
    digits = re.sub(r"[^0-9a-f]", "", word.lower())
    if int(digits[:2], 16) & 1 or int(digits, 16) == 0:  # IEEE 802: the group bit
        raise WrongValueError(f"{word!r} is no single device's MAC")
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))


def device_id(value: object) -> str:
    """A MAC or an IP address -> the id that `model.Device` has."""
    word = text(value)
    if _MAC.fullmatch(word.lower()):
        return f"mac:{mac(word)}"
    try:
        address = ip_address(word)
    except ValueError as error:
        raise WrongValueError(f"{word!r} is neither a MAC nor an IP address") from error
    if "%" in word:
        raise WrongValueError(f"{word!r} must be without the interface after '%'")
    mapped = address.ipv4_mapped if address.version == 6 else None
    return f"ip:{mapped or address}"


def device(names: Sequence[tuple[str, str]]) -> Callable[[object], tuple[str, ...]]:
    """A MAC, an IP address, or a label of [devices.names] -> the ids it stands for."""

    def parse(value: object) -> tuple[str, ...]:
        word = text(value)
        labelled = tuple(each for each, label in names if label == word)
        if labelled:
            return labelled
        try:
            return (device_id(word),)
        except WrongValueError as error:
            raise WrongValueError(
                f"{word!r} is neither a MAC nor an IP address nor a label of devices.names"
            ) from error

    return parse


def app(known: Collection[str] | None) -> Callable[[object], str]:
    """The id of an app; of a known one, unless `known` is None."""

    def parse(value: object) -> str:
        word = text(value)
        if known is not None and word not in known:
            raise WrongValueError(f"{word!r} is no known app{suggestion(word.lower(), known)}")
        if not _APP.fullmatch(word):
            raise WrongValueError(f"{word!r} is not the id of an app, such as 'google_meet'")
        return word

    return parse


def host(value: object) -> str:
    """A host name, lower case, without a final dot."""
    word = text(value).lower().removesuffix(".")
    if not _HOST.fullmatch(word) or len(word) > 253:  # RFC 1035 section 2.3.4
        raise WrongValueError(f"{value!r} is not a host name, such as 'example.zoom.us'")
    return word


def address(value: object) -> str:
    """An IP address."""
    word = text(value)
    try:
        return str(ip_address(word))
    except ValueError as error:
        raise WrongValueError(f"{word!r} is not an IP address") from error


def host_or_address(value: object) -> str:
    """A host name, also one of a single label, or an IP address."""
    word = text(value).lower()
    try:
        return str(ip_address(word))
    except ValueError:
        return word if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", word) else host(word)


def store_url(value: object) -> str:
    """A database URL. The reason never repeats it: it may hold a password."""
    url = text(value)
    if not _STORE_URL.fullmatch(url):
        raise WrongValueError("is not a URL of sqlite:// or postgresql://")
    return url


def day(value: object) -> int:
    """A day of the week -> 0 for Monday."""
    word = text(value)
    if word not in DAYS:
        raise WrongValueError(f"{word!r} is none of {', '.join(DAYS)}")
    return DAYS.index(word)


def clock(*, end: bool) -> Callable[[object], int]:
    """A time of day, "HH:MM" or TOML's own, -> minutes since midnight; "24:00" only as an end."""

    def parse(value: object) -> int:
        if isinstance(value, time):
            if value.second or value.microsecond:
                raise WrongValueError(f"{value} must be a whole minute")
            return value.hour * 60 + value.minute
        word = text(value)
        match = _CLOCK.fullmatch(word)
        if match:
            return int(match[1]) * 60 + int(match[2])
        if end and word == "24:00":
            return 24 * 60
        raise WrongValueError(f"{word!r} is not a time of day, such as '08:00'")

    return parse


def moment(zone: str, *, end: bool) -> Callable[[object], int]:
    """A TOML date or time -> nanoseconds since 1970. Without an offset it is local to `zone`; a day as an end includes that day.

    A local time that a change of clocks skips or repeats is read with the offset that held before the change.
    """

    def parse(value: object) -> int:
        if isinstance(value, str):
            raise WrongValueError(f"{value!r} must be without quotes, such as 2026-03-01 or 2026-03-01T08:00:00")
        if not isinstance(value, date):  # a datetime is one
            raise WrongValueError(f"must be a date or a date and time, not {type_name(value)}")
        if not 1970 < value.year < MAX_YEAR:
            raise WrongValueError(f"{value} is out of range")
        if not isinstance(value, datetime):
            value = datetime.combine(value + timedelta(days=end), time())
        return to_ns(value if value.tzinfo else value.replace(tzinfo=ZoneInfo(zone)))

    return parse


def to_ns(moment_: datetime) -> int:
    """An aware datetime -> nanoseconds since 1970 UTC, exactly."""
    delta = moment_ - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def from_ns(time_ns: int, zone: str) -> datetime:
    """Nanoseconds since 1970 UTC -> an aware datetime in `zone`, in whole seconds; out of range becomes the nearest in range."""
    seconds = min(max(time_ns // 1_000_000_000, 0), _LAST_SECOND)
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone))


def utc_text(time_ns: int) -> str:
    """A time of the policy as RFC 3339 has it, in UTC."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1_000)).isoformat().replace("+00:00", "Z")


def clock_text(minute: int) -> str:
    """Minutes since midnight -> "HH:MM"."""
    return f"{minute // 60:02}:{minute % 60:02}"
