"""How every function of the loop is compiled: kept on disk, without the interpreter's lock, and without counting references.

Numba counts a reference to every array at each call, atomically; the loop spent four fifths of its time so. Nothing in it
makes an array: it is given all the memory that it uses, and its callers hold that for as long as a call lasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
compiled: Decorator = njit(**OPTIONS)
inlined: Decorator = njit(**OPTIONS, forceinline=True)  # into its caller: for every packet
