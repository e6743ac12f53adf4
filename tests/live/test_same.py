"""The same packets give the same flows, episodes and verdicts, from a file and from a mirror port.

tcpreplay sends at the times of the file, divided where the file is long; the file that is compared has its times divided likewise,
and begins when the live run began, for schedules of the policy and windows of ten seconds are of the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import captures
from tests.commands.running import CAPTURE, CONFIG, lines
from tests.live.net import accounted, watching
from tests.live.same import begin_ns, check_same, frames_in, replayed, retimed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.net import Mirror

CHOSEN = {
    "ndpi__google_meet.pcapng": 1,
    "ndpi__stun_msteams_unidir.pcapng": 1,
    "ndpi__tls_2_reasms.pcapng": 1,
    "ndpi__snapchat_call.pcapng": 2,
    "ndpi__quic-28.pcap": 1,
    "ndpi__vxlan.pcap": 1,
    "ndpi__dtls_mid_sessions.pcapng": 1,
    "zeek__tls-tls-fragmented-handshake.pcap": 1,
    "ndpi__quic046.pcap": 1,
    "pcapplusplus__Pcap++Test-PcapExamples-ip4_fragments.pcap": 1,
    "ndpi__waze.pcap": 8,  # with frames of 22 kB, as offloads merge them
    "ndpi__teams.pcap": 8,
    "ndpi__wa_voice.pcap": 10,
    "ndpi__telegram.pcap": 10,
    "msgr__Test_4G_appel_vocal_u2_Messenger_ligne81_ligne389_ligne1055.pcapng": 10,
}

pytestmark = pytest.mark.root


def compare(port: Mirror, folder: Path, capture: Path, divisor: int, *arguments: str | Path) -> int:
    """Sends a capture through the mirror and compares; returns how many episodes there were."""
    flows, episodes = folder / "live.flows", folder / "live.episodes"
    with watching(port, "--no-store", "--flows", flows, "--episodes", episodes, *arguments) as watch:
        port.send(capture, "-x", str(divisor))
        done = watch.stop()
    assert done.status == 0, done.err
    live, told = lines(flows.read_text("utf-8")), lines(episodes.read_text("utf-8"))
    copy = retimed(capture, folder / "copy.pcap", begin_ns(live), divisor)
    in_file, in_file_told = replayed(copy, folder, *arguments)
    check_same(live, in_file)
    check_same(told, in_file_told)
    sums = accounted(done)
    assert "kernel_ring" not in done.err
    assert sums["frames"] == sums["classified"] + sums["ignored"] + sums["dropped"] == frames_in(copy)
    return len(told)


def test_the_demo(port: Mirror, tmp_path: Path) -> None:
    assert compare(port, tmp_path, CAPTURE, 400, "--config", CONFIG) > 10


@pytest.mark.captures
@pytest.mark.parametrize("name", CHOSEN)
def test_a_capture_of_others(port: Mirror, tmp_path: Path, name: str) -> None:
    compare(port, tmp_path, captures.capture(name), CHOSEN[name])
