"""Not a byte of a pack can be changed unseen."""

from __future__ import annotations

import io
import random
import zipfile
from typing import TYPE_CHECKING

import pytest

from sensor.proof import keys, packing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proof.conftest import Demo


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    files = {"captures/e-1.pcapng": bytes(range(64)), "episodes/e.json": b'{"a":1}', "chain.json": b"{}"}
    return packing.made(files, {"made": "2026-03-17T09:00:00Z"}, keys.signer(tmp_path / "key.pem"))


def test_what_was_packed_is_opened(small: bytes) -> None:
    opened = packing.opened(small)
    assert opened.files["captures/e-1.pcapng"] == bytes(range(64))
    assert opened.manifest["made"] == "2026-03-17T09:00:00Z"
    with zipfile.ZipFile(io.BytesIO(small)) as pack:
        assert pack.testzip() is None, "any program that knows ZIP opens it"


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    signer = keys.signer(tmp_path / "key.pem")
    one = packing.made({"a": b"1", "b": b"2"}, {}, signer)
    assert one == packing.made({"b": b"2", "a": b"1"}, {}, signer)


def test_each_flipped_bit_of_each_byte_is_found(small: bytes) -> None:
    for at in range(len(small)):
        for bit in range(8):
            changed = bytearray(small)
            changed[at] ^= 1 << bit
            with pytest.raises(packing.PackError):
                packing.opened(bytes(changed))


def test_bytes_cut_off_added_or_moved_are_found(small: bytes) -> None:
    for changed in (b"", small[:-1], small + b"\0", b"\0" + small, small[:100] + small[101:], small + small):
        with pytest.raises(packing.PackError):
            packing.opened(changed)
    for cut in range(0, len(small), 7):
        with pytest.raises(packing.PackError):
            packing.opened(small[:cut])


def test_a_pack_signed_anew_by_another_key_bears_that_key(small: bytes, tmp_path: Path) -> None:
    opened = packing.opened(small)
    other = keys.signer(tmp_path / "other.pem")
    again = packing.opened(packing.made(opened.files | {"chain.json": b"[]"}, {"made": "x"}, other))
    assert again.key == other.public != opened.key


def test_flipped_bytes_of_a_real_pack_are_found(demo: Demo) -> None:
    data = demo.pack(demo.ids[0]).data
    chosen = random.Random(3)
    for at in {0, len(data) - 1, *(chosen.randrange(len(data)) for _ in range(400))}:
        changed = bytearray(data)
        changed[at] ^= 1 << chosen.randrange(8)
        with pytest.raises(packing.PackError):
            packing.opened(bytes(changed))
