"""`wardwatch notify` as a process: killed at the worst moments, stopped, asked what it gave up; and mistakes in its configuration."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from sensor.model import Activity, Outcome, Severity, Verdict
from sensor.store import Store, chain, open_store
from sensor.store.notices import NoticeState
from tests.commands.running import COMMAND, Done, told, wardwatch
from tests.notify.servers import Authority, Hook, eventually, hook, make_authority
from tests.notify.smtp_server import post
from tests.notify.syslog_server import receiver
from tests.store.make import KNOWN, POLICIES, episode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOK = """
[[notify.webhook]]
name = "siem"
url = "https://localhost:{port}/"
ca_file = "ca.pem"
allow_private = true
timeout_s = 1
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Hook]:
    with hook(authority) as running:
        yield running


class Place:
    """A folder with a configuration and a store."""

    def __init__(self, folder: Path, server: Hook, authority: Authority) -> None:
        self.folder = folder
        self.config, self.path = folder / "clinic.toml", folder / "store.db"
        (folder / "ca.pem").write_bytes(authority.ca_file.read_bytes())
        self.write("[notify]\nfirst_wait_s = 1\nlongest_wait_s = 1\ntries = 5\n" + HOOK.format(port=server.port))
        self.store: Store = open_store(self.path)
        self.store.append((), snapshots=KNOWN)
        assert self.once().status == 0

    def write(self, text: str) -> None:
        self.config.write_text(text, "utf-8")

    def notify(self, *arguments: str) -> Done:
        return wardwatch("notify", "--config", self.config, "--store", self.path, *arguments)

    def once(self) -> Done:
        return self.notify("--once")

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command = [str(COMMAND), "notify", "--config", str(self.config), "--store", str(self.path), *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def place(tmp_path: Path, server: Hook, authority: Authority) -> Iterator[Place]:
    made = Place(tmp_path, server, authority)
    yield made
    made.store.close()


def keys(server: Hook) -> list[str]:
    return [one.headers["webhook-id"] for one in server.received]


def test_once_sends_what_is_due_and_says_what_it_did(place: Place, server: Hook) -> None:
    place.store.append([episode(), episode(range(500, 510))])
    done = place.once()
    assert (done.status, done.out, done.err) == (0, "siem: 2 sent, 0 failed; 0 wait, 0 dead letters\n", "")
    assert len(set(keys(server))) == 2
    server.answer = lambda _: 500
    place.store.append([episode(range(700, 710))])
    done = place.once()
    assert (done.status, done.out) == (3, "siem: 0 sent, 1 failed; 1 wait, 0 dead letters\n")
    assert done.err == "wardwatch: siem: not sent (try 1 of 5, again in 0 s): answered 500\n"


def test_killed_between_sending_and_writing_it_down_it_is_sent_again_under_the_same_key(
    place: Place, server: Hook
) -> None:
    (id_,) = place.store.append([episode()]).ids
    with place.running() as process:

        def kill(_: Any) -> int:
            os.kill(process.pid, signal.SIGKILL)
            return 204

        server.answer = kill
        assert process.wait(60) == -signal.SIGKILL
    server.answer = lambda _: 204
    assert [one.state for one in place.store.outbox.listed(NoticeState.SENDING)] == [NoticeState.SENDING]
    eventually(lambda: place.once().status == 0 and len(server.received) == 2)
    first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert json.loads(first.body)["id"] == id_
    assert place.store.outbox.counts() == {("siem", "sent"): 1}
    assert place.once().out == "siem: 0 sent, 0 failed; 0 wait, 0 dead letters\n"


def test_killed_at_random_moments_it_loses_nothing(place: Place, server: Hook) -> None:
    chance = random.Random(7)

    def slow(_: Any) -> int:
        time.sleep(0.02)
        return 204

    server.answer = slow
    ids: set[str] = set()
    for turn in range(4):
        with place.running() as process:
            for step in range(6):
                start = 10_000 * turn + 1000 * step
                ids |= set(place.store.append([episode(range(start, start + 9))]).ids)
            wanted = len(server.received) + chance.randint(1, 5)
            eventually(lambda wanted=wanted: len(server.received) >= wanted)  # type: ignore[misc]
            time.sleep(0.06 * chance.random())
            os.kill(process.pid, signal.SIGKILL)
            process.wait(60)

    def all_told() -> bool:
        place.once()
        return {json.loads(one.body)["id"] for one in server.received} == ids and not any(
            state != "sent" for _, state in place.store.outbox.counts()
        )

    eventually(all_told)
    by_episode: dict[str, set[str]] = {}
    for one in server.received:
        by_episode.setdefault(json.loads(one.body)["id"], set()).add(one.headers["webhook-id"])
    assert all(len(found) == 1 for found in by_episode.values())
    assert len(server.received) <= len(ids) + 4, "more than one message was under way when it was killed"


def test_it_runs_until_sigterm_and_finishes_what_it_is_sending(place: Place, server: Hook) -> None:
    with place.running() as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "wardwatch: telling siem\n"

        def stopping(_: Any) -> int:
            os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.1)
            return 204

        server.answer = stopping
        place.store.append([episode(), episode(range(500, 510))])
        assert process.wait(60) == 0
        assert process.stderr.read() == "wardwatch: stopped\n"
    assert place.store.outbox.counts() == {("siem", "sent"): 1, ("siem", "waiting"): 1}


def test_dead_letters_are_kept_listed_and_sent_again(place: Place, server: Hook) -> None:
    assert place.notify("--dead").out == "There are no dead letters.\n"
    place.write(place.config.read_text("utf-8").replace("tries = 5", "tries = 1"))
    (id_,) = place.store.append([episode()]).ids
    server.answer = lambda _: 403
    assert place.once().status == 3
    listed = place.notify("--dead").out
    (key,) = set(keys(server))
    assert listed.startswith(f"{key} siem: episode {id_[:8]}, 1 tries, given up 20")
    assert listed.endswith(": answered 403\n")
    told(place.notify("--resend", "0z"), 2, "--resend", "no dead letter", "'0z'")
    server.answer = lambda _: 204
    assert place.notify("--resend", key[:6]).out == "1 to be sent again.\n"
    assert place.once().out == "siem: 1 sent, 0 failed; 0 wait, 0 dead letters\n"
    assert place.notify("--resend", "all").out == "0 to be sent again.\n"
    assert set(keys(server)) == {key}
    with place.store._engine.connect() as connection:
        (link,) = chain.links(connection, kind="admin")
    assert json.loads(link.content or "")["what"] == "dead letters sent again"


def test_a_test_message_says_that_it_is_one_and_leaves_nothing_behind(place: Place, server: Hook) -> None:
    assert place.notify("--test", "siem").out == "siem: sent\n"
    (got,) = server.received
    body = json.loads(got.body)
    assert body["occasion"] == "test"
    assert body["policy"]["reason"].startswith("This is a test of the channel.")
    assert place.store.outbox.counts() == {}
    server.answer = lambda _: 500
    told(place.notify("--test", "siem"), 1, "siem: not sent: answered 500")
    told(place.notify("--test", "sim"), 2, "--test", "'sim' is no channel; there are siem")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("[notify] names no channel",)),
        ("{hook}secret_file = 'none'", ("clinic.toml: notify.webhook[0].secret_file: ", "none cannot be read: No such file")),
        ("{hook}secret_file = 'short'", ("notify.webhook[0].secret_file", "holds fewer than 16 bytes")),
        ("{hook}secret_file = 'open'", ("notify.webhook[0].secret_file", "can be read by everybody")),
        ("{hook}secret_file = 'lines'", ("notify.webhook[0].secret_file", "does not hold one line")),
        ("{hook}secret_file = 'base'", ("notify.webhook[0].secret_file", "is not base64 after 'whsec_'")),
        ("{hook}authorization_file = 'accents'", ("notify.webhook[0].authorization_file", "a header cannot carry")),
        ("{hook}", ("notify.webhook[0].ca_file", "open holds no certificates in PEM")),
        ("[[notify.webhook]]\nname = 'a'\nurl = 'https://u:p@x'", ("notify.webhook[0].url: holds a login",)),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_that_names_file_and_key(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    open_store(tmp_path / "store.db").close()
    secrets = {"short": b"0123456789", "open": b"0123456789abcdef", "lines": b"a\nb\n" * 9, "base": b"whsec_%%%",
               "accents": "contrase\u00f1a".encode()}  # fmt: skip
    for name, content in secrets.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    hook_text = "[[notify.webhook]]\nname = 'a'\nurl = 'https://x.example'\n"
    if text == "{hook}":
        hook_text += "ca_file = 'open'\n"
    config = tmp_path / "clinic.toml"
    config.write_text(text.format(hook=hook_text), "utf-8")
    done = wardwatch("notify", "--once", "--config", config, "--store", tmp_path / "store.db")
    told(done, 2, *words)
    assert "0123456789" not in done.err


def test_without_a_store_there_is_nothing_to_tell(tmp_path: Path) -> None:
    told(wardwatch("notify", "--once", "--store", tmp_path / "none.db"), 1, "none.db", "does not exist")


MAIL = """
[notify]
devices = "label"
[[notify.email]]
name = "officer"
to = ["officer@clinic.example"]
from = "wardwatch@clinic.example"
server = "localhost"
port = {port}
user = "wardwatch"
password_file = "password"
ca_file = "ca.pem"
language = "es"
least_severity = "low"
"""


def test_mail_tells_calls_at_once_and_keeps_the_rest_for_the_digest(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    (tmp_path / "password").write_text("secret\n", "utf-8")
    (tmp_path / "password").chmod(0o600)
    with post(authority) as mail, open_store(tmp_path / "store.db") as store:
        config = tmp_path / "clinic.toml"
        config.write_text(MAIL.format(port=mail.port), "utf-8")
        arguments = ("notify", "--config", config, "--store", tmp_path / "store.db")
        assert wardwatch(*arguments, "--once").status == 0
        store.append((), snapshots=KNOWN)
        verdict = Verdict(Outcome.VIOLATION, "policy.disallowed", "No", POLICIES[0], Severity.HIGH, "disallowed")
        call = episode(range(500, 510), activity=Activity.VIDEO_CALL, verdict=verdict)
        store.append([episode(), call, episode(range(700, 710))])
        done = wardwatch(*arguments, "--once")
        assert (done.status, done.out) == (0, "officer: 1 sent, 0 failed; 2 wait, 0 dead letters\n")
        (got,) = mail.got
        assert got.message["Subject"] == "[wardwatch] Videollamada por WhatsApp en Ward 3"
        assert got.login == "wardwatch"
        assert wardwatch(*arguments, "--test", "officer").out == "officer: sent\n"
        assert mail.got[1].message["Subject"] == "[wardwatch] Prueba: Llamada de voz por Test"
        waiting = store.outbox.listed(NoticeState.WAITING)
        assert all(one.digest and 0 < one.next_ns - time.time_ns() <= 25 * 3600 * 10**9 for one in waiting)
        store.outbox.failed(waiting, "", time.time_ns())  # now the hour of the digest has come
        assert wardwatch(*arguments, "--once").out == "officer: 1 sent, 0 failed; 0 wait, 0 dead letters\n"
        assert mail.got[2].message["Subject"] == "[wardwatch] 2 infracciones"
        (tmp_path / "password").chmod(0o644)
        told(wardwatch(*arguments, "--once"), 2, "notify.email[0].password_file", "can be read by everybody")


def test_after_a_long_replay_many_calls_are_one_letter(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    with post(authority) as mail, open_store(tmp_path / "store.db") as store:
        config = tmp_path / "clinic.toml"
        login = 'user = "wardwatch"\npassword_file = "password"\n'
        config.write_text(MAIL.format(port=mail.port).replace(login, ""), "utf-8")
        arguments = ("notify", "--once", "--config", config, "--store", tmp_path / "store.db")
        assert wardwatch(*arguments).status == 0
        store.append((), snapshots=KNOWN)
        store.append([episode(range(1000 * n, 1000 * n + 9), activity=Activity.MEETING) for n in range(30)])
        assert wardwatch(*arguments).out == "officer: 1 sent, 0 failed; 0 wait, 0 dead letters\n"
        (got,) = mail.got
        assert got.message["Subject"] == "[wardwatch] 30 infracciones"
        assert "    30  Reuni\u00f3n por WhatsApp" in got.part("plain")


LOG = """
[[notify.syslog]]
name = "log"
host = "localhost"
port = {port}
format = "ocsf"
facility = "local3"
ca_file = "ca.pem"
{more}
"""


def test_syslog_over_tls(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    with receiver(authority) as log, open_store(tmp_path / "store.db") as store:
        config = tmp_path / "clinic.toml"
        config.write_text(LOG.format(port=log.port, more=""), "utf-8")
        arguments = ("notify", "--config", config, "--store", tmp_path / "store.db")
        assert wardwatch(*arguments, "--once").status == 0
        store.append((), snapshots=KNOWN)
        (id_,) = store.append([episode()]).ids
        assert wardwatch(*arguments, "--once").out == "log: 1 sent, 0 failed; 0 wait, 0 dead letters\n"
        (got,) = log.got
        assert got.startswith(b"<157>1 ")  # local3, notice: 19 * 8 + 5
        assert f'episode="{id_}"'.encode() in got
        assert b'"class_uid":2004' in got
        config.write_text(LOG.format(port=log.port, more="cert_file = 'none.pem'"), "utf-8")
        told(wardwatch(*arguments, "--once"), 2, "notify.syslog[0].cert_file", "none.pem cannot be read")
