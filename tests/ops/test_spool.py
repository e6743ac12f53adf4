"""What waits on disk: in order, whole or not at all, within its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.errors import StoreError
from sensor.ops.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 16


def test_what_was_put_is_there_in_order_after_reopening(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SIZE)
    assert spool.put([b"one", b""]) == 2
    assert spool.put([b"three"]) == 1
    spool.close()
    again = Spool(tmp_path / "s", SIZE)
    assert (again.records, again.waiting()) == (3, [b"one", b"", b"three"])


def test_cleared_it_begins_anew_and_old_records_are_never_read_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SIZE)
    spool.put([b"a" * 100, b"b" * 100])
    spool.clear()
    assert spool.waiting() == []
    spool.put([b"c" * 100])  # as long as the first: the second of old lies right behind it
    assert spool.waiting() == Spool(tmp_path / "s", SIZE).waiting() == [b"c" * 100]


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_what_a_kill_cuts_short_was_never_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "s"
    spool = Spool(path, SIZE)
    spool.put([b"first" * 10])
    whole = path.read_bytes()
    spool.put([b"second" * 10])
    end = 16 + 2 * 16 + 50 + 60
    data = path.read_bytes()
    path.write_bytes(data[: end - cut] + whole[end - cut :])
    again = Spool(path, SIZE)
    assert again.waiting() == [b"first" * 10]
    again.put([b"third"])
    assert again.waiting() == [b"first" * 10, b"third"]


def test_it_is_bounded_and_says_how_much_it_took(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s", SIZE)
    assert spool.put([bytes(30000)] * 5) == 2
    assert spool.put([bytes(30000)]) == 0
    assert spool.put([b"small"]) == 1
    assert spool.records == 3
    assert (tmp_path / "s").stat().st_size == SIZE


def test_its_room_is_taken_from_the_disk_and_its_file_is_its_owners(tmp_path: Path) -> None:
    Spool(tmp_path / "deep" / "s", 1 << 20)
    status = (tmp_path / "deep" / "s").stat()
    assert status.st_blocks * 512 >= 1 << 20
    assert status.st_mode & 0o777 == 0o600


def test_what_is_no_spool_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("something else that people wrote", "utf-8")
    with pytest.raises(StoreError, match="is none"):
        Spool(path, SIZE)
    assert path.read_text("utf-8").startswith("something else")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(StoreError, match="cannot be made"):
        Spool(tmp_path / "link", SIZE)
