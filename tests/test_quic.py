"""QUIC from frames to names: whichever side a capture starts with, whatever the ports, over any number of datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dpkt
import pytest

from sensor import capture, records, setup
from sensor.pipeline import Pipeline
from tests.decode import google, samples, sealing
from tests.kernel.harness import datagram
from tests.proofs import proves

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.totals import Totals

CLIENT, SERVER = "10.20.3.50", "192.0.2.80"
HELLO = samples.FULL_HELLO
NAME = "web.whatsapp.net"
Sent = tuple[bool, bytes]  # whether by the client, and the datagram


def replayed(folder: Path, ports: tuple[int, int], sent: list[Sent]) -> tuple[list[tuple[str, str, int]], Totals]:
    """(name, source, frame) of all flows, and the totals."""
    path = folder / "made.pcap"
    ends = (CLIENT, ports[0]), (SERVER, ports[1])
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number, (by_client, payload) in enumerate(sent):
            (src, sport), (dst, dport) = ends if by_client else ends[::-1]
            _, frame, _ = datagram(0, src, sport, dst, dport, payload)
            writer.writepkt(frame, 1_700_000_000 + number / 100)
    made = setup.read(None)
    found: list[tuple[str, str, int]] = []
    pipeline = Pipeline(
        made.settings,
        made.signatures,
        made.policy,
        made.networks,
        on_episode=lambda _: None,
        on_flow=lambda row: found.extend(
            (one["name"], one["source"], one["frame"]) for one in records.flow_record(row)["names"]
        ),
        parallel=False,
    )
    return found, pipeline.run(capture.open_paths([path]))


def hello(number: int = 0, *, start: int = 0, end: int = len(HELLO), dcid: bytes | None = None) -> Sent:
    payload = samples.crypto(start, HELLO[start:end]).ljust(1170, b"\x00")
    return True, samples.initial(payload, number=number, dcid=dcid)


# To an id of 8 bytes, as long as a client's: nothing but its keys tells it from one.
REPLY: Sent = (
    False,
    samples.initial(samples.crypto(0, samples.SERVER_HELLO).ljust(1170, b"\x00"), dcid=b"clientid", scid=b"serverid", is_client=False),
)  # fmt: skip


@pytest.mark.parametrize("ports", [(50000, 443), (50000, 44300), (443, 50000), (443, 443), (500, 4433)])
@pytest.mark.parametrize(
    ("sent", "frame"),
    [
        pytest.param([hello()], 1, id="alone"),
        pytest.param([REPLY, hello()], 2, id="after an answer"),
        pytest.param([REPLY, REPLY, REPLY, hello()], 4, id="after answers"),
        pytest.param([hello(0, end=80), REPLY, hello(1, start=80, dcid=b"serverid")], 3, id="in two"),
        pytest.param([hello(1, start=80), hello(0, end=80), REPLY], 2, id="in two, swapped"),
    ],
)
def test_the_side_that_the_capture_starts_with_does_not_matter(tmp_path, ports, sent, frame):
    found, totals = replayed(tmp_path, ports, sent)
    assert found == [(NAME, "quic_sni", frame)]
    assert totals.flows == 1


@proves("QUIC, changed connection ids", "packets sealed by aioquic")
def test_ids_that_change_in_the_middle_of_a_hello(tmp_path):
    sent = [hello(0, end=80), REPLY, hello(1, start=80, dcid=b"serverid")]
    assert replayed(tmp_path, (50000, 443), sent)[0] == [(NAME, "quic_sni", 3)]


@pytest.mark.parametrize("version", [25, 33, 35, 39, 43, 44, 46])
def test_googles_versions(tmp_path, version):
    data = google.plain(version, google.stream(0, google.HELLO, version).ljust(1300, b"\x00"))
    assert replayed(tmp_path, (50000, 443), [(True, data)])[0] == [("www.youtube.com", "quic_sni", 1)]


@pytest.mark.parametrize("version", [0x51303530, 0x54303531])
def test_googles_sealed_versions(tmp_path, version):
    content = google.HELLO if version == 0x51303530 else HELLO
    data = sealing.sealed(version, google.crypto(0, content).ljust(1300, b"\x00"))
    name = "www.youtube.com" if version == 0x51303530 else NAME
    assert replayed(tmp_path, (50000, 6121), [(True, data)])[0] == [(name, "quic_sni", 1)]


@proves("QUIC, what only looks like it", "bytes made by hand")
def test_what_only_looks_like_it_names_nothing(tmp_path):
    real = hello()[1]
    fake = bytearray(real)
    fake[-1] ^= 1
    old = bytearray(google.plain(43, google.stream(0, google.HELLO, 43).ljust(1300, b"\x00")))
    old[-1] ^= 1
    found, totals = replayed(tmp_path, (50000, 443), [(True, bytes(fake)), (True, bytes(old)), (True, real[:700])])
    assert found == []
    assert totals.decoders["quic_malformed"] == 2
