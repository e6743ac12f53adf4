"""The visibility statement: shares of flows and bytes, and hours in which nothing could be seen."""

from __future__ import annotations

from sensor.statement import BY_DNS, HIDDEN, ITSELF, TUNNEL, UNNAMED
from tests.made import ECH, PHONE, RESOLVER, START_S, answer, hello, question, replayed, tcp, udp
from tests.proofs import proves

SERVER, OTHER = "203.0.113.60", "203.0.113.61"
WARDS = (
    '[[network]]\nname = "Ward"\ncidrs = ["192.168.1.0/24"]\n'
    '[[network]]\nname = "Lab"\ncidrs = ["192.168.2.0/24"]\n'
    '[[network]]\nname = "Guests"\ncidrs = ["192.168.3.0/24"]\nwatch = "excluded"\n'
)
HOUR_NS = 3_600_000_000_000
FIRST_HOUR_NS = START_S * 10**9 // HOUR_NS * HOUR_NS


def talk(src: str, port: int, dst: str, first: bytes, *, at: float = 0, reply: int = 100, to: int = 443):
    """One packet there, and one back."""
    frames = [tcp(src, port, dst, to, first, at=at)]
    return [*frames, tcp(dst, to, src, port, b"\x17" * reply, at=at + 0.1)] if reply else frames


def statement(folder, frames, settings=""):
    totals = replayed(folder, frames, settings).totals
    assert totals is not None
    return totals.statement


@proves("Visibility, shares of flows and bytes", "made for it")
def test_each_flow_is_one_of_five(tmp_path):
    frames = [
        *talk(PHONE, 50000, SERVER, hello("www.example.com")),
        udp(RESOLVER, 53, PHONE, 40000, answer("chat.example.net", OTHER)),
        *talk(PHONE, 50001, OTHER, b"\x17" * 30, at=1),
        *talk(PHONE, 50002, SERVER, hello("cloudflare-ech.com", ECH), at=1),
        *talk(PHONE, 50003, SERVER, hello("mask.icloud.com"), at=1),
        *talk(PHONE, 50004, "203.0.113.99", b"\x17" * 30, at=1),
        udp(PHONE, 50005, "8.8.8.8", 53, question("www.example.com"), at=1),
    ]
    total = statement(tmp_path, frames).total
    assert [total.flows[kind] for kind in (ITSELF, BY_DNS, HIDDEN, TUNNEL, UNNAMED)] == [1] * 5
    size = [len(one) for one in frames]
    assert total.bytes == [
        size[0] + size[1],
        size[3] + size[4],
        size[5] + size[6],
        size[7] + size[8],
        size[9] + size[10],
    ]
    assert (total.one_way_flows, total.one_way_bytes) == (0, 0)


def test_what_counts_is_between_devices_and_servers_elsewhere(tmp_path):
    frames = [
        *talk("192.168.1.7", 50000, SERVER, b"x"),
        *talk("192.168.1.7", 50001, "192.168.2.9", b"x"),  # within the clinic
        *talk("192.168.3.7", 50002, SERVER, b"x"),  # guests
        *talk("172.16.0.9", 50003, SERVER, b"x"),  # in no network
        udp("192.168.1.7", 5353, "224.0.0.251", 5353, b"x" * 20),
        udp("192.168.1.7", 40000, "239.255.255.250", 40001, b"x" * 20),
        udp("192.168.1.7", 40000, "255.255.255.255", 40001, b"x" * 20),
        udp("192.168.1.7", 123, SERVER, 123, b"x" * 48),
    ]
    assert statement(tmp_path, frames, WARDS).total.all_flows == 1


def hours(found):
    return {(one.network, (one.hour_ns - FIRST_HOUR_NS) // HOUR_NS): one.reasons for one in found.hours}


@proves("Visibility, hours that could not be seen", "made for it")
def test_an_hour_in_which_a_network_is_not_heard_while_another_is(tmp_path):
    frames = [*talk("192.168.1.7", 50000, SERVER, b"x"), *talk("192.168.1.7", 50000, SERVER, b"x", at=3600)]
    frames += talk("192.168.2.7", 50000, SERVER, b"x")
    found = statement(tmp_path, frames, WARDS)
    assert hours(found) == {("Ward", 0): (), ("Ward", 1): (), ("Lab", 0): (), ("Lab", 1): ("silent",)}


def test_a_flow_that_goes_on_is_heard(tmp_path):
    frames = [tcp("192.168.2.7", 50000, SERVER, 443, b"x", at=minutes * 60) for minutes in range(0, 70, 10)]
    frames += talk("192.168.1.7", 50000, SERVER, b"x", at=3600)
    assert hours(statement(tmp_path, frames, WARDS))["Lab", 1] == ()


def test_an_hour_of_unnamed_bytes_is_dark(tmp_path):
    quiet = talk("192.168.1.7", 50000, SERVER, b"\x17" * 1000, reply=1000)
    bulk = [
        tcp(SERVER, 443, "192.168.1.7", 50000, b"\x17" * 1400, at=1 + n / 50) for n in range(800)
    ]  # too far apart to be copies
    assert hours(statement(tmp_path, quiet, WARDS))["Ward", 0] == ()
    assert hours(statement(tmp_path, [*quiet, *bulk], WARDS))["Ward", 0] == ("dark",)
    named = talk("192.168.1.7", 50000, SERVER, hello("www.example.com"))
    assert hours(statement(tmp_path, [*named, *bulk], WARDS))["Ward", 0] == ()


def test_an_hour_in_which_one_side_is_seen(tmp_path):
    """A mirror that copies one direction; of flows of a single packet an answer may just be missing."""
    both = [frame for n in range(5) for frame in talk("192.168.1.7", 40000 + n, SERVER, b"x")]
    scan = [tcp("192.168.1.7", 41000 + n, SERVER, 443, b"x") for n in range(20)]
    half = [tcp("192.168.1.7", 42000 + n, SERVER, 443, b"x", at=at) for n in range(6) for at in (0, 1)]
    assert hours(statement(tmp_path, [*both, *scan], WARDS))["Ward", 0] == ()
    found = statement(tmp_path, [*both, *scan, *half], WARDS)
    assert hours(found)["Ward", 0] == ("one_way",)
    assert found.total.one_way_flows == 6


def test_an_hour_of_lost_frames(tmp_path):
    whole = talk("192.168.1.7", 50000, SERVER, b"x")
    cut = tcp("192.168.1.7", 50001, SERVER, 443, b"x", at=1)
    short = type(cut)(bytes(cut)[:20])
    short.time, short.wirelen = cut.time, len(cut)
    found = statement(tmp_path, [*whole, short], WARDS)
    assert (found.frames, found.lost) == (3, 1)
    assert hours(found)["Ward", 0] == ("lost",)
    assert statement(tmp_path, whole, WARDS).lost == 0
