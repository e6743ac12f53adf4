"""The settings of `[notify]`: who is told, by which channel, and how devices appear there. `config_notify` reads them."""

from __future__ import annotations

from enum import StrEnum


class ShownAs(StrEnum):
    """How devices appear in what leaves the sensor: by their label alone, or with their id and addresses."""

    LABEL = "label"
    ID = "id"
