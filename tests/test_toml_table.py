"""The reader of TOML tables: files that cannot be read, and where a mistake is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.errors import ConfigError
from sensor.toml_table import MAX_FILE_BYTES, parse, quoted, read, suggestion, type_name

if TYPE_CHECKING:
    from pathlib import Path


def message_of(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", data, ("site",))
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"[site]\nname = \n", "f.toml: line 2, column 8: "),
        (b"site = {", "f.toml: end of document: "),
        (b"a = 1\na = 2\n", "f.toml: line 2, column 6: "),
        (b"\x00", "f.toml: line 1, column 1: "),
        (b"site = " + b"9" * 5000, "f.toml: is not TOML: "),
    ],
)
def test_bad_toml_names_the_place(data, start):
    message = message_of(data)
    assert message.startswith(start)
    assert len(message) > len(start)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[site]\nname = '\xff'\n", "f.toml: line 2, column 9: is not UTF-8 text"),
        (b"\xff", "f.toml: line 1, column 1: is not UTF-8 text"),
        (b"site = " + b"[" * 5000, "f.toml: is nested too deeply"),
        (b"sight = 1", "f.toml: sight: unknown key (did you mean 'site'?)"),
        (b'"a\\nb" = 1', 'f.toml: "a\\nb": unknown key'),
    ],
)
def test_a_file_that_is_not_right(data, message):
    assert message_of(data) == message


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_give_a_table_or_one_line(data):
    message = "f.toml: good"
    try:
        parse("f.toml", data, ())
    except ConfigError as error:
        message = str(error)
    assert message.startswith("f.toml: ")
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path):
    missing, large = tmp_path / "none.toml", tmp_path / "large.toml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    for path, reason in (
        (missing, "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (large, f"is larger than {MAX_FILE_BYTES} bytes"),
    ):
        with pytest.raises(ConfigError) as caught:
            read(path, ())
        assert str(caught.value) == f"{path}: {reason}"


def test_words_for_people():
    assert type_name(True) == "true or false"
    assert type_name(1) == "a whole number"
    assert suggestion("whatsap", ["whatsapp", "zoom"]) == " (did you mean 'whatsapp'?)"
    assert not suggestion("qqq", ["whatsapp"])
    assert quoted("bare-key_1") == "bare-key_1"
    assert quoted("aa:bb") == '"aa:bb"'
