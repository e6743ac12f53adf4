"""The outbox: nothing lost, nothing doubled, whoever dies when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from sensor.model import Activity, Outcome, Severity, Verdict
from sensor.store import Store, open_store
from sensor.store.notices import News, Notice, NoticeState, Plan
from tests.store.make import POLICIES, episode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.model import Episode

S = 10**9
LEASE_NS = 60 * S


def verdict(
    severity: Severity = Severity.LOW, outcome: Outcome = Outcome.VIOLATION, policy: str = POLICIES[0]
) -> Verdict:
    return Verdict(outcome, "policy.disallowed", "Not allowed.", policy, severity, "disallowed")


def every(news: News, told: tuple[Notice, ...]) -> Plan | None:
    """Each violation once."""
    return None if told or news.outcome is not Outcome.VIOLATION else Plan("new", digest=False, due_ns=0)


def in_digest(news: News, told: tuple[Notice, ...]) -> Plan | None:
    """Each violation once, in a digest; a call at once and in its place."""
    if news.activity >= Activity.VOICE_CALL and not any(one.activity >= Activity.VOICE_CALL for one in told):
        return Plan("new", digest=False, due_ns=0, instead=True)
    return None if told else Plan("new", digest=True, due_ns=0)


def waiting(store: Store, channel: str = "c") -> list[str]:
    return [one.episode_id for one in store.outbox.listed(NoticeState.WAITING, channel)]


def begin(store: Store, *channels: str) -> None:
    for channel in channels or ("c",):
        assert store.outbox.collect(channel, every) == 0


def append(store: Store, *episodes: Episode) -> tuple[str, ...]:
    return store.append(episodes).ids


def apart(count: int, **more: object) -> list[Episode]:
    return [episode(range(1000 * n + 10, 1000 * n + 20), **more) for n in range(count)]  # type: ignore[arg-type]


def test_a_new_channel_is_not_told_what_was_long_known(store: Store) -> None:
    append(store, episode())
    begin(store)
    assert store.outbox.collect("c", every) == 0
    (known,) = append(store, episode(range(500, 510)))
    assert store.outbox.collect("c", every) == 1
    assert waiting(store) == [known]


def test_each_channel_goes_its_own_way(store: Store) -> None:
    begin(store, "a", "b")
    append(store, *apart(3))
    assert store.outbox.collect("a", every) == 3
    assert store.outbox.collect("a", every) == 0
    append(store, episode(range(9000, 9010)))
    assert store.outbox.collect("b", every) == 4
    assert store.outbox.counts() == {("a", "waiting"): 3, ("b", "waiting"): 4}


def test_a_revision_is_asked_about_with_what_was_told_before(store: Store) -> None:
    begin(store)
    seen: list[tuple[int, int]] = []

    def watched(news: News, told: tuple[Notice, ...]) -> Plan | None:
        seen.append((news.sequence, len(told)))
        return every(news, told)

    append(store, episode(range(10, 15)))
    store.outbox.collect("c", watched)
    append(store, episode(range(10, 20)))
    store.outbox.collect("c", watched)
    store.outbox.collect("c", watched)
    assert [told for _, told in seen] == [0, 1]
    assert seen[0][0] < seen[1][0]
    assert len(waiting(store)) == 1


def test_more_than_fits_one_transaction_comes_whole_and_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.store.outbox.HEADS_AT_ONCE", 3)
    begin(store)
    ids = append(store, *apart(10))
    assert store.outbox.collect("c", every) == 10
    assert sorted(waiting(store)) == sorted(ids)
    assert store.outbox.collect("c", every) == 0


def test_what_fails_in_the_middle_of_collecting_is_collected_later(store: Store) -> None:
    begin(store)
    append(store, *apart(3))
    calls = iter(range(9))

    def breaks(news: News, told: tuple[Notice, ...]) -> Plan | None:
        if next(calls) == 2:
            raise KeyError
        return every(news, told)

    with pytest.raises(KeyError):
        store.outbox.collect("c", breaks)
    assert waiting(store) == []
    assert store.outbox.collect("c", every) == 3


def test_what_is_claimed_is_nobody_elses_until_the_claim_is_void(store: Store) -> None:
    begin(store)
    append(store, episode())
    store.outbox.collect("c", every)
    now = time.time_ns()
    (claimed,) = store.outbox.claim("c", now, LEASE_NS)
    assert (claimed.state, claimed.tries) == (NoticeState.SENDING, 1)
    assert store.outbox.claim("c", now, LEASE_NS) == ()
    assert store.outbox.claim("c", now + LEASE_NS - 1, LEASE_NS) == ()
    (again,) = store.outbox.claim("c", now + LEASE_NS, LEASE_NS)
    assert (again.key, again.tries) == (claimed.key, 2)
    store.outbox.sent([again])
    assert store.outbox.claim("c", now + 10 * LEASE_NS, LEASE_NS) == ()
    assert [one.key for one in store.outbox.listed(NoticeState.SENT)] == [claimed.key]


def test_failing_and_giving_up_and_trying_anew(store: Store) -> None:
    begin(store)
    append(store, *apart(2))
    store.outbox.collect("c", every)
    one = store.outbox.claim("c", 10, LEASE_NS)
    store.outbox.failed(one, "closed\x00the door", 500)
    other = store.outbox.claim("c", 10, LEASE_NS)
    assert other[0].key != one[0].key
    store.outbox.failed(other, "gone " * 200, None)
    assert store.outbox.claim("c", 499, LEASE_NS) == ()
    assert store.outbox.claim("c", 500, LEASE_NS)[0].error == "closed\\x00the door"
    (dead,) = store.outbox.listed(NoticeState.DEAD)
    assert (dead.key, len(dead.error)) == (other[0].key, 300)
    assert store.outbox.claim("c", 10**18, LEASE_NS)[0].key == one[0].key
    assert store.outbox.resend("no such", 5) == 0
    assert store.outbox.resend(dead.key[:8], 5) == 1
    (again,) = store.outbox.claim("c", 5, LEASE_NS)
    assert (again.key, again.tries) == (dead.key, 1)


def test_a_digest_is_one_message_also_when_it_is_tried_again(store: Store) -> None:
    begin(store)
    ids = append(store, *apart(3))
    store.outbox.collect("c", in_digest)
    batch = store.outbox.claim("c", 10, LEASE_NS)
    assert [one.episode_id for one in batch] == list(ids)
    assert len({one.message_key for one in batch}) == 1
    append(store, episode(range(9000, 9010)))
    store.outbox.collect("c", in_digest)
    later = store.outbox.claim("c", 10, LEASE_NS)
    assert len(later) == 1
    again = store.outbox.claim("c", 10 + LEASE_NS, LEASE_NS)
    assert [one.id for one in again] == [one.id for one in batch]
    assert {one.message_key for one in again} == {batch[0].message_key} != {later[0].message_key}


def test_of_too_many_messages_one_is_made_and_stays_one(store: Store) -> None:
    begin(store)
    ids = append(store, *apart(5))
    store.outbox.collect("c", every)
    (alone,) = store.outbox.claim("c", 10, LEASE_NS, 5)
    assert alone.batch == ""
    store.outbox.failed([alone], "x", 10)
    rest = store.outbox.claim("c", 10, LEASE_NS, 3)
    assert [one.episode_id for one in rest] == [id_ for id_ in ids if id_ != alone.episode_id]
    assert len({one.message_key for one in rest}) == 1
    again = store.outbox.claim("c", 10, LEASE_NS, 3)
    assert [one.key for one in again] == [alone.key], "it may have arrived: it stays a message of its own"
    assert [one.id for one in store.outbox.claim("c", 10 + LEASE_NS, LEASE_NS, 3)] in (
        [one.id for one in rest],
        [alone.id],
    )


def test_a_call_takes_the_place_of_the_line_it_would_have_been(store: Store) -> None:
    begin(store)
    (id_,) = append(store, episode(range(10, 15), activity=Activity.CALL_ATTEMPT))
    store.outbox.collect("c", in_digest)
    append(store, episode(range(10, 20), activity=Activity.VIDEO_CALL))
    store.outbox.collect("c", in_digest)
    (claimed,) = store.outbox.claim("c", 10, LEASE_NS)
    assert (claimed.episode_id, claimed.digest, claimed.activity) == (id_, False, Activity.VIDEO_CALL)
    assert store.outbox.claim("c", 10, LEASE_NS) == ()
    (dropped,) = store.outbox.listed(NoticeState.DROPPED)
    assert dropped.error == "told with what came later"


def merging(
    store: Store, before: Iterable[Severity] = (Severity.LOW, Severity.LOW), *, tell: int = 0
) -> tuple[str, str]:
    """Two episodes that a third turns out to be one; `tell` of them are sent before. Answers their ids."""
    begin(store)
    first, second = before
    one, other = append(
        store, episode(range(10, 15), verdict=verdict(first)), episode(range(30, 35), verdict=verdict(second))
    )
    store.outbox.collect("c", every)
    for _ in range(tell):
        store.outbox.sent(store.outbox.claim("c", 10, LEASE_NS))
    append(store, episode(range(10, 35), verdict=verdict(max(first, second))))
    assert store.outbox.episode(other) is not None
    store.outbox.collect("c", every)
    return one, other


@pytest.mark.parametrize("tell", [0, 1, 2])
def test_two_episodes_that_turn_out_to_be_one_are_told_once_unless_both_were(store: Store, tell: int) -> None:
    one, _ = merging(store, tell=tell)
    left = []
    while claimed := store.outbox.claim("c", 10, LEASE_NS):
        left += [notice.episode_id for notice in claimed]
    assert left == ([one] if tell == 0 else [])
    assert len(store.outbox.listed(NoticeState.SENT)) == tell


def test_a_part_that_is_graver_than_what_was_told_of_the_whole_is_still_told(store: Store) -> None:
    begin(store)
    one, _ = append(store, episode(range(10, 15)), episode(range(30, 35), verdict=verdict(Severity.HIGH)))
    store.outbox.collect("c", every)
    first = store.outbox.claim("c", 10, LEASE_NS)
    assert first[0].episode_id == one
    store.outbox.sent(first)
    append(store, episode(range(10, 35), verdict=verdict(Severity.HIGH)))
    store.outbox.collect("c", every)
    (left,) = store.outbox.claim("c", 10, LEASE_NS)
    assert (left.episode_id, left.severity) == (one, Severity.HIGH)


def test_of_episodes_that_are_gone_nothing_is_kept_but_what_was_not_told(store: Store) -> None:
    begin(store)
    one, other, third = append(store, *apart(3))
    store.outbox.collect("c", every)
    store.outbox.sent(store.outbox.claim("c", 10, LEASE_NS))
    store.outbox.failed(store.outbox.claim("c", 10, LEASE_NS), "x", None)
    store.outbox.sent(store.outbox.claim("c", 10, LEASE_NS))
    assert store.outbox.forget() == 0
    with store._engine.begin() as connection:
        connection.execute(text(f"DELETE FROM heads WHERE episode_id IN ('{one}', '{other}')"))
    assert store.outbox.forget() == 1
    assert [notice.episode_id for notice in store.outbox.listed(NoticeState.SENT)] == [third]
    assert [notice.episode_id for notice in store.outbox.listed(NoticeState.DEAD)] == [other]
    assert store.outbox.forget() == 0


def test_an_episode_is_given_as_it_stands_now(store: Store) -> None:
    (id_,) = append(store, episode(range(10, 15)))
    append(store, episode(range(10, 20)))
    found = store.outbox.episode(id_)
    assert found is not None
    stored, sequence, recorded_ns = found
    assert len(stored.episode.evidence) == 10
    assert (sequence, recorded_ns) == (stored.revisions[-1].sequence, stored.revisions[-1].recorded_ns)
    assert store.outbox.episode("no such") is None


def test_under_another_policy_it_stands_as_lists_show_it(store: Store) -> None:
    (id_,) = append(store, episode())
    append(store, episode(verdict=verdict(outcome=Outcome.ALLOWED, policy=POLICIES[1])))
    found = store.outbox.episode(id_)
    assert found is not None
    assert found[0].episode.verdict.outcome is Outcome.ALLOWED
    assert found[1] == found[0].revisions[-1].sequence


def test_two_notifiers_write_nothing_down_twice(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.store.make import KNOWN

    with open_store(url) as store, open_store(url) as other, open_store(url) as sensor:
        store.append((), snapshots=KNOWN)
        begin(store)
        with ThreadPoolExecutor(3) as pool:
            writing = pool.submit(lambda: [append(sensor, one) for one in apart(20)])
            collected = [0, 0]
            claims: list[Notice] = []

            def run(which: int, outbox: Store) -> None:
                while not writing.done():
                    collected[which] += outbox.outbox.collect("c", every)
                    claims.extend(outbox.outbox.claim("c", time.time_ns(), LEASE_NS))

            both = [pool.submit(run, which, one) for which, one in enumerate((store, other))]
            writing.result()
            for one in both:
                one.result()
        total = sum(collected) + store.outbox.collect("c", every)
        assert total == 20
        assert len({one.key for one in claims}) == len(claims)
        assert sum(store.outbox.counts().values()) == 20
