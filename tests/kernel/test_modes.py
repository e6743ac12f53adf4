"""The same frames through the loop compiled, compiled with bounds checks, and interpreted: equal in everything it says.

Each runs in a process with a cache folder of its own, for a warm cache would silently serve code compiled the other way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import captures

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "pcaps" / "clinic-morning.pcap"
FRAMES = 4000
TUNNELS = [
    "ndpi__ah.pcapng",
    "ndpi__gre.pcapng",
    "ndpi__ipv6_in_gtp.pcap",
    "ndpi__syslog.pcap",
    "suricata__decode-nsh-type1.pcap",
    "suricata__geneve-decoder.pcap",
    "suricata__pppoe.pcap",
    "suricata__vxlan-decoder-01.pcap",
    "zeek__erspanI.pcap",
    "zeek__erspanII.pcap",
    "zeek__erspanIII.pcap",
    "zeek__mixed-vlan-mpls.pcap",
    "zeek__tunnels-4in4.pcap",
    "zeek__tunnels-6in4.pcap",
    "zeek__tunnels-ayiya3.pcap",
    "zeek__tunnels-gre-aruba-amsdu.pcap",
    "zeek__tunnels-gre-over-udp-4754.pcap",
    "zeek__tunnels-gtp-gtp6_gtp_0x32.pcap",
]
FRAGMENTS = [
    "ndpi__dns_fragmented.pcap",
    "ndpi__fuzz-2006-06-26-2594.pcap",
    "ndpi__ip_fragmented_garbage.pcap",
    "pcapplusplus__Pcap++Test-PcapExamples-frag_with_padding.pcap",
    "pcapplusplus__Pcap++Test-PcapExamples-ip4_fragments.pcap",
    "pcapplusplus__Pcap++Test-PcapExamples-ip6_fragments.pcap",
    "suricata__ipv6-evasion-ipv6-malformed-fragments-36-frag-36.pcap",
    "suricata__ipv6-evasion-ipv6-malformed-fragments-8-frag-8.pcap",
]
COPIES = ["ndpi__bfd.pcap", "ndpi__dnp3.pcap", "ndpi__mongodb.pcap", "zeek__q-in-q.pcap"]
MODES = {
    "compiled": {},
    "bounds checked": {"NUMBA_BOUNDSCHECK": "1"},
    "interpreted": {"NUMBA_DISABLE_JIT": "1"},
}


def run(mode: str, folder: Path, paths: list[Path]) -> str:
    cache = folder / mode.replace(" ", "-")
    cache.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.kernel.harness", str(FRAMES), *map(str, paths)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **MODES[mode]},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = captures.find()
    paths = [DEMO]
    if folder is not None:
        chosen = sorted(path for path in folder.iterdir() if path.suffix in {".pcap", ".pcapng"})
        # Every twentieth: all link types, tunnels and damage are among them, and the interpreted run stays bounded.
        paths += [path for path in chosen[::20] if readable(path)]
        paths += [folder / name for name in TUNNELS + FRAGMENTS + COPIES if folder / name not in paths]
    work = tmp_path_factory.mktemp("modes")
    return {mode: run(mode, work, paths) for mode in MODES}


def readable(path: Path) -> bool:
    """Whether dpkt, which feeds the harness, reads it to the end."""
    from tests.kernel.harness import read

    try:
        return bool(read(path, FRAMES))
    except Exception:  # noqa: BLE001 - whatever dpkt makes of a damaged capture, it is left out
        return False


def test_the_demo_is_read(said: dict[str, str]) -> None:
    name, frames, _ = said["compiled"].splitlines()[0].split()
    assert (name, int(frames)) == (DEMO.name, FRAMES)


@pytest.mark.parametrize("mode", ["bounds checked", "interpreted"])
def test_says_the_same(said: dict[str, str], mode: str) -> None:
    assert said[mode].splitlines() == said["compiled"].splitlines()
