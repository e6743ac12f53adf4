"""Shapes made from the services' records: a field `..._ns` is a time of that name without it, everything else is as it is."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import create_model

from api.v1.shapes import Device, Sent, Time, Violation, device, plain, violation
from sensor.services import records
from sensor.services.exceptions import ExceptionInfo, Preview
from sensor.services.identities import Unmasked
from sensor.services.records import DeviceRef

KNOWN: Final[dict[Any, Any]] = {DeviceRef: Device, records.Violation: Violation}
SENT: Final[dict[type, Any]] = {DeviceRef: device, records.Violation: violation}
NAMES: Final[dict[str, Any]] = {"DeviceRef": DeviceRef, "Violation": records.Violation}  # imported for the types only


def shape(record: type) -> type[Sent]:
    """The model of a record, under the record's name."""
    if record not in KNOWN:
        hints = get_type_hints(record, localns=NAMES)
        made: dict[str, Any] = {}
        for one in fields(record):
            if one.name.endswith("_ns"):
                made[one.name.removesuffix("_ns")] = (_time(hints[one.name]), ...)
            else:
                made[one.name] = (_type(hints[one.name]), ...)
        KNOWN[record] = create_model(record.__name__, __base__=Sent, __doc__=record.__doc__, **made)
    found: type[Sent] = KNOWN[record]
    return found


def _time(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return list[Time]
    return Time | None if NoneType in get_args(hint) else Time


def _type(hint: Any) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return shape(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return list[_type(arguments[0])]  # type: ignore[misc]  # a type made at run time
    if origin in {Union, UnionType}:
        return Union[tuple(_type(one) for one in arguments)]  # noqa: UP007 - made at run time
    return hint


def sent(record: Any) -> Any:
    """A record as its shape has it."""
    if record is None:
        return None
    special = SENT.get(type(record))
    if special is not None:
        return special(record)
    if isinstance(record, (tuple, list)):
        return [sent(one) for one in record]
    if not is_dataclass(record):
        return record
    made: dict[str, Any] = plain(record)
    for one in fields(record):
        value = getattr(record, one.name)
        if not one.name.endswith("_ns") and (is_dataclass(value) or isinstance(value, (tuple, list))):
            made[one.name] = sent(value)
    return made


DevicePage: Any = shape(records.DevicePage)
DeviceSummary: Any = shape(records.DeviceSummary)
NetworkSummary: Any = shape(records.NetworkSummary)
AppSummary: Any = shape(records.AppSummary)
Statistics: Any = shape(records.Statistics)
Summary: Any = shape(records.Summary)
Visibility: Any = shape(records.Visibility)
Health: Any = shape(records.Health)
InForce: Any = shape(records.InForce)
ExceptionShape: Any = shape(ExceptionInfo)
PreviewShape: Any = shape(Preview)
UnmaskedShape: Any = shape(Unmasked)
