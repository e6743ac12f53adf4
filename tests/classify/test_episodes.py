"""Flows to episodes, packet by packet: what settles, overrules and joins, and where one stretch of use ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pcaps import clinic, stun, tls, whatsapp
from pcaps.names import Entry
from pcaps.tcp import Tcp
from pcaps.tls import Turn
from pcaps.web import SMALL
from pcaps.wire import Link
from sensor.classify.episodes import SETTLE_NS
from sensor.model import Activity, Strength
from tests.worlds import told, world

if TYPE_CHECKING:
    from pathlib import Path

    from pcaps.web import World
    from sensor.model import Episode

PHONE, OTHER = clinic.NURSE_PHONE, clinic.WARD_TABLET
MMG = "157.240.214.60"  # where mmg.whatsapp.net is
SHARED = (
    Entry("www.shared.example", (MMG,)),
    Entry("chat.signal.org", (MMG,)),
)
QUIET = pytest.mark.parametrize("quiet", [True, False])  # whether nobody else is heard in between
SETTLE_S = SETTLE_NS / 1e9
IDLE_S = 600  # of messaging, where nothing is configured


def opaque(made: World, at: float, *, name: str = "", address: str = MMG, seconds: float = 2.0) -> float:
    """A connection that names nothing; `name` is looked up before. Returns its end."""
    server = clinic.outside("server", address)
    if name:
        at, server = made.resolver.look_up(PHONE, name, at)
    tcp = Tcp(made.trace, PHONE, made.port(PHONE), server, 8443, at=at)
    for _ in range(int(seconds)):
        tcp.send(b"\x01\x02\x03" + tcp.rng.randbytes(300), up=True, think=1.0)
        tcp.send(b"\x01\x02\x03" + tcp.rng.randbytes(300), up=False)
    tcp.close()
    return tcp.at


def meanwhile(made: World, until: float, *, every: float = 10.0) -> None:
    """Somebody else's packets: time goes on by packets alone."""
    for index in range(int(until // every)):
        made.resolver.look_up(clinic.WARD_PC, "www.who.int", index * every, ("A",))


def one(folder: Path, made: World) -> Episode:
    (episode,) = told(folder, made.trace).episodes
    return episode


def kinds(episode: Episode) -> set[str]:
    return {each.kind for each in episode.evidence}


# What DNS told, and the flow's own name


def test_dns_speaks_for_a_flow_that_names_nothing(tmp_path: Path) -> None:
    made = world("dns")
    opaque(made, 0.0, name="mmg.whatsapp.net", seconds=SETTLE_S + 3)
    episode = one(tmp_path, made)
    assert (episode.app, episode.strength, kinds(episode)) == ("whatsapp", Strength.STRONG, {"dns_answer"})


def test_dns_speaks_even_where_the_flow_ends_before_it_is_settled(tmp_path: Path) -> None:
    made = world("short")
    opaque(made, 0.0, name="mmg.whatsapp.net", seconds=1)
    assert one(tmp_path, made).app == "whatsapp"


def test_a_flows_own_name_says_more_than_dns(tmp_path: Path) -> None:
    made = world("own")
    made.visit(PHONE, "mmg.whatsapp.net", 0.0, SMALL)
    episode = one(tmp_path, made)
    assert (episode.app, episode.strength) == ("whatsapp", Strength.CONCLUSIVE)
    assert "tls_sni" in kinds(episode)


@pytest.mark.parametrize("late_s", [0.0, SETTLE_S - 1, SETTLE_S + 3])
def test_a_flows_own_name_overrules_dns_however_late(tmp_path: Path, late_s: float) -> None:
    """An address that an app shares with others: what DNS told of it a moment ago was for another flow."""
    made = world("overruled", *SHARED)
    at, server = made.resolver.look_up(PHONE, "mmg.whatsapp.net", 0.0)
    tcp = Tcp(made.trace, PHONE, made.port(PHONE), server, 443, at=at)
    tcp.at += late_s
    tls.session(tcp, "www.shared.example", tls.ANDROID, SMALL)
    made.visit(OTHER, "www.who.int", SETTLE_S + 1, SMALL)  # time goes on
    assert told(tmp_path, made.trace).episodes == []


def test_a_flows_own_name_of_another_app(tmp_path: Path) -> None:
    made = world("another", *SHARED)
    made.resolver.look_up(PHONE, "mmg.whatsapp.net", 0.0)
    made.visit(PHONE, "chat.signal.org", 0.5, SMALL, ask=False)
    assert one(tmp_path, made).app == "signal"


def test_what_dns_told_somebody_else_says_nothing(tmp_path: Path) -> None:
    made = world("somebody")
    made.resolver.look_up(OTHER, "mmg.whatsapp.net", 0.0)
    opaque(made, 1.0)
    assert told(tmp_path, made.trace).episodes == []


# Flows to published ranges

RANGE = "157.240.1.60"  # published for WhatsApp; nobody asked for it by a name


def test_an_address_range_alone_opens_nothing(tmp_path: Path) -> None:
    made = world("range")
    opaque(made, 0.0, address=RANGE)
    assert told(tmp_path, made.trace).episodes == []


@pytest.mark.parametrize("at", [4.0, 30.0])
def test_an_address_range_joins_an_episode_that_is_open(tmp_path: Path, at: float) -> None:
    made = world("joins")
    whatsapp.chat(made, PHONE, 0.0, (Turn(20.0, 300, 300), Turn(20.0, 300, 300)))
    opaque(made, at, address=RANGE)
    episode = one(tmp_path, made)
    assert episode.flows == 2
    assert {each.match.strength for each in episode.evidence if each.kind == "ip_range"} == {Strength.SUPPORTING}
    assert episode.strength is Strength.CONCLUSIVE


def test_an_address_range_joins_no_episode_of_another_device(tmp_path: Path) -> None:
    made = world("apart")
    whatsapp.chat(made, OTHER, 0.0, (Turn(5.0, 300, 300),))
    opaque(made, 10.0, address=RANGE)
    assert one(tmp_path, made).flows == 1


@QUIET
def test_an_address_range_joins_no_episode_of_long_ago(tmp_path: Path, quiet: bool) -> None:
    made = world("long ago")
    whatsapp.chat(made, PHONE, 0.0, (Turn(5.0, 300, 300),))
    meanwhile(made, 0.0 if quiet else 2 * IDLE_S)
    opaque(made, 2 * IDLE_S, address=RANGE)
    assert one(tmp_path, made).flows == 1


# Where one stretch of use ends


@QUIET
@pytest.mark.parametrize(("pause_s", "episodes"), [(60, 1), (IDLE_S - 60, 1), (IDLE_S + 60, 2), (3 * IDLE_S, 2)])
def test_a_pause_ends_an_episode(tmp_path: Path, pause_s: int, episodes: int, quiet: bool) -> None:
    made = world("pause")
    end = made.visit(PHONE, "pps.whatsapp.net", 0.0, SMALL)
    meanwhile(made, 0.0 if quiet else end + pause_s)
    made.visit(PHONE, "pps.whatsapp.net", end + pause_s, SMALL)
    seen = told(tmp_path, made.trace)
    assert [each.app for each in seen.episodes] == ["whatsapp"] * episodes
    assert len({each.id for each in seen.episodes}) == episodes


def test_a_connection_that_stays_open_holds_its_episode_open(tmp_path: Path) -> None:
    made = world("open")
    whatsapp.chat(made, PHONE, 0.0, (Turn(240.0, 22, 34),) * 12)
    made.visit(PHONE, "pps.whatsapp.net", 45 * 60, SMALL)
    assert one(tmp_path, made).flows == 2


def test_two_devices_have_two_episodes(tmp_path: Path) -> None:
    made = world("two")
    for device in (PHONE, OTHER):
        made.visit(device, "mmg.whatsapp.net", 0.0, SMALL)
    seen = told(tmp_path, made.trace).episodes
    assert {each.device.mac for each in seen} == {PHONE.mac, OTHER.mac}


def test_both_ip_versions_of_a_device_are_one(tmp_path: Path) -> None:
    made = world("versions")
    made.visit(PHONE, "mmg.whatsapp.net", 0.0, SMALL)
    made.visit(PHONE, "pps.whatsapp.net", 3.0, SMALL, six=True)
    episode = one(tmp_path, made)
    assert episode.flows == 2
    assert episode.device.addresses == tuple(sorted((PHONE.ip4, PHONE.ip6)))


# Calls


def test_a_call_is_an_episode_beside_its_chat(tmp_path: Path) -> None:
    made = world("beside")
    whatsapp.chat(made, PHONE, 0.0, (Turn(5.0, 300, 300), Turn(15.0, 300, 300), Turn(10.0, 300, 300)))
    whatsapp.call(made, PHONE, 4.0, whatsapp.Call(15.0))
    seen = sorted(told(tmp_path, made.trace).episodes, key=lambda each: each.activity)
    assert [each.app for each in seen] == ["whatsapp", "whatsapp"]
    assert [each.activity for each in seen] == [Activity.MESSAGING, Activity.VOICE_CALL]
    call = seen[1]
    assert call.end_ns - call.start_ns == pytest.approx(15e9, rel=0.1)  # its media, not its ringing
    assert call.bytes_up + call.bytes_down == sum(each.bytes_up + each.bytes_down for each in call.profile)


def test_media_straight_to_a_peer_are_part_of_the_call_of_their_socket(tmp_path: Path) -> None:
    made = world("peer")
    peer = clinic.outside("peer", "198.51.100.77", 51)
    whatsapp.call(made, PHONE, 0.0, whatsapp.Call(15.0, peer=peer, peer_port=41232))
    episode = one(tmp_path, made)
    assert (episode.app, episode.activity) == ("whatsapp", Activity.VOICE_CALL)
    assert any(peer.ip4 in {each.flow.src, each.flow.dst} for each in episode.evidence)


def test_media_of_another_socket_are_not(tmp_path: Path) -> None:
    """Nothing but the time ties them to the call."""
    made = world("socket")
    whatsapp.call(made, PHONE, 0.0, whatsapp.Call(15.0))
    link = Link(PHONE, 20000, clinic.outside("stranger", "198.51.100.99"), 30000)
    stun.call(made.trace, link, [whatsapp.VOICE], [whatsapp.VOICE], 14.0, 10.0, "stranger")
    apps = {each.app for each in told(tmp_path, made.trace).episodes}
    assert apps == {"whatsapp", "unknown_call"}


@QUIET
@pytest.mark.parametrize("pause_s", [240.0, 600.0])
def test_a_second_call_after_a_pause_is_another(tmp_path: Path, pause_s: float, quiet: bool) -> None:
    made = world("second")
    meanwhile(made, 0.0 if quiet else pause_s)
    for at in (0.0, pause_s):
        whatsapp.call(made, PHONE, at, whatsapp.Call(8.0))
    seen = told(tmp_path, made.trace).episodes
    assert [each.activity for each in seen] == [Activity.VOICE_CALL] * 2
