"""`wardwatch replay` over the demo's capture: what the scenario did is told, and nothing else is."""

from __future__ import annotations

import gzip
import re
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from tests.commands.running import CAPTURE, CONFIG, Done, lines, wardwatch, without_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.conftest import Demo

FOUR = {"whatsapp", "facetime", "messenger", "zoom"}
HELD = {"voice_call", "video_call", "meeting"}
OWN_NAMES = {"dns_query", "tls_sni", "quic_sni"}
STORED = re.compile(r"Stored: (\d+) new, (\d+) revised, (\d+) known already\.")
GUESTS = "Guest Wi-Fi"


def clock(text: str) -> datetime:
    """RFC 3339 to the microsecond."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", text))


def uses(demo: Demo, *must_be: str) -> list[dict[str, Any]]:
    return [use for use in demo.truth["uses"] if use["must_be"] in must_be]


def is_of(episode: dict[str, Any], use: dict[str, Any]) -> bool:
    """Whether an episode may be of a use: same device, the app a candidate, and one time overlaps the other."""
    same = episode["device_id"] == f"mac:{use['device']['mac']}" and use["app"] in episode["candidates"]
    return same and episode["start"] <= use["end"] and use["start"] <= episode["end"]


def stored(done: Done) -> tuple[int, int, int]:
    found = STORED.search(done.out)
    assert found is not None
    new, revised, known = map(int, found.groups())
    return new, revised, known


def replay(path: Path, store: Path, config: Path = CONFIG) -> Done:
    return wardwatch("replay", path, "--config", config, "--store", store)


def watched(demo: Demo) -> set[str]:
    """Addresses of the devices that are not in an excluded network."""
    mine = [one for one in demo.truth["devices"] if one["network"] != GUESTS]
    return {one[key] for one in mine for key in ("ip4", "ip6")}


def test_names_are_found_at_their_frames_and_no_others_are(demo: Demo) -> None:
    mine = watched(demo)
    written = {
        (one["kind"], one["name"], one["frame"])
        for one in demo.truth["names"]
        if one["kind"] in OWN_NAMES and one["client"] in mine
    }
    found = {
        (one["source"], one["name"], one["frame"])
        for flow in demo.flows
        for one in flow["names"]
        if one["source"] in OWN_NAMES
    }
    assert len(written) > 250
    assert found == written


def test_the_host_of_each_http_connection_is_found(demo: Demo) -> None:
    """A connection lists its first Host; later requests of one connection say the same again."""
    requests = [one for one in demo.truth["names"] if one["kind"] == "http_host"]
    frames = {one["frame"] for one in requests}
    found = [(flow, one) for flow in demo.flows for one in flow["names"] if one["source"] == "http_host"]
    assert found
    assert {one["frame"] for _, one in found} <= frames
    for request in requests:
        assert any(
            flow["flow"]["src"] == request["client"]
            and one["name"] == request["name"]
            and one["frame"] <= request["frame"]
            and clock(flow["first_seen"]) <= clock(request["time"]) <= clock(flow["last_seen"])
            for flow, one in found
        )


def test_what_dns_answered_is_listed_with_a_frame_that_answers_it(demo: Demo) -> None:
    answers = {(one["name"], one["frame"]) for one in demo.truth["names"] if one["kind"] == "dns_answer"}
    found = {
        (one["name"], one["frame"]) for flow in demo.flows for one in flow["names"] if one["source"] == "dns_answer"
    }
    assert len(found) > 50
    assert found <= answers


def test_every_use_against_the_policy_is_a_violation(demo: Demo) -> None:
    bad = uses(demo, "violation")
    assert {use["app"] for use in bad} == FOUR
    for use in bad:
        assert any(is_of(one, use) for one in demo.violations), use


def test_each_use_is_told_as_what_it_was(demo: Demo) -> None:
    """Calls held from calls that rang, messages from files, and a phone in a pocket."""
    for use in uses(demo, "violation"):
        found = {one["activity"] for one in demo.violations if is_of(one, use)}
        # Messages and files of one stretch of use are one episode, told by what weighs more; a host that is shared with
        # other services tells no files.
        wanted = (
            {"messaging", "file_transfer"} if use["activity"] in {"messaging", "file_transfer"} else {use["activity"]}
        )
        assert found & wanted, use


def test_calls_are_told_apart_from_other_use_and_as_long_as_their_media(demo: Demo) -> None:
    calls = [one for one in demo.violations if one["activity"] in HELD]
    assert len(calls) == len([use for use in uses(demo, "violation") if use["activity"] in HELD])
    for one in calls:
        (use,) = [use for use in uses(demo, "violation") if is_of(one, use) and use["activity"] == one["activity"]]
        assert clock(use["start"]) <= clock(one["start"]) < clock(one["end"]) <= clock(use["end"])


def test_a_phone_in_a_pocket_is_background_and_alerts_nobody(demo: Demo) -> None:
    idle = [use for use in uses(demo, "violation") if use["activity"] == "background"]
    assert idle
    for use in idle:
        for one in demo.violations:
            if is_of(one, use):
                assert (one["activity"], one["severity"]) == ("background", "information")


def test_telephones_and_approved_media_are_no_unknown_call(demo: Demo) -> None:
    assert {use["app"] for use in uses(demo, "none")} >= {"sip"}
    assert not [one for one in demo.episodes if one["app"] == "unknown_call"]


def test_facetime_is_strong_at_most(demo: Demo) -> None:
    facetime = [one for one in demo.episodes if one["app"] == "facetime"]
    assert facetime
    assert {one["strength"] for one in facetime} == {"strong"}


def test_every_violation_is_of_such_a_use(demo: Demo) -> None:
    for one in demo.violations:
        assert any(is_of(one, use) for use in uses(demo, "violation")), one["id"]
    assert not any(is_of(one, use) for one in demo.violations for use in uses(demo, "allowed", "none"))


def test_an_approved_use_is_told_as_allowed(demo: Demo) -> None:
    allowed = [one for one in demo.episodes if one["verdict"] == "allowed"]
    rules = set()
    for use in uses(demo, "allowed"):
        found = [one for one in allowed if is_of(one, use)]
        assert found, use
        rules |= {one["policy_rule"] for one in found}
    assert rules == {"policy.approved", "policy.variant[0]", "policy.exception[0]", "policy.schedule[0]"}


def test_episodes_are_as_long_as_what_they_are_made_of(demo: Demo) -> None:
    for one in demo.episodes:
        if one["activity"] not in HELD:  # a call is as long as its media, and its relays are asked before
            told = [each for each in one["evidence"] if each["kind"] != "dns_answer"]  # which comes before its flow
            assert all(one["start"] <= each["time"] <= one["end"] for each in told)
        assert sum(up + down for _, up, down in one["profile"]) <= one["bytes"]
        assert all(each["time"] <= one["end"] for each in one["evidence"])
        assert one["bytes"] == one["bytes_up"] + one["bytes_down"] > 0
        assert one["packets"] >= one["flows"] > 0
        assert one["duration_s"] == pytest.approx((clock(one["end"]) - clock(one["start"])).total_seconds(), abs=2e-3)
        assert one["evidence_total"] >= len(one["evidence"]) > 0


def test_frames_are_accounted_for_exactly(demo: Demo) -> None:
    found = re.search(r"^(\d+) frames = (\d+) classified .*\+ (\d+) ignored .*\+ (\d+) dropped", demo.out, re.MULTILINE)
    assert found is not None
    frames, *classes = map(int, found.groups())
    assert frames == sum(classes) == demo.truth["frames"]


def test_nothing_about_guests_is_left_anywhere(demo: Demo) -> None:
    """Not in what is printed, the lists, the store or what SQLite keeps beside it. Only a total of the network is told."""
    guests = [one for one in demo.truth["devices"] if one["network"] == GUESTS]
    keys = [one[key].encode() for one in guests for key in ("mac", "ip4", "ip6", "name")]
    packed = [bytes.fromhex(one["mac"].replace(":", "")) for one in guests]
    theirs = {address for one in guests for address in (one["ip4"], one["ip6"])}
    others = {one["name"] for one in demo.truth["names"] if one["client"] not in theirs}
    names = {one["name"].encode() for one in demo.truth["names"] if one["client"] in theirs} - {
        name.encode() for name in others
    }
    assert len(keys) == 8
    places = [path for path in demo.store.parent.iterdir() if path.is_file()]
    assert len(places) >= 3
    for kept in (demo.out.encode(), *(path.read_bytes() for path in places)):
        assert not [key for key in (*keys, *packed, *names) if key.lower() in kept.lower()]
    assert f"Network {GUESTS} is excluded" in demo.out


def test_only_their_owner_reads_the_store(demo: Demo) -> None:
    assert demo.store.stat().st_mode & 0o077 == 0


def test_the_same_capture_again_adds_nothing(demo: Demo, store: Path) -> None:
    done = replay(CAPTURE, store)
    assert done.status == 0
    assert stored(done) == (0, 0, len(demo.episodes))


def test_a_compressed_copy_adds_nothing(demo: Demo, store: Path, tmp_path: Path) -> None:
    packed = tmp_path / "copy.bin"
    packed.write_bytes(gzip.compress(CAPTURE.read_bytes(), 1))
    done = replay(packed, store)
    assert done.status == 0
    assert stored(done) == (0, 0, len(demo.episodes))


def sliced(tmp_path: Path, part: slice) -> Path:
    """Some of the demo's frames as a capture of their own."""
    with CAPTURE.open("rb") as stream:
        frames = list(dpkt.pcap.Reader(stream))[part]
    path = tmp_path / "slice.pcap"
    with path.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for time_s, frame in frames:
            writer.writepkt(frame, time_s)
        writer.close()
    return path


def test_a_slice_adds_no_episode(demo: Demo, store: Path, tmp_path: Path) -> None:
    """The first half ends within some episodes: it tells nothing of them that the whole did not."""
    half = sliced(tmp_path, slice(None, demo.truth["frames"] // 2))
    done = replay(half, store)
    assert done.status == 0
    new, revised, known = stored(done)
    assert (new, revised) == (0, 0)
    assert 0 < known < len(demo.episodes)


def test_standard_input_tells_the_same(demo: Demo) -> None:
    done = wardwatch("replay", "-", "--config", CONFIG, "--no-store", "--json", stdin=CAPTURE.read_bytes())
    assert done.status == 0
    assert [without_file(one) for one in lines(done.out)] == [without_file(one) for one in demo.violations]


def test_another_policy_is_a_revision_beside_the_first(demo: Demo, store: Path, tmp_path: Path) -> None:
    lax = tmp_path / "lax.toml"
    text = CONFIG.read_text("utf-8").replace('approved = ["teams"]', 'approved = ["teams", "zoom"]')
    lax.write_text(text.replace(', "zoom"]\nunlisted', "]\nunlisted"), "utf-8")
    done = replay(CAPTURE, store, lax)
    assert done.status == 0
    assert stored(done)[0] == 0
    listed = lines(wardwatch("violations", "--config", lax, "--store", store, "--format", "json").out)
    zoom = {one["id"] for one in demo.violations if one["app"] == "zoom"}
    assert zoom
    assert {one["id"] for one in listed} == {one["id"] for one in demo.violations} - zoom
    said = wardwatch("explain", min(zoom), "--config", lax, "--store", store).out
    assert said.startswith("ALLOWED")
    assert "violation by policy.disallowed" in said
    assert "allowed by policy.approved" in said


def test_a_folder_is_one_timeline_and_lists_what_is_no_capture(demo: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(CAPTURE, folder / "morning.pcap")
    (folder / "notes.txt").write_text("no capture")
    done = wardwatch("replay", folder, "--config", CONFIG, "--no-store")
    assert done.status == 0
    assert "1 files are no captures and were skipped: notes.txt" in done.out
    assert done.out.count("VIOLATION") == len(demo.violations)
