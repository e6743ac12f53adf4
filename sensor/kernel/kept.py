"""Compiled code that lies where it cannot be written, as an installer leaves it, is used all the same; and never added to.

Numba takes a folder for its cache only if it can write there, and else compiles everything at every start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numba.core import caching


class ReadOnlyLocator(caching.UserProvidedCacheLocator):
    """The folder of NUMBA_CACHE_DIR where it is there and cannot be written."""

    def ensure_cache_path(self) -> None:
        path = Path(self.get_cache_path())
        if not path.is_dir() or os.access(path, os.W_OK):
            raise OSError


def use_read_only() -> None:
    """From now on, for functions not yet declared. What is compiled beside it is for this process alone."""
    if ReadOnlyLocator in caching.CacheImpl._locator_classes:  # noqa: SLF001 - Numba's list of them has no other name
        return
    caching.CacheImpl._locator_classes.insert(0, ReadOnlyLocator)  # noqa: SLF001 - as above
    save = caching.FunctionCache.save_overload

    def save_where_possible(self: Any, *arguments: Any) -> None:
        if not isinstance(self._impl.locator, ReadOnlyLocator):
            save(self, *arguments)

    caching.FunctionCache.save_overload = save_where_possible  # type: ignore[method-assign]  # see above
