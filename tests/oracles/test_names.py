"""Every SNI and every DNS question that tshark finds over the shared captures, wardwatch finds too, or it is judged why not."""

from __future__ import annotations

import shutil

import pytest

from tests.oracles.names import Difference, all_differences, chosen, comparable, differences, judged


@pytest.mark.captures
@pytest.mark.tshark
def test_the_names_of_all_captures_are_those_of_tshark() -> None:
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    paths = chosen()
    found, agreed = all_differences(paths)
    known = judged()
    assert sorted(found - known.keys()) == [], "python -m tests.oracles.names prints them, to be judged in judged.toml"
    there = {path.name for path in paths}
    assert sorted(one for one in known.keys() - found if one.file in there) == [], "these are no longer so"
    assert agreed > len(paths)


def test_each_difference_is_judged_once_and_with_a_reason() -> None:
    for one, (right, why) in judged().items():
        assert right in {"tshark", "wardwatch", "both"}, one
        assert len(why) > 20, one
        assert one.found in {"tshark", "wardwatch", "both"}, one


def test_differences() -> None:
    theirs = {("sni", "a"): 1, ("sni", "b"): 2, ("qname", "c"): 3}
    ours = {("sni", "a"): 1, ("sni", "b"): 4, ("qname", "d"): 5}
    assert sorted(differences("x.pcap", theirs, ours)) == [
        Difference("x.pcap", 2, "sni", "b", "both"),
        Difference("x.pcap", 3, "qname", "c", "tshark"),
        Difference("x.pcap", 5, "qname", "d", "wardwatch"),
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("<Root>", "."),
        ("WWW.Example.org", "www.example.org"),
        ("a\ufffdb.example", r"a\239b.example"),
        (r"a\rb.example", r"a\013b.example"),
        ("小佛.local", r"\229\176\143\228\189\155.local"),
        (r"a\032b", r"a\032b"),
    ],
)
def test_what_is_only_written_differently_is_equal(theirs: str, ours: str) -> None:
    assert comparable(theirs) == comparable(ours)
    assert comparable(theirs) != comparable(ours + "x")
