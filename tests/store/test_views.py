"""Joining is order-free and may be repeated; what the store keeps follows from that."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sensor.model import Activity, Episode, Outcome, Strength, Window
from sensor.store import Filter, open_store
from sensor.store.views import View, app_key_of, concerns, join, news, view_of
from tests.store.make import KNOWN, POLICIES, SIGNATURES, episode

SHORT = st.sets(st.integers(0, 30), min_size=1, max_size=6)
TEXTS = st.lists(st.sampled_from(["a", "b", "\udcff", "c\0"]), max_size=2).map(tuple)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    """Slices of a few hours of two devices and two apps; they overlap often."""
    start = draw(st.integers(0, 25))
    packets = draw(st.one_of(SHORT, st.just(set(range(start, start + 6)))))
    return episode(
        packets,
        device=draw(st.sampled_from(["mac:1", "mac:2"])),
        app=draw(st.sampled_from(["whatsapp", "zoom"])),
        policy=draw(st.sampled_from(POLICIES)),
        outcome=draw(st.sampled_from(Outcome)),
        activity=draw(st.sampled_from(Activity)),
        strength=draw(st.sampled_from(Strength)),
        closed=draw(st.booleans()),
        network=draw(st.sampled_from(["Ward 3", "Staff"])),
        names=draw(TEXTS),
        notes=draw(TEXTS),
        profile=tuple(
            Window(start, draw(st.integers(0, 3)), draw(st.integers(0, 3)))
            for start in draw(st.sets(st.integers(0, 3)))
        ),
        flows=draw(st.integers(1, 3)),
    )


VIEWS = episodes().map(view_of)

# A failing list of episodes takes minutes to shrink, as each attempt fills three stores; it is reported as it was found.
UNSHRUNK = Phase.explicit, Phase.reuse, Phase.generate


@given(VIEWS, VIEWS, VIEWS)
def test_join_is_commutative_associative_and_idempotent(one: View, two: View, three: View) -> None:
    one, two, three = (_of_one_device(view) for view in (one, two, three))
    assert join(one, two) == join(two, one)
    assert join(join(one, two), three) == join(one, join(two, three))
    assert join(one, one) == one
    assert news(join(one, two), one) is None
    assert news(join(one, two), two) is None


def _of_one_device(view: View) -> View:
    verdict = replace(view.verdict, policy_hash=POLICIES[0])
    return replace(view, device_id="mac:1", mac="1", app="whatsapp", verdict=verdict)


def expected(given_episodes: list[Episode]) -> dict[tuple[str, str | None, str], set[View]]:
    """What the store should hold: per device, app and policy, slices that share packets, joined. Written the slow way."""
    groups: dict[tuple[str, str | None, str], list[View]] = defaultdict(list)
    for one in given_episodes:
        key = one.device.id, app_key_of(one.app, one.candidates, one.activity), one.verdict.policy_hash
        view = view_of(one)
        meeting = [known for known in groups[key] if not known.keys.isdisjoint(view.keys)]
        for known in meeting:
            groups[key].remove(known)
            view = join(view, known)
        groups[key].append(view)
    return {key: set(views) for key, views in groups.items()}


@settings(max_examples=40, deadline=None, phases=UNSHRUNK, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(episodes(), min_size=1, max_size=12), st.integers(0, 1 << 32))
def test_the_order_of_replays_decides_nothing(some: list[Episode], seed: int) -> None:
    held = []
    # Drawn whole before anything runs: what is read must not steer what is drawn.
    some, random = list(some), Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for name in "abc":
            batches = _batches(some, random)
            (Path(folder) / name).write_bytes(_empty())
            with open_store(Path(folder) / name) as store:
                for batch in batches:
                    store.append(batch)
                held.append(_held(store))
                before = store.counts()
                again = [store.append(batch) for batch in batches]
                assert sum(result.added + result.revised for result in again) == 0
                assert store.counts() == before
                assert _held(store) == held[-1]
                _check_listing(store)
            random.shuffle(some)
    assert held[0] == held[1] == held[2] == expected(some)


@cache
def _empty() -> bytes:
    """A store with nothing in it but the snapshots; making one each time would take most of the test's time."""
    with tempfile.TemporaryDirectory() as folder:
        with open_store(Path(folder) / "empty") as store:
            store.append((), snapshots=KNOWN)
        return (Path(folder) / "empty").read_bytes()


def _batches(some: list[Episode], random: Random) -> list[list[Episode]]:
    cuts = sorted({0, len(some), *(random.randint(0, len(some)) for _ in range(2))})
    return [some[low:high] for low, high in pairwise(cuts)]


def _held(store) -> dict[tuple[str, str | None, str], set[View]]:
    held: dict[tuple[str, str | None, str], set[View]] = {}
    engine = store._engine
    with engine.connect() as connection:
        places = connection.exec_driver_sql("SELECT episode_id FROM heads WHERE merged_into IS NULL").all()
        from sensor.store.loading import _Loader

        lineages = connection.exec_driver_sql("SELECT id, policy_hash FROM lineages").all()
        loader = _Loader(connection, {row.id: row.policy_hash for row in lineages})
        loader.fetch(set(), {row.episode_id for row in places}, set())
    for lineages_of in loader.ledger.heads.values():
        for head in lineages_of.values():
            if head.merged_into is None:
                assert head.view is not None
                view = head.view
                app_key = app_key_of(view.app, view.candidates, view.activity)
                key = view.device_id, app_key, view.verdict.policy_hash
                assert head.view not in held.setdefault(key, set()), "nothing is doubled"
                held[key].add(head.view)
    return held


def _check_listing(store) -> None:
    """Lists show no packet twice under one lineage, and the same as the episode itself."""
    shown: dict[tuple[str, str | None, str], list[str]] = defaultdict(list)
    for row in store.violations(Filter(outcomes=None)):
        whole = store.episode(row.episode.id).episode
        assert (whole.names, whole.verdict) == (row.episode.names, row.episode.verdict)
        key = whole.device.id, app_key_of(whole.app, whole.candidates, whole.activity), whole.verdict.policy_hash
        shown[key] += [one.packet_id for one in whole.evidence]
    for packets in shown.values():
        assert len(packets) == len(set(packets))
    for policy in POLICIES:
        rows = list(store.violations(Filter(outcomes=None, lineage=(SIGNATURES[0], policy))))
        assert len({row.episode.id for row in rows}) == len(rows)


def test_app_keys() -> None:
    assert app_key_of("zoom", ("x",), Activity.MESSAGING) == "zoom"
    key = app_key_of(None, ("whatsapp", "messenger", "whatsapp"), Activity.BACKGROUND)
    assert key == "?messenger|whatsapp"
    call = app_key_of(None, ("whatsapp", "messenger"), Activity.VOICE_CALL)
    for one in (key, call):
        assert concerns(one, "whatsapp")
        assert not concerns(one, "app")
    assert app_key_of("zoom", (), Activity.CALL_ATTEMPT) != "zoom"
    assert concerns(app_key_of("zoom", (), Activity.MEETING), "zoom")
    assert concerns("zoom", "zoom")
    assert not concerns("whatsapp", "app")
