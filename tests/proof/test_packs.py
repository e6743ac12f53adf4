"""Packs of the demo: the fewest frames prove the verdict again, elsewhere, and what was changed is told."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import dpkt.pcapng
import pytest

from sensor.model import SourceInfo
from sensor.proof import facts, keys, making, opinion, packing, verifying
from sensor.store import Snapshots, open_store
from tests.commands.running import CAPTURE, CONFIG, told, wardwatch
from tests.store.make import episode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proof.conftest import Demo


def test_every_episode_of_the_demo_is_proven_by_its_pack(demo: Demo) -> None:
    for id_ in demo.ids:
        made = demo.pack(id_)
        report = verifying.pack(made.data, {keys.public_key(demo.public)}, ask=False)
        assert report.wrong == []
        said = [line.what for line in report.lines if line.how == verifying.PROVEN]
        assert any(": it is " in what for what in said), id_
        assert any(": verdict " in what for what in said), id_
        attested = [line.what for line in report.lines if line.how == verifying.ATTESTED]
        assert sorted(what.partition(": ")[2] for what in attested) == sorted(verifying.BEYOND), id_
        assert made.frames < 30
        assert not made.missing


@pytest.mark.tshark
def test_tshark_agrees_on_every_conclusive_evidence_of_the_demo(demo: Demo) -> None:
    if not opinion.available():
        pytest.skip("no tshark")
    report = verifying.pack(demo.pack(*demo.ids).data, {keys.public_key(demo.public)}, ask=True)
    assert report.disagreements() == []
    conclusive = [one for _, one in report.opinions if one.evidence.match.strength.label == "conclusive"]
    assert len(conclusive) > 20
    assert {one.answer for one in conclusive} == {opinion.Answer.AGREE}


@pytest.mark.tshark
def test_tshark_disagrees_with_what_is_not_there(demo: Demo, tmp_path: Path) -> None:
    if not opinion.available():
        pytest.skip("no tshark")
    pack = packing.opened(demo.pack(*demo.ids).data)
    asked = 0
    for name in [name for name in pack.files if name.startswith("episodes/")]:
        for line in json.loads(pack.files[name])["episode"]["evidence"]:
            if line["kind"] not in {"tls_sni", "quic_sni", "stun", "payload"}:
                continue
            asked += 1
            path = tmp_path / "cut.pcapng"
            path.write_bytes(pack.files[line["proof"]["capture"]])
            wrong = {"stun": "method 0x3ff", "payload": "00 11 22 33 at byte 0"}.get(line["kind"], "elsewhere.example")
            one = facts.evidence({**line, "value": wrong})
            answer = opinion.opinion(one, line["proof"]["frame"], opinion.dissected(path))
            assert answer.answer is opinion.Answer.DISAGREE, answer
            if asked == 12:
                return
    pytest.fail("the demo has fewer than it had")


def test_the_frames_say_what_they_prove_and_where_they_come_from(demo: Demo, tmp_path: Path) -> None:
    pack = packing.opened(demo.pack(demo.ids[0]).data)
    (cut,) = pack.manifest["captures"]
    path = tmp_path / "cut.pcapng"
    path.write_bytes(pack.files[cut["file"]])
    with path.open("rb") as stream:
        frames = list(dpkt.pcapng.Reader(stream))
    with CAPTURE.open("rb") as stream:
        whole = list(dpkt.pcap.UniversalReader(stream))
    assert [data for _, data in frames] == [whole[number - 1][1] for number in cut["of"]]
    assert [round(at * 1e6) for at, _ in frames] == [round(float(whole[number - 1][0]) * 1e6) for number in cut["of"]]
    assert f"frame {cut['of'][0]} of {CAPTURE.name}".encode() in pack.files[cut["file"]]
    assert b"proves " in pack.files[cut["file"]]


def test_what_the_frames_do_not_say_is_wrong_though_it_is_signed(demo: Demo) -> None:
    """Whoever has the key may sign anything, and the frames tell it apart."""
    pack = packing.opened(demo.pack(demo.ids[0]).data)
    name = f"episodes/{demo.ids[0]}.json"
    signer = keys.signer(demo.key)

    def wrong(change: str) -> list[str]:
        said = json.loads(pack.files[name])
        episode_, line = said["episode"], said["episode"]["evidence"][0]
        if change == "time":
            line["time_ns"] += 1
        elif change == "address":
            line["flow"]["dst"] = "192.0.2.1"
        elif change == "rule":
            line["match"]["rule"] = "signal/other"
        elif change == "strength":
            line["match"]["strength"] = "supporting"
        elif change == "verdict":
            episode_["verdict"]["outcome"] = "review"
        else:
            episode_["network"] = "Guest Wi-Fi"
        files = pack.files | {name: json.dumps(said).encode()}
        again = packing.made(files, pack.manifest, signer)
        return [line.what for line in verifying.pack(again, {signer.public}, ask=False).wrong]

    for change in ("time", "address", "rule", "strength"):
        assert any("its frames do not say it" in what for what in wrong(change)), change
    for change in ("verdict", "network"):
        assert any("the policy says" in what for what in wrong(change)), change


def test_a_name_that_was_changed_in_its_frame_and_signed_again_proves_nothing(demo: Demo) -> None:
    signer = keys.signer(demo.key)
    changed = 0
    for id_ in demo.ids:
        pack = packing.opened(demo.pack(id_).data)
        for line in json.loads(pack.files[f"episodes/{id_}.json"])["episode"]["evidence"]:
            if line["kind"] != "tls_sni":
                continue
            member = line["proof"]["capture"]
            name = line["value"].encode()
            data = pack.files[member]
            frames = [frame for _, frame in dpkt.pcapng.Reader(io.BytesIO(data)) if name in frame]
            if not frames:
                continue  # split over two frames
            changed_data = data.replace(frames[0], frames[0].replace(name, b"x" + name[1:]))
            again = packing.made(pack.files | {member: changed_data}, pack.manifest, signer)
            wrong = [one.what for one in verifying.pack(again, {signer.public}, ask=False).wrong]
            assert any("its frames do not say it" in what for what in wrong)
            changed += 1
    assert changed > 10


def test_frames_that_were_not_kept_are_said_to_be_missing(tmp_path: Path) -> None:
    from sensor import setup
    from sensor.classify.signatures import canonical

    made = setup.read(None)
    known = Snapshots(
        policies={made.policy.hash: made.policy_json()},
        signatures={made.signatures.hash: canonical(made.signatures.apps.values(), made.signatures.limits)},
        sources=((SourceInfo("eth1", None, "ring", 30, 0, 100), None),),
    )
    with open_store(tmp_path / "w.sqlite") as store:
        live = episode(file="eth1", network="(all)", policy=made.policy.hash, signatures=made.signatures.hash)
        store.append([live], snapshots=known)
        pack = making.pack(making.Request(store, made, keys.signer(tmp_path / "key.pem"), actor="tests"), [live.id])
    assert pack.frames == 0
    (why,) = pack.missing
    assert "the frames were not kept: live traffic" in why
    report = verifying.pack(pack.data, (), ask=False)
    assert not report.wrong
    assert not any("tls_sni" in line.what for line in report.lines if line.how == verifying.PROVEN)
    assert any(why in note for note in report.notes)


def test_that_a_pack_was_made_is_a_link_of_the_chain(demo: Demo) -> None:
    made = demo.pack(demo.ids[1])
    with closing(sqlite3.connect(demo.store)) as connection:
        query = "SELECT content FROM chain WHERE kind = 'evidence' ORDER BY sequence DESC LIMIT 1"
        (content,) = connection.execute(query).fetchone()
    said = json.loads(content)
    assert (said["actor"], said["episodes"]) == ("tests", [demo.ids[1]])
    assert hashlib.sha256(made.data).hexdigest() == said["sha256"]


def test_the_commands_and_their_exit_statuses(demo: Demo, tmp_path: Path) -> None:
    pack = tmp_path / "one.pack"
    store = ("--config", CONFIG, "--store", demo.store)
    done = wardwatch("evidence", demo.ids[0][:8], *store, "--out", pack)
    assert done.status == 0, done.err
    assert pack.stat().st_mode & 0o777 == 0o600
    checked = wardwatch("verify", pack, "--public-key", demo.public, "--no-tshark")
    assert (checked.status, checked.err) == (0, "")
    assert "0 wrong" in checked.out
    assert wardwatch("verify", pack, "--no-tshark").status == 3, "nobody vouches for the key"
    other = tmp_path / "other.pem"
    keys.signer(other)
    told(wardwatch("verify", pack, "--public-key", f"{other}.pub", "--no-tshark"), 4, "another key")
    data = pack.read_bytes()
    pack.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    told(wardwatch("verify", pack, "--public-key", demo.public), 4, "changed")
    told(wardwatch("verify", demo.store), 2, "audit verify")
    told(wardwatch("evidence", "nope", *store, "--out", pack), 1, "no episode")
    told(wardwatch("evidence", demo.ids[0], *store, "--out", demo.store), 2, "would overwrite")


@pytest.mark.tshark
def test_a_capture_is_checked_too(demo: Demo) -> None:
    if not opinion.available():
        pytest.skip("no tshark")
    done = wardwatch("verify", CAPTURE, "--config", CONFIG, "--json")
    assert done.status == 0, done.out
    said = json.loads(done.out)
    assert {one["answer"] for one in said["tshark"] if one["kind"] in {"tls_sni", "quic_sni"}} == {"agree"}
