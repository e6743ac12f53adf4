"""How every function of the loop is compiled: kept on disk, without the interpreter's lock, and without counting references.

Numba counts a reference to every array at each call, atomically; the loop spent four fifths of its time so. Nothing in it
makes an array: it is given all the memory that it uses, and its callers hold that for as long as a call lasts.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from numba import njit

from sensor.kernel.kept import use_read_only

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

if "cffi" not in sys.modules:
    # Where cffi is installed, Numba makes ready for its types at the first call, which reads a grammar of the C language: time at
    # every start (`python -X importtime` shows it), for nothing that is used here. So it meets an environment without.
    sys.modules["cffi"] = None  # type: ignore[assignment]  # how the import system is told that there is none

    del sys.modules["cffi"]

use_read_only()

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
compiled: Decorator = njit(**OPTIONS)
inlined: Decorator = njit(**OPTIONS, forceinline=True)  # into its caller: for every packet
