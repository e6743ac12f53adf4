"""Where the captures made by others are. They never enter this tree; tests that use them skip where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def find() -> Path | None:
    """The folder of captures, or None: $WARDWATCH_CAPTURES, else ../shared/captures beside the project."""
    named = os.environ.get("WARDWATCH_CAPTURES")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "captures"
    return folder if folder.is_dir() else None


def folder() -> Path:
    """The folder of captures; skips the test where there is none."""
    found = find()
    if found is None:
        pytest.skip("no captures: neither ../shared/captures nor $WARDWATCH_CAPTURES is there")
    return found


def capture(name: str) -> Path:
    """One capture by name; skips the test where it is not there."""
    path = folder() / name
    if not path.is_file():
        pytest.skip(f"capture {name} is not there")
    return path
