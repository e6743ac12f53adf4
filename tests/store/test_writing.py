"""What appending adds, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sensor.errors import StoreError
from sensor.model import Activity, Episode, Outcome, SourceInfo, Strength
from sensor.store import Filter, Snapshots, Store, open_store
from tests.store.make import KNOWN, POLICIES, SIGNATURES, episode, evidence

if TYPE_CHECKING:
    from pathlib import Path


def told(store: Store, *episodes: Episode) -> tuple[int, int, int]:
    result = store.append(episodes)
    assert len(result.ids) == len(episodes)
    return result.added, result.revised, result.unchanged


def test_what_is_stored_is_read_back_whole(store: Store) -> None:
    whole = episode(names=("b.example", "a.example"), notes=("partial view",), services=("media", "chat"))
    assert told(store, whole) == (1, 0, 0)
    found = store.episode(whole.id)
    assert found.episode == replace(whole, names=("a.example", "b.example"), services=("chat", "media"))
    assert found.state == "new"
    assert [revision.verdict for revision in found.revisions] == [whole.verdict]


def test_replay_twice_adds_nothing(store: Store) -> None:
    episodes = [episode(), episode(range(50, 60)), episode(app="zoom"), episode(device="ip:10.0.0.9")]
    assert told(store, *episodes) == (4, 0, 0)
    before = store.counts()
    assert told(store, *episodes) == (0, 0, 4)
    assert told(store, *(episode(file="a.pcap.zst") for _ in "ab")) == (0, 0, 2)
    assert store.counts() == before


def test_one_batch_may_hold_an_episode_twice(store: Store) -> None:
    assert told(store, episode(), episode()) == (1, 0, 1)


@pytest.mark.parametrize("cut", [range(10, 13), range(13, 17), range(17, 20), range(12, 13)])
def test_a_slice_of_a_stored_episode_adds_nothing(store: Store, cut: range) -> None:
    told(store, episode())
    before = store.counts()
    result = store.append([episode(cut)])
    assert (result.unchanged, result.ids) == (1, (episode().id,))
    assert store.counts() == before


@pytest.mark.parametrize(
    "cut",
    [range(5, 12), range(18, 25), range(5, 25)],
    ids=["begins before", "ends after", "around"],
)
def test_a_slice_that_reaches_further_is_a_revision_of_the_stored_id(store: Store, cut: range) -> None:
    told(store, episode())
    result = store.append([episode(cut)])
    assert (result.revised, result.ids) == (1, (episode().id,))
    found = store.episode(episode().id)
    assert (found.episode.start_ns, found.episode.end_ns) == (min(10, cut[0]), max(19, cut[-1]))
    assert [one.time_ns for one in found.episode.evidence] == sorted({*range(10, 20), *cut})
    assert (found.revisions[0].start_ns, found.revisions[0].end_ns) == (10, 19), "the first revision stays"
    assert told(store, episode(cut)) == (0, 0, 1)
    assert len(list(store.violations())) == 1


def test_slices_that_do_not_meet_become_one_when_the_middle_comes(store: Store) -> None:
    first, last, middle = episode(range(10, 15)), episode(range(20, 25)), episode(range(14, 21))
    assert told(store, first, last) == (2, 0, 0)
    assert told(store, middle) == (0, 1, 0)
    (row,) = store.violations()
    assert (row.episode.id, row.episode.start_ns, row.episode.end_ns) == (first.id, 10, 24)
    assert [one.time_ns for one in store.episode(first.id).episode.evidence] == list(range(10, 25))
    assert store.episode(last.id).episode.id == first.id, "the id that was merged still leads there"
    assert told(store, first, last, middle, episode(range(10, 25))) == (0, 1, 3), "only the totals were not known"
    assert told(store, first, last, middle, episode(range(10, 25))) == (0, 0, 4)


def test_merged_episodes_are_found_through_several_steps(store: Store) -> None:
    told(store, episode(range(30, 34)), episode(range(20, 24)), episode(range(10, 14)))
    told(store, episode(range(13, 21)))
    told(store, episode(range(23, 31)))
    (row,) = store.violations()
    assert (row.episode.start_ns, row.episode.end_ns, row.episode.evidence_total) == (10, 33, 24)
    for begin in (10, 20, 30):
        assert store.episode(episode(range(begin, begin + 4)).id).episode.id == row.episode.id
    assert told(store, episode(range(11, 13)), episode(range(21, 23)), episode(range(31, 33))) == (0, 0, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"bytes_up": 10**6},
        {"flows": 9},
        {"activity": Activity.FILE_TRANSFER},
        {"end_ns": 30},
        {"names": ("other.example",)},
        {"notes": ("partial view",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_extends_an_episode_is_a_revision(store: Store, change: dict[str, Any]) -> None:
    told(store, episode())
    assert told(store, episode(**change)) == (0, 1, 0)
    assert told(store, episode(**change), episode()) == (0, 0, 2)
    found = store.episode(episode().id)
    assert len(found.revisions) == 2
    for name, value in change.items():
        now = getattr(found.episode, name)
        assert now == value or set(now) >= set(value)


def test_stronger_evidence_is_a_revision_and_brings_its_verdict(store: Store) -> None:
    weak = episode(strength=Strength.SUPPORTING, outcome=Outcome.REVIEW)
    told(store, weak)
    assert list(store.violations()) == []
    assert told(store, episode()) == (0, 1, 0)
    assert [row.episode.id for row in store.violations()] == [weak.id]
    assert told(store, weak) == (0, 0, 1), "what saw less does not overrule what saw more"


def test_a_slice_that_saw_less_does_not_change_the_verdict(store: Store) -> None:
    told(store, episode(outcome=Outcome.ALLOWED))
    assert told(store, episode(range(15, 20), outcome=Outcome.VIOLATION)) == (0, 0, 1)
    assert list(store.violations()) == []


def test_an_open_episode_is_closed_by_a_revision(store: Store) -> None:
    told(store, episode(closed=False))
    assert told(store, episode()) == (0, 1, 0)
    assert told(store, episode(closed=False)) == (0, 0, 1)
    assert store.episode(episode().id).episode.closed


def test_capped_evidence_a_slice_of_the_rest_adds_nothing(store: Store) -> None:
    told(store, episode(range(10, 90), keep=5))
    before = store.counts()
    result = store.append([episode(range(60, 80), keep=5), episode(range(60, 63))])
    assert (result.unchanged, set(result.ids)) == (2, {episode(range(10, 90)).id})
    assert store.counts() == before
    assert told(store, episode(range(100, 110))) == (1, 0, 0), "what lies outside is another one"


def test_capped_evidence_the_slice_may_come_first(store: Store) -> None:
    told(store, episode(range(60, 80), keep=5))
    assert told(store, episode(range(10, 90), keep=5)) == (0, 1, 0)
    assert len(list(store.violations())) == 1


def test_capped_evidence_makes_one_of_all_that_it_comes_to_span(store: Store) -> None:
    replays = [episode([12, 13, 14]), episode([10], keep=0), episode([10, 11, 15])]
    assert [told(store, one) for one in replays] == [(1, 0, 0), (1, 0, 0), (0, 1, 0)]
    assert [told(store, one) for one in replays] == [(0, 0, 1)] * 3
    assert len(list(store.violations())) == 1


def test_capped_evidence_what_only_bridges_brings_no_evidence_of_its_own(store: Store) -> None:
    replays = [episode(range(10, 20), keep=2), episode(range(30, 40)), episode([15, 35])]
    assert [told(store, one) for one in replays] == [(1, 0, 0), (1, 0, 0), (0, 1, 0)]
    assert [told(store, one) for one in replays] == [(0, 0, 1)] * 3
    (row,) = store.violations()
    found = store.episode(row.episode.id).episode
    assert (len(found.evidence), found.evidence_total) == (12, 12)


def test_one_packet_may_prove_by_two_rules_and_for_two_apps(store: Store) -> None:
    one = evidence(10)
    two = replace(one, match=replace(one.match, rule="whatsapp/other"))
    assert told(store, episode([10], evidence=(one, two), evidence_total=2), episode([10], app="messenger")) == (
        2,
        0,
        0,
    )
    assert len(store.episode(episode([10]).id).episode.evidence) == 2


def test_an_episode_without_evidence_is_known_by_its_id(store: Store) -> None:
    bare = episode(evidence=(), evidence_total=0)
    assert told(store, bare, bare, replace(bare, end_ns=50), replace(bare, id="f" * 16)) == (2, 1, 1)


def test_evidence_without_packet_id_is_known_by_its_content(store: Store) -> None:
    bare = episode(evidence=(replace(evidence(10), packet_id=""),), evidence_total=1)
    other = replace(bare, id="f" * 16, evidence=(replace(evidence(10), packet_id="", value="else.example"),))
    assert told(store, bare, bare, other) == (2, 0, 1)


def test_another_policy_is_a_revision_beside_the_first(store: Store) -> None:
    first, second = episode(), episode(policy=POLICIES[1], outcome=Outcome.ALLOWED)
    told(store, first)
    assert told(store, second) == (0, 1, 0)
    found = store.episode(first.id)
    assert [(one.policy_hash, one.verdict.outcome) for one in found.revisions] == [
        (POLICIES[0], Outcome.VIOLATION),
        (POLICIES[1], Outcome.ALLOWED),
    ]
    assert list(store.violations()) == [], "lists show the verdict given last"
    under_first = Filter(lineage=(SIGNATURES[0], POLICIES[0]))
    assert [row.episode.id for row in store.violations(under_first)] == [first.id]
    before = store.counts().revisions
    assert told(store, first, second, first) == (0, 0, 3)
    assert store.counts().revisions == before
    assert [row.episode.id for row in store.violations()] == [first.id], "the first policy judged last"


def test_other_signatures_are_a_lineage_of_their_own(store: Store) -> None:
    told(store, episode())
    assert told(store, episode(signatures=SIGNATURES[1])) == (0, 1, 0)
    assert {one.signatures_hash for one in store.episode(episode().id).revisions} == set(SIGNATURES)


def test_lineages_may_cut_the_same_packets_differently(store: Store) -> None:
    whole = episode(range(10, 20))
    halves = episode(range(10, 15), policy=POLICIES[1]), episode(range(15, 20), policy=POLICIES[1])
    told(store, whole)
    for first, second in (halves, halves[::-1]):
        store.append([first, second])
        shown = sorted((row.episode.start_ns, row.episode.end_ns) for row in store.violations())
        assert shown == [(10, 14), (15, 19)], "each packet is shown once"
        told(store, whole)
        assert [(row.episode.start_ns, row.episode.end_ns) for row in store.violations()] == [(10, 19)]
    assert store.counts().revisions == 3


def test_the_later_half_may_come_first_under_the_other_policy(store: Store) -> None:
    told(store, episode(range(10, 20)))
    later = store.append([episode(range(15, 20), policy=POLICIES[1])])
    earlier = store.append([episode(range(10, 15), policy=POLICIES[1])])
    assert later.ids == (episode().id,)
    assert earlier.ids not in {later.ids, ()}, "the id is taken; the piece gets one of its own"
    again = store.append([episode(range(10, 15), policy=POLICIES[1]), episode(range(15, 20), policy=POLICIES[1])])
    assert (again.unchanged, again.ids) == (2, (*earlier.ids, *later.ids))


def test_two_episodes_become_one_under_the_other_policy(store: Store) -> None:
    told(store, episode(range(10, 15)), episode(range(15, 20)))
    told(store, episode(range(10, 20), policy=POLICIES[1]))
    assert [(row.episode.start_ns, row.episode.end_ns) for row in store.violations()] == [(10, 19)]
    told(store, episode(range(10, 15)), episode(range(15, 20)))
    assert len(list(store.violations())) == 2


def test_a_slice_under_the_other_policy_hides_nothing_it_did_not_judge(store: Store) -> None:
    told(store, episode(range(10, 15)), episode(range(15, 25)))
    told(store, episode(range(12, 17), policy=POLICIES[1]))
    shown = [(row.episode.start_ns, row.episode.end_ns, row.episode.verdict.policy_hash) for row in store.violations()]
    assert shown == [(15, 24, POLICIES[0]), (12, 16, POLICIES[1])]
    told(store, episode(range(17, 25), policy=POLICIES[1]))
    assert [row.episode.start_ns for row in store.violations()] == [17, 12]


def listed(store: Store) -> set[tuple[int, int, str]]:
    rows = store.violations()
    return {(row.episode.start_ns, row.episode.end_ns, row.episode.verdict.policy_hash) for row in rows}


# Each list of replays is (packets, policy): what shares a packet under one policy becomes one episode.
@pytest.mark.parametrize(
    ("replays", "shown"),
    [
        (  # what is merged under one policy bears the id of an episode under the other: packet 9 is judged there only
            [([5], 0), ([1], 0), ([1, 9], 1), ([1, 5], 0)],
            {(1, 5, POLICIES[0]), (1, 9, POLICIES[1])},
        ),
        (  # the same, and a slice had taken the id before: once it is merged away, packet 9 is back
            [([5], 0), ([1, 9], 1), ([1], 0), ([1, 5], 0)],
            {(1, 5, POLICIES[0]), (1, 9, POLICIES[1])},
        ),
        (  # what is merged was all judged again: it is shown once
            [([5], 0), ([1], 0), ([1, 5], 1), ([1, 5], 0)],
            {(1, 5, POLICIES[0])},
        ),
        (  # half was judged again since, half before: packet 1 has its latest verdict in what the halves would hide
            [([1], 1), ([1, 2], 0), ([2], 1)],
            {(1, 2, POLICIES[0]), (2, 2, POLICIES[1])},
        ),
    ],
    ids=["merged", "merged after it took the id", "merged and judged again", "half judged again"],
)
def test_lists_lose_nothing_and_are_the_same_after_all_is_replayed_again(
    store: Store, replays: list[tuple[list[int], int]], shown: set[tuple[int, int, str]]
) -> None:
    for _ in "ab":
        for packets, policy in replays:
            store.append([episode(packets, policy=POLICIES[policy])])
        assert listed(store) == shown


def test_three_policies_may_share_an_id(store: Store) -> None:
    """Of what bears one id, the latest that was not judged again in whole since is shown."""
    store.remember_policy("policy-three", "{}")
    replays = [([5], POLICIES[0]), ([1, 2], "policy-three"), ([2], POLICIES[1]), ([1], POLICIES[0])]
    for _ in "ab":
        for packets, policy in replays:
            store.append([episode(packets, policy=policy)])
        assert listed(store) == {(5, 5, POLICIES[0]), (1, 1, POLICIES[0])}, "all three bear one id"
    store.append([episode([1, 5], policy=POLICIES[0])])
    assert listed(store) == {(1, 5, POLICIES[0]), (2, 2, POLICIES[1])}


def test_candidates_are_a_subject_of_their_own(store: Store) -> None:
    unsure = episode(app=None, candidates=("whatsapp", "messenger"), outcome=Outcome.REVIEW)
    assert told(store, unsure, episode()) == (2, 0, 0)
    assert told(store, replace(unsure, candidates=("messenger", "whatsapp"))) == (0, 0, 1)
    assert store.episode(unsure.id).episode.candidates == ("messenger", "whatsapp")


def test_hostile_texts_are_kept_as_escapes_and_known_again(store: Store) -> None:
    hostile = episode(
        names=("a\0b.example", "\udce9\u202e'; DROP TABLE revisions;--"),
        network="W\udcffard\0",
        evidence=(evidence(10, value="x\0\ud800\U0001f600"),),
        evidence_total=1,
    )
    assert told(store, hostile, hostile) == (1, 0, 1)
    found = store.episode(hostile.id).episode
    assert found.names == ("\\udce9\u202e'; DROP TABLE revisions;--", "a\\x00b.example")
    assert found.evidence[0].value == "x\\x00\\ud800\U0001f600"
    assert [row.episode.id for row in store.violations(Filter(network="W\udcffard\0"))] == [hostile.id]


def test_a_number_that_does_not_fit_is_one_line(store: Store) -> None:
    with pytest.raises(StoreError, match=r"too large|out of range"):
        store.append([episode(bytes_up=2**63)])
    assert store.counts().episodes == 0


def test_a_verdict_cites_what_is_kept(store: Store) -> None:
    with pytest.raises(StoreError, match="policy snapshot unknown"):
        store.append([episode(policy="unknown")])
    with pytest.raises(StoreError, match="signatures snapshot unknown"):
        store.append([episode(signatures="unknown")])
    store.remember_policy("unknown", "{}")
    assert told(store, episode(policy="unknown")) == (1, 0, 0)


def test_a_hash_stands_for_one_text(store: Store) -> None:
    store.remember_signatures("hash", '{"a":1}')
    store.remember_signatures("hash", '{"a":1}')
    with pytest.raises(StoreError, match="another text under the hash hash"):
        store.remember_signatures("hash", '{"a":2}')


def test_a_source_is_kept_once(store: Store) -> None:
    source = SourceInfo("/captures/a.pcap", 1000, "pcap", 10, 1, 2)
    for _ in "ab":
        store.remember_source(source, "0" * 64)
        store.remember_source(SourceInfo("\udcff.pcap"))
    assert store.counts().sources == 2


def test_an_append_is_all_or_nothing(place: Path) -> None:
    with open_store(place) as store:
        with pytest.raises(StoreError):
            store.append([episode(), episode(policy="unknown")], snapshots=Snapshots(KNOWN.policies, KNOWN.signatures))
        assert (store.counts().episodes, store.counts().devices) == (0, 0)
        with pytest.raises(StoreError, match="signatures-one"):
            store.append([episode()])


def test_many_episodes_in_one_call(store: Store) -> None:
    many = [episode(range(n * 10, n * 10 + 3), device=f"mac:{n % 7}") for n in range(1203)]
    assert told(store, *many) == (1203, 0, 0)
    assert told(store, *many) == (0, 0, 1203)
