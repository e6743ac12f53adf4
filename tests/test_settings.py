"""Defaults that depend on something, and the idle times."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.model import Activity
from sensor.settings import IdleSettings, StoreSettings, default_store_url


def test_the_store_is_where_systemd_or_the_user_keeps_state(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/wardwatch:/var/lib/other")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/someone/state")
    assert default_store_url() == "sqlite:////var/lib/wardwatch/wardwatch.sqlite"
    monkeypatch.delenv("STATE_DIRECTORY")
    assert StoreSettings().url == "sqlite:////home/someone/state/wardwatch/wardwatch.sqlite"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_store_url() == f"sqlite:///{Path.home()}/.local/state/wardwatch/wardwatch.sqlite"


@pytest.mark.parametrize("activity", Activity)
def test_every_activity_has_an_idle_time(activity):
    idle = IdleSettings(background_s=1, messaging_s=2, file_transfer_s=3, calls_s=4)
    expected = {Activity.BACKGROUND: 1, Activity.MESSAGING: 2, Activity.FILE_TRANSFER: 3}.get(activity, 4)
    assert idle.idle_ns(activity) == expected * 1_000_000_000
