"""`wardwatch audit`: what it says, and its exit status."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sensor.cli import main
from sensor.proof import checkpoints, keys
from sensor.store import open_store
from tests.store.make import KNOWN, episode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "w.sqlite"
    with open_store(path) as store:
        store.append([episode(), episode(app="zoom")], snapshots=KNOWN)
    return path


def audit(place: Path, *more: str) -> int:
    return main(["audit", *more[:1], "--store", str(place), *more[1:]])


def tamper(place: Path) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER revisions_no_update")
        connection.execute("UPDATE revisions SET outcome = 'allowed' WHERE sequence = 1")


def test_an_untouched_store_has_no_fault_and_an_unanchored_tail(place, capsys):
    assert audit(place, "verify") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "7 links, up to 7; 6 stored rows are as their links say.",
        "Tail not anchored: no outside checkpoint covers any of its links.",
        "No fault found.",
    ]


def test_a_changed_row_is_named_and_the_status_is_4(place, capsys):
    tamper(place)
    assert audit(place, "verify") == 4
    said = capsys.readouterr().out
    assert "revision 1 of episode" in said
    assert "faults." in said
    assert audit(place, "verify", "--json") == 4
    assert json.loads(capsys.readouterr().out)["faults"]


def test_checkpoints_are_signed_by_a_key_of_the_owner_only_and_anchor_the_tail(place, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    assert audit(place, "checkpoint", "--out", str(outside)) == 0
    key = place.with_name("signing-key.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert audit(place, "verify", "--checkpoints", str(outside)) == 0
    assert "Tail" not in capsys.readouterr().out
    with open_store(place) as store:
        store.append([episode(range(100, 110))])
    assert audit(place, "verify", "--checkpoints", str(outside), "--public-key", f"{key}.pub") == 0
    assert "Tail not anchored: no outside checkpoint covers any of the 1 links after 7." in capsys.readouterr().out


def test_each_flipped_byte_of_a_checkpoint_is_found(place, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    assert audit(place, "checkpoint", "--out", str(outside)) == 0
    (path,) = outside.iterdir()
    whole = path.read_bytes()
    with open_store(place, read_only=True) as store:
        first, last = store.chain_ends()
    assert last is not None
    trusted = {keys.public_key(place.with_name("signing-key.pem.pub"))}
    good, wrong = checkpoints.anchors([("whole", whole)], first, trusted)
    assert ([one.sequence for one in good], wrong) == ([last.sequence], [])
    for at in range(len(whole) - 1):  # the last is the newline
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        good, wrong = checkpoints.anchors([("changed", changed)], first, trusted)
        assert (good, len(wrong)) == ([], 1), at
    path.write_bytes(changed)
    assert audit(place, "verify", "--checkpoints", str(outside)) == 4
    assert "Tail not anchored" in capsys.readouterr().out


def test_a_checkpoint_of_another_key_or_another_store_does_not_count(place, tmp_path, capsys):
    other = tmp_path / "other" / "w.sqlite"
    with open_store(other) as store:
        store.append([episode()], snapshots=KNOWN)
    outside = tmp_path / "outside"
    outside.mkdir()
    assert audit(other, "checkpoint", "--out", str(outside)) == 0
    assert audit(place, "checkpoint") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["sequence"] == 7
    assert audit(place, "verify", "--checkpoints", str(outside)) == 4
    assert "not the sensor's" in capsys.readouterr().out
    assert audit(place, "verify", "--checkpoints", str(outside), "--public-key", f"{other.parent}/signing-key.pem.pub") == 4  # fmt: skip
    assert "of another chain" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["mode", "text", "rsa"])
def test_a_key_that_cannot_be_trusted_is_refused_in_one_line(place, damage, capsys):
    key = place.with_name("signing-key.pem")
    assert audit(place, "checkpoint") == 0
    capsys.readouterr()
    if damage == "mode":
        key.chmod(0o640)
    elif damage == "text":
        key.write_text("nonsense")
    else:
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert audit(place, "checkpoint") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
