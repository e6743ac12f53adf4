"""An exception made from a violation is in force on a running sensor within five seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sensor.commands.excepting import EVERY_S
from sensor.services.desk import Desk
from sensor.services.exceptions import Wanted
from sensor.store import open_store
from tests.commands.running import lines
from tests.live.net import watching
from tests.live.test_reload import sent
from tests.services.clinic import OFFICER, morning
from tests.store.make import KNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

pytestmark = pytest.mark.root
DAY_NS = 86_400_000_000_000


def test_it_is_looked_for_often_enough_to_hold_within_five_seconds() -> None:
    assert EVERY_S <= 2.5


def test_a_running_watch_judges_by_it(port: Mirror, tmp_path: Path) -> None:
    config, out, store = tmp_path / "clinic.toml", tmp_path / "episodes", tmp_path / "w.sqlite"
    config.write_text('[policy]\ndisallowed = ["whatsapp"]\n', "utf-8")
    with open_store(store) as seeded:
        seeded.append(morning(), snapshots=KNOWN)
    wanted = Wanted(f"{1:016x}", "interpreter calls at night", time.time_ns() + DAY_NS, None, same_device=False,
                    same_network=False)  # fmt: skip
    with watching(port, "--config", config, "--store", store, "--episodes", out) as watch:
        with Desk.open(str(config), str(store)) as desk:
            desk.exceptions.make(OFFICER, wanted)
            watch.wait_for("exceptions made from violations: 1 in force")
        sent(port, tmp_path, "www.whatsapp.com", 40002)
        time.sleep(1)
        done = watch.stop()
    assert done.status == 0, done.err
    (one,) = lines(out.read_text("utf-8"))
    assert (one["verdict"], one["policy_rule"]) == ("allowed", "policy.exception[0]")
