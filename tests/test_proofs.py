"""docs/protocols.md is what the marks on the tests say, and everything that is promised there is proven by a test."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.proofs import NOT_YET, NOTHING, REQUIRED, TABLE, proves, table, written_now


@pytest.fixture(scope="module")
def page() -> str:
    return written_now()


def test_the_page_is_up_to_date(page: str) -> None:
    assert TABLE.read_text("utf-8") == page, "python -m tests.proofs writes it"


def test_every_protocol_is_proven_or_said_to_be_missing(page: str) -> None:
    assert [
        line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if f"| {NOTHING} |" in line
    ] == NOT_YET


def test_every_proof_says_what_it_rests_on(page: str) -> None:
    assert [line for line in page.splitlines() if line.startswith("| ") and " |  | [" in line] == []


def test_every_protocol_stands_in_the_list_once() -> None:
    counted = Counter(key for keys in REQUIRED.values() for key in keys)
    assert [key for key, count in counted.items() if count > 1] == []


def test_a_mark_for_what_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"protocols\.toml"):
        proves("QUIC v3", "wishes")


def test_what_no_test_proves_is_said_on_the_page() -> None:
    some = {"MPLS": {("tests/test_x.py", "test_y"): {"x.pcap", ""}}}
    lines = table(some).splitlines()
    assert "| MPLS | x.pcap | [test_y](../tests/test_x.py) |" in lines
    assert f"| QinQ | {NOTHING} |  |" in lines
