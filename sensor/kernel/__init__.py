"""The compiled loop.

Numba keeps compiled code by the file a function stands in and does not notice that a function it calls has changed. So the
cache lies in a folder named after everything in here: other sources, another folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def sources_digest() -> str:
    """16 hex digits that change with any source of the loop."""
    digest = hashlib.sha256()
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Beside the sources where that can be written, else in the user's cache, else for this process only."""
    name = f"kernel-{sources_digest()}"
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    for folder in (HERE / "__pycache__" / name, Path(home) / "wardwatch" / name):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) or any(folder.iterdir()):
            return folder
    return Path(tempfile.mkdtemp(prefix="wardwatch-kernel-"))


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())
