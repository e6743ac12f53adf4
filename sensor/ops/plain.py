"""Frozen dataclasses to plain JSON values and back, by their types: what waits on disk is data, never code."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def plain(value: Any) -> Any:
    """As JSON takes it: fields of dataclasses in order, enums by value."""
    if is_dataclass(value):
        return [plain(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value


def typed(kind: type[T], value: Any) -> T:
    """What `plain` was given. Raises ValueError, TypeError or KeyError where it cannot have been of this kind."""
    made: T = _typed(kind, value)
    return made


def _typed(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(*(_typed(hint, one) for hint, one in zip(hints, value, strict=True)))
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        if value is None:
            return None
        (kind,) = (one for one in inside if one is not types.NoneType)
        return _typed(kind, value)
    if origin is tuple:
        if len(inside) == 2 and inside[1] is Ellipsis:
            return tuple(_typed(inside[0], one) for one in value)
        return tuple(_typed(each, one) for each, one in zip(inside, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: _typed(inside[1], one) for key, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind in {object, Any}:
        return value
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


@lru_cache
def _hints(kind: Any) -> list[Any]:
    found = typing.get_type_hints(kind, localns={"Mapping": Mapping})
    return [found[one.name] for one in fields(kind)]
