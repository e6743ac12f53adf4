"""Systems out of support: told by what passes by, from the day on which support ended, and only where the policy asks."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sensor.classify import systems
from sensor.errors import SignatureError
from sensor.model import Outcome, Strength
from tests import captures, made
from tests.decode import samples

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.model import Observation

ON = '[policy.visibility]\noutdated = "{}"\n'
SERVER = "203.0.113.9"
XP_DAYS = (made.START_S - 1_397_001_600) // 86_400  # since Windows XP's support ended on 2014-04-08


def agent(text: str, *, at: float = 0, sport: int = 40000, src: str = made.PHONE):
    request = f"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: {text}\r\n\r\n".encode()
    return made.tcp(src, sport, SERVER, 80, request, at=at)


def hello(version: int, *, at: float = 0, sport: int = 41000, extensions: tuple[bytes, ...] = ()):
    body = bytearray(samples.client_hello(samples.server_name(b"example.org"), *extensions))
    body[4:6] = version.to_bytes(2, "big")
    return made.tcp(made.PHONE, sport, SERVER, 443, samples.records(bytes(body)), at=at)


def seen(folder: Path, *frames, outcome: str = "record", settings: str = "") -> list[Observation]:
    found = made.replayed(folder, list(frames), settings + ON.format(outcome)).observations
    return [one for one in found if one.kind == "outdated"]


def said(found: list[Observation]) -> list[tuple[str, str]]:
    return sorted((one.kind, one.value) for each in found for one in each.evidence)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
def test_a_hello_that_offers_nothing_newer_than_tls_1_1(tmp_path: Path, version: int) -> None:
    (one,) = seen(tmp_path, hello(version))
    (evidence,) = one.evidence
    assert (evidence.kind, evidence.value) == ("tls_version", f"at most {systems.TLS_NAMES[version]}")
    assert one.device is not None
    assert (evidence.frame, evidence.match.strength, one.device.address) == (1, Strength.STRONG, made.PHONE)
    assert (one.flows, one.packets) == (1, 1)


@pytest.mark.parametrize(("version", "value"), [(0x0301, "at most TLS 1.0"), (0x0303, None), (0x0002, None)])
def test_a_hello_in_the_form_of_ssl_2_0(tmp_path: Path, version: int, value: str | None) -> None:
    body = b"\x01" + version.to_bytes(2, "big") + b"\x00\x03\x00\x00\x00\x10" + b"\x00\x00\x2f" + bytes(16)
    raw = (0x8000 | len(body)).to_bytes(2, "big") + body
    frames = [
        made.tcp(made.PHONE, 41000, SERVER, 443, b"", flags="S"),
        made.tcp(made.PHONE, 41000, SERVER, 443, raw, at=0.1),
    ]
    frames[1]["TCP"].seq = 1
    frames[0]["TCP"].seq = 0
    assert said(seen(tmp_path, *frames)) == ([] if value is None else [("tls_version", value)])


@pytest.mark.parametrize("version", [0x0303, 0x0304, 0x0200, 0x0103])
def test_a_hello_of_today_or_of_no_version_there_is(tmp_path: Path, version: int) -> None:
    assert seen(tmp_path, hello(version)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)", "Windows NT 5.1"),
        ("Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 Chrome/109.0 Safari/537.36", "Windows NT 6.1"),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows CE; IEMobile 7.11)", "Windows CE"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0 Safari/537.36", None),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1.15", None),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Firefox/120.0", None),
        ("curl/8.4.0", None),
        ("", None),
    ],
)
def test_what_a_program_says_of_its_system(tmp_path: Path, text: str, value: str | None) -> None:
    assert said(seen(tmp_path, agent(text))) == ([] if value is None else [("user_agent", value)])


def test_a_token_elsewhere_in_the_request_says_nothing(tmp_path: Path) -> None:
    request = b"GET /?Windows+NT+5.1 HTTP/1.1\r\nHost: example.org\r\nReferer: Windows NT 5.1\r\nUser-Agent: x\r\nX: Windows NT 5.1\r\n\r\n"
    assert seen(tmp_path, made.tcp(made.PHONE, 40000, SERVER, 80, request)) == []


def test_a_system_counts_from_the_day_on_which_its_support_ended(tmp_path: Path) -> None:
    assert XP_DAYS > 3000
    before = agent("Windows NT 5.1", at=-(XP_DAYS + 1) * 86_400)
    after = agent("Windows NT 5.1", at=-(XP_DAYS - 2) * 86_400, sport=40001)
    (one,) = seen(tmp_path, before, after)
    assert [(evidence.frame, evidence.flow.sport) for evidence in one.evidence] == [(2, 40001)]
    assert seen(tmp_path, hello(0x0301, at=-4 * 365 * 86_400)) == [], "RFC 8996 is of March 2021"


def test_an_answer_in_smb_1_and_no_other(tmp_path: Path) -> None:
    asks = bytes.fromhex("00000054ff534d4272000000001843c8") + bytes(60)
    answers = bytes.fromhex("00000081ff534d4272000000008853c8") + bytes(60)
    newer = bytes.fromhex("000000d0fe534d4240000100000000000000") + bytes(60)
    server = "192.168.1.20"

    def talk(answer: bytes) -> list[Observation]:
        return seen(
            tmp_path,
            made.tcp(made.PHONE, 42000, server, 445, b"", flags="S"),
            made.tcp(made.PHONE, 42000, server, 445, asks, at=0.1),
            made.tcp(server, 445, made.PHONE, 42000, answer, at=0.2),
        )

    assert [kind for kind, _ in said(talk(answers))] == ["payload"]
    assert talk(newer) == [], "a client that is moved to SMB 2"


def test_a_flow_tells_it_once_and_an_hour_gathers_its_flows(tmp_path: Path) -> None:
    frames = [agent("Windows NT 6.1", sport=40000 + n // 2, at=n) for n in range(8)]
    (one,) = seen(tmp_path, *frames)
    assert (one.flows, one.packets) == (4, 8)
    assert {evidence.flow.sport for evidence in one.evidence} <= set(range(40000, 40004))


def test_nothing_is_looked_for_unless_the_policy_asks(tmp_path: Path) -> None:
    frames = [hello(0x0301), agent("Windows NT 5.1")]
    for settings in ("", ON.format("ignore")):
        found = made.replayed(tmp_path, frames, settings)
        assert "outdated" not in found.kinds()
        assert found.episodes == []


@pytest.mark.parametrize("outcome", ["review", "violation"])
def test_the_policy_makes_an_episode_of_it(tmp_path: Path, outcome: str) -> None:
    found = made.replayed(tmp_path, [hello(0x0301), agent("Windows NT 5.1")], ON.format(outcome))
    (episode,) = found.episodes
    assert (episode.app, episode.verdict.outcome) == ("outdated", Outcome(outcome))
    assert episode.verdict.rule == "policy.visibility.outdated"
    assert "out of its maker's support" in episode.verdict.reason
    assert {one.match.rule for one in episode.evidence} == {"outdated/tls_old", "outdated/windows_xp"}


def test_of_an_excluded_network_no_device_is_kept(tmp_path: Path) -> None:
    settings = '[[network]]\nname = "Guests"\ncidrs = ["192.168.1.0/24"]\nwatch = "excluded"\n'
    (one,) = seen(tmp_path, hello(0x0301), settings=settings)
    assert (one.device, one.evidence) == (None, ())


def test_one_process_or_two_small_parts_or_one_say_the_same(tmp_path: Path) -> None:
    from scapy.utils import wrpcap

    from sensor import setup

    frames = [hello(0x0301, sport=41000 + n, at=n) for n in range(40)]
    frames += [agent("Windows NT 6.1", sport=45000 + n, at=n + 0.5) for n in range(40)]
    path = tmp_path / "many.pcap"
    wrpcap(str(path), sorted(frames, key=lambda one: one.time))
    config = tmp_path / "c.toml"
    config.write_text(ON.format("record"))
    runs = [
        made.read(setup.read(str(config)), [path], chunk_bytes=size, parallel=parallel).observations
        for size, parallel in ((1 << 22, False), (1 << 22, True), (4096, False), (4096, True))
    ]
    assert runs[0]
    assert all(run == runs[0] for run in runs)


def test_a_hello_that_is_cut_short_is_no_reading_beyond_the_frame(tmp_path: Path) -> None:
    from sensor.kernel import layout
    from sensor.outdated import Marker

    raw = samples.records(samples.client_hello(samples.server_name(b"example.org")))
    for length in range(len(raw)):
        clues = np.zeros(1, layout.CLUE)
        clues["kind"], clues["length"], clues["mark"] = layout.KIND_TLS, length, 7
        Marker(systems.load())(np.frombuffer(raw[:length], np.uint8), clues)
        assert clues["mark"][0] == 0


@pytest.mark.captures
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ndpi__rdp2.pcap", "tls_version"),
        ("ndpi__tls_alert.pcap", "tls_version"),
        ("suricata__bug-5713-01-TLSv1-Extracted-MaliciousC2.pcap", "tls_version"),
        ("suricata__tls-tls-glupteba-mb.pcap", "tls_version"),  # in the form of SSL 2.0
        ("ndpi__smbv1.pcap", "payload"),
    ],
)
def test_real_captures_of_such_clients(tmp_path: Path, name: str, kind: str) -> None:
    from sensor import setup

    config = tmp_path / "c.toml"
    config.write_text(ON.format("record"))
    found = made.read(setup.read(str(config)), [captures.capture(name)]).observations
    assert kind in {one.kind for each in found if each.kind == "outdated" for one in each.evidence}


def test_the_data_file_is_whole(tmp_path: Path) -> None:
    found = systems.load()
    assert len({one.id for one in found}) == len(found) > 8
    assert all(one.source.startswith(("https://learn.microsoft.com/", "https://www.rfc-editor.org/")) for one in found)
    tokens = [one.token for one in found if one.token]
    assert not any(one != other and one in other for one in tokens for other in tokens), "one answer for each"
    by_id = {one["id"]: one["end"] for one in tomllib.loads(systems.FILE.read_text("utf-8"))["system"]}
    assert by_id["windows_xp"] == date(2014, 4, 9), "the last day with support was the 8th"
    broken = tmp_path / "systems.toml"
    for text in (
        "[[system]]\nid = 'x'\n",
        "system",
        "[[system]]\nid='x'\nname='x'\ntoken='x'\nend='soon'\nsource='https://x'\n",
    ):
        broken.write_text(text)
        with pytest.raises(SignatureError, match=r"systems\.toml"):
            systems.load(broken)
