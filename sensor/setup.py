"""What a command that judges needs: settings, signatures, policy, networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import config
from sensor.classify import signatures as loading
from sensor.classify import visibility as hiding
from sensor.networks import Networks
from sensor.policy import Policy

if TYPE_CHECKING:
    from sensor.classify.signatures import SignatureSet
    from sensor.classify.visibility import VisibilitySet
    from sensor.model import Device
    from sensor.settings import Settings


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything a verdict rests on, read once."""

    settings: Settings
    signatures: SignatureSet
    policy: Policy
    networks: Networks
    app_names: dict[str, str]  # and of what hides apps
    visibility: VisibilitySet

    def label(self, device: Device) -> str:
        """What people call a device: its configured label, else its address."""
        named = dict(self.settings.devices.names)
        for key in (device.id, *(f"ip:{address}" for address in device.addresses)):
            if key in named:
                return named[key]
        return device.address

    def policy_json(self) -> str:
        return canonical(self.policy.snapshot())


def canonical(value: object) -> str:
    """JSON with one form for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def read(config_file: str | None, ordered: Path | None = None) -> Setup:
    """Reads configuration and signatures. Raises ConfigError, SignatureError. `ordered`: as for `config.load`."""
    path = Path(config_file) if config_file else None
    settings = config.load(path, ordered=ordered)
    signatures = loading.load(settings.signatures.own)
    if path is not None:
        settings = config.load(path, known_apps=signatures.apps.keys(), ordered=ordered)
    networks = Networks(settings)
    visibility = hiding.load(signatures)
    names = {app.id: app.name for app in (*visibility.apps.values(), *signatures.apps.values())}
    return Setup(settings, signatures, Policy(settings, networks, names), networks, names, visibility)
